/* config_sources.c: what a configuration is told by its file and by the environment. */
#include "config_sources.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "config_value.h"
#include "small_file.h"

enum { PLACE_MAX = 300 };

/* What a file held, for as long as the configuration. */
typedef struct config_text {
    struct config_text *next;
    char *bytes;
    size_t length;
} config_text;

void config_free(config *c)
{
    while (c->texts) {
        config_text *first = c->texts;
        c->texts = first->next;
        small_file_forget(first->bytes, first->length);
        free(first);
    }
}

/* A NUL would have what stands before it taken for all. */
static int read_text(const char *source, const char *path, config_text *text, query_fault *fault)
{
    char what[PLACE_MAX];
    snprintf(what, sizeof what, "%s: %.200s", source, path);
    int r = small_file_read(path, what, &text->bytes, &text->length, fault);
    if (r < 0 || !memchr(text->bytes, '\0', text->length))
        return r;
    small_file_forget(text->bytes, text->length);
    return query_fail(fault, 0, "%s cannot be read: it holds a NUL character", what);
}

/* Reads a file and keeps it. */
static config_outcome keep_file(const char *source, const char *path, config *c, char **text,
                                char *why, size_t why_size)
{
    query_fault fault = {.message = "out of memory"};
    config_text *made = calloc(1, sizeof *made);
    if (!made || read_text(source, path, made, &fault) < 0) {
        free(made);
        return config_wrong(why, why_size, "%s", fault.message);
    }
    made->next = c->texts;
    c->texts = made;
    *text = made->bytes;
    return CONFIG_OK;
}

/* ---- The file ---- */

static void place_of(const char *path, uint32_t line, char place[PLACE_MAX])
{
    snprintf(place, PLACE_MAX, "%.280s:%" PRIu32, path, line);
}

static config_outcome unknown_name(const char *place, const char *name, char *why, size_t why_size)
{
    const char *near = config_flag_near(name);
    if (near)
        return config_wrong(why, why_size, "%s: unknown name %.63s: did you mean %s?", place, name,
                            near);
    return config_wrong(why, why_size, "%s: unknown name %.63s: see weir serve --help", place,
                        name);
}

static config_outcome take_line(const config_line *line, config *c, char *why, size_t why_size)
{
    char place[PLACE_MAX], source[PLACE_MAX + VARIABLE_MAX];
    const flag *f = config_flag_named(line->name, strlen(line->name));
    place_of(c->config, line->number, place);
    if (!f)
        return unknown_name(place, line->name, why, why_size);
    if (f->field == offsetof(config, config))
        return config_wrong(why, why_size, "%s: one configuration file names no other", place);
    const uint32_t *before = &c->said[config_flag_index(f)].line;
    if (*before > 0)
        return config_wrong(why, why_size, "%s: %s has been said in line %" PRIu32, place, f->name,
                            *before);
    snprintf(source, sizeof source, "%s: %s", place, f->name);
    const config_word word = {source, line->value, RANK_FILE, line->number};
    return config_take(f, word, c, why, why_size);
}

config_outcome config_read_file(config *c, char *why, size_t why_size)
{
    char *text, reason[128];
    uint32_t number = 0;
    config_line line;
    int more = 1;
    if (!c->config)
        return CONFIG_OK;
    config_outcome outcome = keep_file("--config", c->config, c, &text, why, why_size);
    while (outcome == CONFIG_OK && more > 0) {
        more = config_file_line(&text, &number, &line, reason, sizeof reason);
        if (more > 0)
            outcome = take_line(&line, c, why, why_size);
    }
    if (more >= 0)
        return outcome;
    char place[PLACE_MAX];
    place_of(c->config, line.number, place);
    return config_wrong(why, why_size, "%s: %s", place, reason);
}

/* ---- The environment ---- */

/* Whether there is WEIR_…_FILE too: for texts, but for those that name a file themselves, and where
 * it would be another flag's variable. */
static bool has_twin(const flag *f)
{
    char name[VARIABLE_MAX];
    if (f->kind != KIND_TEXT && !config_is_list(f))
        return false;
    snprintf(name, sizeof name, "%s-file", f->name);
    return strcmp(f->unit, "FILE") != 0 && !config_flag_named(name, strlen(name));
}

/* Without the line ends that an editor leaves behind it. */
static void cut_line_ends(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr("\r\n", text[length - 1]))
        length--;
    text[length] = '\0';
}

/* Empty counts as not set: that is how a compose file leaves a variable out. */
static const char *set_value(config_env_fn env, const char *variable)
{
    const char *value = env(variable);
    return value && *value ? value : NULL;
}

static config_outcome take_variable(const flag *f, config_env_fn env, config *c, char *why,
                                    size_t why_size)
{
    char variable[VARIABLE_MAX], twin[VARIABLE_MAX + 8], *text;
    config_variable(f, variable);
    snprintf(twin, sizeof twin, "%s_FILE", variable);
    config_word word = {variable, set_value(env, variable), RANK_VARIABLE, 0};
    const char *path = has_twin(f) ? set_value(env, twin) : NULL;
    if (path && word.value)
        return config_wrong(why, why_size, "%s and %s are both set: leave one of them out",
                            variable, twin);
    if (path) {
        config_outcome outcome = keep_file(twin, path, c, &text, why, why_size);
        if (outcome != CONFIG_OK)
            return outcome;
        cut_line_ends(text);
        word.source = twin;
        word.value = text;
    }
    return word.value ? config_take(f, word, c, why, why_size) : CONFIG_OK;
}

config_outcome config_read_environment(config_env_fn env, config *c, char *why, size_t why_size)
{
    config_outcome outcome = CONFIG_OK;
    const flag *f;
    for (size_t i = 0; outcome == CONFIG_OK && (f = config_flag_at(i)); i++)
        if (f->field != offsetof(config, config)) /* which has been read */
            outcome = take_variable(f, env, c, why, why_size);
    return outcome;
}
