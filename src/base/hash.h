/* base/hash.h -- 64-bit hash of bytes; the same on every machine (little-endian reads).
 *
 * What       for maps, demand classes and the state hash. Not cryptographic.
 * Ownership, Time, Threads, Failure, Limits: none.
 */
#ifndef MU_BASE_HASH_H
#define MU_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t mu_hash(const void *bytes, size_t size, uint64_t seed);
/* Mix two numbers; order matters. */
uint64_t mu_hash_mix(uint64_t a, uint64_t b);

#endif
