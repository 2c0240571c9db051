/* json_text.c: JSON that was parsed, together with the text it was written as. */
#include "json_text.h"

#include <stdio.h>
#include <string.h>

#include "bind_text.h"

/* ---- The text of values, in what jansson has found to be valid ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *past_blanks(const char *at, const char *end)
{
    while (at < end && blank(*at))
        at++;
    return at;
}

/* Past the closing quote of the string that begins here. */
static const char *past_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

static const char *past_value(const char *at, const char *end)
{
    uint32_t depth = 0;
    while (at < end) {
        if (depth == 0 && (*at == ',' || *at == ']' || *at == '}' || blank(*at)))
            break;
        if (*at == '"') {
            at = past_string(at, end);
        } else {
            depth += *at == '[' || *at == '{';
            depth -= *at == ']' || *at == '}';
            at++;
        }
    }
    return at;
}

/* From after a value, past the comma if there is one. */
static const char *past_comma(const char *at, const char *end)
{
    at = past_blanks(at, end);
    return at < end && *at == ',' ? past_blanks(at + 1, end) : at;
}

/* ---- Reading ---- */

/* The key that is there twice; "" when jansson does not say. */
static void name_key(const json_error_t *error, char *name, size_t size)
{
    const char *quoted = strstr(error->text, "near '\"");
    size_t length = quoted ? strcspn(quoted + 7, "\"") : 0;

    snprintf(name, size, "%.*s", (int)(length < size ? length : size - 1),
             quoted ? quoted + 7 : "");
}

static int refuse(const json_error_t *error, const char *what, bind_fault *fault)
{
    char name[sizeof fault->parameter];

    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        name_key(error, name, sizeof name);
        return bind_fail(fault, name, "the body names something twice: %s%sline %d, column %d",
                         name, *name ? ", " : "", error->line, error->column);
    case json_error_numeric_overflow:
        return bind_fail(fault, "",
                         "the body holds a number too large to be read: write it as a string "
                         "(line %d, column %d)",
                         error->line, error->column);
    case json_error_null_character:
        return bind_fail(fault, "", "the body holds a NUL character: line %d, column %d",
                         error->line, error->column);
    default:
        return bind_fail(fault, "", "the body is not a JSON %s: line %d, column %d: %s", what,
                         error->line, error->column, error->text);
    }
}

int json_text_read(const char *body, size_t length, const char *what, json_t **root,
                   json_item *item, bind_fault *fault)
{
    json_error_t error;
    json_t *read =
        json_loadb(body, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (!read)
        return json_error_code(&error) == json_error_out_of_memory ? WEIR_ENOMEM
                                                                   : refuse(&error, what, fault);
    const char *end = body + length, *text = past_blanks(body, end);
    *root = read;
    *item = (json_item){.value = read, .text = text, .length = (size_t)(end - text)};
    return 0;
}

bool json_item_null(const json_item *item)
{
    return json_is_null(item->value);
}

/* ---- Walking ---- */

json_walk json_walk_begin(const json_item *whole)
{
    const char *end = whole->text + whole->length;
    json_walk walk = {.whole = whole->value, .end = end, .at = past_blanks(whole->text + 1, end)};
    if (json_is_object(whole->value))
        walk.member = json_object_iter((json_t *)whole->value);
    return walk;
}

/* jansson keeps members in the order of the text. */
bool json_walk_next(json_walk *walk, const char **name, json_item *item)
{
    bool object = json_is_object(walk->whole);
    if (object ? !walk->member : walk->index >= json_array_size(walk->whole))
        return false;
    item->text = walk->at;
    if (object) {
        const char *colon = past_blanks(past_string(walk->at, walk->end), walk->end);
        item->text = past_blanks(colon + 1, walk->end);
        item->value = json_object_iter_value(walk->member);
        *name = json_object_iter_key(walk->member);
        walk->member = json_object_iter_next((json_t *)walk->whole, walk->member);
    } else {
        item->value = json_array_get(walk->whole, walk->index++);
    }
    const char *after = past_value(item->text, walk->end);
    item->length = (size_t)(after - item->text);
    walk->at = past_comma(after, walk->end);
    return true;
}

void json_text_compact(buffer *out, const json_item *item)
{
    const char *at = item->text, *end = at + item->length;
    while (at < end) {
        const char *next = *at == '"' ? past_string(at, end) : at + 1;
        if (!blank(*at))
            buffer_append(out, at, (size_t)(next - at));
        at = next;
    }
}
