#include "base/map.h"

#include "base/assert.h"

enum { CAP_MIN = 16 };

static inline uint32_t home(const struct mu_map *m, uint64_t key)
{
    uint64_t h = (key ^ key >> 32) * UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio */
    return (uint32_t)(h >> 32) & m->mask;
}

/* The slot of key, or the free one where it would go. */
static inline uint32_t seek(const struct mu_map *m, uint64_t key)
{
    uint32_t i = home(m, key);

    while (m->used[i] && m->slots[i].key != key)
        i = (i + 1) & m->mask;
    return i;
}

static void grow(struct mu_map *m)
{
    struct mu_map old = *m;
    uint32_t cap = old.mask ? (old.mask + 1) * 2 : CAP_MIN;

    MU_ASSERT(cap != 0);
    m->slots = malloc(cap * sizeof m->slots[0]);
    m->used = calloc(cap, 1);
    MU_ASSERT(m->slots != NULL && m->used != NULL);
    m->mask = cap - 1;
    for (uint32_t i = 0; old.mask && i <= old.mask; i++) {
        if (old.used[i]) {
            uint32_t to = seek(m, old.slots[i].key);
            m->used[to] = 1;
            m->slots[to] = old.slots[i];
        }
    }
    free(old.slots);
    free(old.used);
}

void mu_map_fini(struct mu_map *m)
{
    free(m->slots);
    free(m->used);
    *m = (struct mu_map){ 0 };
}

void mu_map_put(struct mu_map *m, uint64_t key, uint64_t value)
{
    uint32_t i;

    if (m->mask == 0 || m->count >= m->mask / 4 * 3)
        grow(m);
    i = seek(m, key);
    m->count += !m->used[i];
    m->used[i] = 1;
    m->slots[i] = (struct mu_map_slot){ key, value };
}

uint64_t *mu_map_find(const struct mu_map *m, uint64_t key)
{
    uint32_t i;

    if (m->count == 0)
        return NULL;
    i = seek(m, key);
    return m->used[i] ? &m->slots[i].value : NULL;
}

bool mu_map_remove(struct mu_map *m, uint64_t key)
{
    uint32_t hole;

    if (m->count == 0)
        return false;
    hole = seek(m, key);
    if (!m->used[hole])
        return false;
    for (uint32_t i = (hole + 1) & m->mask; m->used[i]; i = (i + 1) & m->mask) {
        uint32_t from_home = (i - home(m, m->slots[i].key)) & m->mask;
        if (from_home >= ((i - hole) & m->mask)) { /* its search would pass the hole */
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->used[hole] = 0;
    m->count--;
    return true;
}

void mu_map_clear(struct mu_map *m)
{
    if (m->mask)
        memset(m->used, 0, (size_t)m->mask + 1);
    m->count = 0;
}

uint32_t mu_map_next(const struct mu_map *m, uint32_t from, struct mu_map_slot *out)
{
    for (uint32_t i = from; m->mask && i <= m->mask; i++) {
        if (m->used[i]) {
            *out = m->slots[i];
            return i + 1;
        }
    }
    return 0;
}
