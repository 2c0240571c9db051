/* fuzz_prefer.c: any text as a header Prefer and as an X-Request-Timeout.
 *
 * Times are more than none, and a wait is the same behind another preference. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/prefer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char before[] = "respond-async; a=\"\\\", wait=3\", ";
    char *text = malloc(sizeof before + size);
    if (!text)
        return 0;
    memcpy(text, before, sizeof before - 1);
    memcpy(text + sizeof before - 1, data, size);
    text[sizeof before - 1 + size] = '\0';
    const char *alone = text + sizeof before - 1;
    uint32_t seconds = 0, behind = 0;
    uint64_t timeout_ns = 0;
    int found = prefer_wait(alone, &seconds);
    if ((found == 1) != (seconds > 0) || prefer_wait(text, &behind) != found || behind != seconds)
        abort();
    if ((prefer_timeout(alone, &timeout_ns) == 0) != (timeout_ns > 0))
        abort();
    free(text);
    return 0;
}
