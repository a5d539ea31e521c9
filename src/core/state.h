/* core/state.h -- the inside of core: its structs, and what its files ask of each other. Not for other rooms.
 *
 * What       struct mu_core and all it owns. The files: core.c dispatches events; spec.c, graph.c and admit.c refuse;
 *            submit.c takes jobs in; verbs.c cancels, holds, retries, lets time pass; task.c lives through attempts;
 *            dep.c settles what waits for what; node.c, ledger.c, shape.c, user.c, job.c keep their noun; view.c reads;
 *            save.c, load.c and check.c go over all of it.
 * Ownership  as said at each member.   Time  core->now_ms only.   Threads  none.
 * Failure    as in core.h.   Limits  as in core.h.
 */
#ifndef MU_CORE_STATE_H
#define MU_CORE_STATE_H

#include "base/assert.h"
#include "core/attempts.h"
#include "core/core.h"
#include "core/jobs.h"
#include "core/lines.h"
#include "core/taskset.h"
#include "core/timers.h"
#include "core/words.h"

enum {
    MU_KEY_MAX = 256,        /* bytes of an idempotency key */
    MU_USERS_MAX = 1 << 16,
    MU_DUE_BATCH = 4096,     /* timers and forgotten jobs a DUE event handles at most; the next goes on */
    MU_BACKOFF_DOUBLINGS = 6,
};
#define MU_AMOUNT_MAX (UINT64_C(1) << 48)   /* of one resource: of a node or a task */
#define MU_TOTAL_MAX (UINT64_C(1) << 62)    /* of all nodes */
#define MU_DURATION_MAX (UINT64_C(1) << 40) /* ms, 34 years: sums cannot overflow */
#define MU_TIME_MAX (UINT64_C(1) << 48)     /* ms since 1970 */

/* ---- dependencies ---- */

enum mu_dep_state { MU_DEP_WAIT, MU_DEP_MET, MU_DEP_NEVER };
/* What a group waits for. MET stays so for ever; NEVER may wait again by RETRY. */
struct mu_group_dep {
    uint64_t job;   /* 0: a group of its own job */
    uint32_t group;
    uint8_t kind, state;
};
/* The other direction: who waits for this group or job. Ascending; only while it is not over. */
struct mu_edge {
    uint64_t job;
    uint32_t group, dep;
};
struct mu_edges {
    struct mu_edge *at;
    uint32_t count, cap;
    uint32_t each; /* how many wait element by element */
};

/* ---- jobs ---- */

/* What few groups have. */
struct mu_group_more {
    uint64_t array_first, array_step;
    struct mu_lines lines;
    uint32_t *each;              /* node of each task */
    struct mu_group_dep *deps;
    uint32_t deps_count;
    uint32_t deps_wait;          /* of them for a whole group or job, in WAIT */
    struct mu_edges out;
    uint32_t retries, max_parallel, abort_after, abort_milli;
    uint64_t backoff_ms;
    struct mu_map tries;         /* by task of the group: struct mu_tries, packed; only where it is not derived */
    bool aborted;                /* abort_after was reached: nothing of it starts any more */
};
struct mu_group {
    struct mu_taskset set;
    uint32_t first;              /* ordinal of its first task */
    uint32_t shape;
    uint32_t spec_at, spec_size; /* in the job's bytes */
    struct mu_group_more *more;  /* NULL: defaults */
};
/* Attempts so far; failures and losses since the task was submitted or retried. Without an entry a task has had no
 * attempt while it waits or when it was cancelled, and one when it succeeded or failed. */
struct mu_tries {
    uint32_t attempts;
    uint16_t failures, losses;
};

