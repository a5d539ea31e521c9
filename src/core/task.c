/* The life of tasks and their attempts: placed, started, ended, tried again. */
#include "core/state.h"

#define TO(s) (1u << MU_TASK_##s)
#define OVER (TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLED) | TO(LOST))
#define AGAIN (TO(READY) | TO(BACKOFF))
static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [MU_TASK_BLOCKED]   = { "blocked",   TO(READY) | TO(CANCELLED) },
    [MU_TASK_READY]     = { "ready",     TO(STARTING) | TO(CANCELLED) },
    [MU_TASK_BACKOFF]   = { "backoff",   TO(READY) | TO(CANCELLED) },
    [MU_TASK_STARTING]  = { "starting",  TO(RUNNING) | TO(STOPPING) | AGAIN | OVER },
    [MU_TASK_RUNNING]   = { "running",   TO(STOPPING) | AGAIN | OVER },
    [MU_TASK_STOPPING]  = { "stopping",  TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLED) },
    [MU_TASK_SUCCEEDED] = { "succeeded", 0 },
    [MU_TASK_FAILED]    = { "failed",    TO(BLOCKED) | TO(READY) }, /* by RETRY, like the next two */
    [MU_TASK_CANCELLED] = { "cancelled", TO(BLOCKED) | TO(READY) },
    [MU_TASK_LOST]      = { "lost",      TO(BLOCKED) | TO(READY) },
};
_Static_assert(MU_COUNT(states) == MU_TASK_STATES, "one row a state");

bool mu_task_may(enum mu_task_state from, enum mu_task_state to)
{
    return states[from].next >> to & 1;
}

const char *mu_task_state_name(enum mu_task_state state)
{
    return states[state].name;
}

/* ---- moves ---- */

void mu_task_recount(struct mu_core *core, struct mu_job *job, enum mu_task_state from, enum mu_task_state to, uint32_t count)
{
    core->count[from] -= count;
    core->count[to] += count;
    if (job->count) {
        job->count[from] -= count;
        job->count[to] += count;
    }
    if (mu_task_is_waiting(from))
        job->user->waiting -= count;
    if (mu_task_is_waiting(to))
        job->user->waiting += count;
    if (mu_task_is_final(from))
        job->unfinal += count;
    if (mu_task_is_final(to))
        job->unfinal -= count;
}

void mu_task_move(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count,
                  enum mu_task_state to)
{
    struct mu_group *g = &job->groups[group];
    enum mu_task_state from = mu_taskset_get(&g->set, first);

    MU_ASSERT(mu_task_may(from, to));
    if (count == 1)
        mu_taskset_set(&g->set, first, to);
    else
        mu_taskset_set_run(&g->set, first, count, to);
    mu_task_recount(core, job, from, to, count);
}

void mu_task_move_said(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count,
                       enum mu_task_state to)
{
    mu_task_move(core, job, group, first, count, to);
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_TASK, .job = job->id, .group = group, .count = count,
                                       .ordinal = job->groups[group].first + first, .node = MU_NODE_NONE, .state = to });
}

/* A run of waiting tasks that share one state ends without having run. */
static void drop_run(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count,
                     enum mu_task_state from, enum mu_end how)
{
    struct mu_ev_ended *ended = mu_arena_alloc(&core->arena, sizeof *ended);
    uint32_t ordinal = job->groups[group].first + first;

    for (uint32_t i = 0; from == MU_TASK_BACKOFF && i < count; i++)
        mu_timers_clear(&core->timers, mu_task_key(job->id, ordinal + i));
    *ended = (struct mu_ev_ended){ .job = job->id, .ordinal = ordinal, .how = how };
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_ENDED, .job = job->id, .group = group, .ordinal = ordinal,
                                       .count = count, .node = MU_NODE_NONE, .shape = job->groups[group].shape,
                                       .state = MU_TASK_CANCELLED, .how = how, .submitted_ms = job->submitted_ms,
                                       .ended = ended });
    mu_task_move_said(core, job, group, first, count, MU_TASK_CANCELLED);
    mu_dep_settled(core, job, group, first, count);
}

void mu_task_drop(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t end, enum mu_end how)
{
    uint32_t ready = mu_group_ready(&job->groups[group]);
    enum mu_task_state state;

    for (uint32_t i = first, count; i < end; i += count) {
        count = mu_taskset_run(&job->groups[group].set, i, end, &state);
        if (mu_task_is_waiting(state))
            drop_run(core, job, group, i, count, state, how);
    }
    if (mu_group_ready(&job->groups[group]) < ready)
        mu_core_emit_group(core, job->id, group);
}

/* ---- placed ---- */

/* The task that an event names, if it is there; group and place in it. */
static struct mu_job *task_find(const struct mu_core *core, uint64_t id, uint32_t ordinal, uint32_t *out_group, uint32_t *out_i)
{
    struct mu_job *job = mu_job_find(core, id);

