/* base/rng.h -- a small seeded random generator (xoshiro256**, public domain by Blackman and Vigna).
 *
 * What       the only source of chance in pure rooms: the state is an argument.
 * Ownership, Time, Threads, Failure, Limits: none. Not for secrets.
 */
#ifndef MU_BASE_RNG_H
#define MU_BASE_RNG_H

#include <stdint.h>

struct mu_rng {
    uint64_t s[4];
};

void mu_rng_seed(struct mu_rng *r, uint64_t seed);
uint64_t mu_rng_next(struct mu_rng *r);
/* Uniform in [0, n), n > 0, without modulo bias. */
uint32_t mu_rng_below(struct mu_rng *r, uint32_t n);
/* Uniform in [0, 1). */
double mu_rng_unit(struct mu_rng *r);

#endif
