/* prefer.c: how long a client is willing to wait, in the words of its headers. */
#include "prefer.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../pool/weir.h"
#include "duration.h"

#define BLANKS " \t"

/* A stretch of a header's value. */
typedef struct span {
    const char *text;
    size_t length;
} span;

static void skip_blanks(const char **at)
{
    *at += strspn(*at, BLANKS);
}

static span take_token(const char **at)
{
    span token = {*at, strcspn(*at, BLANKS ",;=\"")};
    *at += token.length;
    return token;
}

/* What stands between quotation marks, as it stands there; nothing where there is only one. */
static span take_quoted(const char **at)
{
    span inside = {++*at, 0};
    while (**at && **at != '"')
        *at += **at == '\\' && (*at)[1] ? 2 : 1;
    if (**at)
        inside.length = (size_t)((*at)++ - inside.text);
    return inside;
}

static span take_value(const char **at)
{
    skip_blanks(at);
    if (**at != '=')
        return (span){*at, 0};
    ++*at;
    skip_blanks(at);
    return **at == '"' ? take_quoted(at) : take_token(at);
}

/* Up to the next preference, past parameters of this one. */
static void skip_rest(const char **at)
{
    while (**at && **at != ',') {
        if (**at == '"')
            take_quoted(at);
        else
            ++*at;
    }
}

static int seconds_of(span value, uint32_t *seconds)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.text[i] < '0' || value.text[i] > '9')
            return WEIR_EINVAL;
        sum = sum * 10 + (uint64_t)(value.text[i] - '0');
        if (sum > UINT32_MAX)
            sum = UINT32_MAX;
    }
    if (sum == 0)
        return WEIR_EINVAL;
    *seconds = (uint32_t)sum;
    return 1;
}

int prefer_wait(const char *at, uint32_t *seconds)
{
    while (*at) {
        skip_blanks(&at);
        span name = take_token(&at), value = take_value(&at);
        skip_blanks(&at);
        if (name.length == 4 && strncasecmp(name.text, "wait", 4) == 0)
            return *at && !strchr(",;", *at) ? WEIR_EINVAL : seconds_of(value, seconds);
        skip_rest(&at);
        at += *at == ',';
    }
    return 0;
}

int prefer_timeout(const char *value, uint64_t *ns)
{
    char text[48]; /* the value, then its unit */
    uint64_t read;
    skip_blanks(&value);
    size_t length = strcspn(value, BLANKS);
    if (length == 0 || length > sizeof text - 2 || value[length + strspn(value + length, BLANKS)])
        return WEIR_EINVAL;
    bool bare = strspn(value, "0123456789.") == length;
    snprintf(text, sizeof text, "%.*s%s", (int)length, value, bare ? "s" : "");
    if (duration_parse(text, &read) < 0 || read == 0)
        return WEIR_EINVAL;
    *ns = read;
    return 0;
}
