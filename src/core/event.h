/* core/event.h -- the schema of facts: what an entry of the journal may say.
 *
 * What       structs, field tables and the entry stream: time, then events in order.
 * Ownership  decoded strings point into the entry; arrays live in the arena given.
 * Time       milliseconds since 1970, stamped by the proposer as max(last, own clock).
 * Threads    none.
 * Failure    mu_entry_next answers false at the end and on damage; r.bad tells them apart. An event kind
 *            that is not known is damage: to skip it would split the replicas.
 * Limits     MU_EVENT_BYTES_MAX an event, on every journal alike; a larger job comes as SUBMIT and PARTs.
 */
#ifndef MU_CORE_EVENT_H
#define MU_CORE_EVENT_H

#include "base/pb.h"
#include "core/types.h"

/* A named amount: a resource. */
#define MU_AMOUNT_FIELDS(T, F, M) F(T, 1, STR, name) F(T, 2, U64, amount)
MU_PB_STRUCT(mu_amount, MU_AMOUNT_FIELDS)

/* One thing a group waits for: another job (job != 0), or group `group` of the same job (job == 0). */
#define MU_DEP_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, group) F(T, 3, U32, kind) /* enum mu_dep_kind */
MU_PB_STRUCT(mu_dep, MU_DEP_FIELDS)

/* What each task of a group runs, needs and may do. Exactly one of argv, script, lines is set.
 * lines: one shell command a line, each ended by '\n'; the group then has as many tasks as lines. */
#define MU_GROUP_SPEC_FIELDS(T, F, M)                                                        \
    F(T, 1, STR, name)                                                                       \
    F(T, 2, STRS, argv)                                                                      \
    F(T, 3, STR, script)                                                                     \
    F(T, 4, STR, lines)                                                                      \
    F(T, 5, U64, array_first) F(T, 6, U64, array_step) F(T, 7, U32, tasks) /* >= 1 */        \
    F(T, 8, U64, cpu_milli) F(T, 9, U64, mem_bytes) F(T, 10, U64, gpu_milli)                 \
    M(T, 11, mu_amount, resources)                                                           \
    F(T, 12, STRS, env)          /* K=V */                                                   \
    F(T, 13, STR, cwd)                                                                       \
    F(T, 14, STR, run_as)                                                                    \
    F(T, 15, U32, retries) F(T, 16, U64, backoff_ms) /* doubles each time, up to 64 times */ \
    F(T, 17, U64, timeout_ms) F(T, 18, U64, grace_ms)                                        \
    F(T, 19, STRS, labels)       /* K=V, all needed */                                       \
    F(T, 20, STRS, prefer)       /* K=V, wished */                                           \
    F(T, 21, STR, node)          /* only there */                                            \
    F(T, 22, STR, place)         /* placement policy of its own, or empty */                 \
    F(T, 23, STRS, each_node)    /* --each-node: task i runs on the node of this name, only; "*" as asked */ \
    F(T, 24, U32, max_parallel)  /* 0: no limit */                                           \
    F(T, 25, U32, abort_after) F(T, 26, U32, abort_after_milli) /* failures: number, share in thousandths; 0: never */ \
    M(T, 27, mu_dep, after)                                                                  \
    F(T, 28, STR, stdin_path) F(T, 29, STR, stdout_path) F(T, 30, STR, stderr_path)          \
    F(T, 31, BOOL, is_array)     /* people asked for an array, even one of a single task */  \
    F(T, 32, BOOL, keep)         /* service or device work: see on-disconnect */
MU_PB_STRUCT(mu_group_spec, MU_GROUP_SPEC_FIELDS)

#define MU_JOB_SPEC_FIELDS(T, F, M)                                                          \
    F(T, 1, STR, name) F(T, 2, STR, user) F(T, 3, STR, key) /* idempotency; "" none */        \
    F(T, 4, S64, priority) F(T, 5, U64, deadline_ms) F(T, 6, BOOL, hold)                      \
    M(T, 7, mu_group_spec, groups)                                                           \
    F(T, 8, U64, digest) /* hash of what the client asked, to tell a repeated key from a reused one */ \
    F(T, 9, U32, open)   /* enum mu_open: more parts follow */
MU_PB_STRUCT(mu_job_spec, MU_JOB_SPEC_FIELDS)

/* Events. Every id in them was valid when proposed; core ignores or refuses what no longer holds. */
#define MU_EV_SUBMIT_FIELDS(T, F, M) F(T, 1, STR, spec) /* encoded mu_job_spec; core numbers the job */
/* More of an open job: whole groups, or lines that extend its last group. tasks_before: how many tasks the job
 * had when the part was made; a part that comes twice is therefore seen and ignored. last: the job is complete. */
#define MU_EV_PART_FIELDS(T, F, M)                                                           \
    F(T, 1, U64, job) F(T, 2, U32, tasks_before) M(T, 3, mu_group_spec, groups) F(T, 4, STR, lines) F(T, 5, BOOL, last)
#define MU_EV_PLACED_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, ordinal) F(T, 3, U32, attempt) F(T, 4, U32, node)
#define MU_EV_STARTED_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, ordinal) F(T, 3, U32, attempt) F(T, 4, U64, started_ms)
#define MU_EV_ENDED_FIELDS(T, F, M)                                                          \
    F(T, 1, U64, job) F(T, 2, U32, ordinal) F(T, 3, U32, attempt)                            \
    F(T, 4, U32, how) F(T, 5, U32, code)        /* enum mu_end */                            \
    F(T, 6, U64, started_ms) F(T, 7, U64, run_us) F(T, 8, U64, user_us) F(T, 9, U64, sys_us) \
    F(T, 10, U64, rss_bytes) F(T, 11, U64, out_bytes) F(T, 12, U64, err_bytes)