    if (job == NULL || ordinal >= job->tasks)
        return NULL;
    *out_group = mu_job_group_of(job, ordinal);
    *out_i = ordinal - job->groups[*out_group].first;
    return job;
}

/* Does what was decided still hold? */
static bool placement_holds(const struct mu_core *core, const struct mu_job *job, const struct mu_group *g, uint32_t i,
                            const struct mu_ev_placed *ev)
{
    const struct mu_node *node = ev->node < core->nodes.count ? &core->nodes.at[ev->node]->at : NULL;
    const struct mu_shape *shape = &core->shapes.at[g->shape]->at;

    if (node == NULL || node->state != MU_NODE_UP || mu_taskset_get(&g->set, i) != MU_TASK_READY)
        return false;
    if (!mu_job_is_runnable(job) || ev->attempt != mu_tries_get(g, i).attempts + 1)
        return false;
    if (g->more && g->more->max_parallel && mu_group_live(g) >= g->more->max_parallel)
        return false;
    if (g->more && g->more->each && g->more->each[i] != node->id)
        return false;
    return mu_view_shape_allows(core, shape, node) && mu_ledger_fits(core, node, &shape->need);
}

void mu_on_placed(struct mu_core *core, const struct mu_ev_placed *ev)
{
    uint32_t group = 0, i = 0;
    struct mu_job *job = task_find(core, ev->job, ev->ordinal, &group, &i);
    uint32_t shape = job ? job->groups[group].shape : MU_SHAPE_NONE;
    struct mu_node_slot *node;
    struct mu_fx fx = { .job = ev->job, .group = group, .ordinal = ev->ordinal, .count = 1, .attempt = ev->attempt,
                        .node = ev->node, .shape = shape };

    if (job == NULL || !placement_holds(core, job, &job->groups[group], i, ev)) {
        fx.kind = MU_FX_UNPLACED;
        mu_core_emit(core, fx);
        return;
    }
    node = core->nodes.at[ev->node];
    mu_ledger_take(core, node, job->user, &core->shapes.at[shape]->at.need);
    mu_attempts_add(&core->attempts, &(struct mu_attempt){ .job = ev->job, .ordinal = ev->ordinal, .attempt = ev->attempt,
                                                           .node = ev->node, .shape = shape, .state = MU_TASK_STARTING,
                                                           .placed_ms = core->now_ms }, &node->attempts);
    mu_task_move(core, job, group, i, 1, MU_TASK_STARTING);
    fx.kind = MU_FX_START;
    mu_core_emit(core, fx);
    fx.kind = MU_FX_TASK;
    fx.state = MU_TASK_STARTING;
    mu_core_emit(core, fx);
}

/* ---- started ---- */

static void job_started(struct mu_core *core, struct mu_job *job, uint64_t started_ms)
{
    if (job->started_ms)
        return;
    job->started_ms = started_ms && started_ms <= MU_TIME_MAX ? started_ms : core->now_ms;
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_JOB, .job = job->id });
}

void mu_on_started(struct mu_core *core, const struct mu_ev_started *ev)
{
    struct mu_attempt *a = mu_attempts_find(&core->attempts, ev->job, ev->ordinal);
    struct mu_job *job = mu_job_find(core, ev->job);
    uint32_t group;

    if (a == NULL || a->attempt != ev->attempt || a->started_ms || ev->started_ms > MU_TIME_MAX)
        return; /* stale, or said twice */
    a->started_ms = ev->started_ms ? ev->started_ms : core->now_ms;
    if (a->state == MU_TASK_STARTING) {
        group = mu_job_group_of(job, ev->ordinal);
        a->state = MU_TASK_RUNNING;
        mu_task_move(core, job, group, ev->ordinal - job->groups[group].first, 1, MU_TASK_RUNNING);
        mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_TASK, .job = ev->job, .group = group, .ordinal = ev->ordinal,
                                           .count = 1, .attempt = a->attempt, .node = a->node, .shape = a->shape,
                                           .state = MU_TASK_RUNNING });
    }
    job_started(core, job, a->started_ms);
}

/* ---- ended ---- */

/* One more failure: again after a pause while there are retries, else over. */
static enum mu_task_state failed(const struct mu_group *g, struct mu_tries *tries, uint64_t *out_pause_ms)
{
    uint32_t doublings = tries->failures < MU_BACKOFF_DOUBLINGS ? tries->failures : MU_BACKOFF_DOUBLINGS;

    tries->failures++;
    if (g->more == NULL || tries->failures > g->more->retries || g->more->aborted)
        return MU_TASK_FAILED;
    *out_pause_ms = g->more->backoff_ms << doublings;
    return *out_pause_ms ? MU_TASK_BACKOFF : MU_TASK_READY;
}

/* What becomes of the task. A node's loss costs no retry, but has a count of its own. */
static enum mu_task_state verdict(const struct mu_group *g, const struct mu_attempt *a, const struct mu_ev_ended *ended,
                                  struct mu_tries *tries, uint64_t *out_pause_ms)
{
    bool aborted = g->more && g->more->aborted;

