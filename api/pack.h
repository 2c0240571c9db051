/* pack.h: answers sent as gzip. */
#ifndef WEIR_PACK_H
#define WEIR_PACK_H

#include "request.h"

/* Whether to pack the answer would hold its lane up. */
bool pack_takes_long(const weir_request *req);

/* Encodes and packs such an answer on a thread of libuv's. In the request's task, after its leases
 * have been given back. */
weir_async void pack_large(weir_request *req);

/* Packs a sealed answer, if the client asks for it and it is worth it. On the loop's own stack. */
void pack_answer(weir_request *req);

#endif
