/* fuzz_accept.c: any text as a header Accept.
 *
 * What it asks for has a name, and stays the same behind types that rows do not come in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char before[] = "image/png;q=0.9, ";
    char *text = malloc(sizeof before + size);
    if (!text)
        return 0;
    memcpy(text, before, sizeof before - 1);
    memcpy(text + sizeof before - 1, data, size);
    text[sizeof before - 1 + size] = '\0';
    answer_form form = accept_form(text + sizeof before - 1);
    if (!form_content_type(form) || form > FORM_CSV || accept_form(text) != form)
        abort();
    free(text);
    return 0;
}
