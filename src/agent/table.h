/* agent/table.h -- the table of attempts a node knows, and of those it has known lately.
 *
 * What       find by handle and by (job, ordinal, attempt); whether a START comes too late.
 * Ownership  the table owns its attempts until drop. An attempt sits in a list of the caller's.
 * Time, Threads  none.
 * Failure    no memory aborts.
 * Limits     the caller counts; MU_AGENT_PAST_MAX acknowledged ones remembered.
 */
#ifndef MU_AGENT_TABLE_H
#define MU_AGENT_TABLE_H

#include "agent/agent.h"
#include "agent/specs.h"
#include "base/heap.h"

enum mu_attempt_phase { MU_ATTEMPT_QUEUED, MU_ATTEMPT_SPAWNING, MU_ATTEMPT_RUNNING, MU_ATTEMPT_ENDED, MU_ATTEMPT_PHASES };

struct mu_agent_attempt {
    uint64_t id, job;
    uint32_t ordinal, attempt;
    enum mu_attempt_phase phase;
    enum mu_end stop;         /* EXIT: not told to stop */
    bool spawned, killed, listed; /* listed: the spawner named it */
    uint64_t timeout_ms, grace_ms, started_ms, ended_ms, report_seq;
    uint64_t index;
    struct mu_agent_need need;
    uint32_t lane;
    struct mu_spec *spec;     /* until ended; NULL when adopted */
    char *line;               /* until spawned */
    struct mu_agent_exit exit;
    struct mu_list link;
    struct mu_heap_link due;  /* time limit, then kill */
    struct mu_agent_attempt *same; /* another attempt of the same task */
};

struct mu_agent_table {
    struct mu_map by_id, by_task;
    struct mu_map past;       /* task key -> highest attempt that was acknowledged */
    uint64_t *past_ring;
    uint32_t past_at;
};

void mu_agent_table_fini(struct mu_agent_table *t);
/* A new one, QUEUED, in no list. */
struct mu_agent_attempt *mu_agent_table_add(struct mu_agent_table *t, uint64_t id, uint64_t job, uint32_t ordinal, uint32_t attempt);
/* Out of the table, out of its list, freed. It has no time limit any more. */
void mu_agent_table_drop(struct mu_agent_table *t, struct mu_agent_attempt *a);
struct mu_agent_attempt *mu_agent_table_by_id(const struct mu_agent_table *t, uint64_t id);
struct mu_agent_attempt *mu_agent_table_find(const struct mu_agent_table *t, uint64_t job, uint32_t ordinal, uint32_t attempt);
uint32_t mu_agent_table_count(const struct mu_agent_table *t);
/* It was acknowledged: remember that. */
void mu_agent_table_past(struct mu_agent_table *t, const struct mu_agent_attempt *a);
/* Was this or a later attempt of the task here before? Then a START for it is a late one. */
bool mu_agent_table_is_past(const struct mu_agent_table *t, uint64_t job, uint32_t ordinal, uint32_t attempt);

#endif
