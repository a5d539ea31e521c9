#include "base/heap.h"

#include "base/assert.h"

static inline bool before(const struct mu_heap_link *a, const struct mu_heap_link *b)
{
    return a->key < b->key || (a->key == b->key && a->tie < b->tie);
}

static inline void set(struct mu_heap *h, uint32_t i, struct mu_heap_link *l)
{
    h->links[i] = l;
    l->at = i + 1;
}

static void sift_up(struct mu_heap *h, uint32_t i, struct mu_heap_link *l)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        if (!before(l, h->links[parent]))
            break;
        set(h, i, h->links[parent]);
        i = parent;
    }
    set(h, i, l);
}

static void sift_down(struct mu_heap *h, uint32_t i, struct mu_heap_link *l)
{
    for (uint32_t child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && before(h->links[child + 1], h->links[child]))
            child++;
        if (!before(h->links[child], l))
            break;
        set(h, i, h->links[child]);
    }
    set(h, i, l);
}

void mu_heap_fini(struct mu_heap *h)
{
    for (uint32_t i = 0; i < h->count; i++)
        h->links[i]->at = 0;
    free(h->links);
    *h = (struct mu_heap){ 0 };
}

void mu_heap_add(struct mu_heap *h, struct mu_heap_link *l, uint64_t key, uint64_t tie)
{
    MU_ASSERT(l->at == 0);
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 16;
        h->links = realloc(h->links, h->cap * sizeof h->links[0]);
        MU_ASSERT(h->links != NULL);
    }
    l->key = key;
    l->tie = tie;
    sift_up(h, h->count++, l);
}

void mu_heap_move(struct mu_heap *h, struct mu_heap_link *l, uint64_t key, uint64_t tie)
{
    uint32_t i = l->at - 1;

    MU_ASSERT(l->at != 0 && i < h->count && h->links[i] == l);
    l->key = key;
    l->tie = tie;
    if (i > 0 && before(l, h->links[(i - 1) / 2]))
        sift_up(h, i, l);
    else
        sift_down(h, i, l);
}

void mu_heap_remove(struct mu_heap *h, struct mu_heap_link *l)
{
    uint32_t i = l->at - 1;
    struct mu_heap_link *last;

    if (l->at == 0)
        return;
    MU_ASSERT(i < h->count && h->links[i] == l);
    l->at = 0;
    last = h->links[--h->count];
    if (last == l)
        return;
    if (i > 0 && before(last, h->links[(i - 1) / 2]))
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}
