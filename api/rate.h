/* rate.h: how often each client may ask.
 *
 * The generic cell rate algorithm: of each client only the time is kept at which it will have
 * nothing left to pay for. In a fixed memory: where more clients are active at once than there is
 * room for, those who have least to pay for are forgotten, and begin anew. */
#ifndef WEIR_RATE_H
#define WEIR_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Used from any thread. */
typedef struct rate rate;

/* Who is counted; together they are room for so many. */
#define RATE_CLIENTS 65536

/* From N/s, N/m or N/h, and :BURST behind it for how many may come at once (N if not given). NULL
 * makes none: `*made` is NULL. WEIR_EINVAL with one line in `why`, WEIR_ENOMEM. */
int rate_open(const char *text, rate **made, char *why, size_t why_size);
void rate_close(rate *r); /* takes NULL */

/* What a client is known by: a hash of whatever tells it from others, which cannot be undone. */
uint64_t rate_key(const rate *r, const void *bytes, size_t length);

/* Charges one request to each of up to two keys, when both have it left, and returns -1; or, to
 * keys that have just been charged it, the `more` queries that it asks for beyond one. So many as
 * never could be left pass when there is nothing else to pay for, and then become a debt. Else
 * charges neither and returns the index of the key that has to wait longest, with the time after
 * which as much would pass in `*wait_ns`. */
int rate_take(rate *r, const uint64_t *keys, int count, uint32_t more, uint64_t now_ns,
              uint64_t *wait_ns);

#endif
