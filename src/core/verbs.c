/* An operator's verbs, and what time and a new leader bring about. */
#include "core/state.h"

/* ---- stopping ---- */

static void stop_run(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count, enum mu_end how)
{
    for (uint32_t i = first; i < first + count; i++) {
        uint32_t ordinal = job->groups[group].first + i;
        struct mu_attempt *a = mu_attempts_find(&core->attempts, job->id, ordinal);
        struct mu_fx fx = { .kind = MU_FX_STOP, .job = job->id, .group = group, .ordinal = ordinal, .count = 1,
                            .attempt = a->attempt, .node = a->node, .shape = a->shape, .state = MU_TASK_STOPPING, .how = how };
        a->state = MU_TASK_STOPPING;
        a->why = how;
        mu_task_move(core, job, group, i, 1, MU_TASK_STOPPING);
        mu_core_emit(core, fx);
        fx.kind = MU_FX_TASK;
        mu_core_emit(core, fx);
    }
}

static void stop_group(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t end, enum mu_end how)
{
    enum mu_task_state state;

    mu_task_drop(core, job, group, first, end, how);
    for (uint32_t i = first, count; i < end; i += count) {
        count = mu_taskset_run(&job->groups[group].set, i, end, &state);
        if (state == MU_TASK_STARTING || state == MU_TASK_RUNNING)
            stop_run(core, job, group, i, count, how);
    }
}

static void stop_range(struct mu_core *core, struct mu_job *job, uint32_t first, uint32_t end, enum mu_end how)
{
    for (uint32_t g = mu_job_group_of(job, first); g < job->groups_count && job->groups[g].first < end; g++) {
        uint32_t base = job->groups[g].first, tasks = job->groups[g].set.tasks;
        stop_group(core, job, g, first > base ? first - base : 0, end - base < tasks ? end - base : tasks, how);
    }
}

/* No more parts, and all that is not over ends. */
static void stop_job(struct mu_core *core, struct mu_job *job, enum mu_end how)
{
    if (mu_job_is_open(job)) {
        core->whole_open -= job->more->open == MU_OPEN_WHOLE;
        job->more->closed = true;
        mu_dep_closed(core, job, job->groups_count - 1);
    }
    stop_range(core, job, 0, job->tasks, how);
}

static void forget(struct mu_core *core, struct mu_job *job)
{
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_FORGET, .job = job->id });
    mu_dep_unlink(core, job);
    mu_job_free(core, job);
}

void mu_job_discard(struct mu_core *core, struct mu_job *job)
{
    job->cancelled = true;
    stop_job(core, job, MU_END_CANCEL);
    mu_dep_run(core);
    MU_ASSERT(job->over);
    forget(core, job);
}

/* ---- cancel ---- */

/* Is a task of the range in one of the states, given as bits? */
static bool has_any(const struct mu_job *job, uint32_t first, uint32_t end, unsigned wanted)
{
    for (uint32_t i = first, g; i < end; i = job->groups[g].first + job->groups[g].set.tasks) {
        const struct mu_taskset *set = &job->groups[g = mu_job_group_of(job, i)].set;
        uint32_t base = job->groups[g].first;
        for (uint32_t s = 0; s < MU_TASK_STATES; s++) {
            if (wanted >> s & 1 && mu_taskset_next(set, (enum mu_task_state)s, i - base) < end - base)
                return true;
        }
    }
    return false;
}

static enum mu_rc cancel_admit(const struct mu_job *job, const struct mu_ev_cancel *ev, uint32_t *out_end, struct mu_err *err)
{
    unsigned unfinal = (1u << MU_TASK_SUCCEEDED) - 1;

    if (job == NULL)
        return mu_fail_at(err, MU_NOTFOUND, "job", "there is no job %llu", (unsigned long long)ev->job);
    if (ev->count && ev->first >= job->tasks)
        return mu_fail_at(err, MU_NOTFOUND, "task", "job %llu has only %u tasks", (unsigned long long)ev->job,
                          (unsigned)job->tasks);
    *out_end = ev->count && ev->count < job->tasks - ev->first ? ev->first + ev->count : job->tasks;
    if (ev->count == 0 && !job->over)
        return MU_OK;
    if (has_any(job, ev->count ? ev->first : 0, *out_end, unfinal | 1u << MU_TASK_CANCELLED))
        return MU_OK; /* cancelled twice is cancelled */
    return mu_fail_at(err, MU_STATE, "job", "job %llu%s ended already", (unsigned long long)ev->job,
                      ev->count ? ": these tasks" : "");
}