    if (ended->how == MU_END_EXIT && ended->code == 0)
        return MU_TASK_SUCCEEDED;
    if (a->state == MU_TASK_STOPPING)
        return a->why == MU_END_DEADLINE ? MU_TASK_FAILED : MU_TASK_CANCELLED;
    switch (ended->how) {
    case MU_END_CANCEL:
        return MU_TASK_CANCELLED;
    case MU_END_DEADLINE:
        return MU_TASK_FAILED;
    case MU_END_PREEMPT:
        return aborted ? MU_TASK_CANCELLED : MU_TASK_READY;
    case MU_END_NODE_LOST:
        if (++tries->losses > MU_INFRA_LOSSES_MAX)
            return MU_TASK_LOST;
        return aborted ? MU_TASK_CANCELLED : MU_TASK_READY;
    default:
        return failed(g, tries, out_pause_ms);
    }
}

/* Give back what it held, and charge its user for the time. */
static void release(struct mu_core *core, struct mu_job *job, const struct mu_attempt *a, enum mu_task_state to, uint32_t how)
{
    struct mu_node_slot *node = core->nodes.at[a->node];

    mu_user_charge(core, job->user, mu_shape_share_ppm(core, a->shape), core->now_ms - a->placed_ms);
    mu_ledger_give(core, node, job->user, &core->shapes.at[a->shape]->at.need);
    if (to == MU_TASK_SUCCEEDED)
        node->at.ended_ok++;
    else if (how != MU_END_CANCEL)
        node->at.ended_bad++;
}

static bool reached_abort(const struct mu_group *g)
{
    uint64_t bad = (uint64_t)mu_taskset_count(&g->set, MU_TASK_FAILED) + mu_taskset_count(&g->set, MU_TASK_LOST);

    if (g->more == NULL || bad == 0)
        return false;
    return (g->more->abort_after && bad >= g->more->abort_after) ||
           (g->more->abort_milli && bad * 1000 >= (uint64_t)g->more->abort_milli * g->set.tasks);
}

static void follow(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t i, enum mu_task_state to)
{
    struct mu_group *g = &job->groups[group];

    if (mu_task_is_final(to))
        mu_dep_settled(core, job, group, i, 1);
    if ((to == MU_TASK_FAILED || to == MU_TASK_LOST) && reached_abort(g) && !g->more->aborted) {
        g->more->aborted = true;
        mu_task_drop(core, job, group, 0, g->set.tasks, MU_END_ABORT);
    }
    if (to == MU_TASK_READY || (g->more && g->more->max_parallel && mu_group_ready(g)))
        mu_core_emit_group(core, job->id, group);
}

void mu_attempt_end(struct mu_core *core, struct mu_attempt *attempt, const struct mu_ev_ended *ended)
{
    struct mu_attempt a = *attempt;
    struct mu_job *job = mu_job_find(core, a.job);
    uint32_t group = mu_job_group_of(job, a.ordinal), i = a.ordinal - job->groups[group].first;
    struct mu_group *g = &job->groups[group];
    struct mu_tries tries = mu_tries_get(g, i);
    uint64_t pause_ms = 0;
    enum mu_task_state to = verdict(g, &a, ended, &tries, &pause_ms);
    struct mu_fx fx = { .job = a.job, .group = group, .ordinal = a.ordinal, .count = 1, .attempt = a.attempt, .node = a.node,
                        .shape = a.shape, .state = to, .how = (enum mu_end)ended->how, .submitted_ms = job->submitted_ms,
                        .placed_ms = a.placed_ms, .ended = ended };

    release(core, job, &a, to, ended->how);
    mu_attempts_remove(&core->attempts, attempt);
    tries.attempts = a.attempt;
    if (a.attempt > 1 || (to != MU_TASK_SUCCEEDED && to != MU_TASK_FAILED))
        mu_tries_put(g, i, tries);
    mu_task_move(core, job, group, i, 1, to);
    if (to == MU_TASK_BACKOFF)
        mu_timers_set(&core->timers, mu_task_key(a.job, a.ordinal), core->now_ms + pause_ms);
    fx.kind = MU_FX_ENDED;
    mu_core_emit(core, fx);
    fx.kind = MU_FX_FREED;
    mu_core_emit(core, fx);
    fx.kind = MU_FX_TASK;
    mu_core_emit(core, fx);
    if (ended->how != MU_END_NODE_LOST && ended->how != MU_END_NOSTART)
        job_started(core, job, a.started_ms ? a.started_ms : ended->started_ms);
    follow(core, job, group, i, to);
}

void mu_on_ended(struct mu_core *core, const struct mu_ev_ended *ev)
{
    struct mu_attempt *a = mu_attempts_find(&core->attempts, ev->job, ev->ordinal);

    if (a == NULL || a->attempt != ev->attempt || ev->how >= MU_ENDS)
        return; /* stale: another attempt has this task now, or it is over */
    mu_attempt_end(core, a, ev);
}
