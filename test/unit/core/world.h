/* test/unit/core/world.h -- a core with short ways to say what happens to it.
 *
 * Every step applies one event and, unless quiet, checks all invariants. A round trip through the codec is part of each:
 * what core sees is what a journal would give it.
 */
#ifndef MU_TEST_CORE_WORLD_H
#define MU_TEST_CORE_WORLD_H

#include "core/core.h"

struct world {
    struct mu_core *core;
    struct mu_fx_list fx;    /* of the last step */
    struct mu_event ev;      /* of the last step: effects point into it */
    struct mu_buf entry, spec;
    struct mu_arena arena;
    uint64_t now_ms;
    bool quiet;              /* no check after each step */
    struct mu_core_limits limits;
};

void world_init(struct world *w);
void world_fini(struct world *w);
/* Apply an event; msg is the struct of that kind. */
void world_apply(struct world *w, enum mu_event_kind kind, const void *msg);

/* The reply of the last step; rc MU_OK and 0 where there was none. */
enum mu_rc world_rc(const struct world *w);
const char *world_text(const struct world *w);
const char *world_field(const struct world *w);
uint32_t world_count(const struct world *w, enum mu_fx_kind kind);
const struct mu_fx *world_find(const struct world *w, enum mu_fx_kind kind);

uint32_t world_join(struct world *w, const char *name, const char *boot, uint64_t cpu_milli, uint64_t mem_bytes);
uint64_t world_submit(struct world *w, const struct mu_job_spec *spec);
/* One group of plain tasks with a command; more is said by changing what comes back before world_submit. */
struct mu_group_spec world_group(uint32_t tasks);
struct mu_job_spec world_spec(struct mu_group_spec *groups, uint32_t count);
uint64_t world_array(struct world *w, uint32_t tasks);
/* true: it holds, the task starts. The attempt is the next one. */
bool world_place(struct world *w, uint64_t job, uint32_t ordinal, uint32_t node);
void world_start(struct world *w, uint64_t job, uint32_t ordinal);
/* The live attempt ends. */
void world_end(struct world *w, uint64_t job, uint32_t ordinal, enum mu_end how, uint32_t code);
/* Placed on node, started, ended. */
void world_run(struct world *w, uint64_t job, uint32_t ordinal, uint32_t node, enum mu_end how, uint32_t code);
void world_cancel(struct world *w, uint64_t job);
void world_due(struct world *w, uint64_t now_ms);
const char *world_job_state(struct world *w, uint64_t job);
enum mu_task_state world_task(struct world *w, uint64_t job, uint32_t ordinal);

/* The effects of the last step as text, one a line: "start 1.0 #1 on 0". */
void world_trace(const struct world *w, struct mu_buf *out);

#endif
