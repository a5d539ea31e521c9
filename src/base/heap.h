/* base/heap.h -- intrusive binary min-heap ordered by (key, tie), with removal by link.
 *
 * What       timers and deadlines. Two entries are never equal: tie decides, so order is stated.
 * Ownership  links live in their owners; the heap owns only its pointer array.
 * Time, Threads  none.   Failure  no memory aborts.   Limits  2^31 links.
 */
#ifndef MU_BASE_HEAP_H
#define MU_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct mu_heap_link {
    uint64_t key, tie;
    uint32_t at; /* position + 1; 0 when not in a heap */
};
struct mu_heap {
    struct mu_heap_link **links;
    uint32_t count, cap;
};

void mu_heap_fini(struct mu_heap *h);
void mu_heap_add(struct mu_heap *h, struct mu_heap_link *l, uint64_t key, uint64_t tie);
/* Another key for a link that is in the heap: cheaper than to remove and add it. */
void mu_heap_move(struct mu_heap *h, struct mu_heap_link *l, uint64_t key, uint64_t tie);
/* No-op when the link is not in a heap. */
void mu_heap_remove(struct mu_heap *h, struct mu_heap_link *l);
static inline struct mu_heap_link *mu_heap_min(const struct mu_heap *h)
{
    return h->count ? h->links[0] : 0;
}
static inline bool mu_heap_has(const struct mu_heap_link *l) { return l->at != 0; }

#endif
