/* fuzz_bind.c: any bytes as a request's path value, query string and body.
 *
 * The first byte chooses types; then come the path's value, the query string's pairs as
 * name=value&…, and the body, each ended by 0x1e. Values that are bound must be of the kind that
 * their types promise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/bind.h"
#include "../../api/bind_value.h"
#include "../../api/utf8.h"

#define PAIRS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t types[] = {0,   16,  20,   21,   23,   25,   26,   114,
                                 700, 701, 1700, 2950, 3802, 1007, 1009, 199};

static void must(bool held)
{
    if (!held)
        abort();
}

static query *make_query(uint8_t choice)
{
    static const char text[] = "-- @route GET /x/{a}\n-- @default c 1\n-- @optional d\n"
                               "select :a, :b, :c, :d";
    query *q = NULL;
    query_fault fault = {0};
    must(query_parse("fuzz.sql", text, sizeof text - 1, &q, &fault) == 0);
    for (uint32_t i = 0; i < q->param_count; i++)
        q->params[i].type = types[(choice + i * (choice >> 4)) % (sizeof types / sizeof *types)];
    return q;
}

/* Cuts a part off the input; the copy is the caller's. */
static char *cut(const uint8_t **data, size_t *size, size_t *length)
{
    const uint8_t *end = *size > 0 ? memchr(*data, 0x1e, *size) : NULL;
    *length = end ? (size_t)(end - *data) : *size;
    char *part = malloc(*length + 1);
    must(part != NULL);
    memcpy(part, *data, *length);
    part[*length] = '\0';
    *data += *length + (end != NULL);
    *size -= *length + (end != NULL);
    return part;
}

static uint32_t split(char *string, bind_pair *pairs)
{
    uint32_t count = 0;
    for (char *save = NULL, *at = strtok_r(string, "&", &save); at && count < PAIRS_MAX;
         at = strtok_r(NULL, "&", &save)) {
        char *value = strchr(at, '=');
        if (value)
            *value++ = '\0';
        pairs[count++] = (bind_pair){.name = at, .value = value};
    }
    return count;
}

static void check(const query *q, const bound *b)
{
    must(b->params.count == q->param_count);
    for (uint32_t i = 0; i < q->param_count; i++) {
        const char *value = b->params.values[i];
        if (!value)
            continue;
        must(utf8_valid(value, strlen(value)) == strlen(value));
        must(value_problem(q->params[i].type, value) == NULL);
        if (shape_of(NULL, q->params[i].type)->kind == SHAPE_ARRAY)
            must(value[0] == '{');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    query *q = make_query(data[0]);
    size_t path_length, string_length, body_length;
    data++, size--;
    char *path = cut(&data, &size, &path_length), *string = cut(&data, &size, &string_length);
    char *body = cut(&data, &size, &body_length);
    bind_pair pairs[PAIRS_MAX];
    uint32_t count = split(string, pairs);
    route_match match = {.query = q, .route = q->path, .value_count = path_length > 0};
    match.values[0].name = "a";
    match.values[0].value = path;
    match.values[0].length = path_length;
    bound b;
    bind_fault fault = {.message = ""};
    int status = bind_request(q, &match, pairs, count, body, body_length, &b, &fault);
    if (status == 0) {
        check(q, &b);
        bound_free(&b);
    } else {
        must(status == WEIR_EINVAL && fault.message[0] != '\0');
        must(utf8_valid(fault.message, strlen(fault.message)) == strlen(fault.message));
    }
    free(path);
    free(string);
    free(body);
    query_free(q);
    return 0;
}