/* What few jobs have. */
struct mu_job_more {
    char *key;                   /* with its size; NULL none */
    uint32_t key_size;
    uint32_t bytes_cap, groups_cap; /* an open job's; its bytes and groups are then allocations of their own */
    uint64_t digest;
    uint64_t key_next;           /* id of the next job whose key has the same hash */
    uint64_t deadline_ms;
    struct mu_edges out;         /* who waits for the whole job */
    enum mu_open open;           /* how it came */
    bool closed;                 /* no more parts come: complete, cancelled or past its deadline */
    bool complete;               /* its last part came */
};
struct mu_job {
    uint64_t id;
    uint64_t submitted_ms, started_ms, ended_ms;
    struct mu_list ended;        /* of core->ended, in order of ending, while it is over */
    struct mu_user *user;
    struct mu_group *groups;     /* &one for a single one */
    uint32_t *count;             /* tasks by state; NULL for a single group, whose set knows */
    struct mu_job_more *more;    /* NULL: defaults */
    char *bytes;                 /* name, then the encoded groups; in tail, or its own allocation */
    uint32_t bytes_size, groups_count, tasks, unfinal;
    int32_t priority;
    uint8_t name_size;
    bool held, cancelled, over;
    struct mu_group one;
    char tail[];
};

/* ---- nodes, shapes, users ---- */

struct mu_node_slot {
    struct mu_node at;           /* first: views hand out its address */
    struct mu_list attempts;     /* in order of placing */
    struct mu_word_ids own, set; /* labels it came with; an operator's, "K=" for one taken away */
    uint32_t word;               /* of its name */
    bool squeezed;               /* came back with less than its attempts use */
};
struct mu_nodes {
    struct mu_node_slot **at;
    uint32_t count, cap;
    struct mu_map by_word;
    struct mu_res total;         /* of all but the DOWN */
    uint32_t largest[MU_RES_MAX]; /* a node that has most of each kind */
    uint64_t version;            /* grows with every change of total */
};
struct mu_shape_slot {
    struct mu_shape at;          /* first: views hand out its address */
    uint64_t hash;
    uint32_t next;               /* of the same hash, or of the free ones; + 1, 0 none */
    uint32_t node_word;
    uint64_t share_ppm, share_version; /* dominant share of the cluster, as of that version of its total */
};
struct mu_shapes {
    struct mu_shape_slot **at;
    uint32_t count, cap, free;   /* free: + 1, 0 none */
    struct mu_map by_hash;       /* + 1 */
};
struct mu_users {
    struct mu_user **at;         /* in order of appearance */
    uint32_t count, cap;
    struct mu_map by_word;
};
struct mu_policy {
    char *name;
    struct mu_strs params;       /* each text its own allocation */
};
enum mu_policy_kind { MU_POLICY_ORDER, MU_POLICY_PLACE, MU_POLICY_KINDS };

/* What is still to be settled after a move: done first in, first out, before the event is over. */
enum mu_work_kind { MU_WORK_TASKS, MU_WORK_GROUP, MU_WORK_JOB };
struct mu_work {
    enum mu_work_kind kind;
    uint64_t job;
    uint32_t group, first, count; /* first: in the group */
};

struct mu_core {
    struct mu_core_limits limits;
    uint64_t now_ms, version, epoch, next_job;
    char *server, *url;          /* of the leader; NULL before the first */
    struct mu_words words;
    uint32_t kinds;              /* of resources */
    uint32_t kind_word[MU_RES_MAX];
    struct mu_nodes nodes;
    struct mu_shapes shapes;
    struct mu_users users;
    struct mu_jobs jobs;
    struct mu_map by_key;        /* hash of user and key -> first job id */
    struct mu_list ended;        /* jobs that are over */
    uint64_t ended_count;
    uint32_t whole_open;         /* MU_OPEN_WHOLE jobs not yet closed */
    uint64_t count[MU_TASK_STATES];
    uint64_t bytes;              /* of specs and lines */
    struct mu_attempts attempts;
    struct mu_timers timers;
    struct mu_policy policy[MU_POLICY_KINDS];
    uint64_t halflife_ms;        /* of usage: parameter of the fair policy */
    /* Of the event at hand. */
    struct mu_fx_list *out;
    struct mu_err err;
    struct mu_arena arena;
    struct mu_buf scratch;
    struct mu_work *work;
    uint32_t work_at, work_count, work_cap;
};

