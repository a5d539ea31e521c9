/* The invariants of a job, its groups and what they wait for. */
#include "core/census.h"

/* ---- dependencies ---- */

static bool has_edge(const struct mu_edges *edges, const struct mu_edge *want)
{
    uint32_t low = 0, high = edges->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct mu_edge *e = &edges->at[mid];
        if (e->job == want->job && e->group == want->group && e->dep == want->dep)
            return true;
        if (e->job < want->job || (e->job == want->job && (e->group < want->group ||
                                                           (e->group == want->group && e->dep < want->dep))))
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static bool is_partial(const struct mu_job *job)
{
    return job->more && job->more->open == MU_OPEN_WHOLE && !job->more->complete;
}

static const char *dep_flaw(struct mu_census *c, const struct mu_job *job, uint32_t group, uint32_t k)
{
    const struct mu_group_dep *dep = &job->groups[group].more->deps[k];
    const struct mu_job *on = dep->job ? mu_job_find(c->core, dep->job) : job;
    const struct mu_edges *out = NULL;

    if (dep->state > MU_DEP_NEVER || dep->kind > MU_DEP_EACH_ANY || (dep->job && dep->job >= job->id))
        return "a dependency is none";
    if (dep->job == 0 && is_partial(job))
        return dep->state == MU_DEP_WAIT ? NULL : "a dependency within a partial job is linked";
    if (dep->job == 0 && dep->group >= job->groups_count)
        return "a dependency is on a group that is not there";
    if (dep->state != MU_DEP_WAIT)
        return NULL;
    if (on == NULL || (dep->job ? on->over : mu_group_is_over(on, dep->group)))
        return "a dependency waits for what is over";
    if (dep->job)
        out = on->more ? &on->more->out : NULL;
    else
        out = on->groups[dep->group].more ? &on->groups[dep->group].more->out : NULL;
    if (out == NULL || !has_edge(out, &(struct mu_edge){ job->id, group, k }))
        return "a dependency waits, and nobody knows";
    c->deps_wait++;
    return NULL;
}

/* Tasks that got beyond waiting did so because everything before them was as asked. */
static const char *task_deps_flaw(const struct mu_core *core, const struct mu_job *job, const struct mu_group_more *more,
                                  enum mu_task_state state, uint32_t i)
{
    enum mu_dep_state worst = MU_DEP_MET;

    for (uint32_t k = 0; k < more->deps_count; k++) {
        const struct mu_group_dep *dep = &more->deps[k];
        bool linked = dep->job || !is_partial(job);
        enum mu_dep_state now = linked ? mu_dep_of_task(core, job, dep, i) : MU_DEP_WAIT;
        bool ok = dep->kind == MU_DEP_OK || dep->kind == MU_DEP_EACH_OK;
        bool known = dep->job == 0 || mu_job_find(core, dep->job);
        if (now == MU_DEP_NEVER || (now == MU_DEP_WAIT && worst == MU_DEP_MET))
            worst = now;
        if (state == MU_TASK_BLOCKED && now == MU_DEP_WAIT && dep->state == MU_DEP_NEVER)
            return "a task waits for what is over";
        if (state != MU_TASK_BLOCKED && state != MU_TASK_CANCELLED && ok && known && now != MU_DEP_MET)
            return "a task went before what it comes after";
    }
    if (state == MU_TASK_BLOCKED && worst == MU_DEP_MET)
        return "a task is blocked by nothing";
    if (state == MU_TASK_BLOCKED && worst == MU_DEP_NEVER)
        return "a task waits for what can never be";
    return NULL;
}

static const char *group_deps_flaw(struct mu_census *c, const struct mu_job *job, uint32_t group)
{
    const struct mu_group *g = &job->groups[group];
    const char *flaw = NULL;
    uint32_t wait = 0;

    if (g->more == NULL || g->more->deps_count == 0)
        return mu_taskset_count(&g->set, MU_TASK_BLOCKED) ? "a task is blocked without a dependency" : NULL;
    for (uint32_t k = 0; k < g->more->deps_count && flaw == NULL; k++) {
        flaw = dep_flaw(c, job, group, k);
        wait += g->more->deps[k].state == MU_DEP_WAIT && g->more->deps[k].kind < MU_DEP_EACH_OK;
    }
    if (flaw == NULL && wait != g->more->deps_wait)
        return "a group does not know how much it waits for";
    for (uint32_t i = 0; i < g->set.tasks && flaw == NULL; i++)
        flaw = task_deps_flaw(c->core, job, g->more, mu_taskset_get(&g->set, i), i);
    return flaw;
}

static const char *edges_flaw(struct mu_census *c, const struct mu_edges *edges)
{
    uint32_t each = 0;

    for (uint32_t i = 0; i < edges->count; i++) {
        const struct mu_edge *e = &edges->at[i];
        const struct mu_job *job = mu_job_find(c->core, e->job);
        if (job == NULL || e->group >= job->groups_count || job->groups[e->group].more == NULL ||
            e->dep >= job->groups[e->group].more->deps_count)
            return "somebody is said to wait who does not";
        if (job->groups[e->group].more->deps[e->dep].state != MU_DEP_WAIT)
            return "somebody is said to wait who need not any more";
        each += job->groups[e->group].more->deps[e->dep].kind >= MU_DEP_EACH_OK;
    }
    c->edges += edges->count;
    return each == edges->each ? NULL : "waits by element are counted wrong";
}

/* ---- tasks ---- */

static const char *live_flaw(struct mu_census *c, const struct mu_job *job, const struct mu_group *g, uint32_t i,
                             enum mu_task_state state)
{
    const struct mu_attempt *a = mu_attempts_find(&c->core->attempts, job->id, g->first + i);

    if (a == NULL || a->state != state || a->shape != g->shape || a->node >= c->core->nodes.count)
        return "a live task has no attempt like it";
    if (a->attempt != mu_tries_get(g, i).attempts + 1)
        return "an attempt has a wrong number";
    if (state == MU_TASK_STOPPING && a->why != MU_END_CANCEL && a->why != MU_END_DEADLINE)
        return "an attempt is stopped for no reason";
    if (g->more && g->more->each && g->more->each[i] != a->node)
        return "an attempt is on another node than its own";
    c->attempts++;
    return NULL;
}

static const char *backoff_flaw(struct mu_census *c, const struct mu_job *job, const struct mu_group *g, uint32_t i)
{
    if (mu_timers_due(&c->core->timers, mu_task_key(job->id, g->first + i)) == 0)
        return "a task backs off for ever";
    c->timers++;
    return NULL;
}

/* Only runs of live, backing-off or lost tasks are walked one by one. */
static const char *tasks_flaw(struct mu_census *c, const struct mu_job *job, const struct mu_group *g)
{
    const char *flaw = mu_taskset_flaw(&g->set);
    enum mu_task_state state;

    for (uint32_t i = 0, count; i < g->set.tasks && flaw == NULL; i += count) {
        count = mu_taskset_run(&g->set, i, g->set.tasks, &state);
        for (uint32_t k = i; k < i + count && flaw == NULL; k++) {
            if (mu_task_is_live(state))
                flaw = live_flaw(c, job, g, k, state);
            else if (state == MU_TASK_BACKOFF)
                flaw = backoff_flaw(c, job, g, k);
            else if (state != MU_TASK_LOST)
                break;
            else if (!mu_tries_has(g, k))
                flaw = "a lost task has no count of its losses";
        }
    }
    return flaw;
}

static const char *tries_flaw(const struct mu_group *g)
{
    struct mu_map_slot slot;

    for (uint32_t i = 0; (i = mu_map_next(&g->more->tries, i, &slot)) != 0;) {
        if (slot.key >= g->set.tasks || mu_tries_unpack(slot.value).attempts == 0)
            return "attempts are counted for no task";
    }
    return NULL;
}

static const char *more_flaw(struct mu_census *c, const struct mu_group *g)
{
    const struct mu_group_more *more = g->more;
    const char *flaw = mu_lines_flaw(&more->lines);

    if (flaw == NULL && more->lines.lines && more->lines.lines != g->set.tasks)
        flaw = "a group has another number of lines than of tasks";
    for (uint32_t i = 0; more->each && i < g->set.tasks && flaw == NULL; i++) {
        if (more->each[i] >= c->core->nodes.count)
            flaw = "a task is for a node that is not there";
    }
    if (flaw == NULL && more->aborted && mu_taskset_count(&g->set, MU_TASK_READY) + mu_taskset_count(&g->set, MU_TASK_BACKOFF))
        flaw = "a group that was given up has tasks that wait";
    if (flaw == NULL && more->max_parallel && mu_group_live(g) > more->max_parallel)
        flaw = "more of a group lives than it allows";
    if (flaw == NULL)
        flaw = tries_flaw(g);
    if (flaw == NULL)
        flaw = edges_flaw(c, &more->out);
    c->bytes += more->lines.bytes;
    return flaw;
}

static const char *group_flaw(struct mu_census *c, const struct mu_job *job, uint32_t group, uint32_t first)
{
    const struct mu_group *g = &job->groups[group];
    const char *flaw;

    if (g->first != first || g->set.tasks == 0 || g->spec_at + g->spec_size > job->bytes_size)
        return "a group is out of place";
    if (g->shape >= c->core->shapes.count)
        return "a group has no shape";
    c->shape_refs[g->shape]++;
    c->bytes += g->spec_size;
    flaw = tasks_flaw(c, job, g);
    if (flaw == NULL && g->more)
        flaw = more_flaw(c, g);
    return flaw ? flaw : group_deps_flaw(c, job, group);
}

/* ---- jobs ---- */

static const char *counts_flaw(struct mu_census *c, const struct mu_job *job)
{
    const uint64_t *at = mu_map_find(&c->user_at, job->user->id);
    uint32_t unfinal = 0;

    for (uint32_t s = 0; s < MU_TASK_STATES; s++) {
        uint32_t count = 0;
        for (uint32_t g = 0; g < job->groups_count; g++)
            count += mu_taskset_count(&job->groups[g].set, (enum mu_task_state)s);
        if (count != mu_job_count(job, (enum mu_task_state)s))
            return "a job's counts are not those of its groups";
        c->count[s] += count;
        if (at && mu_task_is_waiting((enum mu_task_state)s))
            c->waiting[*at] += count;
        if (!mu_task_is_final((enum mu_task_state)s))
            unfinal += count;
    }
    if (at == NULL)
        return "a job's user is not known";
    return unfinal == job->unfinal ? NULL : "a job does not know how many of its tasks are not over";
}

static const char *end_flaw(struct mu_census *c, const struct mu_job *job)
{
    uint64_t deadline_ms = job->more ? job->more->deadline_ms : 0;
    uint64_t due_ms = mu_timers_due(&c->core->timers, MU_TIMER_DEADLINE | job->id);

    if (job->over != (job->unfinal == 0 && !mu_job_is_open(job)))
        return "a job is over with tasks that are not, or the other way";
    if (job->over == mu_list_is_empty(&job->ended))
        return "a job that is over is not listed, or the other way";
    if (job->over && job->ended_ms > c->core->now_ms)
        return "a job ended in the future";
    if (job->cancelled && mu_job_count(job, MU_TASK_READY) + mu_job_count(job, MU_TASK_BACKOFF) +
                              mu_job_count(job, MU_TASK_BLOCKED))
        return "a cancelled job has tasks that wait";
    if (due_ms && (job->over || due_ms != deadline_ms))
        return "a deadline is noted that is none";
    if (due_ms == 0 && deadline_ms && !job->over && deadline_ms > c->core->now_ms)
        return "a deadline is forgotten";
    c->timers += due_ms != 0;
    return NULL;
}

const char *mu_job_flaw(struct mu_census *c, const struct mu_job *job)
{
    const char *flaw = NULL;
    uint32_t tasks = 0;

    if (job->id >= c->core->next_job || job->groups_count == 0 || job->submitted_ms > c->core->now_ms)
        return "a job is out of place";
    for (uint32_t g = 0; g < job->groups_count && flaw == NULL; g++) {
        flaw = group_flaw(c, job, g, tasks);
        tasks += job->groups[g].set.tasks;
    }
    if (flaw == NULL && tasks != job->tasks)
        flaw = "a job has another number of tasks than its groups";
    if (flaw == NULL)
        flaw = counts_flaw(c, job);
    if (flaw == NULL)
        flaw = end_flaw(c, job);
    if (flaw == NULL && job->more && job->more->key && !mu_job_is_half(job) &&
        mu_job_by_key(c->core, job->user->id, mu_job_key(job)) != job->id)
        flaw = "a key does not lead to its job";
    if (flaw == NULL && job->more)
        flaw = edges_flaw(c, &job->more->out);
    c->jobs++;
    c->over += job->over;
    c->bytes += job->name_size;
    c->whole_open += mu_job_is_open(job) && job->more->open == MU_OPEN_WHOLE;
    return flaw;
}
