/* openapi_problem.c: the problems of an OpenAPI document, as responses that operations refer to. */
#include "openapi_parts.h"

#include <stdio.h>

const problem_kind openapi_query_problems[] = {
    PROBLEM_BAD_REQUEST,   PROBLEM_BAD_PARAMETER, PROBLEM_BAD_VALUE,
    PROBLEM_TOKEN_MISSING, PROBLEM_TOKEN_INVALID, PROBLEM_TOKEN_EXPIRED,
    PROBLEM_ROLE,          PROBLEM_FORBIDDEN,     PROBLEM_NO_ROW,
    PROBLEM_READ_ONLY,     PROBLEM_CONFLICT,      PROBLEM_CONTENDED,
    PROBLEM_TOO_LARGE,     PROBLEM_MEDIA_TYPE,    PROBLEM_INTERNAL,
    PROBLEM_STARTING,      PROBLEM_DRAINING,      PROBLEM_OVERLOADED,
    PROBLEM_POOL_TIMEOUT,  PROBLEM_QUEUE_FULL,    PROBLEM_SHED,
    PROBLEM_DEADLOCK,      PROBLEM_DATABASE_DOWN, PROBLEM_LOST,
    PROBLEM_QUERY_TIMEOUT, PROBLEM_RECLAIMED,     PROBLEM_REQUEST_TIMEOUT,
    PROBLEM_LONG_URL,      PROBLEM_TOO_OFTEN,     PROBLEM_TOO_MANY_ROWS,
    PROBLEM_LONG_ANSWER,
};
const size_t openapi_query_problem_count =
    sizeof openapi_query_problems / sizeof *openapi_query_problems;

static const problem_kind endpoint_problems[] = {
    PROBLEM_BAD_REQUEST,   PROBLEM_BAD_PARAMETER, PROBLEM_UNAUTHORIZED,  PROBLEM_NO_TOKEN,
    PROBLEM_NOT_FOUND,     PROBLEM_METHOD,        PROBLEM_RESUMED,       PROBLEM_MEDIA_TYPE,
    PROBLEM_RELOAD,        PROBLEM_STARTING,      PROBLEM_DRAINING,      PROBLEM_OVERLOADED,
    PROBLEM_NOT_AT_REST,   PROBLEM_DATABASE_DOWN, PROBLEM_EVENT_CLIENTS, PROBLEM_TOO_OFTEN,
    PROBLEM_TOO_MANY_ROWS, PROBLEM_LONG_ANSWER,
};
#define ENDPOINT_PROBLEMS (sizeof endpoint_problems / sizeof *endpoint_problems)

/* Of /batch, /tx and /sql. */
static const problem_kind several_problems[] = {
    PROBLEM_BAD_REQUEST,   PROBLEM_BAD_PARAMETER, PROBLEM_BAD_VALUE,
    PROBLEM_BAD_SQL,       PROBLEM_NOT_FOUND,     PROBLEM_NO_QUERY,
    PROBLEM_NO_ROW,        PROBLEM_METHOD,        PROBLEM_READ_ONLY,
    PROBLEM_CONFLICT,      PROBLEM_CONTENDED,     PROBLEM_TOO_LARGE,
    PROBLEM_MEDIA_TYPE,    PROBLEM_INTERNAL,      PROBLEM_STARTING,
    PROBLEM_DRAINING,      PROBLEM_OVERLOADED,    PROBLEM_POOL_TIMEOUT,
    PROBLEM_QUEUE_FULL,    PROBLEM_SHED,          PROBLEM_DEADLOCK,
    PROBLEM_DATABASE_DOWN, PROBLEM_LOST,          PROBLEM_QUERY_TIMEOUT,
    PROBLEM_RECLAIMED,     PROBLEM_TOO_OFTEN,     PROBLEM_REQUEST_TIMEOUT,
    PROBLEM_TOO_MANY_ROWS, PROBLEM_LONG_ANSWER,
};
#define SEVERAL_PROBLEMS (sizeof several_problems / sizeof *several_problems)

void openapi_name_problem(char name[32], const char *of, problem_kind kind)
{
    snprintf(name, 32, "%s_%d", of, problem_status(kind));
}

static void add_problem_headers(builder *b, json_t *response, int status)
{
    json_t *headers = object_in(b, response, "headers");

    set(b, headers, "X-Request-Id", reference("headers", "X-Request-Id"));
    if (status == 503 || status == 429)
        set(b, headers, "Retry-After", reference("headers", "Retry-After"));
    if (status == 405)
        set(b, headers, "Allow", reference("headers", "Allow"));
    if (status == 401)
        set(b, headers, "WWW-Authenticate", reference("headers", "WWW-Authenticate"));
}

/* One response a status; each of its problems is a line of the description, and an example. */
static json_t *problem_response(builder *b, const char *name)
{
    json_t *response = json_object_get(b->responses, name);
    if (response)
        return response;
    set(b, b->responses, name,
        json_pack("{s:s, s:{s:{s:o, s:{}}}}", "description", "", "content",
                  "application/problem+json", "schema", reference("schemas", "Problem"),
                  "examples"));
    return json_object_get(b->responses, name);
}

static json_t *problem_example(problem_kind kind)
{
    const char *word = problem_word(kind);

    return json_pack("{s:s, s:{s:o, s:s, s:i, s:s, s:b, s:s}}", "summary", problem_title(kind),
                     "value", "type", text("/problems/%s", word), "title", problem_title(kind),
                     "status", problem_status(kind), "code", word, "retryable",
                     problem_status(kind) == 503 || problem_status(kind) == 429, "request_id",
                     "9ee797a8757ed80daeea7955dd9923a8");
}

static void add_problem(builder *b, const char *of, problem_kind kind)
{
    char name[32];

    openapi_name_problem(name, of, kind);
    json_t *response = problem_response(b, name);
    const char *before = json_string_value(json_object_get(response, "description"));
    json_t *content =
        json_object_get(json_object_get(response, "content"), "application/problem+json");
    if (!before) {
        b->failed = true;
        return;
    }
    set(b, json_object_get(content, "examples"), problem_word(kind), problem_example(kind));
    set(b, response, "description",
        text("%s%s`%s`: %s. %s", before, *before ? "\n\n" : "", problem_word(kind),
             problem_title(kind), problem_meaning(kind)));
    add_problem_headers(b, response, problem_status(kind));
}

void openapi_add_problems(builder *b)
{
    for (size_t i = 0; i < openapi_query_problem_count; i++)
        add_problem(b, "query", openapi_query_problems[i]);
    for (size_t i = 0; i < ENDPOINT_PROBLEMS; i++)
        add_problem(b, "endpoint", endpoint_problems[i]);
    for (size_t i = 0; i < SEVERAL_PROBLEMS; i++)
        add_problem(b, "several", several_problems[i]);
}
