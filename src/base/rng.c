#include "base/rng.h"

#include "base/assert.h"

static inline uint64_t rotl(uint64_t n, int bits)
{
    return n << bits | n >> (64 - bits);
}

void mu_rng_seed(struct mu_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64: four well spread words from any seed, never all zero */
        uint64_t z = seed += UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        r->s[i] = z ^ z >> 31;
    }
}

uint64_t mu_rng_next(struct mu_rng *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint32_t mu_rng_below(struct mu_rng *r, uint32_t n)
{
    uint64_t product;
    uint32_t uneven = -n;

    MU_ASSERT(n > 0);
    uneven %= n; /* 2^32 mod n: so many of the low values would make some results likelier */
    do
        product = (mu_rng_next(r) >> 32) * n;
    while ((uint32_t)product < uneven);
    return (uint32_t)(product >> 32);
}

double mu_rng_unit(struct mu_rng *r)
{
    return (double)(mu_rng_next(r) >> 11) * 0x1p-53;
}
