/* agent/spawner/table.h -- the tasks of a spawner: a fixed table that costs memory only as far as it was ever filled.
 *
 * What       find by id and by pid; lists by what a task waits for.
 * Ownership  the table owns its tasks; a task given back is reused first (its pages are warm).
 * Time, Threads  none.
 * Failure    take answers NULL when the table is full.
 * Limits     MU_SP_TASKS_MAX tasks.
 */
#ifndef MU_AGENT_SPAWNER_TABLE_H
#define MU_AGENT_SPAWNER_TABLE_H

#include "base/list.h"
#include "child.h"
#include "spawner_proto.h"

struct task {
    struct mu_sp_task pub;
    struct launch *launch;     /* while it waits, and until its child has exec'ed */
    struct task *next_id, *next_pid;
    struct mu_list link;       /* its lane's queue, launching, running, closing or ended */
    struct mu_list due;        /* a notice is owed */
    uint64_t closing_us;       /* since when its main process is gone */
    bool group_gone;           /* no process is left in its group */
    bool has_lane;             /* it counts as running in its lane */
    bool held;                 /* strays of it were seen in the last look */
    bool fenced;               /* killed because the lease ran out */
    uint16_t streams;          /* bit 0 stdout, bit 1 stderr: of the slot */
};

struct table {
    struct task *all;
    uint32_t used_max, count;  /* used_max: entries ever used */
    struct task *free;
    struct task **by_id, **by_pid;
    uint32_t mask;
};

void table_init(struct table *t);
struct task *table_take(struct table *t, uint64_t id);
void table_drop(struct table *t, struct task *task);
struct task *table_find(const struct table *t, uint64_t id);
/* The main process of a task runs under this pid. Forgotten by table_pid_gone. */
void table_pid(struct table *t, struct task *task, uint32_t pid);
struct task *table_find_pid(const struct table *t, uint32_t pid);
void table_pid_gone(struct table *t, struct task *task);

#endif
