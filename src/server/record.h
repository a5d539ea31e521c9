/* server/record.h -- jobs, tasks and nodes as JSON, the same whether core or the history knows them.
 *
 * What       mu_record_of gathers a job from core into the record the history keeps; the show functions write JSON.
 * Ownership  strings of a record point into core, arrays into the arena; use it before the next apply.
 * Time       now_ms is an argument, for the times of what has not ended.
 * Threads    none.   Failure  false: no such job.   Limits  none.
 */
#ifndef MU_SERVER_RECORD_H
#define MU_SERVER_RECORD_H

#include "core/core.h"
#include "server/history.h"
#include "wire/proto.h"

bool mu_record_of(const struct mu_core *core, uint64_t job, struct mu_job_record *out, struct mu_arena *arena);
/* Index people see <-> ordinal, for a job that core has forgotten. */
uint64_t mu_record_index(const struct mu_job_record *job, uint32_t ordinal);
bool mu_record_ordinal(const struct mu_job_record *job, uint64_t index, uint32_t *out_ordinal);
/* Name of the group of a task; empty if none. */
struct mu_str mu_record_group(const struct mu_job_record *job, uint32_t ordinal);

/* A job of more than groups_max groups shows "groups": null. */
void mu_show_job(struct mu_buf *b, const struct mu_job_record *job, uint32_t groups_max);
/* Only "waiting":n,... by the states people see. */
void mu_show_counts(struct mu_buf *b, const uint64_t by_state[MU_TASK_STATES]);

struct mu_task_show {
    uint64_t job, index;
    struct mu_str group;
    enum mu_task_state state;
    bool held;
    uint32_t attempt;          /* 0: none yet */
    const char *node;          /* NULL: none */
    uint64_t submitted_ms, placed_ms, started_ms; /* 0: not yet */
    const struct mu_result_row *end; /* of that attempt, NULL: it has not ended, or was never run */
};
void mu_show_task(struct mu_buf *b, const struct mu_task_show *task, uint64_t now_ms);
/* exit_code, signal, reason of an end, as in a task; only those that say something when brief. */
void mu_show_end(struct mu_buf *b, enum mu_end how, uint32_t code, bool brief);

/* ping: NULL while the node has not said how it is. */
void mu_show_node(struct mu_buf *b, const struct mu_core *core, const struct mu_node *node, const struct mu_msg_ping *ping);

#endif