/* core.c */
void mu_core_emit(struct mu_core *core, struct mu_fx fx);
void mu_core_emit_group(struct mu_core *core, uint64_t job, uint32_t group);
/* The answer: rc, and core->err when it is a refusal. */
void mu_core_reply(struct mu_core *core, enum mu_rc rc, struct mu_fx fx);
void *mu_core_alloc(size_t size);                 /* zeroed; no memory aborts */
void *mu_core_resize(void *memory, size_t size);  /* no memory aborts */
/* The name of a resource in an amount: its place, or UINT32_MAX; made if there is room when make. */
uint32_t mu_core_kind(const struct mu_core *core, struct mu_str name);
uint32_t mu_core_kind_make(struct mu_core *core, struct mu_str name);
/* Set a policy; false: no such kind. */
bool mu_core_policy_set(struct mu_core *core, struct mu_str kind, struct mu_str name, const struct mu_strs *params);

/* spec.c: what does not depend on the state */
/* "tasks[2].array", or "array" for a job of one group; returns at. */
const char *mu_spec_field(char at[MU_ERR_FIELD], uint32_t groups, uint32_t i, const char *key);
bool mu_name_is_ok(struct mu_str name);
bool mu_label_is_ok(struct mu_str label);
bool mu_resource_name_is_ok(struct mu_str name);
enum mu_rc mu_spec_check(const struct mu_job_spec *spec, struct mu_err *err);
/* The same for a spec from a snapshot, where lines are only the first of a group's. */
enum mu_rc mu_spec_check_stored(const struct mu_job_spec *spec);
/* Groups that follow base others with so many tasks. */
enum mu_rc mu_groups_check(const struct mu_group_spec *groups, uint32_t count, uint32_t base, uint64_t tasks_before,
                           struct mu_err *err);

/* graph.c */
/* Do the groups, the next ones of job (NULL: its first), wait in a circle, or for one that is not there? */
enum mu_rc mu_graph_admit(const struct mu_job *job, const struct mu_group_spec *groups, uint32_t count,
                          struct mu_arena *arena, struct mu_err *err);

/* admit.c: what does */
/* Their needs and the jobs they come after; job: the one they are added to, NULL a new one. */
enum mu_rc mu_groups_admit(const struct mu_core *core, const struct mu_job *job, const struct mu_group_spec *groups,
                           uint32_t count, struct mu_err *err);
/* Tasks and bytes more for this user (NULL: a new one). */
enum mu_rc mu_room_admit(const struct mu_core *core, const struct mu_user *user, uint64_t tasks, uint64_t bytes,
                         struct mu_err *err);
/* Is there a place for every resource that the groups name? */
bool mu_kinds_fit(const struct mu_core *core, const struct mu_group_spec *groups, uint32_t count);
/* About what they will take, and how many tasks they have. */
uint64_t mu_groups_bytes(const struct mu_group_spec *groups, uint32_t count, uint64_t *out_tasks);
/* The job that this key made before, whatever it asked for; 0 none. */
uint64_t mu_spec_existing(const struct mu_core *core, const struct mu_job_spec *spec);

/* job.c */
struct mu_job *mu_job_find(const struct mu_core *core, uint64_t id);
uint64_t mu_job_by_key(const struct mu_core *core, uint32_t user, struct mu_str key);
struct mu_job_more *mu_job_more(struct mu_job *job);
struct mu_group_more *mu_group_more(struct mu_group *group);
/* A job with its groups, known to core from now on. Tasks of groups that come after something are BLOCKED, the others
 * READY; nothing is linked. encoded: the groups' specs as they were stored before; NULL: encode them. */
struct mu_job *mu_job_new(struct mu_core *core, uint64_t id, const struct mu_job_spec *spec, struct mu_user *user,
                          const struct mu_str *encoded);
