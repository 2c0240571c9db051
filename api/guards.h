/* guards.h: what keeps some clients from being a burden to all others. */
#ifndef WEIR_GUARDS_H
#define WEIR_GUARDS_H

#include "cors.h"
#include "crowd.h"
#include "proxies.h"
#include "rate.h"

typedef struct weir_api_options weir_api_options;

/* Why a connection was cut off: constant, its name in metrics and log. */
#define CLIENT_CUTS(X)                                                                             \
    X(CLIENT_CUT_HEADER, "header_timeout")                                                         \
    X(CLIENT_CUT_BODY, "body_timeout")                                                             \
    X(CLIENT_CUT_ANSWER, "answer_unread")                                                          \
    X(CLIENT_CUT_CROWDED, "crowded_out")                                                           \
    X(CLIENT_CUT_ADDRESS, "address_limit")

typedef enum client_cut {
#define X(name, word) name,
    CLIENT_CUTS(X)
#undef X
        CLIENT_CUT_COUNT
} client_cut;

const char *client_cut_name(client_cut why);

/* By which of the two a request was found to be one too many. */
typedef enum rate_limit { RATE_BY_ADDRESS, RATE_BY_TOKEN, RATE_LIMIT_COUNT } rate_limit;

/* Of the whole API. While it serves only what guards_adjust sets changes, each by itself, and what
 * the parts guard themselves. */
typedef struct guards {
    cors *cors;             /* NULL: no page of another origin may read anything */
    rate *rate;             /* NULL: anybody may ask as often as they like */
    proxies *proxies;       /* NULL: nobody is one */
    crowd *crowd;           /* NULL: an address may have any number of connections */
    _Atomic size_t url_max; /* path and query string */
    _Atomic uint32_t params_max;
    _Atomic uint32_t rows_max; /* of an answer that is not a stream; UINT32_MAX: any number */
    _Atomic size_t answer_max; /* its bytes, and those it is made from; SIZE_MAX: any number */
    _Atomic uint64_t header_timeout_ns, body_timeout_ns;
} guards;

/* WEIR_EINVAL with one line in `why`, WEIR_ENOMEM, WEIR_EIO; guards_close is due either way. */
int guards_open(guards *g, const weir_api_options *options, char *why, size_t why_size);
/* Takes limits and timeouts over. Any thread. */
void guards_adjust(guards *g, const weir_api_options *options);
void guards_close(guards *g);

#endif
