/* config_value.c: a flag's value, from its text into the configuration. */
#include "config_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../api/duration.h"
#include "../pool/weir.h"

#define KIB UINT64_C(1024)

/* ---- One value ---- */

/* Digits only, with a unit of size behind them when `sized`. */
static bool whole_number(const char *text, bool sized, uint64_t *number)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (sized && *end) {
        const char *units = "kmg";
        const char *unit = strchr(units, tolower((unsigned char)*end));
        if (!unit)
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    if (errno || *end || value > UINT64_MAX >> shift)
        return false;
    *number = (uint64_t)value << shift;
    return true;
}

static bool switch_value(const char *text, bool *on)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *on = i % 2;
            return true;
        }
    }
    return false;
}

static bool choice_value(const flag *f, const char *text, uint32_t *chosen)
{
    for (uint32_t i = 0; f->choices[i]; i++) {
        if (strcmp(f->choices[i], text) == 0) {
            *chosen = i;
            return true;
        }
    }
    return false;
}

static bool store(const flag *f, const char *text, config *c)
{
    void *field = (char *)c + f->field;
    uint64_t number;
    switch (f->kind) {
    case KIND_TEXT: *(const char **)field = text; return true;
    case KIND_AUTO:
    case KIND_MOST:
        if (strcmp(text, f->kind == KIND_AUTO ? "auto" : "off") == 0) {
            *(uint32_t *)field = f->kind == KIND_AUTO ? 0 : UINT32_MAX;
            return true;
        }
        /* fall through */
    case KIND_COUNT:
        if (!whole_number(text, false, &number) || number < f->least || number > f->most)
            return false;
        *(uint32_t *)field = (uint32_t)number;
        return true;
    case KIND_LIFETIME:
        if (strcmp(text, "off") == 0) {
            *(uint64_t *)field = WEIR_NEVER;
            return true;
        }
        /* fall through */
    case KIND_DURATION:
        if (duration_parse(text, &number) != 0 || number == 0)
            return false;
        *(uint64_t *)field = number;
        return true;
    case KIND_LIMIT:
        if (strcmp(text, "off") == 0) {
            *(size_t *)field = SIZE_MAX;
            return true;
        }
        /* fall through */
    case KIND_SIZE:
        if (!whole_number(text, true, &number) || number < f->least || number > f->most)
            return false;
        *(size_t *)field = (size_t)number;
        return true;
    case KIND_SWITCH: return switch_value(text, field);
    case KIND_CHOICE: return choice_value(f, text, field);
    case KIND_POOL:
    case KIND_POOL_SIZE:
    case KIND_CHANNEL: break; /* see store_listed */
    }
    return false;
}

/* ---- What is wrong ---- */

/* What a value of this flag has to look like, for the message when it does not. */
static void expectation(const flag *f, char *text, size_t size)
{
    switch (f->kind) {
    case KIND_COUNT:
    case KIND_AUTO:
    case KIND_MOST:
        snprintf(text, size, "%sa whole number from %" PRIu64 " to %" PRIu64,
                 f->kind == KIND_AUTO   ? "auto or "
                 : f->kind == KIND_MOST ? "off or "
                                        : "",
                 f->least, f->most);
        break;
    case KIND_DURATION:
    case KIND_LIFETIME:
        snprintf(text, size, "a time more than none, such as 250ms, 2s or 5m%s",
                 f->kind == KIND_LIFETIME ? ", or off" : "");
        break;
    case KIND_SIZE:
    case KIND_LIMIT:
        snprintf(text, size, "%sa size from %" PRIu64 "%s to %" PRIu64 "m, such as 64k or 1m",
                 f->kind == KIND_LIMIT ? "off or " : "", f->least < KIB ? f->least : f->least / KIB,
                 f->least < KIB ? "" : "k", f->most / KIB / KIB);
        break;
    case KIND_SWITCH: snprintf(text, size, "on or off"); break;
    case KIND_CHOICE: snprintf(text, size, "one of %s", f->unit); break;
    case KIND_POOL:
    case KIND_POOL_SIZE:
    case KIND_CHANNEL:
    case KIND_TEXT: snprintf(text, size, "a value that is not empty"); break;
    }
}

static config_outcome wrong_value(const flag *f, const char *source, const char *value, char *why,
                                  size_t why_size)
{
    char expected[128];
    if (!*value)
        return config_wrong(why, why_size, "%s must not be empty", source);
    expectation(f, expected, sizeof expected);
    return config_wrong(why, why_size, "%s: \"%s\" is not %s", source, value, expected);
}

/* ---- Lists ---- */

/* How many a list holds. */
static uint32_t *length_of(const flag *f, config *c)
{
    switch (f->kind) {
    case KIND_POOL: return &c->pools.count;
    case KIND_POOL_SIZE: return &c->pools.size_count;
    default: return &c->channels.count;
    }
}

static bool add_listed(const flag *f, const char *text, bool all, config *c, char *why,
                       size_t why_size)
{
    switch (f->kind) {
    case KIND_POOL:
        return (all ? pool_list_add_all : pool_list_add)(&c->pools, text, why, why_size);
    case KIND_POOL_SIZE:
        return (all ? pool_list_size_all : pool_list_size)(&c->pools, text, why, why_size);
    default: return channel_list_add(&c->channels, text, why, why_size);
    }
}

/* What is said replaces all that one of a lower rank has. A list's own words say what is wrong,
 * because its values may have a password in them. */
static config_outcome store_listed(const flag *f, config_word word, config *c, char *why,
                                   size_t why_size)
{
    char reason[256];
    config_rank *rank = &c->said[config_flag_index(f)].rank;
    if (word.rank > *rank)
        *length_of(f, c) = 0;
    *rank = word.rank;
    if (add_listed(f, word.value, word.rank == RANK_VARIABLE, c, reason, sizeof reason))
        return CONFIG_OK;
    return config_wrong(why, why_size, "%s: %s", word.source, reason);
}

/* ---- Into the configuration ---- */

void config_take_default(const flag *f, config *c)
{
    if (f->fallback)
        store(f, f->fallback, c);
}

config_outcome config_take(const flag *f, config_word word, config *c, char *why, size_t why_size)
{
    if (*word.value && config_is_list(f))
        return store_listed(f, word, c, why, why_size);
    if (!*word.value || !store(f, word.value, c))
        return wrong_value(f, word.source, word.value, why, why_size);
    size_t index = config_flag_index(f);
    c->said[index].text = word.value;
    c->said[index].line = word.line;
    return CONFIG_OK;
}
