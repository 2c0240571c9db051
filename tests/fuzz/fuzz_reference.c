/* fuzz_reference.c: any bytes as a body with references, walked through with its text.
 *
 * What is a path must say no more than was written, and each value's text must be its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool held)
{
    if (!held)
        abort();
}

static void check_path(const char *path)
{
    static const char *const forms[] = {[REFERENCE_ROWS] = "rows", [REFERENCE_ROW] = "row"};
    reference r;
    char again[64];
    if (!reference_parse(path, &r))
        return;
    must(r.step <= 999999999 && r.row <= 999999999);
    must(r.form == REFERENCE_COUNT ? !*r.name : *r.name && r.name > path);
    int length = r.form == REFERENCE_COUNT ? snprintf(again, sizeof again, "%u.count", r.step)
                 : r.form == REFERENCE_ROW
                     ? snprintf(again, sizeof again, "%u.%s.", r.step, forms[r.form])
                     : snprintf(again, sizeof again, "%u.%s.%u.", r.step, forms[r.form], r.row);
    reference second;
    char *whole = malloc((size_t)length + strlen(r.name) + 1);
    must(whole != NULL);
    strcpy(stpcpy(whole, again), r.name);
    must(reference_parse(whole, &second) && second.step == r.step && second.row == r.row &&
         second.form == r.form && strcmp(second.name, r.name) == 0);
    free(whole);
}

/* As deep as a few levels: what is below was walked past. */
static void check(const json_item *item, const char *body, size_t size, int depth)
{
    must(item->text >= body && item->text + item->length <= body + size && item->length > 0);
    json_t *own =
        json_loadb(item->text, item->length,
                   JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_DISABLE_EOF_CHECK, NULL);
    must(own && json_equal(own, (json_t *)item->value));
    json_decref(own);
    const char *path = reference_path(item), *name;
    if (path)
        check_path(path);
    if (depth == 0 || !(json_is_object(item->value) || json_is_array(item->value)))
        return;
    json_walk walk = json_walk_begin(item);
    json_item inner;
    size_t count = 0;
    for (; json_walk_next(&walk, &name, &inner); count++)
        check(&inner, body, size, depth - 1);
    must(count == (json_is_array(item->value) ? json_array_size(item->value)
                                              : json_object_size(item->value)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root;
    json_item item;
    bind_fault fault = {.message = ""};
    char *text = strndup((const char *)data, size);
    must(text != NULL);
    check_path(text);
    free(text);
    if (size == 0)
        return 0;
    int status = json_text_read((const char *)data, size, "array", &root, &item, &fault);
    if (status == 0) {
        check(&item, (const char *)data, size, 4);
        json_decref(root);
    } else {
        must(status == WEIR_EINVAL && *fault.message);
    }
    return 0;
}
