#include "base/hist.h"

#include "base/assert.h"

#include <math.h>

/* Values below 16 have a bucket each; above, 16 equal steps between powers of two. */
static unsigned bucket_of(uint64_t value)
{
    unsigned octave;

    if (value < MU_HIST_SUB)
        return (unsigned)value;
    octave = 63 - (unsigned)__builtin_clzll(value);
    return (octave - 3) * MU_HIST_SUB + (unsigned)(value >> (octave - 4) & (MU_HIST_SUB - 1));
}

static uint64_t upper_edge(unsigned bucket)
{
    unsigned shift = bucket / MU_HIST_SUB - 1;

    if (bucket < MU_HIST_SUB)
        return bucket;
    return ((uint64_t)(MU_HIST_SUB + bucket % MU_HIST_SUB) << shift) + ((UINT64_C(1) << shift) - 1);
}

void mu_hist_add(struct mu_hist *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    h->bucket[bucket_of(value)]++;
    if (value > h->max)
        h->max = value;
}

void mu_hist_merge(struct mu_hist *into, const struct mu_hist *from)
{
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
    for (unsigned i = 0; i < MU_HIST_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

uint64_t mu_hist_quantile(const struct mu_hist *h, double q)
{
    uint64_t rank, seen = 0;

    MU_ASSERT(q >= 0 && q <= 1);
    rank = (uint64_t)ceil(q * (double)h->count);
    rank = rank < 1 ? 1 : rank > h->count ? h->count : rank;
    for (unsigned i = 0; i < MU_HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (h->count && seen >= rank)
            return upper_edge(i) < h->max ? upper_edge(i) : h->max;
    }
    return 0;
}

double mu_hist_mean(const struct mu_hist *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0;
}

uint64_t mu_hist_below(const struct mu_hist *h, uint64_t limit)
{
    uint64_t seen = 0;

    if (limit >= h->max)
        return h->count;
    for (unsigned i = 0; i < MU_HIST_BUCKETS && upper_edge(i) <= limit; i++)
        seen += h->bucket[i];
    return seen;
}
