/* fuzz_headers.c: random bytes as the headers If-None-Match and Accept-Encoding. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/etag.h"
#include "../../api/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char etag[ETAG_SIZE], weak[ETAG_SIZE];
    char *header = malloc(size + ETAG_SIZE + 2);
    if (!header)
        return 0;
    memcpy(header, data, size);
    header[size] = '\0';
    etag_of(data, size, false, etag);
    etag_of(data, size, true, weak);
    /* The same for either kind; and a tag in front is found whatever follows. */
    bool listed = etag_listed(header, etag);
    if (listed != etag_listed(header, weak))
        abort();
    bool accepted = gzip_accepted(header);
    if (accepted && !strchr(header, '*') && !strcasestr(header, "gzip"))
        abort();
    strcpy(header, etag);
    strcat(header, ",");
    memcpy(header + strlen(header), data, size);
    header[strlen(etag) + 1 + size] = '\0';
    if (!etag_listed(header, weak))
        abort();
    free(header);
    return 0;
}
