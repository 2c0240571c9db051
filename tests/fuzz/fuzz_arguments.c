/* fuzz_arguments.c: any text as a query string, and as a path.
 *
 * What it says is UTF-8, and said again in escapes it says the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/arguments.h"
#include "../../api/buffer.h"
#include "../../api/percent.h"
#include "../../api/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool held)
{
    if (!held)
        abort();
}

static void escape(buffer *out, const char *text)
{
    for (; *text; text++)
        buffer_printf(out, "%%%02X", (unsigned char)*text);
}

static void say_again(const arguments *a, buffer *out)
{
    for (uint32_t i = 0; i < a->count; i++) {
        const bind_pair *p = &a->pairs[i];
        must(*p->name && utf8_valid(p->name, strlen(p->name)) == strlen(p->name));
        buffer_char(out, '&');
        escape(out, p->name);
        if (!p->value)
            continue;
        must(utf8_valid(p->value, strlen(p->value)) == strlen(p->value));
        buffer_char(out, '=');
        escape(out, p->value);
    }
    buffer_char(out, '\0');
    must(!out->failed);
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_arguments(char *query_string)
{
    static arguments first, second;
    buffer again = {0};

    if (arguments_parse(&first, query_string) != NULL)
        return;
    say_again(&first, &again);
    must(arguments_parse(&second, again.data) == NULL && second.count == first.count);
    for (uint32_t i = 0; i < first.count; i++)
        must(same(first.pairs[i].name, second.pairs[i].name) &&
             same(first.pairs[i].value, second.pairs[i].value));
    buffer_free(&again);
}

/* Segments are parted by slashes that were not escaped, and by no others. */
static void check_path(const char *path)
{
    size_t length = strlen(path), decoded = 0, before = 0, after = 0;
    char *out = malloc(length + 1);

    must(out != NULL);
    if (percent_decode(path, length, PERCENT_SLASH, out, &decoded)) {
        must(decoded <= length && strlen(out) == decoded);
        for (size_t i = 0; i < length; i++)
            before += path[i] == '/';
        for (size_t i = 0; i < decoded; i++)
            after += out[i] == '/';
        must(before == after);
        percent_slashes(out, decoded);
        must(utf8_valid(out, decoded) == decoded);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);

    must(text != NULL);
    check_path(text);
    check_arguments(text);
    free(text);
    return 0;
}
