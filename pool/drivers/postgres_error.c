/* postgres_error.c: what went wrong, from libpq's results and messages. */
#include "postgres_error.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `at` bytes of UTF-8 text without a character cut in two. */
static size_t whole_characters(const char *text, size_t at)
{
    size_t back = at;
    while (back > 0 && at - back < 4 && ((unsigned char)text[back] & 0xC0) == 0x80)
        back--;
    return at - back < 4 ? back : at;
}

void text_copy(char *to, size_t size, const char *from)
{
    size_t length = from ? strlen(from) : 0;
    while (length > 0 && isspace((unsigned char)from[length - 1]))
        length--;
    if (length >= size)
        length = whole_characters(from, size - 1);
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        bool space = from[i] == '\n' || from[i] == '\t' || from[i] == '\r';
        if (space && n > 0 && to[n - 1] == ' ')
            continue;
        to[n++] = space ? ' ' : from[i];
    }
    to[n] = '\0';
}

void error_set(weir_error *e, int code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memset(e, 0, sizeof *e);
    e->code = code;
    text_copy(e->message, sizeof e->message, text);
}

static bool is_among(const char *sqlstate, const char *const *list)
{
    for (; *list; list++)
        if (strncmp(sqlstate, *list, strlen(*list)) == 0)
            return true;
    return false;
}

bool error_is_retryable(const char *sqlstate)
{
    static const char *const again[] = {
        "40001", "40P01", "55P03",          /* lost a race against another transaction */
        "57P01", "57P02", "57P03", "57P05", /* the server goes down or comes up */
        "08000", "08001", "08003", "08006", /* the connection is at fault */
        "53",                               /* out of connections, memory, disk */
        NULL,
    };
    return is_among(sqlstate, again);
}

weir_retire_reason error_fate(const char *sqlstate)
{
    static const char *const shutdown[] = {"57P01", "57P02", "57P03", NULL};
    return is_among(sqlstate, shutdown) ? WEIR_RETIRE_SERVER_SHUTDOWN : WEIR_RETIRE_NOT;
}

static void field(char *to, size_t size, const PGresult *result, int code)
{
    text_copy(to, size, PQresultErrorField(result, code));
}

/* Contexts come innermost first, one a line, and may quote values and statements: so the whole
 * sentence is looked for, at a line's beginning. */
uint32_t error_parameter(const char *context)
{
    static const char words[] = "unnamed portal parameter $"; /* no other portal is ever used */

    for (const char *line = context; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, words, sizeof words - 1) == 0)
            return (uint32_t)strtoul(line + sizeof words - 1, NULL, 10);
    }
    return 0;
}

void error_of_result(weir_error *e, const PGresult *result)
{
    memset(e, 0, sizeof *e);
    e->code = WEIR_EQUERY;
    field(e->sqlstate, sizeof e->sqlstate, result, PG_DIAG_SQLSTATE);
    field(e->message, sizeof e->message, result, PG_DIAG_MESSAGE_PRIMARY);
    field(e->detail, sizeof e->detail, result, PG_DIAG_MESSAGE_DETAIL);
    field(e->hint, sizeof e->hint, result, PG_DIAG_MESSAGE_HINT);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    e->position = position ? (uint32_t)strtoul(position, NULL, 10) : 0;
    e->parameter = error_parameter(PQresultErrorField(result, PG_DIAG_CONTEXT));
    if (!e->message[0]) /* libpq's own words: the server said nothing */
        text_copy(e->message, sizeof e->message, PQresultErrorMessage(result));
    e->retryable = error_is_retryable(e->sqlstate);
}

void error_of_loss(weir_error *e, PGconn *pg)
{
    const char *text = pg ? PQerrorMessage(pg) : "";
    error_set(e, WEIR_ELOST, "%s", text[0] ? text : "the connection to the server was lost");
    e->retryable = true;
}

/* Where a verbose message says "FATAL:  28P01: …", the severity being in the server's language;
 * NULL when it does not. */
static const char *find_sqlstate(const char *text)
{
    for (const char *p = strstr(text, ":  "); p; p = strstr(p + 1, ":  ")) {
        size_t n = 0;
        while (n < 5 && (isdigit((unsigned char)p[3 + n]) || isupper((unsigned char)p[3 + n])))
            n++;
        if (n == 5 && p[8] == ':' && p[9] == ' ')
            return p + 3;
    }
    return NULL;
}

bool error_says_full(const char *text)
{
    for (const char *state = find_sqlstate(text); state; state = find_sqlstate(state))
        if (strncmp(state, "53300", 5) == 0)
            return true;
    return false;
}

/* libpq 15 gives no fields of an error met while connecting, only a text; so the dial asks for the
 * verbose one and takes it apart here. */
void error_of_dial(weir_error *e, const char *text)
{
    const char *state = find_sqlstate(text);
    if (!state) {
        error_set(e, WEIR_ECONNECT, "%s", text);
        e->retryable = true;
        return;
    }
    const char *words = state + 7;
    error_set(e, WEIR_ECONNECT, "%.*s%.*s", (int)(state - text), text, (int)strcspn(words, "\n"),
              words);
    memcpy(e->sqlstate, state, 5);
    e->retryable = error_is_retryable(e->sqlstate);
}
