/* annotation.c: the `-- @…` lines at the top of a query's file. */
#include "annotation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "findings.h"
#include "nearest.h"
#include "router.h"
#include "sql_scan.h"

typedef struct reader {
    annotations *to;
    uint32_t line;
    uint32_t seen; /* bits 1 << index into directives[] */
    query_fault *fault;
} reader;

/* Reads what stands after the annotation's word; NUL-terminated, trimmed, may be changed. */
typedef int directive_fn(reader *r, char *rest);

static directive_fn read_route, read_returns, read_timeout, read_default, read_optional, read_pool,
    read_cache, read_auth;

static const struct directive {
    const char *word;
    directive_fn *read;
    bool repeats;
    const char *usage;
} directives[] = {
    {"@route", read_route, false, "@route GET /path/{param}"},
    {"@returns", read_returns, false, "@returns rows, @returns row or @returns count"},
    {"@timeout", read_timeout, false, "@timeout 500ms (or 2s, 5m, 1h)"},
    {"@default", read_default, true,
     "@default NAME VALUE, with quotes 'around a value' if need be"},
    {"@optional", read_optional, true, "@optional NAME"},
    {"@pool", read_pool, false, "@pool NAME"},
    {"@cache", read_cache, false, "@cache 5s (whole seconds), or @cache 5s public"},
    {"@auth", read_auth, false, "@auth none, @auth token or @auth jwt"},
};
#define DIRECTIVES (sizeof directives / sizeof *directives)

#define BLANK " \t\f\v"

/* Cuts the first word off `*rest`, which goes on after the blanks; "" when there is none. */
static char *cut_word(char **rest)
{
    char *word = *rest;
    char *end = word + strcspn(word, BLANK);
    char *next = end + strspn(end, BLANK);
    *end = '\0';
    *rest = next;
    return word;
}

static int malformed(const reader *r, const char *word)
{
    for (size_t i = 0; i < DIRECTIVES; i++) {
        if (strcmp(directives[i].word, word) == 0)
            return query_fail(r->fault, r->line, "malformed %s: write -- %s", word,
                              directives[i].usage);
    }
    return WEIR_EINVAL;
}

static int keep(char **to, const char *text)
{
    *to = strdup(text);
    return *to ? 0 : WEIR_ENOMEM;
}

static int find_method(const char *word, query_method *method)
{
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (strcmp(query_method_name((query_method)i), word) == 0) {
            *method = (query_method)i;
            return 0;
        }
    }
    return WEIR_EINVAL;
}

static int read_route(reader *r, char *rest)
{
    char why[128];
    char *method = cut_word(&rest), *path = cut_word(&rest);
    if (!*method || !*path || *rest)
        return malformed(r, "@route");
    if (find_method(method, &r->to->method) != 0)
        return query_fail(r->fault, r->line,
                          "no method %.40s: @route takes GET, POST, PUT, PATCH or DELETE, and then "
                          "the path",
                          method);
    if (route_check(path, why, sizeof why) != 0)
        return query_fail(r->fault, r->line, "the path %.200s: %s", path, why);
    r->to->routed = true;
    r->to->route_line = r->line;
    return keep(&r->to->path, path);
}

static int read_returns(reader *r, char *rest)
{
    static const char *const words[] = {
        [RETURNS_ROWS] = "rows", [RETURNS_ROW] = "row", [RETURNS_COUNT] = "count"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i], rest) == 0) {
            r->to->returns = (query_returns)i;
            return 0;
        }
    }
    return malformed(r, "@returns");
}

static int read_timeout(reader *r, char *rest)
{
    if (duration_parse(rest, &r->to->timeout_ns) != 0)
        return malformed(r, "@timeout");
    if (r->to->timeout_ns == 0)
        return query_fail(r->fault, r->line,
                          "@timeout 0 leaves no time to run: write a longer one");
    return 0;
}

static int add_note(reader *r, const char *name, const char *value)
{
    annotations *a = r->to;
    for (uint32_t i = 0; i < a->note_count; i++) {
        if (strcmp(a->notes[i].name, name) == 0)
            return query_fail(
                r->fault, r->line,
                "line %u already says what happens when %s is absent: keep one of the "
                "two",
                a->notes[i].line, name);
    }
    if (a->note_count == SQL_PARAMS_MAX)
        return query_fail(r->fault, r->line, "more @default and @optional than parameters");
    annotation_note *more = realloc(a->notes, (a->note_count + 1) * sizeof *more);
    if (!more)
        return WEIR_ENOMEM;
    a->notes = more;
    annotation_note *note = &more[a->note_count++];
    *note = (annotation_note){.line = r->line};
    int status = keep(&note->name, name);
    return status == 0 && value ? keep(&note->value, value) : status;
}

/* Takes the quotes off in place; false when they are not one pair around the whole. */
static bool unquote(char *value)
{
    char *to = value;
    for (const char *from = value + 1; *from; from++) {
        if (*from == '\'' && *++from != '\'') {
            *to = '\0';
            return *from == '\0';
        }
        *to++ = *from;
    }
    return false;
}

/* People write `@default :limit 20` too. */
static char *cut_name(char **rest)
{
    char *name = cut_word(rest);
    return name[0] == ':' ? name + 1 : name;
}

static int read_default(reader *r, char *rest)
{
    char *name = cut_name(&rest);
    if (!*name || !*rest || (*rest == '\'' && !unquote(rest)))
        return malformed(r, "@default");
    return add_note(r, name, rest);
}

