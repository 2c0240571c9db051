/* reference.c: {"$ref":"0.rows.0.id"}: a value that an earlier step of a transaction has found. */
#include "reference.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind_text.h"
#include "json_text.h"

enum { DIGITS_MAX = 9 }; /* so that a number fits */

/* A number and the dot behind it. */
static bool take_number(const char **at, uint32_t *number)
{
    size_t digits = strspn(*at, "0123456789");

    if (digits == 0 || digits > DIGITS_MAX || (*at)[digits] != '.')
        return false;
    *number = (uint32_t)strtoul(*at, NULL, 10);
    *at += digits + 1;
    return true;
}

static bool take_word(const char **at, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

bool reference_parse(const char *path, reference *r)
{
    reference read = {.name = ""};
    const char *at = path;

    if (!take_number(&at, &read.step))
        return false;
    if (strcmp(at, "count") == 0) {
        read.form = REFERENCE_COUNT;
    } else if (take_word(&at, "rows.")) {
        read.form = REFERENCE_ROWS;
        if (!take_number(&at, &read.row) || !*at)
            return false;
        read.name = at;
    } else if (take_word(&at, "row.") && *at) {
        read.form = REFERENCE_ROW;
        read.name = at;
    } else {
        return false;
    }
    *r = read;
    return true;
}

const char *reference_path(const json_item *item)
{
    if (!json_is_object(item->value) || json_object_size(item->value) != 1)
        return NULL;
    return json_string_value(json_object_get(item->value, "$ref"));
}

/* How its answer begins, for whoever wrote another form. */
static const char *form_of(const query *q)
{
    switch (q->returns) {
    case RETURNS_ROWS: return "rows.0.column or count";
    case RETURNS_ROW: return "row.column";
    case RETURNS_COUNT: return "count";
    }
    return "";
}

static bool has_form(const query *q, reference_form form)
{
    switch (q->returns) {
    case RETURNS_ROWS: return form != REFERENCE_ROW;
    case RETURNS_ROW: return form == REFERENCE_ROW;
    case RETURNS_COUNT: return form == REFERENCE_COUNT;
    }
    return false;
}

int reference_check(const reference *r, const query *earlier, const char *parameter,
                    bind_fault *fault)
{
    if (!has_form(earlier, r->form))
        return bind_fail(fault, parameter, "%s refers to step %" PRIu32 ", whose answer has %s",
                         parameter, r->step, form_of(earlier));
    if (r->form == REFERENCE_COUNT)
        return 0;
    for (uint32_t i = 0; i < earlier->column_count; i++)
        if (strcmp(earlier->columns[i].name, r->name) == 0)
            return 0;
    return bind_fail(fault, parameter,
                     "%s refers to %.63s of step %" PRIu32 ", which has no such column", parameter,
                     r->name, r->step);
}

static reference_found take_text(const char *value, char **text)
{
    char *copy = value ? strdup(value) : NULL;

    if (value && !copy)
        return REFERENCE_NO_MEMORY;
    *text = copy;
    return REFERENCE_FOUND;
}

static reference_found take_count(const query *earlier, const weir_result *result, char **text)
{
    char count[24];

    snprintf(count, sizeof count, "%" PRIu64,
             earlier->returns == RETURNS_COUNT ? weir_result_affected(result)
                                               : weir_result_rows(result));
    return take_text(count, text);
}

/* By name and not by place: a table that was altered since has its columns elsewhere. */
reference_found reference_value(const reference *r, const query *earlier, const weir_result *result,
                                char **text)
{
    uint32_t columns = weir_result_columns(result), column = 0;

    if (r->form == REFERENCE_COUNT)
        return take_count(earlier, result, text);
    if (r->row >= weir_result_rows(result))
        return REFERENCE_NO_ROW;
    while (column < columns && strcmp(weir_result_column_name(result, column), r->name) != 0)
        column++;
    if (column == columns)
        return REFERENCE_NO_COLUMN;
    return take_text(weir_result_is_null(result, r->row, column)
                         ? NULL
                         : weir_result_value(result, r->row, column),
                     text);
}