void mu_on_cancel(struct mu_core *core, const struct mu_ev_cancel *ev)
{
    struct mu_job *job = mu_job_find(core, ev->job);
    uint32_t end = 0;
    enum mu_rc rc = cancel_admit(job, ev, &end, &core->err);

    mu_core_reply(core, rc, (struct mu_fx){ .job = ev->job });
    if (rc != MU_OK || job->over)
        return;
    if (ev->count) {
        stop_range(core, job, ev->first, end, MU_END_CANCEL);
        return;
    }
    job->cancelled = true;
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_JOB, .job = job->id });
    stop_job(core, job, MU_END_CANCEL);
}

/* ---- hold ---- */

static void say_groups(struct mu_core *core, const struct mu_job *job)
{
    for (uint32_t g = 0; g < job->groups_count; g++) {
        if (mu_group_ready(&job->groups[g]))
            mu_core_emit_group(core, job->id, g);
    }
}

void mu_on_hold(struct mu_core *core, const struct mu_ev_hold *ev)
{
    struct mu_job *job = mu_job_find(core, ev->job);
    enum mu_rc rc = MU_OK;

    if (job == NULL)
        rc = mu_fail_at(&core->err, MU_NOTFOUND, "job", "there is no job %llu", (unsigned long long)ev->job);
    else if (job->over)
        rc = mu_fail_at(&core->err, MU_STATE, "job", "job %llu ended already", (unsigned long long)ev->job);
    mu_core_reply(core, rc, (struct mu_fx){ .job = ev->job });
    if (rc != MU_OK || job->held == ev->hold)
        return;
    job->held = ev->hold;
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_JOB, .job = job->id });
    say_groups(core, job);
}

/* ---- retry ---- */

static const enum mu_task_state unsuccessful[] = { MU_TASK_FAILED, MU_TASK_CANCELLED, MU_TASK_LOST };

static uint32_t unsuccessful_count(const struct mu_job *job)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < MU_COUNT(unsuccessful); i++)
        count += mu_job_count(job, unsuccessful[i]);
    return count;
}

static enum mu_rc retry_admit(const struct mu_core *core, const struct mu_job *job, uint64_t id, struct mu_err *err)
{
    uint64_t missed;

    if (job == NULL)
        return mu_fail_at(err, MU_NOTFOUND, "job", "there is no job %llu", (unsigned long long)id);
    if (job->more && job->more->open == MU_OPEN_WHOLE && !job->more->complete)
        return mu_fail_at(err, MU_STATE, "job", "job %llu was never complete", (unsigned long long)id);
    if (job->more && job->more->deadline_ms && job->more->deadline_ms <= core->now_ms)
        return mu_fail_at(err, MU_STATE, "job", "the deadline of job %llu has passed", (unsigned long long)id);
    if (unsuccessful_count(job) == 0)
        return mu_fail_at(err, MU_STATE, "job", "no task of job %llu failed, was lost or cancelled", (unsigned long long)id);
    missed = mu_dep_missed(core, job);
    if (missed)
        return mu_fail_at(err, MU_STATE, "job", "job %llu, which it comes after, did not succeed: retry that one first",
                          (unsigned long long)missed);
    return mu_room_admit(core, job->user, unsuccessful_count(job), 0, err);
}

/* Attempts go on counting, so that late words of old ones stay stale; failures and losses start at none. */
static void counters_reset(struct mu_group *g)
{
    struct mu_map_slot slot;

    for (uint32_t i = 0; g->more && (i = mu_map_next(&g->more->tries, i, &slot)) != 0;) {
        enum mu_task_state state = mu_taskset_get(&g->set, (uint32_t)slot.key);
        if (state == MU_TASK_FAILED || state == MU_TASK_CANCELLED || state == MU_TASK_LOST)
            *mu_map_find(&g->more->tries, slot.key) =
                mu_tries_pack((struct mu_tries){ .attempts = mu_tries_unpack(slot.value).attempts });
    }
    for (uint32_t i = 0; (i = mu_taskset_next(&g->set, MU_TASK_FAILED, i)) != UINT32_MAX; i++) {
        if (!mu_tries_has(g, i))
            mu_tries_put(g, i, (struct mu_tries){ .attempts = 1 });
    }
}

static void retry_group(struct mu_core *core, struct mu_job *job, uint32_t group)
{
    struct mu_group *g = &job->groups[group];
    enum mu_task_state state, to = g->more && g->more->deps_count ? MU_TASK_BLOCKED : MU_TASK_READY;

    counters_reset(g);
    if (g->more)
        g->more->aborted = false;
    for (uint32_t i = 0, count; i < g->set.tasks; i += count) {
        count = mu_taskset_run(&g->set, i, g->set.tasks, &state);
        if (mu_task_is_final(state) && state != MU_TASK_SUCCEEDED)
            mu_task_move_said(core, job, group, i, count, to);
    }
}

