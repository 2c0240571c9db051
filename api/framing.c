/* framing.c: whether a request's header says clearly where the request ends, whom it is for and who
 * asks. */
#include "framing.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

typedef struct framing {
    int hosts, lengths, codings, authorizations;
    bool chunked, odd_name;
} framing;

static bool is_odd(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 0x7f)
            return true;
    return false;
}

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    framing *f = arg;

    if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
        f->hosts++;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        f->lengths++;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        f->codings++;
        f->chunked = value && strcasecmp(value, "chunked") == 0;
    }
    f->authorizations += strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) == 0;
    f->odd_name = f->odd_name || is_odd(name);
    return MHD_YES;
}

const char *framing_problem(struct MHD_Connection *connection, const char *version)
{
    bool http_1_1 = strcmp(version, MHD_HTTP_VERSION_1_1) == 0;
    framing f = {0};

    MHD_get_connection_values(connection, MHD_HEADER_KIND, look, &f);
    if (f.odd_name)
        return "A header's name has a character that is not allowed there.";
    if (f.lengths > 1)
        return "Content-Length is given more than once.";
    if (f.codings > 0 && f.lengths > 0)
        return "Content-Length and Transfer-Encoding do not go together.";
    if (f.codings > 1 || (f.codings == 1 && !f.chunked))
        return "The only Transfer-Encoding taken is chunked.";
    if (f.codings > 0 && !http_1_1) /* whoever forwards it may not know of chunks */
        return "Transfer-Encoding needs HTTP/1.1.";
    if (f.authorizations > 1) /* whoever looks before us may have looked at the other */
        return "Authorization is given more than once.";
    if (f.hosts > 1)
        return "Host is given more than once.";
    if (f.hosts == 0 && http_1_1)
        return "HTTP/1.1 needs the header Host.";
    return NULL;
}
