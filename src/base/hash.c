#include "base/hash.h"

#include "base/le.h"

/* Odd constants with about half of their bits set. */
#define K1 UINT64_C(0x9E3779B97F4A7C15)
#define K2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define K3 UINT64_C(0xD6E8FEB86659FD93)

/* All bits of both factors reach all bits of the result. */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t mu_hash_mix(uint64_t a, uint64_t b)
{
    return fold(fold(a ^ K1, K2) + b, K3 ^ b >> 32);
}

uint64_t mu_hash(const void *bytes, size_t size, uint64_t seed)
{
    const uint8_t *at = bytes;
    uint64_t h = seed ^ K1, tail = 0;
    size_t left = size;

    for (; left >= 16; left -= 16, at += 16)
        h = fold(mu_le64_get(at) ^ K2 ^ h, mu_le64_get(at + 8) ^ K3) + h;
    for (; left >= 8; left -= 8, at += 8)
        h = fold(mu_le64_get(at) ^ K2, K3 ^ h) + h;
    for (size_t i = 0; i < left; i++)
        tail |= (uint64_t)at[i] << 8 * i;
    h = fold(tail ^ K2 ^ h, K3 ^ (uint64_t)size);
    return fold(h ^ K1, K2);
}
