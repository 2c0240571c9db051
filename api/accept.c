/* accept.c: the form in which a client wants its rows. */
#include "accept.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* A stretch of a header's value. */
typedef struct span {
    const char *text;
    size_t length;
} span;

static span trim(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (from < to && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    return (span){from, (size_t)(to - from)};
}

static bool is(span s, const char *word)
{
    return s.length == strlen(word) && strncasecmp(s.text, word, s.length) == 0;
}

/* Takes what stands before `mark` off the front of `rest`. */
static span next(span *rest, char mark)
{
    const char *end = rest->text + rest->length;
    const char *at = rest->length ? memchr(rest->text, mark, rest->length) : NULL;
    span first = trim(rest->text, at ? at : end);
    *rest = at ? (span){at + 1, (size_t)(end - at - 1)} : (span){end, 0};
    return first;
}

/* In thousandths; what is no q counts as 1. */
static int quality(span value)
{
    int q = 0, scale = 1000;
    if (value.length == 0 || (value.text[0] != '0' && value.text[0] != '1'))
        return 1000;
    for (size_t i = 0; i < value.length && i < 5; i++) {
        char c = value.text[i];
        if (i == 1 && c == '.')
            continue;
        if (c < '0' || c > '9')
            return 1000;
        q += (c - '0') * scale;
        scale /= 10;
    }
    return q < 1000 ? q : 1000;
}

/* False: a type that rows do not come in. */
static bool form_of(span type, bool streamed, answer_form *form)
{
    if (is(type, "application/x-ndjson"))
        *form = FORM_NDJSON;
    else if (is(type, "text/csv"))
        *form = FORM_CSV;
    else if (is(type, "application/json"))
        *form = streamed ? FORM_ARRAY : FORM_JSON;
    else if (is(type, "application/*") || is(type, "*/*"))
        *form = FORM_JSON;
    else
        return false;
    return true;
}

answer_form accept_form(const char *accept)
{
    answer_form best = FORM_JSON;
    int best_q = 0;
    span all = {accept, accept ? strlen(accept) : 0};
    while (all.length) {
        span range = next(&all, ','), type = next(&range, ';');
        bool streamed = false;
        int q = 1000;
        while (range.length) {
            span value = next(&range, ';'), name = next(&value, '=');
            if (is(name, "q"))
                q = quality(trim(value.text, value.text + value.length));
            else if (is(name, "stream"))
                streamed = is(trim(value.text, value.text + value.length), "1");
        }
        answer_form form;
        if (q > best_q && form_of(type, streamed, &form)) {
            best = form;
            best_q = q;
        }
    }
    return best;
}

const char *form_content_type(answer_form form)
{
    switch (form) {
    case FORM_NDJSON: return "application/x-ndjson";
    case FORM_CSV: return "text/csv; charset=utf-8; header=present";
    default: return "application/json";
    }
}
