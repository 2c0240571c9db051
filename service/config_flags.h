/* config_flags.h: the table of flags, for the files that read, compare and show configurations. */
#ifndef WEIR_CONFIG_FLAGS_H
#define WEIR_CONFIG_FLAGS_H

#include "config.h"

typedef enum kind {
    KIND_TEXT,
    KIND_COUNT,    /* uint32_t, from `least` to `most` */
    KIND_AUTO,     /* the same, or "auto" for 0 */
    KIND_DURATION, /* uint64_t of ns, more than none */
    KIND_LIFETIME, /* the same, or "off" for WEIR_NEVER */
    KIND_SIZE,     /* size_t, from `least` to `most` */
    KIND_LIMIT,    /* the same, or "off" for SIZE_MAX */
    KIND_MOST,     /* uint32_t, from `least` to `most`, or "off" for UINT32_MAX */
    KIND_SWITCH,   /* bool */
    KIND_CHOICE,   /* uint32_t: an index into `choices` */
    KIND_POOL,     /* NAME=URL, any number of times, into pools */
    KIND_POOL_SIZE,
    KIND_CHANNEL, /* CHANNEL[@POOL], any number of times, into channels */
} kind;

typedef enum flag_mark {
    MARK_LIVE = 1,   /* a reload takes its value over */
    MARK_SECRET = 2, /* its value is never shown */
} flag_mark;

typedef struct flag {
    const char *name; /* the variable is WEIR_ and this in capitals, with _ for - */
    kind kind;
    size_t field;
    unsigned marks; /* bits of flag_mark */
    const char *unit, *fallback, *help;
    uint64_t least, most;
    const char *const *choices;
} flag;

enum { VARIABLE_MAX = 40 };

/* The flags in their order; NULL behind the last. */
const flag *config_flag_at(size_t index);
size_t config_flag_index(const flag *f);
const flag *config_flag_named(const char *name, size_t length);
/* The one whose name `name` was probably meant to be, or NULL. */
const char *config_flag_near(const char *name);
void config_variable(const flag *f, char variable[VARIABLE_MAX]);
bool config_is_list(const flag *f);

/* A value, and who says it. */
typedef struct config_word {
    const char *source; /* as errors name it */
    const char *value;
    config_rank rank;
    uint32_t line; /* of the file; 0: elsewhere */
} config_word;

/* Stores it. CONFIG_BAD with why. */
config_outcome config_take(const flag *f, config_word word, config *c, char *why, size_t why_size);

/* Writes why, and is CONFIG_BAD. */
config_outcome config_wrong(char *why, size_t why_size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- config_sources.c ---- */

/* The file `c->config`, where there is one. */
config_outcome config_read_file(config *c, char *why, size_t why_size);
/* The variables, and the files that WEIR_…_FILE name. */
config_outcome config_read_environment(config_env_fn env, config *c, char *why, size_t why_size);

#endif
