/* What waits for what. Moves note what they may have settled; mu_dep_run works that off, first in first out, so a long
 * chain costs no stack and every replica goes the same way.
 *
 * A dependency on a whole job or group is met or missed when that is over. Missed ones cancel their dependents at once
 * (end DEPENDENCY); a RETRY of the dependents' own job lets them wait again. What was met stays met. */
#include "core/state.h"

/* ---- edges ---- */

static bool edge_before(const struct mu_edge *a, const struct mu_edge *b)
{
    if (a->job != b->job)
        return a->job < b->job;
    return a->group != b->group ? a->group < b->group : a->dep < b->dep;
}

/* Where e is, or would go: mostly at the end. */
static uint32_t edge_place(const struct mu_edges *edges, const struct mu_edge *e)
{
    uint32_t low = 0, high = edges->count;

    if (high && edge_before(&edges->at[high - 1], e))
        return high;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (edge_before(&edges->at[mid], e))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void edge_add(struct mu_edges *edges, struct mu_edge e, bool each)
{
    uint32_t at = edge_place(edges, &e);

    if (edges->count == edges->cap) {
        edges->cap = edges->cap ? edges->cap * 2 : 2;
        edges->at = mu_core_resize(edges->at, edges->cap * sizeof edges->at[0]);
    }
    memmove(edges->at + at + 1, edges->at + at, (edges->count - at) * sizeof edges->at[0]);
    edges->at[at] = e;
    edges->count++;
    edges->each += each;
}

static void edge_remove(struct mu_edges *edges, struct mu_edge e, bool each)
{
    uint32_t at = edge_place(edges, &e);

    if (at == edges->count || edge_before(&e, &edges->at[at]))
        return;
    edges->count--;
    memmove(edges->at + at, edges->at + at + 1, (edges->count - at) * sizeof edges->at[0]);
    edges->each -= each;
}

static void edges_clear(struct mu_edges *edges)
{
    free(edges->at);
    *edges = (struct mu_edges){ 0 };
}

/* ---- one dependency ---- */

static bool is_each(const struct mu_group_dep *dep) { return dep->kind >= MU_DEP_EACH_OK; }
static bool wants_ok(const struct mu_group_dep *dep) { return dep->kind == MU_DEP_OK || dep->kind == MU_DEP_EACH_OK; }

/* A job that must come whole and has not: what it names of its own may not be there yet. */
static bool is_partial(const struct mu_job *job)
{
    return job->more && job->more->open == MU_OPEN_WHOLE && !job->more->complete;
}

static bool group_all_ok(const struct mu_group *g)
{
    return mu_taskset_count(&g->set, MU_TASK_SUCCEEDED) == g->set.tasks;
}

/* What it comes to when the predecessor is over, all well or not. */
static enum mu_dep_state outcome(const struct mu_group_dep *dep, bool all_ok)
{
    return all_ok || !wants_ok(dep) ? MU_DEP_MET : MU_DEP_NEVER;
}

/* How a dependency stands by the predecessor as it is now. */
static enum mu_dep_state dep_now(const struct mu_core *core, const struct mu_job *job, const struct mu_group_dep *dep)
{
    if (dep->job) {
        const struct mu_job *on = mu_job_find(core, dep->job);
        if (on == NULL)
            return outcome(dep, false); /* over and forgotten */
        return on->over ? outcome(dep, mu_job_count(on, MU_TASK_SUCCEEDED) == on->tasks) : MU_DEP_WAIT;
    }
    if (!mu_group_is_over(job, dep->group))
        return MU_DEP_WAIT;
    return outcome(dep, group_all_ok(&job->groups[dep->group]));
}

enum mu_dep_state mu_dep_of_task(const struct mu_core *core, const struct mu_job *job, const struct mu_group_dep *dep,
                                 uint32_t i)
{
    const struct mu_job *on = dep->job ? mu_job_find(core, dep->job) : job;
    enum mu_task_state state;
    uint32_t group;

    if (dep->state == MU_DEP_MET || !is_each(dep))
        return (enum mu_dep_state)dep->state;
    if (on == NULL)
        return MU_DEP_MET; /* forgotten: it was over, and what came after a failed element was cancelled then */
    group = dep->job ? mu_job_group_of(on, i) : dep->group;
    state = mu_taskset_get(&on->groups[group].set, dep->job ? i - on->groups[group].first : i);
    if (!mu_task_is_final(state))
        return MU_DEP_WAIT;
    return outcome(dep, state == MU_TASK_SUCCEEDED);
}

static struct mu_edges *edges_of(struct mu_core *core, struct mu_job *job, const struct mu_group_dep *dep)
{
    struct mu_job *on = dep->job ? mu_job_find(core, dep->job) : job;

    return dep->job ? &mu_job_more(on)->out : &mu_group_more(&on->groups[dep->group])->out;
}

/* Bring it up to date: wait for what is to come, or note how it came out. */
static void dep_link(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t k)
{
    struct mu_group_dep *dep = &job->groups[group].more->deps[k];

    dep->state = (uint8_t)dep_now(core, job, dep);
    if (dep->state == MU_DEP_WAIT)
        edge_add(edges_of(core, job, dep), (struct mu_edge){ job->id, group, k }, is_each(dep));
    else if (!is_each(dep))
        job->groups[group].more->deps_wait--;
}

static void link(struct mu_core *core, struct mu_job *job, uint32_t first, uint32_t end, bool jobs)
{
    for (uint32_t g = first; g < end; g++) {
        const struct mu_group_more *more = job->groups[g].more;
        for (uint32_t k = 0; more && k < more->deps_count; k++) {
            if ((more->deps[k].job != 0) == jobs)
                dep_link(core, job, g, k);
        }
    }
}

void mu_dep_link_jobs(struct mu_core *core, struct mu_job *job, uint32_t first, uint32_t end)
{
    link(core, job, first, end, true);
}

void mu_dep_link_groups(struct mu_core *core, struct mu_job *job, uint32_t first, uint32_t end)
{
    link(core, job, first, end, false);
}

bool mu_dep_relink(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t k)
{
    struct mu_group_dep *dep = &job->groups[group].more->deps[k];

    if (dep->job == 0 && is_partial(job))
        return true;
    if (dep_now(core, job, dep) != MU_DEP_WAIT)
        return false;
    edge_add(edges_of(core, job, dep), (struct mu_edge){ job->id, group, k }, is_each(dep));
    return true;
}

void mu_dep_unlink(struct mu_core *core, struct mu_job *job)
{
    for (uint32_t g = 0; g < job->groups_count; g++) {
        const struct mu_group_more *more = job->groups[g].more;
        for (uint32_t k = 0; more && k < more->deps_count; k++) {
            struct mu_group_dep *dep = &more->deps[k];
            struct mu_job *on = dep->job && dep->state == MU_DEP_WAIT ? mu_job_find(core, dep->job) : NULL;
            if (on && on->more)
                edge_remove(&on->more->out, (struct mu_edge){ job->id, g, k }, is_each(dep));
        }
    }
}

void mu_dep_revive(struct mu_core *core, struct mu_job *job)
{
    for (uint32_t g = 0; g < job->groups_count; g++) {
        struct mu_group_more *more = job->groups[g].more;
        for (uint32_t k = 0; more && k < more->deps_count; k++) {
            if (more->deps[k].state != MU_DEP_NEVER)
                continue;
            more->deps_wait += !is_each(&more->deps[k]);
            dep_link(core, job, g, k);
        }
    }
}

uint64_t mu_dep_missed(const struct mu_core *core, const struct mu_job *job)
{
    for (uint32_t g = 0; g < job->groups_count; g++) {
        const struct mu_group_more *more = job->groups[g].more;
        for (uint32_t k = 0; more && k < more->deps_count; k++) {
            const struct mu_group_dep *dep = &more->deps[k];
            if (dep->job == 0 || dep->state != MU_DEP_NEVER || dep_now(core, job, dep) != MU_DEP_NEVER)
                continue;
            if (!is_each(dep) || mu_job_find(core, dep->job) == NULL)
                return dep->job;
        }
    }
    return 0;
}

/* ---- looking at blocked tasks ---- */

/* Of the dependencies on whole jobs and groups: can one never be met? */
static bool has_never(const struct mu_group_more *more)
{
    for (uint32_t k = 0; k < more->deps_count; k++) {
        if (!is_each(&more->deps[k]) && more->deps[k].state == MU_DEP_NEVER)
            return true;
    }
    return false;
}

/* Is there one element by element that is not met for all? */
static bool has_each(const struct mu_group_more *more)
{
    for (uint32_t k = 0; k < more->deps_count; k++) {
        if (is_each(&more->deps[k]) && more->deps[k].state != MU_DEP_MET)
            return true;
    }
    return false;
}

static enum mu_dep_state look_at(const struct mu_core *core, const struct mu_job *job, const struct mu_group_more *more,
                                 uint32_t i)
{
    enum mu_dep_state worst = MU_DEP_MET;

    for (uint32_t k = 0; k < more->deps_count; k++) {
        const struct mu_group_dep *dep = &more->deps[k];
        enum mu_dep_state state = dep->job || !is_partial(job) ? mu_dep_of_task(core, job, dep, i) : MU_DEP_WAIT;
        if (state == MU_DEP_NEVER)
            return state;
        if (state == MU_DEP_WAIT)
            worst = state;
    }
    return worst;
}

static void settle_run(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count,
                       enum mu_dep_state state)
{
    if (state == MU_DEP_NEVER)
        mu_task_drop(core, job, group, first, first + count, MU_END_DEPENDENCY);
    else if (state == MU_DEP_MET)
        mu_task_move_said(core, job, group, first, count, MU_TASK_READY);
}

/* A run of BLOCKED tasks, cut where they fare differently. */
static void look_run(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t end)
{
    const struct mu_group_more *more = job->groups[group].more;
    bool each = has_each(more);

    for (uint32_t i = first, next; i < end; i = next) {
        enum mu_dep_state state = look_at(core, job, more, i);
        next = each ? i + 1 : end; /* without dependencies by element all fare alike */
        while (next < end && look_at(core, job, more, next) == state)
            next++;
        settle_run(core, job, group, i, next - i, state);
    }
}

bool mu_dep_look(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t end)
{
    const struct mu_group *g = &job->groups[group];
    uint32_t ready = mu_group_ready(g);

    if (g->more == NULL || (g->more->deps_wait && !has_never(g->more) && !has_each(g->more)))
        return false;
    for (uint32_t i = first, count; (i = mu_taskset_next(&g->set, MU_TASK_BLOCKED, i)) < end; i += count) {
        enum mu_task_state state;
        count = mu_taskset_run(&g->set, i, end, &state);
        look_run(core, job, group, i, i + count);
    }
    return mu_group_ready(g) > ready;
}

/* ---- the list of what is to be settled ---- */

static void note(struct mu_core *core, struct mu_work work)
{
    if (core->work_count == core->work_cap) {
        core->work_cap = core->work_cap ? core->work_cap * 2 : 16;
        core->work = mu_core_resize(core->work, core->work_cap * sizeof core->work[0]);
    }
    core->work[core->work_count++] = work;
}

void mu_dep_closed(struct mu_core *core, struct mu_job *job, uint32_t group)
{
    const struct mu_group *g = &job->groups[group];

    if (g->more && g->more->out.count && mu_group_is_over(job, group))
        note(core, (struct mu_work){ MU_WORK_GROUP, job->id, group, 0, 0 });
    if (job->unfinal == 0 && !mu_job_is_open(job))
        note(core, (struct mu_work){ MU_WORK_JOB, job->id, 0, 0, 0 });
}

void mu_dep_settled(struct mu_core *core, struct mu_job *job, uint32_t group, uint32_t first, uint32_t count)
{
    const struct mu_group *g = &job->groups[group];

    if ((g->more && g->more->out.each) || (job->more && job->more->out.each))
        note(core, (struct mu_work){ MU_WORK_TASKS, job->id, group, first, count });
    mu_dep_closed(core, job, group);
}

/* ---- working it off ---- */

static void say_ready(struct mu_core *core, const struct mu_job *job, uint32_t group)
{
    if (mu_job_is_runnable(job))
        mu_core_emit_group(core, job->id, group);
}

/* Element by element: the same places of the groups that wait. */
static void settle_elements(struct mu_core *core, const struct mu_edges *out, uint32_t first, uint32_t end)
{
    for (uint32_t e = 0; e < out->count; e++) {
        struct mu_job *job = mu_job_find(core, out->at[e].job);
        uint32_t group = out->at[e].group;
        if (job && is_each(&job->groups[group].more->deps[out->at[e].dep]) && mu_dep_look(core, job, group, first, end))
            say_ready(core, job, group);
    }
}

static void settle_tasks(struct mu_core *core, struct mu_job *job, const struct mu_work *w)
{
    const struct mu_group *g = &job->groups[w->group];

    if (g->more && g->more->out.each)
        settle_elements(core, &g->more->out, w->first, w->first + w->count);
    if (job->more && job->more->out.each)
        settle_elements(core, &job->more->out, g->first + w->first, g->first + w->first + w->count);
}

/* The predecessor of these is over. */
static void settle_edges(struct mu_core *core, struct mu_edges *out, bool all_ok)
{
    struct mu_edges edges = *out;

    *out = (struct mu_edges){ 0 };
    for (uint32_t e = 0; e < edges.count; e++) {
        struct mu_job *job = mu_job_find(core, edges.at[e].job);
        uint32_t group = edges.at[e].group;
        struct mu_group *g = job ? &job->groups[group] : NULL;
        struct mu_group_dep *dep = g ? &g->more->deps[edges.at[e].dep] : NULL;
        if (dep == NULL || dep->state != MU_DEP_WAIT)
            continue;
        dep->state = (uint8_t)outcome(dep, all_ok);
        if (!is_each(dep))
            g->more->deps_wait--;
        if (mu_dep_look(core, job, group, 0, g->set.tasks))
            say_ready(core, job, group);
    }
    edges_clear(&edges);
}

static void job_over(struct mu_core *core, struct mu_job *job)
{
    if (job->over)
        return;
    job->over = true;
    job->ended_ms = core->now_ms;
    mu_list_add_tail(&core->ended, &job->ended);
    core->ended_count++;
    mu_timers_clear(&core->timers, MU_TIMER_DEADLINE | job->id);
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_JOB, .job = job->id });
    if (job->more && job->more->out.count)
        settle_edges(core, &job->more->out, mu_job_count(job, MU_TASK_SUCCEEDED) == job->tasks);
}

void mu_dep_run(struct mu_core *core)
{
    while (core->work_at < core->work_count) {
        struct mu_work w = core->work[core->work_at++];
        struct mu_job *job = mu_job_find(core, w.job);
        if (w.kind == MU_WORK_TASKS)
            settle_tasks(core, job, &w);
        else if (w.kind == MU_WORK_GROUP)
            settle_edges(core, &job->groups[w.group].more->out, group_all_ok(&job->groups[w.group]));
        else
            job_over(core, job);
    }
    core->work_at = core->work_count = 0;
}
