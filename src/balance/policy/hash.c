/* balance/policy/hash.c -- consistent hashing with bounded loads: a key keeps its instance unless that one has more
 * than its share (Mirrokni, Thorup, Zadimoghaddam 2016). */
#include "balance/policy.h"

#include "base/assert.h"
#include "base/hash.h"

#include <math.h>
#include <stdlib.h>

enum { POINTS = 100 };

static int by_hash(const void *a, const void *b)
{
    const struct mu_ring_point *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static void build_ring(struct mu_balance *b)
{
    b->ring = realloc(b->ring, (size_t)(b->count + 1) * POINTS * sizeof *b->ring);
    MU_ASSERT(b->ring != NULL);
    b->ring_count = 0;
    for (uint32_t slot = 0; slot < b->count; slot++)
        for (uint64_t k = 0; b->at[slot].used && k < POINTS; k++)
            b->ring[b->ring_count++] = (struct mu_ring_point){ mu_hash_mix(b->at[slot].hash, k), slot };
    qsort(b->ring, b->ring_count, sizeof *b->ring, by_hash);
    b->ring_stale = false;
}

/* The first point at or after the key's place. */
static uint32_t ring_find(const struct mu_balance *b, uint64_t key)
{
    uint32_t low = 0, high = b->ring_count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (b->ring[mid].hash < key)
            low = mid + 1;
        else
            high = mid;
    }
    return low < b->ring_count ? low : 0;
}

static uint32_t pick_hash(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    double weights = 0;
    uint32_t at, fallback = MU_NO_SLOT;

    if (b->ring_stale)
        build_ring(b);
    for (uint32_t slot = 0; slot < b->count; slot++)
        weights += mu_pick_may(b, now, slot, tried) ? b->at[slot].weight : 0;
    at = ring_find(b, mu_hash_mix(key, 0x9e3779b97f4a7c15u));
    for (uint32_t k = 0; k < b->ring_count; k++) {
        uint32_t slot = b->ring[(at + k) % b->ring_count].slot;
        if (!mu_pick_may(b, now, slot, tried))
            continue;
        if (b->at[slot].n < ceil(b->params.bound * (b->outstanding + 1) * b->at[slot].weight / weights))
            return slot;
        fallback = fallback == MU_NO_SLOT ? slot : fallback;
    }
    return fallback;
}
const struct mu_policy mu_policy_hash = {
    "hash", "the same instance for the same key, unless it has more than bound x its share", false, pick_hash
};
