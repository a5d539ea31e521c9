/* wire/proto.h -- what servers and agents say to each other.
 *
 * What       the schema of messages and the frame around them.
 * Ownership  decoded strings point into the frame; arrays live in the arena given.
 * Time       durations only; clocks are never compared between machines (PING carries the sender's own).
 * Threads    none.
 * Failure    mu_frame_take: AGAIN needs more bytes, INVALID breaks the connection.
 * Limits     MU_FRAME_MAX bytes of payload.
 *
 * Frame: 16 bytes little-endian {u32 payload size, u16 type, u16 version 1, u64 epoch}, then the payload in
 * protobuf wire format. Every frame from a server carries its epoch; an agent refuses a lower one than it has seen.
 * The connection starts as HTTP: GET /v1/agent with Upgrade: muster-agent and the token; after 101 come frames.
 */
#ifndef MU_WIRE_PROTO_H
#define MU_WIRE_PROTO_H

#include "base/err.h"
#include "core/event.h"

enum { MU_FRAME_HEAD = 16, MU_FRAME_MAX = 4 * 1024 * 1024, MU_FRAME_VERSION = 1 };
enum { MU_SPECS_MAX = 4096 }; /* an agent keeps the SPECs that came last on its connection, so many */

/* number, NAME, suffix, who sends it: A agent, S server */
#define MU_MSG_MAP(X)                                                                                  \
    X(1, HELLO, hello, 'A') X(2, WELCOME, welcome, 'S') X(3, REFUSE, refuse, 'S')                       \
    X(4, SPEC, spec, 'S') X(5, START, start, 'S') X(6, STOP, stop, 'S')                                 \
    X(7, REPORT, report, 'A') X(8, ACK, ack, 'S') X(9, PING, ping, 'A') X(10, PONG, pong, 'S')          \
    X(11, OUTPUT_GET, output_get, 'S') X(12, OUTPUT_DATA, output_data, 'A') X(13, OUTPUT_STOP, output_stop, 'S') \
    X(14, FORGET, forget, 'S')

#define MU_TASK_REF_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, ordinal) F(T, 3, U32, attempt) F(T, 4, U32, state)
MU_PB_STRUCT(mu_task_ref, MU_TASK_REF_FIELDS)

/* cluster: empty at the first meeting, then what WELCOME said. attempts: every attempt the agent still has, running or
 * ended but not acknowledged. boot: names this life of the spawner: tasks of another boot are gone. */
#define MU_MSG_HELLO_FIELDS(T, F, M)                                                                    \
    F(T, 1, STR, cluster) F(T, 2, STR, name) F(T, 3, STR, boot) F(T, 4, STR, version)                   \
    F(T, 5, U64, epoch) F(T, 6, U64, cpu_milli) F(T, 7, U64, mem_bytes) F(T, 8, U64, gpu_milli)         \
    M(T, 9, mu_amount, resources) F(T, 10, STRS, labels) F(T, 11, BOOL, keep) F(T, 12, STR, limits)     \
    M(T, 13, mu_task_ref, attempts)
#define MU_MSG_WELCOME_FIELDS(T, F, M) F(T, 1, STR, cluster) F(T, 2, U32, node) F(T, 3, U64, lease_ms) F(T, 4, STR, server)
#define MU_MSG_REFUSE_FIELDS(T, F, M) F(T, 1, STR, code) F(T, 2, STR, text) F(T, 3, BOOL, final) /* final: do not try again */
/* Sent before the first START of a group on a connection, and again when MU_SPECS_MAX others came after it. A START
 * without its spec makes the agent connect anew. spec: encoded mu_group_spec without lines. */
#define MU_MSG_SPEC_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, group) F(T, 3, STR, spec) F(T, 4, STR, job_name) F(T, 5, STR, user) F(T, 6, U64, tasks)
#define MU_START_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, ordinal) F(T, 3, U32, attempt) F(T, 4, U32, group) F(T, 5, U64, index) /* in its group's array */ F(T, 6, STR, line)
MU_PB_STRUCT(mu_start, MU_START_FIELDS)
#define MU_MSG_START_FIELDS(T, F, M) M(T, 1, mu_start, tasks)
#define MU_STOP_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, ordinal) F(T, 3, U32, attempt) F(T, 4, U32, how) /* enum mu_end to report */
MU_PB_STRUCT(mu_stop, MU_STOP_FIELDS)
#define MU_MSG_STOP_FIELDS(T, F, M) M(T, 1, mu_stop, tasks)
/* run_us etc. as in mu_ev_ended; ago_us: how long before this report was made it happened. */
#define MU_STARTED_FIELDS(T, F, M) F(T, 1, U64, job) F(T, 2, U32, ordinal) F(T, 3, U32, attempt) F(T, 4, U64, ago_us)
MU_PB_STRUCT(mu_started, MU_STARTED_FIELDS)
#define MU_RESULT_FIELDS(T, F, M)                                                                       \
    F(T, 1, U64, job) F(T, 2, U32, ordinal) F(T, 3, U32, attempt) F(T, 4, U32, how) F(T, 5, U32, code)   \
    F(T, 6, U64, ago_us) F(T, 7, U64, run_us) F(T, 8, U64, user_us) F(T, 9, U64, sys_us)                 \
    F(T, 10, U64, rss_bytes) F(T, 11, U64, out_bytes) F(T, 12, U64, err_bytes)
