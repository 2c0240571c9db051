/* fuzz_encode.c: any text under any shape becomes valid JSON.
 *
 * The first bytes of the input make the shape, the rest is the text. Built with clang
 * -fsanitize=fuzzer,address,undefined. Shapes of kind json are left out: their text is passed on
 * unread. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../api/encode.h"

enum { SHAPES_MAX = 24, FIELDS_MAX = 3 };

/* Where the shape is read from, and where it is made. */
typedef struct maker {
    const uint8_t *at, *end;
    uint32_t count;
    shape shapes[SHAPES_MAX];
    shape_field fields[SHAPES_MAX][FIELDS_MAX];
} maker;

static uint8_t next_byte(maker *m)
{
    return m->at < m->end ? *m->at++ : 0;
}

/* A shape made of what follows; now and then one that exists already, which may contain this one.
 */
static const shape *make_shape(maker *m)
{
    static const shape_kind kinds[] = {SHAPE_TEXT,        SHAPE_NUMBER, SHAPE_BOOLEAN,
                                       SHAPE_TIMESTAMP,   SHAPE_ARRAY,  SHAPE_COMPOSITE,
                                       SHAPE_TIMESTAMPTZ, SHAPE_VECTOR};
    static const char *const names[] = {"a", "", "\"q\\\n", "a longer name"};
    uint8_t byte = next_byte(m);
    if (m->count == SHAPES_MAX || (m->count > 0 && byte >= 0xe0))
        return &m->shapes[byte % m->count];
    uint32_t index = m->count++;
    shape *s = &m->shapes[index];
    s->kind = kinds[byte % 8];
    s->delimiter = byte & 8 ? ';' : ',';
    if (s->kind == SHAPE_ARRAY || s->kind == SHAPE_VECTOR)
        s->element = make_shape(m);
    if (s->kind == SHAPE_COMPOSITE) {
        s->fields = m->fields[index];
        s->field_count = (byte >> 3) % (FIELDS_MAX + 1);
        for (uint32_t i = 0; i < s->field_count; i++)
            s->fields[i] = (shape_field){names[(byte + i) % 4], make_shape(m)};
    }
    return s;
}

/* What follows as UTF-8, in a block of its exact size, so that reading past its end is seen. */
static char *make_text(maker *m, size_t *length)
{
    buffer text = {0};
    while (m->at < m->end) {
        uint8_t byte = next_byte(m);
        if (byte >= 0x80)
            buffer_char(&text, (char)0xc3);
        buffer_char(&text, (char)(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte));
    }
    char *exact = malloc(text.length ? text.length : 1);
    if (!exact)
        abort();
    if (text.length > 0)
        memcpy(exact, text.data, text.length);
    *length = text.length;
    buffer_free(&text);
    return exact;
}

static void check_json(const buffer *b)
{
    json_error_t error;
    json_t *read = json_loadb(b->data, b->length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!read && json_error_code(&error) != json_error_numeric_overflow) {
        fprintf(stderr, "%s: %.*s\n", error.text, (int)b->length, b->data);
        abort();
    }
    json_decref(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static maker m;
    m = (maker){.at = data, .end = data + size};
    const shape *as = make_shape(&m);
    size_t length;
    char *text = make_text(&m, &length);
    buffer out = {0};
    encode_value(&out, text, length, as);
    if (out.failed)
        abort();
    check_json(&out);
    buffer_free(&out);
    free(text);
    return 0;
}
