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
    MARK_CHECK = 4,  /* only weir check heeds it: a service that runs has no change to tell */
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
/* Its place in that order, as in config.said. */
size_t config_flag_index(const flag *f);
/* The one of exactly that name, without its dashes; NULL when there is none. */
const flag *config_flag_named(const char *name, size_t length);
/* The one whose name `name` was probably meant to be, or NULL. */
const char *config_flag_near(const char *name);
/* The name of the environment's variable that says the same. */
void config_variable(const flag *f, char variable[VARIABLE_MAX]);
/* It can be said several times, and all that is said counts. */
bool config_is_list(const flag *f);

#endif