MU_PB_STRUCT(mu_result, MU_RESULT_FIELDS)
/* seq grows by one a report on a connection; results are repeated after a reconnect until acknowledged. */
#define MU_MSG_REPORT_FIELDS(T, F, M) F(T, 1, U64, seq) M(T, 2, mu_started, started) M(T, 3, mu_result, ended)
#define MU_MSG_ACK_FIELDS(T, F, M) F(T, 1, U64, seq) /* all results up to this report are durable: forget them */
#define MU_MSG_PING_FIELDS(T, F, M) F(T, 1, U64, sent_us) F(T, 2, U64, cpu_milli_used) F(T, 3, U64, mem_used) F(T, 4, U64, disk_free) F(T, 5, U32, running) F(T, 6, BOOL, leaving) /* takes no more work: it is being stopped */
#define MU_MSG_PONG_FIELDS(T, F, M) F(T, 1, U64, sent_us) /* echo: the lease runs from when the ping was sent */
#define MU_MSG_OUTPUT_GET_FIELDS(T, F, M) F(T, 1, U64, req) F(T, 2, U64, job) F(T, 3, U32, ordinal) F(T, 4, U32, attempt) F(T, 5, U32, stream) /* 1 out, 2 err */ F(T, 6, U64, offset) F(T, 7, BOOL, follow) F(T, 8, U64, limit)
/* limit: after that many bytes of data the request is over, without `end`; the server asks again from there when its
 * reader has taken them. 0: no limit, only OUTPUT_STOP ends it.
 * gap: that many bytes before data are gone for good. end: this is all: the attempt is over, or follow was not asked and
 * the rest is not written yet. error: there is nothing to be had ("unknown attempt"); the request is over. */
#define MU_MSG_OUTPUT_DATA_FIELDS(T, F, M) F(T, 1, U64, req) F(T, 2, U64, offset) F(T, 3, STR, data) F(T, 4, BOOL, end) F(T, 5, U64, gap) F(T, 6, STR, error)
#define MU_MSG_OUTPUT_STOP_FIELDS(T, F, M) F(T, 1, U64, req)
#define MU_MSG_FORGET_FIELDS(T, F, M) F(T, 1, U64, job) /* its output may go */

MU_PB_STRUCT(mu_msg_hello, MU_MSG_HELLO_FIELDS)
MU_PB_STRUCT(mu_msg_welcome, MU_MSG_WELCOME_FIELDS)
MU_PB_STRUCT(mu_msg_refuse, MU_MSG_REFUSE_FIELDS)
MU_PB_STRUCT(mu_msg_spec, MU_MSG_SPEC_FIELDS)
MU_PB_STRUCT(mu_msg_start, MU_MSG_START_FIELDS)
MU_PB_STRUCT(mu_msg_stop, MU_MSG_STOP_FIELDS)
MU_PB_STRUCT(mu_msg_report, MU_MSG_REPORT_FIELDS)
MU_PB_STRUCT(mu_msg_ack, MU_MSG_ACK_FIELDS)
MU_PB_STRUCT(mu_msg_ping, MU_MSG_PING_FIELDS)
MU_PB_STRUCT(mu_msg_pong, MU_MSG_PONG_FIELDS)
MU_PB_STRUCT(mu_msg_output_get, MU_MSG_OUTPUT_GET_FIELDS)
MU_PB_STRUCT(mu_msg_output_data, MU_MSG_OUTPUT_DATA_FIELDS)
MU_PB_STRUCT(mu_msg_output_stop, MU_MSG_OUTPUT_STOP_FIELDS)
MU_PB_STRUCT(mu_msg_forget, MU_MSG_FORGET_FIELDS)

#define X(num, NAME, name, from) MU_MSG_##NAME = num,
enum mu_msg_type { MU_MSG_MAP(X) MU_MSG_TYPES };
#undef X

struct mu_msg {
    enum mu_msg_type type;
    uint64_t epoch;
    union {
#define X(num, NAME, name, from) struct mu_msg_##name name;
        MU_MSG_MAP(X)
#undef X
    };
};

/* Append a whole frame; msg is the struct of that type. The payload must fit MU_FRAME_MAX (asserted). */
void mu_frame_put(struct mu_buf *b, enum mu_msg_type type, uint64_t epoch, const void *msg);
/* The same for a payload that is encoded already. */
void mu_frame_put_raw(struct mu_buf *b, enum mu_msg_type type, uint64_t epoch, const void *payload, size_t size);
/* Take one frame off the front of bytes: *used says how many bytes it had. MU_AGAIN: incomplete. */
enum mu_rc mu_frame_take(const void *bytes, size_t size, size_t *used, struct mu_msg *out, struct mu_arena *arena, struct mu_err *err);
const struct mu_pb *mu_msg_pb(enum mu_msg_type type);
const char *mu_msg_name(enum mu_msg_type type);
char mu_msg_sender(enum mu_msg_type type); /* 'A' or 'S': a message from the wrong side breaks the connection */

#endif
