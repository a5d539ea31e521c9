/* core/census.h -- what a full count of core finds, beside what it keeps; for the check only.
 *
 * What       counts by walking all jobs, to be compared with those that core keeps.
 * Ownership  the arrays are mu_core_flaw's.   Time, Threads  none.
 * Failure    what is wrong comes as a sentence.   Limits  those of core.
 */
#ifndef MU_CORE_CENSUS_H
#define MU_CORE_CENSUS_H

#include "core/state.h"

struct mu_census {
    const struct mu_core *core;
    uint32_t *shape_refs;  /* by shape */
    uint64_t *waiting;     /* by user, in order of appearance */
    struct mu_map user_at; /* word -> place there */
    uint64_t count[MU_TASK_STATES];
    uint64_t jobs, over, bytes, attempts, timers, edges, deps_wait;
    uint32_t whole_open;
};

/* What is wrong with a job, NULL nothing; counted into the census. */
const char *mu_job_flaw(struct mu_census *c, const struct mu_job *job);

#endif
