/* core/jobs.h -- all jobs that are kept, by number, in order.
 *
 * What       pages of pointers in a sorted list; find is O(1) while no page is missing, else O(log pages).
 * Ownership  the caller owns the jobs.   Time, Threads  none.
 * Failure    no memory aborts.   Limits  ids up to MU_JOB_ID_MAX; memory grows with the jobs kept.
 */
#ifndef MU_CORE_JOBS_H
#define MU_CORE_JOBS_H

#include <stdint.h>

struct mu_job;
struct mu_jobs_page;
struct mu_jobs {
    struct mu_jobs_page **pages; /* ascending */
    uint32_t pages_count, pages_cap;
    uint64_t count;
};

void mu_jobs_fini(struct mu_jobs *j);
struct mu_job *mu_jobs_find(const struct mu_jobs *j, uint64_t id);
/* id is larger than all before it. */
void mu_jobs_add(struct mu_jobs *j, uint64_t id, struct mu_job *job);
void mu_jobs_remove(struct mu_jobs *j, uint64_t id);
/* The job with the smallest id > after, NULL at the end. */
struct mu_job *mu_jobs_next(const struct mu_jobs *j, uint64_t after);
/* The one with the largest id < before. */
struct mu_job *mu_jobs_prev(const struct mu_jobs *j, uint64_t before);

#endif