/* More groups of an open job, alike; more lines at the end of its last group. */
void mu_job_add_groups(struct mu_core *core, struct mu_job *job, const struct mu_group_spec *groups, uint32_t count);
void mu_job_add_lines(struct mu_core *core, struct mu_job *job, struct mu_str lines);
/* Gone, with all it holds. It has no attempts. */
void mu_job_free(struct mu_core *core, struct mu_job *job);
uint32_t mu_job_group_of(const struct mu_job *job, uint32_t ordinal);
uint32_t mu_job_count(const struct mu_job *job, enum mu_task_state state);
bool mu_job_is_open(const struct mu_job *job);
bool mu_job_is_half(const struct mu_job *job);
bool mu_job_is_runnable(const struct mu_job *job);
struct mu_str mu_job_name(const struct mu_job *job);
struct mu_str mu_job_key(const struct mu_job *job);
uint32_t mu_group_live(const struct mu_group *group);
uint32_t mu_group_ready(const struct mu_group *group);
/* No task of it is to come or to be run. */
bool mu_group_is_over(const struct mu_job *job, uint32_t group);
bool mu_group_spec_of(const struct mu_core *core, const struct mu_job *job, uint32_t group, struct mu_group_spec *out,
                      struct mu_arena *arena);
struct mu_tries mu_tries_get(const struct mu_group *group, uint32_t i);
bool mu_tries_has(const struct mu_group *group, uint32_t i);
void mu_tries_put(struct mu_group *group, uint32_t i, struct mu_tries tries);
uint64_t mu_tries_pack(struct mu_tries tries);
struct mu_tries mu_tries_unpack(uint64_t packed);

/* submit.c, verbs.c: events */
void mu_on_submit(struct mu_core *core, const struct mu_ev_submit *ev);
void mu_on_part(struct mu_core *core, const struct mu_ev_part *ev);
void mu_on_cancel(struct mu_core *core, const struct mu_ev_cancel *ev);
void mu_on_hold(struct mu_core *core, const struct mu_ev_hold *ev);
void mu_on_retry(struct mu_core *core, const struct mu_ev_retry *ev);
void mu_on_due(struct mu_core *core, const struct mu_ev_due *ev);
void mu_on_lead(struct mu_core *core, const struct mu_ev_lead *ev);
uint64_t mu_due_ms(const struct mu_core *core);
/* Cancelled and forgotten at once: a job that did not come whole. */
void mu_job_discard(struct mu_core *core, struct mu_job *job);

/* task.c */
void mu_on_placed(struct mu_core *core, const struct mu_ev_placed *ev);
void mu_on_started(struct mu_core *core, const struct mu_ev_started *ev);
void mu_on_ended(struct mu_core *core, const struct mu_ev_ended *ev);
bool mu_task_may(enum mu_task_state from, enum mu_task_state to);
const char *mu_task_state_name(enum mu_task_state state);
/* Tasks [first, first + count) of a group, all in one state, move; counters follow. No effects. */
void mu_task_move(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count,
                  enum mu_task_state to);
/* Only the counters. */
void mu_task_recount(struct mu_core *core, struct mu_job *job, enum mu_task_state from, enum mu_task_state to, uint32_t count);
/* The same, said as MU_FX_TASK. */
void mu_task_move_said(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count,
                       enum mu_task_state to);
/* What waits in [first, end) of a group becomes cancelled. */
void mu_task_drop(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t end, enum mu_end how);
/* The attempt is over; it is gone afterwards. */
void mu_attempt_end(struct mu_core *core, struct mu_attempt *attempt, const struct mu_ev_ended *ended);

/* dep.c */
/* Link the dependencies of groups [first, end): on other jobs, or within the job. */
void mu_dep_link_jobs(struct mu_core *core, struct mu_job *job, uint32_t first, uint32_t end);
void mu_dep_link_groups(struct mu_core *core, struct mu_job *job, uint32_t first, uint32_t end);
/* From a snapshot: the edge of a dependency in WAIT. false: there is nothing to wait for. */
bool mu_dep_relink(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t k);
/* Take its edges out of the jobs it waits for. */
void mu_dep_unlink(struct mu_core *core, struct mu_job *job);
/* Look at the BLOCKED among [first, end) of a group: ready, cancelled, or still blocked. true: some became ready. */
bool mu_dep_look(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t end);
/* Dependencies that could never be met wait again where what they wait for is not over. */
void mu_dep_revive(struct mu_core *core, struct mu_job *job);
/* Another job that a group of this one comes after, that is over and did not succeed; 0 none. One after one it counts
 * only when it is forgotten: which elements succeeded is then not known any more. */
