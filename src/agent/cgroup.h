/* agent/cgroup.h -- control groups for the tasks that need one, on whatever the machine offers.
 *
 * What       finds by trying: v2, v1, hybrid (v1 limits, v2 beside them), or none (rlimits). Only a task that asked for a
 *            memory limit gets a group: making, entering and removing one costs as much as running a tiny
 *            program, so groups are kept and used again (doc/decisions/0004).
 * Ownership  a group is free or one task's.
 * Time, Threads  none; a few short reads and writes of files a task.
 * Failure    take answers false: then the caller falls back to an rlimit.
 * Limits     MU_CGROUPS_MAX groups.
 */
#ifndef MU_AGENT_CGROUP_H
#define MU_AGENT_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

enum { MU_CGROUPS_MAX = 4096 };

struct mu_cgroups;

struct mu_cgroups_use {
    bool oom;            /* the kernel killed something in it for want of memory */
    uint64_t peak_bytes; /* 0: not known */
};

/* root: where control groups are mounted, "/sys/fs/cgroup"; name: of the node, part of the directory's name. */
struct mu_cgroups *mu_cgroups_open(const char *root, const char *name);
/* Removes the groups that are empty. Accepts NULL. */
void mu_cgroups_close(struct mu_cgroups *l);
/* What is enforced how, for people: "cgroup v1: memory per task", "rlimits only: memory per process". */
const char *mu_cgroups_text(const struct mu_cgroups *l);

/* A group with this memory limit; number counts from 1, procs is the file to enter it by. */
bool mu_cgroups_take(struct mu_cgroups *l, uint64_t mem_bytes, uint32_t *out_number, const char **out_procs);
/* A task of an earlier agent has it. What the kernel killed in it before counts only for one that runs no more. */
void mu_cgroups_adopt(struct mu_cgroups *l, uint32_t number, bool runs);
/* Its task is over: what is left in it is killed, then it is free again. */
void mu_cgroups_give(struct mu_cgroups *l, uint32_t number, struct mu_cgroups_use *out);

#endif
