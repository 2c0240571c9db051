/* sql_scan.c: finds the :name parameters of one statement and puts $1… in their place. */
#include "sql_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scanner {
    const char *text;
    size_t length, at;
    uint32_t line;
    char *out; /* large enough for the worst case: see room() */
    size_t written;
    sql_text *found;
    uint32_t brackets;
    bool begun, ended; /* a token was seen; a `;` after it */
    query_fault *fault;
} scanner;

static bool name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool name_char(char c)
{
    return name_start(c) || digit(c);
}

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* The character `ahead` of here; NUL beyond the end, which no text contains. */
static char peek(const scanner *s, size_t ahead)
{
    return s->at + ahead < s->length ? s->text[s->at + ahead] : '\0';
}

static bool starts(const scanner *s, const char *token)
{
    size_t length = strlen(token);
    return s->length - s->at >= length && memcmp(s->text + s->at, token, length) == 0;
}

static void copy(scanner *s, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char c = s->text[s->at++];
        s->line += c == '\n';
        s->out[s->written++] = c;
    }
}

static bool first_on_line(const scanner *s)
{
    size_t i = s->at;
    while (i > 0 && (s->text[i - 1] == ';' || space(s->text[i - 1])) && s->text[i - 1] != '\n')
        i--;
    return i == 0 || s->text[i - 1] == '\n';
}

static int line_comment(scanner *s)
{
    size_t i = 2;
    while (peek(s, i) == ' ' || peek(s, i) == '\t')
        i++;
    if (peek(s, i) == '@' && name_start(peek(s, i + 1)) && first_on_line(s))
        return query_fail(s->fault, s->line,
                          "annotations belong at the top of the file: move this line above the SQL "
                          "and above every other kind of comment");
    while (s->at < s->length && peek(s, 0) != '\n' && peek(s, 0) != '\r')
        copy(s, 1);
    return 0;
}

static int block_comment(scanner *s)
{
    uint32_t begun = s->line, depth = 0;
    while (s->at < s->length) {
        if (starts(s, "/*")) {
            depth++;
            copy(s, 2);
        } else if (starts(s, "*/")) {
            copy(s, 2);
            if (--depth == 0)
                return 0;
        } else {
            copy(s, 1);
        }
    }
    return query_fail(s->fault, begun, "the comment that begins here with /* is never closed");
}

/* How far it is to the quote with which a string goes on, past white space with a line break in it
 * and comments; 0 when it does not go on. */
static size_t continuation(const scanner *s)
{
    bool broken = false;
    size_t i = 0;
    for (;;) {
        if (space(peek(s, i))) {
            broken |= peek(s, i) == '\n' || peek(s, i) == '\r';
            i++;
        } else if (peek(s, i) == '-' && peek(s, i + 1) == '-') {
            while (s->at + i < s->length && peek(s, i) != '\n' && peek(s, i) != '\r')
                i++;
        } else {
            return broken && peek(s, i) == '\'' ? i : 0;
        }
    }
}

static int string(scanner *s, bool backslashes)
{
    uint32_t begun = s->line;
    copy(s, 1);
    while (s->at < s->length) {
        if (backslashes && peek(s, 0) == '\\' && s->at + 1 < s->length) {
            copy(s, 2);
        } else if (starts(s, "''")) {
            copy(s, 2);
        } else if (peek(s, 0) == '\'') {
            copy(s, 1);
            size_t on = continuation(s);
            if (on == 0)
                return 0;
            copy(s, on + 1);
        } else {
            copy(s, 1);
        }
    }
    return query_fail(s->fault, begun, "the string that begins here with ' is never closed");
}

static int quoted_name(scanner *s)
{
    uint32_t begun = s->line;
    do
        copy(s, 1);
    while (s->at < s->length && peek(s, 0) != '"');
    if (s->at == s->length)
        return query_fail(s->fault, begun, "the name that begins here with \" is never closed");
    copy(s, 1); /* a doubled quote begins what looks like the next name, to the same effect */
    return 0;
}

static int dollar(scanner *s)
{
    uint32_t begun = s->line;
    if (digit(peek(s, 1)))
        return query_fail(s->fault, s->line,
                          "$%c is for the server: write parameters as :name, and bind each by name",
                          peek(s, 1));
    size_t tag = 1;
    if (name_start(peek(s, 1))) {
        while (name_char(peek(s, tag)))
            tag++;
    }
    if (peek(s, tag++) != '$') {
        copy(s, 1);
        return 0;
    }
    const char *open = s->text + s->at, *body = open + tag;
    const char *close = memmem(body, s->length - s->at - tag, open, tag);
    if (!close)
        return query_fail(s->fault, begun, "the string that begins here with %.*s is never closed",
                          (int)(tag < 64 ? tag : 64), open);
    copy(s, (size_t)(close - open) + tag);
    return 0;
}

