/* base/map.h -- hash map from 64-bit keys to 64-bit values (open addressing, backward-shift delete).
 *
 * What       one map for ids; callers with longer keys hash first and compare themselves.
 * Ownership  keys and values are plain numbers (or pointers the caller owns).
 * Time, Threads  none.
 * Failure    no memory aborts.
 * Limits     2^31 entries. Iteration order is unspecified: never let it reach a decision or a record.
 */
#ifndef MU_BASE_MAP_H
#define MU_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_map_slot {
    uint64_t key, value;
};
struct mu_map {
    struct mu_map_slot *slots;
    uint8_t *used;
    uint32_t count, mask; /* mask = capacity - 1, 0 while unallocated */
};

void mu_map_fini(struct mu_map *m);
/* Insert or replace. */
void mu_map_put(struct mu_map *m, uint64_t key, uint64_t value);
/* NULL when absent; valid until the next put or remove. */
uint64_t *mu_map_find(const struct mu_map *m, uint64_t key);
bool mu_map_remove(struct mu_map *m, uint64_t key);
void mu_map_clear(struct mu_map *m);
/* Walk: for (uint32_t i = 0; (i = mu_map_next(m, i, &slot)) != 0;) */
uint32_t mu_map_next(const struct mu_map *m, uint32_t from, struct mu_map_slot *out);

static inline void *mu_map_get_ptr(const struct mu_map *m, uint64_t key)
{
    uint64_t *v = mu_map_find(m, key);
    return v ? (void *)(uintptr_t)*v : NULL;
}
static inline void mu_map_put_ptr(struct mu_map *m, uint64_t key, void *p)
{
    mu_map_put(m, key, (uint64_t)(uintptr_t)p);
}

#endif
