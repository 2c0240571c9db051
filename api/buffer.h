/* buffer.h: bytes that grow, for building answers.
 *
 * Appending never fails visibly: once memory has run out `failed` is set, later appends do nothing,
 * and whoever finishes the buffer checks once. */
#ifndef WEIR_BUFFER_H
#define WEIR_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct buffer {
    char *data;
    size_t length, capacity;
    bool failed;
} buffer;

/* Makes room for `more` bytes beyond length; false when memory has run out. */
bool buffer_reserve(buffer *b, size_t more);
void buffer_append(buffer *b, const void *bytes, size_t length);
void buffer_text(buffer *b, const char *text);
void buffer_char(buffer *b, char c);
void buffer_uint(buffer *b, uint64_t value);
/* Milliseconds with three decimals, from ns. */
void buffer_ms(buffer *b, uint64_t ns);
void buffer_printf(buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes, escaped as RFC 8259 asks and as Postgres's escape_json writes it.
 */
void buffer_json(buffer *b, const char *text, size_t length);
void buffer_json_text(buffer *b, const char *text); /* NULL becomes null */
/* Hands the bytes over (free() them) and leaves the buffer empty. */
char *buffer_take(buffer *b, size_t *length);
void buffer_free(buffer *b);

#endif
