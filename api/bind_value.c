/* bind_value.c: whether a text can be a value of a type, told without the server.
 *
 * Each rule is that of the type's input function: int2in and so on. Where versions of the server
 * differ, such as in 0x1f and 1_000 for numbers, the server is left to judge. */
#include "bind_value.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\n\v\f\r"
#define DIGITS "0123456789"

typedef bool rule(const char *text);

static const char *past_blanks(const char *text)
{
    return text + strspn(text, BLANKS);
}

static bool at_end(const char *text)
{
    return *past_blanks(text) == '\0';
}

static bool is_sign(char c)
{
    return c == '+' || c == '-';
}

/* 0x1f, 0o17, 0b1, 1_000: understood from PostgreSQL 16 on. */
static bool is_modern(const char *text)
{
    text = past_blanks(text);
    text += is_sign(*text);
    size_t length = strspn(text, "0123456789abcdefABCDEFxXoO_.+-");
    bool based = text[0] == '0' && text[1] != '\0' && strchr("xXoObB", text[1]);
    bool spaced = text[0] >= '0' && text[0] <= '9' && memchr(text, '_', length);
    return (based || spaced) && at_end(text + length);
}

/* ---- Numbers ---- */

static bool in_range(const char *text, int64_t least, int64_t most)
{
    if (is_modern(text))
        return true;
    const char *digits = past_blanks(text);
    digits += is_sign(*digits);
    size_t count = strspn(digits, DIGITS);
    if (count == 0 || !at_end(digits + count))
        return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    return errno == 0 && value >= least && value <= most;
}

static bool is_int2(const char *text)
{
    return in_range(text, INT16_MIN, INT16_MAX);
}

static bool is_int4(const char *text)
{
    return in_range(text, INT32_MIN, INT32_MAX);
}

static bool is_int8(const char *text)
{
    return in_range(text, INT64_MIN, INT64_MAX);
}

/* A negative one means the unsigned number with the same bits. */
static bool is_oid(const char *text)
{
    return in_range(text, INT32_MIN, UINT32_MAX);
}

static bool is_endless(const char *text)
{
    static const char *const words[] = {"infinity", "inf", "nan"};
    text += is_sign(*text);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (strncasecmp(text, words[i], length) == 0 && at_end(text + length))
            return true;
    }
    return false;
}

static bool is_numeric(const char *text)
{
    text = past_blanks(text);
    if (is_endless(text) || is_modern(text))
        return true;
    text += is_sign(*text);
    size_t whole = strspn(text, DIGITS), part = 0;
    text += whole;
    if (*text == '.') {
        part = strspn(++text, DIGITS);
        text += part;
    }
    if (whole + part == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text = past_blanks(text + 1);
        text += is_sign(*text);
        size_t exponent = strspn(text, DIGITS);
        text += exponent;
        if (exponent == 0)
            return false;
    }
    return at_end(text);
}

static bool is_float8(const char *text)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    bool beyond = errno == ERANGE && (value == 0 || isinf(value));
    return end != text && at_end(end) && !beyond;
}

static bool is_float4(const char *text)
{
    char *end;
    errno = 0;
    float value = strtof(text, &end);
    bool beyond = errno == ERANGE && (value == 0 || isinf(value));
    return end != text && at_end(end) && !beyond;
}

/* ---- Others ---- */

static bool is_bool(const char *text)
{
    /* Each may be cut short, down to as many letters. */
    static const struct {
        const char *word;
        size_t least;
    } words[] = {{"true", 1}, {"false", 1}, {"yes", 1}, {"no", 1},
                 {"on", 2},   {"off", 2},   {"1", 1},   {"0", 1}};
    text = past_blanks(text);
    size_t length = strcspn(text, BLANKS);
    if (!at_end(text + length))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (length >= words[i].least && length <= strlen(words[i].word) &&
            strncasecmp(text, words[i].word, length) == 0)
            return true;
    }
    return false;
}

static bool is_hex(char c)
{
    return c != '\0' && strchr("0123456789abcdefABCDEF", c);
}

/* 32 digits, a hyphen allowed after each group of four, braces allowed around; no blanks. */
static bool is_uuid(const char *text)
{
    bool braced = *text == '{';
    text += braced;
    for (int i = 0; i < 16; i++) {
        if (!is_hex(text[0]) || !is_hex(text[1]))
            return false;
        text += 2;
        if (*text == '-' && i % 2 == 1 && i < 15)
            text++;
    }
    if (braced && *text++ != '}')
        return false;
    return *text == '\0';
}

static bool is_json(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
    if (value) {
        json_decref(value);
        return true;
    }
    switch (json_error_code(&error)) {
    case json_error_premature_end_of_input:
    case json_error_end_of_input_expected:
    case json_error_invalid_syntax:
        return strstr(text, "\\u") != NULL; /* the server has its own mind on surrogates */
    default: return true; /* too deep, too large: what jansson cannot hold the server may */
    }
}

static const struct type {
    uint32_t oid;
    rule *holds;
    const char *words;
} types[] = {
    {16, is_bool, "true or false"},
    {20, is_int8, "a whole number from -9223372036854775808 to 9223372036854775807"},
    {21, is_int2, "a whole number from -32768 to 32767"},
    {23, is_int4, "a whole number from -2147483648 to 2147483647"},
    {26, is_oid, "a whole number from 0 to 4294967295"},
    {114, is_json, "valid JSON"},
    {700, is_float4, "a number of single precision"},
    {701, is_float8, "a number of double precision"},
    {1700, is_numeric, "a number"},
    {2950, is_uuid, "a uuid like 123e4567-e89b-12d3-a456-426614174000"},
    {3802, is_json, "valid JSON"},
};

const char *value_problem(uint32_t oid, const char *text)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].oid == oid)
            return types[i].holds(text) ? NULL : types[i].words;
    }
    return NULL;
}
