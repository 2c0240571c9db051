/* encode_nested.h: values made of values, for encode.c; `depth` is how many contain this one. */
#ifndef WEIR_ENCODE_NESTED_H
#define WEIR_ENCODE_NESTED_H

#include "encode.h"

/* encode_value at a depth. */
void encode_value_at(buffer *out, const char *text, size_t length, const shape *as, int depth);

/* These return false when the text is not what such a type prints; what they have appended by then
 * is for the caller to drop. */
bool encode_array(buffer *out, const char *text, size_t length, const shape *as, int depth);
bool encode_vector(buffer *out, const char *text, size_t length, const shape *as, int depth);
bool encode_composite(buffer *out, const char *text, size_t length, const shape *as, int depth);

/* A stretch of text within the text form of an array or composite, between its quotes if it has
 * any. */
typedef struct part {
    const char *text;
    size_t length;
    bool quoted;
    bool escaped; /* has backslashes or doubled quotes to undo */
} part;

/* Reads the quoted part whose opening quote is at `*at`, and moves `*at` past its closing quote.
 * False when there is none before `end`. With `doubled`, two quotes stand for one. */
bool part_quoted(const char **at, const char *end, bool doubled, part *read);

/* The part as a value, without quotes and escapes. */
void encode_part(buffer *out, const part *p, const shape *as, int depth);

#endif