uint64_t mu_dep_missed(const struct mu_core *core, const struct mu_job *job);
/* Tasks of a group became final: note what follows. */
void mu_dep_settled(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count);
/* A job or group that can get no more tasks may be over by that alone. */
void mu_dep_closed(struct mu_core *core, struct mu_job *job, uint32_t group);
/* Do all that was noted. */
void mu_dep_run(struct mu_core *core);
/* What one task has of one dependency. */
enum mu_dep_state mu_dep_of_task(const struct mu_core *core, const struct mu_job *job, const struct mu_group_dep *dep,
                                 uint32_t i);

/* node.c */
void mu_on_node_join(struct mu_core *core, const struct mu_ev_node_join *ev);
void mu_on_node_lost(struct mu_core *core, const struct mu_ev_node_lost *ev);
void mu_on_node_set(struct mu_core *core, const struct mu_ev_node_set *ev);
bool mu_node_may(enum mu_node_state from, enum mu_node_state to);
struct mu_node_slot *mu_node_find(const struct mu_core *core, struct mu_str name);
/* A node known by name only, as DOWN; for joins and snapshots. */
struct mu_node_slot *mu_node_add(struct mu_core *core, struct mu_str name);
void mu_node_labels_set(struct mu_core *core, struct mu_node_slot *node);
void mu_node_total_set(struct mu_core *core, struct mu_node_slot *node, const struct mu_res *total);
/* Would the sum over all nodes still be a number? */
bool mu_node_total_fits(const struct mu_core *core, const struct mu_res *total);
void mu_node_move(struct mu_core *core, struct mu_node_slot *node, enum mu_node_state to);
void mu_nodes_fini(struct mu_core *core);

/* ledger.c: what is used of a node and by a user */
bool mu_ledger_fits(const struct mu_core *core, const struct mu_node *node, const struct mu_res *need);
void mu_ledger_take(struct mu_core *core, struct mu_node_slot *node, struct mu_user *user, const struct mu_res *need);
void mu_ledger_give(struct mu_core *core, struct mu_node_slot *node, struct mu_user *user, const struct mu_res *need);
bool mu_res_within(const struct mu_core *core, const struct mu_res *need, const struct mu_res *total);

/* shape.c */
/* The shape of a group's spec, one more reference. The spec was admitted. */
uint32_t mu_shape_ref(struct mu_core *core, const struct mu_group_spec *spec);
void mu_shape_unref(struct mu_core *core, uint32_t id);
/* The node of this name has joined: shapes that ask for it know it now. */
void mu_shapes_resolve(struct mu_core *core, const struct mu_node_slot *node);
void mu_shapes_fini(struct mu_core *core);
/* Largest part of the cluster that it needs of any resource, in millionths. */
uint64_t mu_shape_share_ppm(struct mu_core *core, uint32_t id);

/* user.c */
void mu_on_quota(struct mu_core *core, const struct mu_ev_quota *ev);
struct mu_user *mu_user_find(const struct mu_core *core, struct mu_str name);
struct mu_user *mu_user_make(struct mu_core *core, struct mu_str name);
/* share of the cluster for run_ms, added to what it has used. */
void mu_user_charge(struct mu_core *core, struct mu_user *user, uint64_t share_ppm, uint64_t run_ms);
uint64_t mu_usage_decayed(uint64_t usage, uint64_t age_ms, uint64_t halflife_ms);
void mu_users_fini(struct mu_core *core);

/* check.c */
/* The first broken invariant in words, NULL none. O(state). */
const char *mu_core_flaw(const struct mu_core *core);

#endif