#define MU_EV_CANCEL_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, first) F(T, 3, U32, count) /* count 0: all */ F(T, 4, STR, by)
#define MU_EV_HOLD_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, BOOL, hold) F(T, 3, STR, by)
#define MU_EV_RETRY_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, STR, by) /* failed, cancelled, lost tasks wait again */
#define MU_EV_NODE_JOIN_FIELDS(T, F, M)                                                      \
    F(T, 1, STR, name) F(T, 2, STR, boot) F(T, 3, U64, cpu_milli) F(T, 4, U64, mem_bytes)    \
    F(T, 5, U64, gpu_milli) M(T, 6, mu_amount, resources) F(T, 7, STRS, labels)              \
    F(T, 8, BOOL, keep) F(T, 9, STR, version) F(T, 10, STR, limits) F(T, 11, STR, address)
#define MU_EV_NODE_LOST_FIELDS(T, F, M) F(T, 1, U32, node) F(T, 2, STR, why)
#define MU_EV_NODE_SET_FIELDS(T, F, M) /* an operator's word; label "K=V", "K=" removes */   \
    F(T, 1, U32, node) F(T, 2, BOOL, set_drain) F(T, 3, BOOL, drain) F(T, 4, STR, label) F(T, 5, STR, by)
#define MU_EV_POLICY_FIELDS(T, F, M) F(T, 1, STR, kind) F(T, 2, STR, name) F(T, 3, STRS, params) F(T, 4, STR, by) /* order, place */
#define MU_EV_QUOTA_FIELDS(T, F, M) F(T, 1, STR, user) F(T, 2, U64, waiting_max) F(T, 3, U64, cpu_milli_max) F(T, 4, U32, weight) F(T, 5, STR, by)
#define MU_EV_DUE_FIELDS(T, F, M) F(T, 1, U32, unused) /* time has come: back-offs, deadlines, retention up to the entry's time */
#define MU_EV_LEAD_FIELDS(T, F, M) F(T, 1, U64, epoch) F(T, 2, STR, server) F(T, 3, STR, url)

/* kind number (also the field number in the .proto), NAME, struct suffix */
#define MU_EVENT_MAP(X)                                             \
    X(1, SUBMIT, submit) X(2, PLACED, placed) X(3, STARTED, started) X(4, ENDED, ended)                   \
    X(5, CANCEL, cancel) X(6, HOLD, hold) X(7, RETRY, retry) X(8, NODE_JOIN, node_join)                    \
    X(9, NODE_LOST, node_lost) X(10, NODE_SET, node_set) X(11, POLICY, policy) X(12, QUOTA, quota)         \
    X(13, DUE, due) X(14, LEAD, lead) X(15, PART, part)

MU_PB_STRUCT(mu_ev_submit, MU_EV_SUBMIT_FIELDS)
MU_PB_STRUCT(mu_ev_placed, MU_EV_PLACED_FIELDS)
MU_PB_STRUCT(mu_ev_started, MU_EV_STARTED_FIELDS)
MU_PB_STRUCT(mu_ev_ended, MU_EV_ENDED_FIELDS)
MU_PB_STRUCT(mu_ev_cancel, MU_EV_CANCEL_FIELDS)
MU_PB_STRUCT(mu_ev_hold, MU_EV_HOLD_FIELDS)
MU_PB_STRUCT(mu_ev_retry, MU_EV_RETRY_FIELDS)
MU_PB_STRUCT(mu_ev_node_join, MU_EV_NODE_JOIN_FIELDS)
MU_PB_STRUCT(mu_ev_node_lost, MU_EV_NODE_LOST_FIELDS)
MU_PB_STRUCT(mu_ev_node_set, MU_EV_NODE_SET_FIELDS)
MU_PB_STRUCT(mu_ev_policy, MU_EV_POLICY_FIELDS)
MU_PB_STRUCT(mu_ev_quota, MU_EV_QUOTA_FIELDS)
MU_PB_STRUCT(mu_ev_due, MU_EV_DUE_FIELDS)
MU_PB_STRUCT(mu_ev_lead, MU_EV_LEAD_FIELDS)
MU_PB_STRUCT(mu_ev_part, MU_EV_PART_FIELDS)

#define X(num, NAME, name) MU_EV_##NAME = num,
enum mu_event_kind { MU_EVENT_MAP(X) MU_EV_KINDS };
#undef X

struct mu_event {
    enum mu_event_kind kind;
    union {
#define X(num, NAME, name) struct mu_ev_##name name;
        MU_EVENT_MAP(X)
#undef X
    };
};

/* Entry = message { uint64 time_ms = 1; repeated Event events = 2; }, Event = oneof by kind number. */
/* Start an entry: b is cleared. */
void mu_entry_begin(struct mu_buf *b, uint64_t time_ms);
/* Append one event; msg is the struct of that kind. */
void mu_entry_add(struct mu_buf *b, enum mu_event_kind kind, const void *msg);
/* Read: begin (false: damaged), then next until false. Arrays of the event stay valid until arena reset. */
bool mu_entry_open(struct mu_reader *r, const void *bytes, size_t size, uint64_t *out_time_ms);
bool mu_entry_next(struct mu_reader *r, struct mu_event *out_ev, struct mu_arena *arena);
/* The table of a kind, NULL if unknown; its name ("placed"). */
const struct mu_pb *mu_event_pb(enum mu_event_kind kind);
const char *mu_event_name(enum mu_event_kind kind);

#endif
