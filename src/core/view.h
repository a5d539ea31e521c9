/* core/view.h -- reading the facts: what decisions, the API and the history may look at.
 *
 * What       const structs and accessors over struct mu_core; nothing here changes anything.
 * Ownership  pointers belong to core; valid until the next apply.
 * Time       now_ms is the time of the last entry.
 * Threads    none.   Failure  find answers NULL.   Limits  see core.h.
 */
#ifndef MU_CORE_VIEW_H
#define MU_CORE_VIEW_H

#include "base/str.h"
#include "core/event.h"
#include "core/types.h"

struct mu_core;
struct mu_job;

/* Words that come back often (label "K=V", user, policy, resource names) are numbered: struct mu_words. */
struct mu_word_ids {
    uint32_t *at; /* ascending */
    uint32_t count;
};

struct mu_node {
    uint32_t id; /* dense, in order of first joining; never reused */
    enum mu_node_state state;
    bool drain, keep;
    char *name, *boot, *version, *limits, *address;
    struct mu_res total, used; /* used: all live attempts placed here; above total only while a node that came back
                                  smaller still runs what it had */
    struct mu_word_ids labels;
    uint32_t live;             /* attempts */
    uint64_t joined_ms, changed_ms;
    uint64_t ended_ok, ended_bad; /* attempts that ended here */
};

/* What a task needs of a node: the demand class. Equal needs share one shape, refcounted by groups. */
struct mu_shape {
    uint32_t id; /* dense; reused after the last group that had it is gone */
    uint32_t generation; /* grows when the id is reused, and when the node it names has joined */
    struct mu_res need;
    struct mu_word_ids labels, prefer;
    uint32_t node;  /* MU_NODE_NONE, or the only node allowed */
    uint32_t place; /* word of its own policy, 0 none */
    bool node_unknown; /* --node names one that has not joined yet */
    char *node_name;   /* NULL or the name asked */
    uint32_t refs;
};

/* One group of tasks, as decisions see it. */
struct mu_group_view {
    uint64_t job;
    uint32_t group;
    uint32_t first;             /* ordinal of its first task */
    uint32_t tasks;
    uint32_t shape;             /* shape id */
    uint32_t user;
    int32_t priority;
    uint64_t submitted_ms, deadline_ms;
    uint32_t ready, live;       /* tasks READY; attempts live */
    uint32_t max_parallel;      /* 0: none */
    bool runnable;              /* not held, not ended, complete */
    bool each_node;             /* task i only on mu_view_each_node(i) */
};

struct mu_attempt {
    uint64_t job;
    uint32_t ordinal, attempt, node, shape;
    enum mu_task_state state; /* STARTING RUNNING STOPPING */
    enum mu_end why;          /* STOPPING: what to call the end */
    uint64_t placed_ms, started_ms;
};

struct mu_job_view {
    uint64_t id;
    struct mu_str name, user, key;
    int32_t priority;
    uint64_t submitted_ms, started_ms, ended_ms, deadline_ms; /* started_ms: first attempt; 0: not yet */
    bool held, cancelled, open, over;
    uint32_t groups, tasks;
    uint32_t count[MU_TASK_STATES];
};

struct mu_user {
    uint32_t id; /* word */
    uint32_t weight;
    uint64_t waiting, waiting_max; /* tasks; max 0: none */
    struct mu_res live;            /* needs of live attempts */
    uint64_t cpu_milli_max;
    uint64_t usage;    /* decayed dominant share x ms, in millionths; see mu_view_usage */
    uint64_t usage_ms; /* when usage was last brought up to date */
};

struct mu_policy_view {
    struct mu_str name;
    const struct mu_strs *params; /* "k=v" */
};

uint64_t mu_view_now_ms(const struct mu_core *core);
uint64_t mu_view_version(const struct mu_core *core); /* events applied so far */
uint64_t mu_view_epoch(const struct mu_core *core);
uint64_t mu_view_next_job(const struct mu_core *core);
/* Who leads, by the last LEAD; empty before the first. */
struct mu_leader_view {
    struct mu_str server, url;
};
struct mu_leader_view mu_view_leader(const struct mu_core *core);

uint32_t mu_view_nodes(const struct mu_core *core);
const struct mu_node *mu_view_node(const struct mu_core *core, uint32_t id);
const struct mu_node *mu_view_node_named(const struct mu_core *core, struct mu_str name);

uint32_t mu_view_shapes(const struct mu_core *core); /* ids below this; some may be free (refs 0) */
const struct mu_shape *mu_view_shape(const struct mu_core *core, uint32_t id);
bool mu_view_shape_allows(const struct mu_core *core, const struct mu_shape *shape, const struct mu_node *node); /* labels, node; not room */

