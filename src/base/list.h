/* base/list.h -- intrusive doubly linked list, circular, with a head.
 *
 * What       struct mu_list is head and link alike.   Ownership  the list owns nothing.
 * Time, Threads, Failure, Limits: none.
 */
#ifndef MU_BASE_LIST_H
#define MU_BASE_LIST_H

#include "base/assert.h"

#include <stdbool.h>

struct mu_list {
    struct mu_list *next, *prev;
};

static inline void mu_list_init(struct mu_list *l) { l->next = l->prev = l; }
static inline bool mu_list_is_empty(const struct mu_list *l) { return l->next == l; }
static inline void mu_list_add_tail(struct mu_list *head, struct mu_list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
static inline void mu_list_add_head(struct mu_list *head, struct mu_list *l)
{
    mu_list_add_tail(head->next, l);
}
/* Safe twice: a removed link points at itself. */
static inline void mu_list_remove(struct mu_list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    mu_list_init(l);
}
/* All of from to the tail of to; from is empty then. */
static inline void mu_list_move(struct mu_list *to, struct mu_list *from)
{
    if (mu_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    mu_list_init(from);
}
#define MU_LIST_EACH(it, head) for (struct mu_list *it = (head)->next; it != (head); it = it->next)
/* The body may remove `it`. */
#define MU_LIST_EACH_SAFE(it, head)                                                   \
    for (struct mu_list *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)

#endif