void mu_on_retry(struct mu_core *core, const struct mu_ev_retry *ev)
{
    struct mu_job *job = mu_job_find(core, ev->job);
    enum mu_rc rc = retry_admit(core, job, ev->job, &core->err);

    mu_core_reply(core, rc, (struct mu_fx){ .job = ev->job });
    if (rc != MU_OK)
        return;
    if (job->over) {
        mu_list_remove(&job->ended);
        core->ended_count--;
        job->over = false;
        job->ended_ms = 0;
        if (job->more && job->more->deadline_ms)
            mu_timers_set(&core->timers, MU_TIMER_DEADLINE | job->id, job->more->deadline_ms);
    }
    job->cancelled = false;
    for (uint32_t g = 0; g < job->groups_count; g++)
        retry_group(core, job, g);
    mu_dep_revive(core, job);
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_JOB, .job = job->id });
    for (uint32_t g = 0; g < job->groups_count; g++)
        mu_dep_look(core, job, g, 0, job->groups[g].set.tasks);
    say_groups(core, job);
}

/* ---- time ---- */

static bool forget_is_due(const struct mu_core *core)
{
    const struct mu_job *oldest;

    if (mu_list_is_empty(&core->ended))
        return false;
    oldest = MU_CONTAINER(core->ended.next, struct mu_job, ended);
    return core->ended_count > core->limits.ended_jobs_max || core->now_ms - oldest->ended_ms >= core->limits.ended_ms;
}

uint64_t mu_due_ms(const struct mu_core *core)
{
    uint64_t key, due_ms = UINT64_MAX, timer_ms, kept_ms;

    if (mu_timers_first(&core->timers, &key, &timer_ms))
        due_ms = timer_ms;
    if (forget_is_due(core))
        due_ms = core->now_ms < due_ms ? core->now_ms : due_ms;
    else if (!mu_list_is_empty(&core->ended) &&
             !__builtin_add_overflow(MU_CONTAINER(core->ended.next, struct mu_job, ended)->ended_ms, core->limits.ended_ms,
                                     &kept_ms) && kept_ms < due_ms)
        due_ms = kept_ms;
    return due_ms;
}

static void deadline_passed(struct mu_core *core, struct mu_job *job)
{
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_JOB, .job = job->id });
    stop_job(core, job, MU_END_DEADLINE);
}

static void backoff_over(struct mu_core *core, uint64_t key)
{
    struct mu_job *job = mu_job_find(core, key >> 24);
    uint32_t ordinal = (uint32_t)key & (MU_TASKS_PER_JOB_MAX - 1), group = mu_job_group_of(job, ordinal);

    mu_task_move_said(core, job, group, ordinal - job->groups[group].first, 1, MU_TASK_READY);
    if (mu_job_is_runnable(job))
        mu_core_emit_group(core, job->id, group);
}

/* What is left after a batch is due at once again: mu_core_wake_ms says so. */
void mu_on_due(struct mu_core *core, const struct mu_ev_due *ev)
{
    uint64_t key, due_ms;
    uint32_t done = 0;

    (void)ev;
    for (; done < MU_DUE_BATCH && forget_is_due(core); done++)
        forget(core, MU_CONTAINER(core->ended.next, struct mu_job, ended)); /* before more end: their effects name them */
    for (; done < MU_DUE_BATCH && mu_timers_first(&core->timers, &key, &due_ms) && due_ms <= core->now_ms; done++) {
        mu_timers_clear(&core->timers, key);
        if (key & MU_TIMER_DEADLINE)
            deadline_passed(core, mu_job_find(core, key & ~MU_TIMER_DEADLINE));
        else
            backoff_over(core, key);
    }
}

/* ---- a new leader ---- */

void mu_on_lead(struct mu_core *core, const struct mu_ev_lead *ev)
{
    struct mu_job *job = NULL;

    if (ev->epoch <= core->epoch)
        return;
    core->epoch = ev->epoch;
    free(core->server);
    free(core->url);
    core->server = mu_str_dup(ev->server);
    core->url = mu_str_dup(ev->url);
    for (uint64_t id = 0; core->whole_open && (job = mu_jobs_next(&core->jobs, id)) != NULL;) {
        id = job->id;
        if (mu_job_is_open(job) && job->more->open == MU_OPEN_WHOLE)
            mu_job_discard(core, job);
    }
}
