/* config_arguments.c: what a configuration is told by the flags of the command line. */
#include <string.h>

#include "config_sources.h"
#include "config_value.h"
#include "secret.h"

static config_outcome unknown_flag(const char *name, size_t length, char *why, size_t why_size)
{
    char given[64];
    snprintf(given, sizeof given, "%.*s", (int)(length < 63 ? length : 63), name);
    const char *near = config_flag_near(given);
    if (near)
        return config_wrong(why, why_size, "unknown flag --%s: did you mean --%s?", given, near);
    return config_wrong(why, why_size, "unknown flag --%s: see weir serve --help", given);
}

/* Reads argv[*at], and the value behind it where it takes one. */
static config_outcome read_flag(char *const *argv, int argc, int *at, config *c, char *why,
                                size_t why_size)
{
    const char *name = argv[*at] + 2;
    size_t length = strcspn(name, "=");
    const flag *f = config_flag_named(name, length);
    if (!f)
        return unknown_flag(name, length, why, why_size);
    const char *value = name[length] ? name + length + 1 : NULL;
    if (!value && f->kind == KIND_SWITCH)
        value = "on";
    else if (!value && *at + 1 < argc)
        value = argv[++*at];
    char source[VARIABLE_MAX];
    snprintf(source, sizeof source, "--%s", f->name);
    if (!value)
        return config_wrong(why, why_size, "%s needs a value: %s", source, f->unit);
    const config_word word = {.source = source, .value = value, .rank = RANK_FLAG};
    return config_take(f, word, c, why, why_size);
}

/* It may well be the database's URL, and have a password in it. */
static config_outcome what_for(const char *text, char *why, size_t why_size)
{
    char shown[256];
    secret_hide(text, shown, sizeof shown);
    return config_wrong(why, why_size, "what is \"%s\" for? flags begin with --", shown);
}

config_outcome config_read_arguments(int argc, char *const *argv, config *c, const char **operand,
                                     char *why, size_t why_size)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return CONFIG_HELP;
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2]) {
            config_outcome outcome = read_flag(argv, argc, &i, c, why, why_size);
            if (outcome != CONFIG_OK)
                return outcome;
        } else if (argv[i][0] == '-') {
            return config_wrong(why, why_size, "unknown flag %s: see weir serve --help", argv[i]);
        } else if (operand && !*operand) {
            *operand = argv[i];
        } else {
            return what_for(argv[i], why, why_size);
        }
    }
    return CONFIG_OK;
}
