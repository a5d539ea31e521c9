/* core/types.h -- ids, states and limits that every room may know.
 *
 * What       the words of the house as types. A task is (job, ordinal): ordinal counts from 0 over all groups of
 *            a job; the index people see is array_first + ordinal * step for a job of one group, the
 *            ordinal itself for a job of several.
 * Ownership, Time, Threads, Failure: none.
 * Limits     below; all are checked on admission, none is a crash.
 */
#ifndef MU_CORE_TYPES_H
#define MU_CORE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MU_TASKS_PER_JOB_MAX = 1 << 24,
    MU_GROUPS_PER_JOB_MAX = 1 << 16,
    MU_NODES_MAX = 1 << 20,
    MU_RES_MAX = 16,          /* kinds of resources in a cluster */
    MU_NAME_MAX = 128,        /* bytes of a job, group, node, user, label or resource name */
    MU_EVENT_BYTES_MAX = 192 * 1024,
    MU_INFRA_LOSSES_MAX = 3,  /* times a task is run again because its node was lost, then it is `lost` */
};
#define MU_JOB_ID_MAX ((UINT64_C(1) << 39) - 1)
#define MU_NODE_NONE UINT32_MAX
#define MU_SHAPE_NONE UINT32_MAX

/* Resource kinds with fixed places; named ones follow. Amounts: cpu and gpu in thousandths, mem in bytes, others in units. */
enum mu_res_kind { MU_RES_CPU, MU_RES_MEM, MU_RES_GPU, MU_RES_NAMED };

struct mu_res {
    uint64_t amount[MU_RES_MAX];
};

struct mu_task_id {
    uint64_t job;
    uint32_t ordinal;
};
static inline uint64_t mu_task_key(uint64_t job, uint32_t ordinal)
{
    return job << 24 | ordinal;
}

/* Four bits a task. The first three show as "waiting". */
#define MU_TASK_STATE_MAP(X)                                                    \
    X(BLOCKED, "waiting")   /* for a task or job it comes after */              \
    X(READY, "waiting")     /* for room */                                      \
    X(BACKOFF, "waiting")   /* for the pause before its next attempt */         \
    X(STARTING, "starting") /* placed; the node has not said that it runs */    \
    X(RUNNING, "running")                                                       \
    X(STOPPING, "stopping") /* told to stop */                                  \
    X(SUCCEEDED, "succeeded")                                                   \
    X(FAILED, "failed")                                                         \
    X(CANCELLED, "cancelled")                                                   \
    X(LOST, "lost")         /* its nodes were lost more often than allowed */
#define X(name, text) MU_TASK_##name,
enum mu_task_state { MU_TASK_STATE_MAP(X) MU_TASK_STATES };
#undef X
/* "waiting", "running", ... */
const char *mu_task_state_text(enum mu_task_state s);
static inline bool mu_task_is_final(enum mu_task_state s) { return s >= MU_TASK_SUCCEEDED; }
static inline bool mu_task_is_live(enum mu_task_state s) { return s >= MU_TASK_STARTING && s <= MU_TASK_STOPPING; }
static inline bool mu_task_is_waiting(enum mu_task_state s) { return s <= MU_TASK_BACKOFF; }

/* How an attempt ended. */
#define MU_END_MAP(X)                                                           \
    X(EXIT, "exit")           /* code = exit status */                          \
    X(SIGNAL, "signal")       /* code = signal */                               \
    X(TIMEOUT, "timeout")     /* stopped because its time limit passed */       \
    X(CANCEL, "cancel")       /* stopped because its job was cancelled */       \
    X(NOSTART, "no-start")    /* could not be started; code: see mu_nostart */  \
    X(OOM, "out-of-memory")   /* killed at its memory limit */                  \
    X(NODE_LOST, "node-lost") /* the node, or its spawner, died or fell silent */ \
    X(DEADLINE, "deadline")   /* stopped because its job's deadline passed */   \
    X(PREEMPT, "preempted")                                                      \
    X(DEPENDENCY, "dependency") /* never run: what it comes after did not succeed */ \
    X(ABORT, "too-many-failures") /* never run: its group reached --abort-after */
#define X(name, text) MU_END_##name,
enum mu_end { MU_END_MAP(X) MU_ENDS };
#undef X
const char *mu_end_text(enum mu_end e);

/* The code of a NOSTART: errno in its low 16 bits, what failed above them. A shell's 127 is EXEC with ENOENT, any other
 * EXEC 126. */
#define MU_NOSTART_MAP(X)                                                       \
    X(EXEC, "cannot run the program")                                           \
    X(CWD, "cannot change to its directory")                                    \
    X(STDIN, "cannot open its stdin")                                           \
    X(STDOUT, "cannot open its stdout")                                         \
    X(STDERR, "cannot open its stderr")                                         \
    X(USER, "cannot become its user")                                           \
    X(CGROUP, "cannot enter its control group")                                 \
    X(LIMIT, "cannot set its limits")                                           \
    X(FORK, "cannot start a process")
#define X(name, text) MU_NOSTART_##name,
enum mu_nostart { MU_NOSTART_MAP(X) MU_NOSTARTS };
#undef X
static inline uint32_t mu_nostart_errno(uint32_t code) { return code & 0xffff; }
/* What failed, without the reason of the system. */
const char *mu_nostart_text(uint32_t code);

/* A job that comes in parts: MU_OPEN_WHOLE starts when it is complete and is dropped whole if its leader is
 * lost before; MU_OPEN_STREAM runs tasks as they come and stays open until its last part. */
enum mu_open { MU_OPEN_NO, MU_OPEN_WHOLE, MU_OPEN_STREAM };
enum mu_dep_kind { MU_DEP_OK, MU_DEP_ANY, MU_DEP_EACH_OK, MU_DEP_EACH_ANY };

#define MU_NODE_STATE_MAP(X)                                         \
    X(UP, "up")                                                      \
    X(DRAINING, "draining") /* takes no new work */                  \
    X(AWAY, "away")         /* silent, but allowed to be: keeps its work */ \
    X(DOWN, "down")
#define X(name, text) MU_NODE_##name,
enum mu_node_state { MU_NODE_STATE_MAP(X) MU_NODE_STATES };
#undef X
const char *mu_node_state_text(enum mu_node_state s);

#endif
