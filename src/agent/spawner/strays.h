/* agent/spawner/strays.h -- processes that lost their parents and became ours, and whose they are.
 *
 * What       as subreaper the spawner inherits every orphan of its tasks. A stray is known by the mark in its
 *            environment, else by its session. One that hides both is given to nobody, and ends when all tasks that ran when
 *            it was first seen have ended.
 * Ownership  none beside its own fixed table.
 * Time       microseconds, boottime, given.
 * Threads    none.
 * Failure    without /proc/PID/task/PID/children there is nothing to see: then only process groups are ended.
 * Limits     STRAYS_MAX at a time; more are seen when there is room again.
 */
#ifndef MU_AGENT_SPAWNER_STRAYS_H
#define MU_AGENT_SPAWNER_STRAYS_H

#include "table.h"

#include <sys/resource.h>

enum { STRAYS_MAX = 4096 };

void strays_init(const char *boot);
/* Look at all our children: those of tasks that are over are killed, and such a task is marked held. live: the tasks whose main
 * process still runs. */
void strays_scan(struct table *t, const struct mu_list *const live[2], uint64_t now_us);
/* A child that is no task's main process was reaped: what it used counts for its task. */
void strays_reaped(struct table *t, uint32_t pid, const struct rusage *use);
/* Signal the strays of one task. */
void strays_signal(const struct task *task, int signal);
uint32_t strays_count(void);

/* Add to what a task has used. */
void task_use(struct task *task, const struct rusage *use);

#endif
