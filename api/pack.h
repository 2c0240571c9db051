/* pack.h: answers sent as gzip. */
#ifndef WEIR_PACK_H
#define WEIR_PACK_H

#include "request.h"

/* Encodes and packs a large result on a thread of libuv's, where its lane would be held up. In the
 * request's task, after its lease has been given back. */
weir_async void pack_large(weir_request *req);

/* Packs a sealed answer, if the client asks for it and it is worth it. On the loop's own stack. */
void pack_answer(weir_request *req);

#endif
