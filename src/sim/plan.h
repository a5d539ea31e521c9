/* sim/plan.h -- jobs as clients of the simulator make them up.
 *
 * What       a random spec whose commands say what each task will do (see node.c).
 * Ownership  a plan owns its spec.   Time  deadlines are stamps near now_ms.   Threads  none.
 * Failure    none.   Limits  a few hundred tasks a job.
 */
#ifndef MU_SIM_PLAN_H
#define MU_SIM_PLAN_H

#include "core/event.h"
#include "sim/world.h"

struct mu_plan {
    struct mu_list link;
    uint64_t number; /* 1, 2, ... */
    char key[32];
    struct mu_job_spec spec;
    struct mu_arena arena;
    uint32_t parts;  /* of a stream: more lines to come, in so many parts */
    uint64_t job;    /* 0: not committed yet, as far as the oracle saw */
    bool acked;      /* its client heard that it is durable */
};

/* before: an earlier job to come after, 0 none. */
struct mu_plan *mu_plan_new(struct mu_world *w, uint64_t number, uint64_t before, uint64_t now_ms);
/* The next lines of a stream, whose first line is for task first; count gets how many. */
struct mu_str mu_plan_lines(struct mu_world *w, struct mu_arena *arena, uint32_t first, uint32_t count, uint32_t pad);
void mu_plan_free(struct mu_plan *p);

#endif
