/* cross_origin.c: the headers by which a browser lets pages of other origins read an answer. */
#include <string.h>

#include "cors.h"
#include "request.h"

/* For how long a browser need not ask again what it may do. */
#define MAX_AGE "600"

#define METHODS "GET, HEAD, POST, PUT, PATCH, DELETE"

/* What a page may read of an answer, beside what is open to any. */
#define EXPOSED                                                                                    \
    "ETag, Retry-After, Server-Timing, X-Request-Id, Preference-Applied, Allow, WWW-Authenticate"

/* Of another origin no page operates the service, or looks at its figures. */
static const cors *rules(const weir_request *req)
{
    return req->listener->admin || req->for_operators ? NULL : req->lane->api->guards.cors;
}

static const char *asked_method(const weir_request *req)
{
    return request_header(req, "Access-Control-Request-Method");
}

bool cross_origin_asks(const weir_request *req)
{
    return strcmp(req->method_name, "OPTIONS") == 0 && rules(req) && asked_method(req) &&
           cors_allowed(rules(req), request_header(req, "Origin"));
}

/* Whatever else it asks for, the answer to the request itself tells more than a browser does of a
 * preflight that was refused. */
static void tell_permissions(const weir_request *req, struct MHD_Response *response)
{
    const char *names = request_header(req, "Access-Control-Request-Headers");

    MHD_add_response_header(response, "Access-Control-Allow-Methods", METHODS);
    if (names && cors_names_valid(names))
        MHD_add_response_header(response, "Access-Control-Allow-Headers", names);
    MHD_add_response_header(response, "Access-Control-Max-Age", MAX_AGE);
}

void cross_origin_tell(const weir_request *req, struct MHD_Response *response)
{
    const cors *c = rules(req);
    const char *origin = c ? cors_allowed(c, request_header(req, "Origin")) : NULL;

    if (c && cors_varies(c))
        MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Origin");
    if (!origin)
        return;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
    if (cross_origin_asks(req))
        tell_permissions(req, response);
    else
        MHD_add_response_header(response, "Access-Control-Expose-Headers", EXPOSED);
}
