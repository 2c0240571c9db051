/* framing.h: whether a request's header says clearly where the request ends, whom it is for and who
 * asks. */
#ifndef WEIR_FRAMING_H
#define WEIR_FRAMING_H

#include <microhttpd.h>

/* What is wrong, as a sentence for the client, or NULL. libmicrohttpd makes something of each of
 * these; a proxy in front may make something else of it, and then take one request for two. */
const char *framing_problem(struct MHD_Connection *connection, const char *version);

#endif