/* Word text, and its number (0: unknown). Resource kinds: name of a place in mu_res, UINT32_MAX if none. */
struct mu_str mu_view_word(const struct mu_core *core, uint32_t word);
uint32_t mu_view_word_id(const struct mu_core *core, struct mu_str text);
uint32_t mu_view_res_kinds(const struct mu_core *core);
struct mu_str mu_view_res_name(const struct mu_core *core, uint32_t kind);

/* Jobs in order of id. */
bool mu_view_job(const struct mu_core *core, uint64_t id, struct mu_job_view *out);
uint64_t mu_view_job_next(const struct mu_core *core, uint64_t after);  /* smallest id > after; 0 none */
uint64_t mu_view_job_prev(const struct mu_core *core, uint64_t before); /* largest id < before; 0 none */
uint64_t mu_view_job_by_key(const struct mu_core *core, struct mu_str user, struct mu_str key); /* 0 none */
/* "waiting" "held" "running" "succeeded" "failed" "cancelled" "lost" of a whole job. */
const char *mu_view_job_state(const struct mu_job_view *job);
/* Jobs and tasks by state over all jobs kept. */
void mu_view_counts(const struct mu_core *core, uint64_t out_tasks[MU_TASK_STATES], uint64_t *out_jobs_active);

bool mu_view_group(const struct mu_core *core, uint64_t job, uint32_t group, struct mu_group_view *out);
/* Every runnable group with ready tasks, in order (job, group): start with job 0, group 0 and pass on what comes back
 * (a place to go on from: the group found is out->group); false at the end. */
bool mu_view_group_next(const struct mu_core *core, uint64_t *job, uint32_t *group, struct mu_group_view *out);
/* Decode the spec of a group; strings point into core, arrays into arena. lines is left empty. */
bool mu_view_group_spec(const struct mu_core *core, uint64_t job, uint32_t group, struct mu_group_spec *out, struct mu_arena *arena);
/* The encoded spec as the agent gets it (no lines). */
struct mu_str mu_view_group_bytes(const struct mu_core *core, uint64_t job, uint32_t group);
/* The command line of one task of a lines group, without its newline; empty for other groups. */
struct mu_str mu_view_line(const struct mu_core *core, uint64_t job, uint32_t ordinal);
uint32_t mu_view_group_of(const struct mu_core *core, uint64_t job, uint32_t ordinal); /* UINT32_MAX none */
uint32_t mu_view_each_node(const struct mu_core *core, uint64_t job, uint32_t ordinal); /* node id or MU_NODE_NONE */

/* Index people see <-> ordinal. false: no such task. */
bool mu_view_ordinal_of(const struct mu_core *core, uint64_t job, uint64_t index, uint32_t *out_ordinal);
uint64_t mu_view_index_of(const struct mu_core *core, uint64_t job, uint32_t ordinal);
/* The value in the array of its own group: what the task itself sees as MUSTER_TASK_INDEX. */
uint64_t mu_view_array_value(const struct mu_core *core, uint64_t job, uint32_t ordinal);

/* MU_TASK_STATES: no such task. */
enum mu_task_state mu_view_task(const struct mu_core *core, uint64_t job, uint32_t ordinal);
uint32_t mu_view_attempts(const struct mu_core *core, uint64_t job, uint32_t ordinal); /* placed so far */
/* First ordinal >= from of the group with that state, UINT32_MAX if none. */
uint32_t mu_view_next(const struct mu_core *core, uint64_t job, uint32_t group, enum mu_task_state state, uint32_t from);
uint64_t mu_view_backoff_until(const struct mu_core *core, uint64_t job, uint32_t ordinal); /* 0 none */
const struct mu_attempt *mu_view_attempt(const struct mu_core *core, uint64_t job, uint32_t ordinal); /* live, or NULL */
/* Live attempts of a node: start with *cursor = 0; NULL at the end. Do not apply in between. */
const struct mu_attempt *mu_view_node_attempt(const struct mu_core *core, uint32_t node, uint64_t *cursor);

/* Is the i-th dependency of the group's spec not met yet? One that is met stays so. */
bool mu_view_dep_blocks(const struct mu_core *core, uint64_t job, uint32_t group, uint32_t dep);

uint32_t mu_view_users(const struct mu_core *core, const struct mu_user ***out);
const struct mu_user *mu_view_user(const struct mu_core *core, uint32_t word);
/* Usage decayed to now_ms with the half-life of the fair policy. */
uint64_t mu_view_usage(const struct mu_core *core, const struct mu_user *user, uint64_t now_ms);

/* Policy in force: kind "order" or "place"; defaults "fifo" and "pack". */
struct mu_policy_view mu_view_policy(const struct mu_core *core, const char *kind);

#endif