static int read_optional(reader *r, char *rest)
{
    char *name = cut_name(&rest);
    if (!*name || *rest)
        return malformed(r, "@optional");
    return add_note(r, name, NULL);
}

static int read_pool(reader *r, char *rest)
{
    char *name = cut_word(&rest);
    if (!*name || *rest)
        return malformed(r, "@pool");
    r->to->pool_line = r->line;
    return keep(&r->to->pool, name);
}

/* Whole seconds: HTTP knows no shorter time. */
static int read_cache(reader *r, char *rest)
{
    uint64_t ns;
    char *time = cut_word(&rest);
    if (duration_parse(time, &ns) != 0 || (*rest && strcmp(rest, "public") != 0))
        return malformed(r, "@cache");
    if (ns == 0 || ns % WEIR_S(1) != 0)
        return query_fail(r->fault, r->line, "@cache %.20s is not a number of whole seconds", time);
    r->to->cache_line = r->line;
    r->to->cache_ns = ns;
    r->to->cache_public = *rest;
    if (asprintf(&r->to->cache_control, "%s, max-age=%" PRIu64, *rest ? "public" : "private",
                 ns / WEIR_S(1)) >= 0)
        return 0;
    r->to->cache_control = NULL;
    return WEIR_ENOMEM;
}

static int read_auth(reader *r, char *rest)
{
    for (query_auth auth = AUTH_NONE; auth <= AUTH_JWT; auth++) {
        if (strcmp(query_auth_name(auth), rest) == 0) {
            r->to->auth = auth;
            r->to->auth_line = r->line;
            return 0;
        }
    }
    return malformed(r, "@auth");
}

static int read_annotation(reader *r, char *text)
{
    nearest near = {.word = cut_word(&text)};
    for (size_t i = 0; i < DIRECTIVES; i++) {
        if (strcmp(directives[i].word, near.word) == 0) {
            if (!directives[i].repeats && (r->seen & 1u << i))
                return query_fail(r->fault, r->line, "a second %s: a file has one", near.word);
            r->seen |= 1u << i;
            return directives[i].read(r, text);
        }
        nearest_offer(&near, directives[i].word);
    }
    if (near.best)
        return query_fail(r->fault, r->line, "unknown annotation %.60s: did you mean %s?",
                          near.word, near.best);
    return query_fail(r->fault, r->line,
                      "unknown annotation %.60s: there are @route, @returns, @timeout, @default, "
                      "@optional, @pool, @cache and @auth",
                      near.word);
}

static void describe(annotations *a, const char *text)
{
    size_t length = strlen(a->description);
    if (length == 0 && !*text)
        return;
    if (length > 0)
        a->description[length++] = '\n';
    strcpy(a->description + length, text);
}

/* One line of the block, without its dashes and trimmed at the end. */
static int read_comment(reader *r, char *text)
{
    char *word = text + strspn(text, BLANK);
    if (word[0] == '@' && word[1] && !strchr(BLANK, word[1]))
        return read_annotation(r, word);
    describe(r->to, text + (text[0] == ' '));
    return 0;
}

static size_t trimmed(const char *text, size_t length)
{
    while (length > 0 && strchr(BLANK, text[length - 1]))
        length--;
    return length;
}

/* One line, of `length` bytes without its end. `*more` is false once the block is over. */
static int read_line(reader *r, const char *line, size_t length, bool *more)
{
    size_t indent = 0;
    while (indent < length && strchr(BLANK, line[indent]))
        indent++;
    length = trimmed(line, length);
    if (indent >= length)
        return 0;
    if (length - indent < 2 || memcmp(line + indent, "--", 2) != 0) {
        *more = false;
        return 0;
    }
    char *text = strndup(line + indent + 2, length - indent - 2);
    if (!text)
        return WEIR_ENOMEM;
    int status = read_comment(r, text);
    free(text);
    return status;
}

/* A lone carriage return ends a comment for the server, so it does here. */
static size_t line_length(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length && text[i] != '\n' && text[i] != '\r')
        i++;
    return i;
}

static int read_block(reader *r, const char *text, size_t length)
{
    annotations *a = r->to;
    while (a->length < length) {
        const char *line = text + a->length;
        size_t here = line_length(line, length - a->length);
        bool more = true;
        r->line = a->line;
        int status = findings_keep(r->fault, read_line(r, line, here, &more));
        if (status != 0 || !more)
            return status;
        a->length += here;
        if (a->length < length)
            a->line += text[a->length++] == '\n';
    }
    return 0;
}

int annotations_read(const char *text, size_t length, annotations *read, query_fault *fault)
{
    annotations a = {.line = 1};
    reader r = {.to = &a, .fault = fault};
    a.description = calloc(1, length + 1);
    int status = a.description ? read_block(&r, text, length) : WEIR_ENOMEM;
    if (status != 0) {
        annotations_free(&a);
        return status;
    }
    for (size_t end = strlen(a.description); end > 0 && a.description[end - 1] == '\n';)
        a.description[--end] = '\0';
    *read = a;
    return 0;
}

void annotations_free(annotations *a)
{
    for (uint32_t i = 0; i < a->note_count; i++) {
        free(a->notes[i].name);
        free(a->notes[i].value);
    }
    free(a->notes);
    free(a->description);
    free(a->path);
    free(a->pool);
    free(a->cache_control);
    *a = (annotations){0};
}
