/* problem.c: what can go wrong with a request, and the one table of which error is which status. */
#include "problem.h"

#include <assert.h>
#include <stdlib.h>

#include "utf8.h"

static const struct {
    int status;
    const char *word, *title, *meaning;
} kinds[] = {
#define X(name, status, word, title, meaning) {status, word, title, meaning},
    PROBLEMS(X)
#undef X
};

int problem_status(problem_kind kind)
{
    assert(kind < PROBLEM_COUNT);
    return kinds[kind].status;
}

const char *problem_word(problem_kind kind)
{
    assert(kind < PROBLEM_COUNT);
    return kinds[kind].word;
}

const char *problem_title(problem_kind kind)
{
    assert(kind < PROBLEM_COUNT);
    return kinds[kind].title;
}

const char *problem_meaning(problem_kind kind)
{
    assert(kind < PROBLEM_COUNT);
    return kinds[kind].meaning;
}

/* The first row whose code begins the SQLSTATE applies. */
static const struct {
    const char *prefix;
    problem_kind kind;
} sqlstates[] = {
    {"23502", PROBLEM_BAD_VALUE},     /* not null */
    {"23514", PROBLEM_BAD_VALUE},     /* check */
    {"23", PROBLEM_CONFLICT},         /* unique, foreign key, exclusion */
    {"22", PROBLEM_BAD_VALUE},        /* data exceptions */
    {"P0001", PROBLEM_BAD_VALUE},     /* raised on purpose, by a function or trigger */
    {"42501", PROBLEM_FORBIDDEN},     /* insufficient privilege */
    {"25006", PROBLEM_READ_ONLY},     /* a write in a read-only transaction */
    {"40001", PROBLEM_CONTENDED},     /* serialization failure */
    {"40P01", PROBLEM_CONTENDED},     /* deadlock */
    {"55P03", PROBLEM_CONTENDED},     /* lock not available */
    {"57014", PROBLEM_QUERY_TIMEOUT}, /* cancelled, by statement_timeout or an operator */
    {"57P", PROBLEM_DATABASE_DOWN},   /* shut down, crashed, starting */
    {"53", PROBLEM_DATABASE_DOWN},    /* out of connections, memory, disk */
    {"08", PROBLEM_DATABASE_DOWN},    /* connection exceptions */
};

problem_kind problem_of_sqlstate(const char *sqlstate, bool read_only)
{
    for (size_t i = 0; i < sizeof sqlstates / sizeof *sqlstates; i++) {
        if (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) != 0)
            continue;
        /* A write refused as one is no fault of its method: the server itself takes none now. */
        if (sqlstates[i].kind == PROBLEM_READ_ONLY && !read_only)
            return PROBLEM_DATABASE_DOWN;
        return sqlstates[i].kind;
    }
    return PROBLEM_INTERNAL;
}

/* Paths come as they were sent, and what a server says may be cut short: JSON must be UTF-8. */
static void sound_text(buffer *out, const char *text)
{
    size_t length = strlen(text);

    if (utf8_valid(text, length) == length) {
        buffer_json(out, text, length);
        return;
    }
    char *mended = strdup(text);
    if (mended)
        utf8_mend(mended);
    buffer_json_text(out, mended);
    free(mended);
}

static void member(buffer *out, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    buffer_char(out, ',');
    buffer_json_text(out, name);
    buffer_char(out, ':');
    sound_text(out, value);
}

void problem_open(buffer *out, const problem *p)
{
    assert(p->kind < PROBLEM_COUNT);
    const char *code = p->code && *p->code ? p->code : kinds[p->kind].word;

    buffer_text(out, "{\"type\":\"/problems/");
    buffer_text(out, kinds[p->kind].word);
    buffer_text(out, "\"");
    member(out, "title", kinds[p->kind].title);
    buffer_text(out, ",\"status\":");
    buffer_uint(out, (uint64_t)kinds[p->kind].status);
    member(out, "detail", p->detail);
    member(out, "instance", p->instance);
    member(out, "code", code);
    member(out, "parameter", p->parameter);
    member(out, "hint", p->hint);
    buffer_text(out, p->retryable ? ",\"retryable\":true" : ",\"retryable\":false");
    member(out, "sql", p->sql);
    member(out, "request_id", p->request_id);
}
