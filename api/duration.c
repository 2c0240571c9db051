/* duration.c: a length of time as people write it. */
#include "duration.h"

#include <stdbool.h>
#include <string.h>

#include "../pool/weir.h"

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},          {"us", 1000},         {"ms", 1000000},       {"s", 1000000000},
    {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000},
};

static uint64_t unit_ns(const char *name)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(units[i].name, name) == 0)
            return units[i].ns;
    }
    return 0;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits into `*value`; false when there is none or they do not fit. */
static bool whole(const char **at, uint64_t *value)
{
    uint64_t sum = 0;
    if (!digit(**at))
        return false;
    for (; digit(**at); (*at)++) {
        if (__builtin_mul_overflow(sum, 10u, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(**at - '0'), &sum))
            return false;
    }
    *value = sum;
    return true;
}

/* Reads the digits after the point as ns of `unit`; false when there is none or they are too fine.
 */
static bool fraction(const char *at, uint64_t unit, uint64_t *ns)
{
    uint64_t sum = 0;
    if (!digit(*at))
        return false;
    for (; digit(*at); at++) {
        uint64_t value = (uint64_t)(*at - '0');
        if (value != 0 && unit % 10 != 0)
            return false;
        unit /= 10;
        sum += value * unit;
    }
    *ns = sum;
    return true;
}

int duration_parse(const char *text, uint64_t *ns)
{
    uint64_t value, part = 0;
    const char *at = text, *point = NULL;
    if (!whole(&at, &value))
        return WEIR_EINVAL;
    if (*at == '.') {
        point = ++at;
        at += strspn(at, "0123456789");
    } else if (*at == '\0' && value == 0) {
        *ns = 0;
        return 0;
    }
    uint64_t unit = unit_ns(at);
    if (unit == 0 || (point && !fraction(point, unit, &part)))
        return WEIR_EINVAL;
    if (__builtin_mul_overflow(value, unit, &value) || __builtin_add_overflow(value, part, &value))
        return WEIR_EINVAL;
    *ns = value;
    return 0;
}