static int word(scanner *s)
{
    char c = peek(s, 0);
    if ((c == 'e' || c == 'E') && peek(s, 1) == '\'') {
        copy(s, 1);
        return string(s, true);
    }
    while (name_char(peek(s, 0)) || peek(s, 0) == '$')
        copy(s, 1);
    return 0;
}

/* Which parameter has this name, from 0; `count` when it is new. */
static uint32_t place_of(const sql_text *found, const char *name, size_t length)
{
    uint32_t i = 0;
    while (i < found->count &&
           (strncmp(found->names[i], name, length) != 0 || found->names[i][length] != '\0'))
        i++;
    return i;
}

static int parameter(scanner *s)
{
    const char *name = s->text + s->at + 1;
    size_t length = 0;
    while (name_char(peek(s, 1 + length)))
        length++;
    if (length > SQL_PARAM_NAME_MAX)
        return query_fail(s->fault, s->line, "a parameter's name has at most %d bytes",
                          SQL_PARAM_NAME_MAX);
    char before = s->at > 0 ? s->text[s->at - 1] : ' ';
    if (s->brackets > 0 && (name_char(before) || strchr(")]\"'", before)))
        return query_fail(s->fault, s->line,
                          ":%.*s would be a parameter: for a slice of an array put a space after "
                          "the colon, and for a parameter as its bound one before it",
                          (int)length, name);
    uint32_t place = place_of(s->found, name, length);
    if (place == SQL_PARAMS_MAX)
        return query_fail(s->fault, s->line, "a statement takes at most %d parameters",
                          SQL_PARAMS_MAX);
    if (place == s->found->count) {
        if (!(s->found->names[place] = strndup(name, length)))
            return WEIR_ENOMEM;
        s->found->count++;
    }
    /* Between `in` and `:ids` the server needs more of a boundary than psql does. */
    if (name_char(before) || before == '$')
        s->out[s->written++] = ' ';
    s->written += (size_t)sprintf(s->out + s->written, "$%u", place + 1);
    s->at += 1 + length;
    return 0;
}

static int colon(scanner *s)
{
    if (peek(s, 1) == ':' || peek(s, 1) == '=') {
        copy(s, 2);
        return 0;
    }
    if (name_start(peek(s, 1)))
        return parameter(s);
    if (s->brackets == 0 && (peek(s, 1) == '\'' || peek(s, 1) == '"'))
        return query_fail(s->fault, s->line,
                          "write a parameter as :name, without quotes: values are bound, never "
                          "pasted into the text");
    copy(s, 1);
    return 0;
}

static int token(scanner *s)
{
    char c = peek(s, 0);
    s->begun = true;
    if (c == '\'')
        return string(s, false);
    if (c == '"')
        return quoted_name(s);
    if (c == '$')
        return dollar(s);
    if (c == ':')
        return colon(s);
    if (name_start(c))
        return word(s);
    if (c == '[')
        s->brackets++;
    else if (c == ']' && s->brackets > 0)
        s->brackets--;
    copy(s, 1);
    return 0;
}

static int step(scanner *s)
{
    if (space(peek(s, 0))) {
        copy(s, 1);
        return 0;
    }
    if (starts(s, "--"))
        return line_comment(s);
    if (starts(s, "/*"))
        return block_comment(s);
    if (peek(s, 0) == ';') {
        s->ended = s->begun;
        s->at++;
        s->out[s->written++] = ' '; /* keeps `-;--` apart */
        return 0;
    }
    if (s->ended)
        return query_fail(s->fault, s->line,
                          "a second statement begins here: there can be only one");
    return token(s);
}

/* Each parameter takes at least two bytes of text and at most five of the result. */
static size_t room(const scanner *s)
{
    return s->line + 3 * s->length + 1;
}

static int scan(scanner *s)
{
    int status = 0;
    s->found->names = calloc(SQL_PARAMS_MAX, sizeof *s->found->names);
    s->out = malloc(room(s));
    if (!s->out || !s->found->names)
        return WEIR_ENOMEM;
    memset(s->out, '\n', s->line - 1);
    s->written = s->line - 1;
    while (status == 0 && s->at < s->length)
        status = step(s);
    if (status == 0 && !s->begun)
        status = query_fail(s->fault, 0, "there is no SQL in it");
    return status;
}

int sql_scan(const char *text, size_t length, uint32_t first_line, sql_text *scanned,
             query_fault *fault)
{
    sql_text found = {0};
    scanner s = {
        .text = text, .length = length, .line = first_line, .found = &found, .fault = fault};
    int status = scan(&s);
    if (status == 0) {
        s.out[s.written] = '\0';
        char *fitting = realloc(s.out, s.written + 1);
        found.sql = fitting ? fitting : s.out;
        *scanned = found;
        return 0;
    }
    free(s.out);
    sql_text_free(&found);
    return status;
}

void sql_text_free(sql_text *scanned)
{
    for (uint32_t i = 0; i < scanned->count; i++)
        free(scanned->names[i]);
    free(scanned->names);
    free(scanned->sql);
    *scanned = (sql_text){0};
}
