/* fuzz_headers.c: any text as the headers If-None-Match, Accept-Encoding, X-Request-Id and
 * traceparent. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/etag.h"
#include "../../api/gzip.h"
#include "../../api/request_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is passed on is what came, or of the form that is made here. */
static void check_ids(const char *header)
{
    static id_source ids = {.state = {1, 2}};
    char id[REQUEST_ID_MAX + 1], parent[TRACEPARENT_SIZE + 1];

    request_id_choose(header, &ids, id);
    if (strcmp(id, header) != 0 && strspn(id, "0123456789abcdef") != 32)
        abort();
    traceparent_choose(header, &ids, parent);
    if (!traceparent_valid(parent) || (traceparent_valid(header) && strcmp(parent, header) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char etag[ETAG_SIZE], weak[ETAG_SIZE];
    char *header = malloc(size + ETAG_SIZE + 2);
    if (!header)
        return 0;
    memcpy(header, data, size);
    header[size] = '\0';
    check_ids(header);
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
