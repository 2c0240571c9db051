/* gzip.c: bytes made fewer, for clients that can undo it. */
#include "gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

/* What is answered is written once and read once: the fastest level. */
enum { LEVEL = 1, WINDOW_AND_GZIP = 15 + 16, MEMORY = 8 };

struct gzip {
    z_stream stream;
};

gzip *gzip_open(void)
{
    gzip *g = calloc(1, sizeof *g);

    if (g && deflateInit2(&g->stream, LEVEL, Z_DEFLATED, WINDOW_AND_GZIP, MEMORY,
                          Z_DEFAULT_STRATEGY) != Z_OK) {
        free(g);
        return NULL;
    }
    return g;
}

void gzip_close(gzip *g)
{
    if (g)
        deflateEnd(&g->stream);
    free(g);
}

bool gzip_pack(gzip *g, buffer *bytes)
{
    buffer packed = {0};
    z_stream *s = &g->stream;

    if (bytes->failed || bytes->length == 0 || bytes->length > UINT_MAX / 2)
        return false;
    deflateReset(s);
    /* More room than the plain bytes take is never of use. */
    if (!buffer_reserve(&packed, bytes->length)) {
        buffer_free(&packed);
        return false;
    }
    s->next_in = (unsigned char *)bytes->data;
    s->avail_in = (unsigned)bytes->length;
    s->next_out = (unsigned char *)packed.data;
    s->avail_out = (unsigned)bytes->length;
    if (deflate(s, Z_FINISH) != Z_STREAM_END) {
        buffer_free(&packed);
        return false;
    }
    packed.length = bytes->length - s->avail_out;
    buffer_free(bytes);
    *bytes = packed;
    return true;
}

/* ---- Whether a client wants it ---- */

#define BLANKS " \t"

/* q=0, q=0.000: not at all. */
static bool is_refused(const char *parameters, size_t length)
{
    const char *end = parameters + length;
    const char *at = parameters;

    at += strspn(at, BLANKS ";");
    if (at + 2 > end || strncasecmp(at, "q=", 2) != 0)
        return false;
    at += 2;
    return at + strspn(at, "0.") >= end || strchr(BLANKS ",", at[strspn(at, "0.")]);
}

bool gzip_accepted(const char *header)
{
    bool any = false;

    for (const char *at = header; at && *at;) {
        at += strspn(at, BLANKS ",");
        size_t name = strcspn(at, BLANKS ",;"), whole = strcspn(at, ",");
        bool wanted = !is_refused(at + name, whole - name);
        if (name == 4 && strncasecmp(at, "gzip", 4) == 0)
            return wanted;
        if (name == 1 && *at == '*')
            any = wanted;
        at += whole;
    }
    return any;
}
