/* siphash.h: a hash that nobody can aim at without its key. */
#ifndef WEIR_SIPHASH_H
#define WEIR_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-2-4. */
uint64_t siphash(const uint64_t key[2], const void *bytes, size_t length);

#endif
