/* base/arena.h -- bump allocator: many small allocations, one reset.
 *
 * What       a request's or a decode's memory.   Ownership  all of it belongs to the arena.
 * Time, Threads  none.
 * Failure    NULL when limit would be passed (limit 0: none); no memory aborts.
 * Limits     limit bytes in all.
 */
#ifndef MU_BASE_ARENA_H
#define MU_BASE_ARENA_H

#include <stddef.h>

struct mu_arena_block;
struct mu_arena {
    struct mu_arena_block *head;
    size_t used, limit;
};

void mu_arena_fini(struct mu_arena *a);
/* Keeps the largest block for reuse. */
void mu_arena_reset(struct mu_arena *a);
/* Zeroed, aligned to 16. */
void *mu_arena_alloc(struct mu_arena *a, size_t size);
/* Copy with a NUL behind it. */
char *mu_arena_strdup(struct mu_arena *a, const char *at, size_t size);

#endif
