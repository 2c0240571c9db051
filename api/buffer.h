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

/* Zeroed: empty. `length` may be set back to any earlier value to drop what came after. */
typedef struct buffer {
    char *data;
    size_t length, capacity;
    size_t most; /* may be set while there is less in it: more it does not take; 0: whatever fits
                    memory */
    bool failed;
    bool overfull; /* because of `most` */
} buffer;

/* The slow half of buffer_reserve. */
bool buffer_grow(buffer *b, size_t more);

/* Makes room for `more` bytes beyond length; false when memory has run out. */
static inline bool buffer_reserve(buffer *b, size_t more)
{
    return (more <= b->capacity - b->length && !b->failed) || buffer_grow(b, more);
}

static inline void buffer_append(buffer *b, const void *bytes, size_t length)
{
    if (length == 0 || !buffer_reserve(b, length))
        return;
    memcpy(b->data + b->length, bytes, length);
    b->length += length;
}

static inline void buffer_text(buffer *b, const char *text)
{
    buffer_append(b, text, strlen(text));
}

static inline void buffer_char(buffer *b, char c)
{
    if (buffer_reserve(b, 1))
        b->data[b->length++] = c;
}

void buffer_uint(buffer *b, uint64_t value);
/* Milliseconds with three decimals, from ns. */
void buffer_ms(buffer *b, uint64_t ns);
void buffer_printf(buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes, escaped as RFC 8259 asks and as Postgres's escape_json writes it.
 */
void buffer_json(buffer *b, const char *text, size_t length);
void buffer_json_text(buffer *b, const char *text); /* NULL becomes null */
/* Hands the bytes over (free() them) and leaves the buffer empty. NULL when the buffer has failed
 * or nothing was ever appended; `length` is 0 then. Not terminated. */
char *buffer_take(buffer *b, size_t *length);
/* Frees the bytes and leaves the buffer empty, ready for use again. */
void buffer_free(buffer *b);

#endif
