/* sched/explain.h -- the words of explain: amounts, nodes, what misses, what would free it, when.
 *
 * What       sentences about what the deciding functions found; no rule of their own.
 * Ownership  text goes into the caller's arrays.
 * Time       sched->now_ms.   Threads  none.
 * Failure    none: long sentences are cut.   Limits  the arrays of struct mu_why.
 */
#ifndef MU_SCHED_EXPLAIN_H
#define MU_SCHED_EXPLAIN_H

#include "sched/state.h"

struct mu_ask { /* the task asked about */
    struct mu_sched *s;
    struct mu_class *cls;
    uint64_t job;
    uint32_t ordinal, group;
    uint32_t each_node; /* the node of an each-node task, MU_NODE_NONE for others */
    bool each;
    uint64_t now_ms;
};

/* Append to a text of that size. */
__attribute__((format(printf, 3, 4)))
void mu_say(char *text, size_t size, const char *fmt, ...);
const char *mu_say_node(const struct mu_ask *q, uint32_t node);
/* "0.5 cpus", "2GiB of memory", "3 lic" */
void mu_say_amount(const struct mu_ask *q, uint32_t kind, uint64_t amount, char *text, size_t size);
/* "node n3 lacks 0.5 cpus and 2GiB of memory"; of what is free now, or of all it has. */
void mu_say_miss(const struct mu_ask *q, uint32_t node, bool when_empty, char *text, size_t size);
/* Which running task, once it ends, makes room on the node; ms until then, UINT64_MAX if nobody can say. */
uint64_t mu_say_frees(const struct mu_ask *q, uint32_t node, char *text, size_t size);
/* ms until a task with `ahead` others before it starts, and why that is believed. first_ms: until room for one. */
uint64_t mu_say_estimate(const struct mu_ask *q, uint64_t first_ms, uint32_t ahead, char *basis, size_t size);
/* "chosen by pack (score 0.12; next best n7 with 0.10)" */
void mu_say_past(const struct mu_ask *q, char *text, size_t size);

#endif
