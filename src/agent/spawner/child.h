/* agent/spawner/child.h -- starting one process: what happens between clone and exec.
 *
 * What       a fixed set of launch areas, each with a stack and a copy of one SPAWN frame; a task that waits for its lane
 *            keeps its frame in one too. The child shares our memory until
 *            it has exec'ed, and we go on meanwhile: a slow file system or a pipe that nobody reads holds up
 *            one task, never the node.
 * Ownership  an area belongs to its task from take to drop; launch_is_over must hold before drop.
 * Time       none.
 * Threads    the child runs beside us in one memory: it only writes its own area, by raw system calls.
 * Failure    start: -errno; what the child could not do: err and step of its area, and it exits.
 * Limits     LAUNCHES areas: so many tasks may wait or be between clone and exec.
 */
#ifndef MU_AGENT_SPAWNER_CHILD_H
#define MU_AGENT_SPAWNER_CHILD_H

#include "spawner_proto.h"

enum { LAUNCHES = 64, LAUNCH_STACK = 16 * 1024 };

/* In the order of enum mu_nostart of core/types.h, which people read. */
enum step { STEP_EXEC, STEP_CWD, STEP_STDIN, STEP_STDOUT, STEP_STDERR, STEP_USER, STEP_CGROUP, STEP_LIMIT, STEP_FORK };

struct launch {
    int busy;            /* cleared by the kernel when the child exec'ed or died */
    int err, step;       /* written by the child */
    int fd[3];           /* stdin, stdout, stderr; -1: a path of the view */
    bool reset_oom;      /* our own score is not the default: give the task 0 */
    struct mu_sp_spawn_view view;
    struct launch *next; /* free list */
};

void launches_init(void);
/* NULL: all are taken. */
struct launch *launch_take(void);
void launch_drop(struct launch *l);
bool launch_has_free(void);
/* Nothing was started for a while: give the memory of free areas back. */
void launches_trim(void);
/* Copy and check the frame. false: it is broken. */
bool launch_load(struct launch *l, const void *frame, size_t size);
/* The pid, or -errno. */
long launch_start(struct launch *l);
/* The child does not need the area any more. */
static inline bool launch_is_over(const struct launch *l)
{
    return __atomic_load_n(&l->busy, __ATOMIC_ACQUIRE) == 0;
}

#endif
