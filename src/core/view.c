/* Reading: what decisions, the API and the history see of core. */
#include "core/state.h"

uint64_t mu_view_now_ms(const struct mu_core *core) { return core->now_ms; }
uint64_t mu_view_version(const struct mu_core *core) { return core->version; }
uint64_t mu_view_epoch(const struct mu_core *core) { return core->epoch; }
uint64_t mu_view_next_job(const struct mu_core *core) { return core->next_job; }

struct mu_leader_view mu_view_leader(const struct mu_core *core)
{
    return (struct mu_leader_view){ mu_str_of(core->server ? core->server : ""), mu_str_of(core->url ? core->url : "") };
}

/* ---- nodes, shapes, words ---- */

uint32_t mu_view_nodes(const struct mu_core *core) { return core->nodes.count; }

const struct mu_node *mu_view_node(const struct mu_core *core, uint32_t id)
{
    return id < core->nodes.count ? &core->nodes.at[id]->at : NULL;
}

const struct mu_node *mu_view_node_named(const struct mu_core *core, struct mu_str name)
{
    const struct mu_node_slot *node = mu_node_find(core, name);

    return node ? &node->at : NULL;
}

uint32_t mu_view_shapes(const struct mu_core *core) { return core->shapes.count; }

const struct mu_shape *mu_view_shape(const struct mu_core *core, uint32_t id)
{
    return id < core->shapes.count ? &core->shapes.at[id]->at : NULL;
}

bool mu_view_shape_allows(const struct mu_core *core, const struct mu_shape *shape, const struct mu_node *node)
{
    (void)core;
    if (shape->node_unknown || (shape->node != MU_NODE_NONE && shape->node != node->id))
        return false;
    return mu_word_ids_within(&shape->labels, &node->labels);
}

struct mu_str mu_view_word(const struct mu_core *core, uint32_t word) { return mu_words_text(&core->words, word); }
uint32_t mu_view_word_id(const struct mu_core *core, struct mu_str text) { return mu_words_find(&core->words, text); }
uint32_t mu_view_res_kinds(const struct mu_core *core) { return core->kinds; }

struct mu_str mu_view_res_name(const struct mu_core *core, uint32_t kind)
{
    return mu_words_text(&core->words, kind < core->kinds ? core->kind_word[kind] : 0);
}

/* ---- jobs ---- */

bool mu_view_job(const struct mu_core *core, uint64_t id, struct mu_job_view *out)
{
    const struct mu_job *job = mu_job_find(core, id);

    if (job == NULL)
        return false;
    *out = (struct mu_job_view){
        .id = id, .name = mu_job_name(job), .user = mu_words_text(&core->words, job->user->id), .key = mu_job_key(job),
        .priority = job->priority, .submitted_ms = job->submitted_ms, .started_ms = job->started_ms,
        .ended_ms = job->ended_ms, .deadline_ms = job->more ? job->more->deadline_ms : 0, .held = job->held,
        .cancelled = job->cancelled, .open = mu_job_is_open(job), .over = job->over, .groups = job->groups_count,
        .tasks = job->tasks,
    };
    for (uint32_t s = 0; s < MU_TASK_STATES; s++)
        out->count[s] = mu_job_count(job, (enum mu_task_state)s);
    return true;
}

uint64_t mu_view_job_next(const struct mu_core *core, uint64_t after)
{
    const struct mu_job *job = mu_jobs_next(&core->jobs, after);

    return job ? job->id : 0;
}

uint64_t mu_view_job_prev(const struct mu_core *core, uint64_t before)
{
    const struct mu_job *job = mu_jobs_prev(&core->jobs, before);

    return job ? job->id : 0;
}

uint64_t mu_view_job_by_key(const struct mu_core *core, struct mu_str user, struct mu_str key)
{
    const struct mu_user *found = mu_user_find(core, user);

    return found && key.size ? mu_job_by_key(core, found->id, key) : 0;
}

static const char *ended_text(const struct mu_job_view *job)
{
    if (job->cancelled)
        return "cancelled";
    if (job->count[MU_TASK_FAILED])
        return "failed";
    if (job->count[MU_TASK_LOST])
        return "lost";
    return job->count[MU_TASK_CANCELLED] ? "cancelled" : "succeeded";
}

const char *mu_view_job_state(const struct mu_job_view *job)
{
    uint32_t live = job->count[MU_TASK_STARTING] + job->count[MU_TASK_RUNNING] + job->count[MU_TASK_STOPPING];

    if (job->over)
        return ended_text(job);
    if (live)
        return "running";
    if (job->held)
        return "held";
    return job->started_ms ? "running" : "waiting";
}

void mu_view_counts(const struct mu_core *core, uint64_t out_tasks[MU_TASK_STATES], uint64_t *out_jobs_active)
{
    memcpy(out_tasks, core->count, sizeof core->count);
    *out_jobs_active = core->jobs.count - core->ended_count;
}

/* ---- groups ---- */

static void group_view(const struct mu_job *job, uint32_t group, struct mu_group_view *out)
{
    const struct mu_group *g = &job->groups[group];

    *out = (struct mu_group_view){
        .job = job->id, .group = group, .first = g->first, .tasks = g->set.tasks, .shape = g->shape, .user = job->user->id,
        .priority = job->priority, .submitted_ms = job->submitted_ms, .deadline_ms = job->more ? job->more->deadline_ms : 0,
        .ready = mu_group_ready(g), .live = mu_group_live(g), .max_parallel = g->more ? g->more->max_parallel : 0,
        .runnable = mu_job_is_runnable(job), .each_node = g->more && g->more->each,
    };
}

bool mu_view_group(const struct mu_core *core, uint64_t job, uint32_t group, struct mu_group_view *out)
{
    const struct mu_job *found = mu_job_find(core, job);

    if (found == NULL || group >= found->groups_count)
        return false;
    group_view(found, group, out);
    return true;
}

bool mu_view_group_next(const struct mu_core *core, uint64_t *job, uint32_t *group, struct mu_group_view *out)
{
    const struct mu_job *at = *job ? mu_job_find(core, *job) : NULL;
    uint32_t from = at ? *group : 0;

    if (at == NULL)
        at = mu_jobs_next(&core->jobs, *job);
    for (; at; at = mu_jobs_next(&core->jobs, at->id), from = 0) {
        for (uint32_t g = from; mu_job_is_runnable(at) && g < at->groups_count; g++) {
            if (mu_group_ready(&at->groups[g]) == 0)
                continue;
            *job = at->id;
            *group = g + 1; /* where to go on */
            group_view(at, g, out);
            return true;
        }
    }
    return false;
}

bool mu_view_group_spec(const struct mu_core *core, uint64_t job, uint32_t group, struct mu_group_spec *out,
                        struct mu_arena *arena)
{
    const struct mu_job *found = mu_job_find(core, job);

    return found && group < found->groups_count && mu_group_spec_of(core, found, group, out, arena);
}

struct mu_str mu_view_group_bytes(const struct mu_core *core, uint64_t job, uint32_t group)
{
    const struct mu_job *found = mu_job_find(core, job);
    const struct mu_group *g = found && group < found->groups_count ? &found->groups[group] : NULL;

    return g ? (struct mu_str){ found->bytes + g->spec_at, g->spec_size } : (struct mu_str){ "", 0 };
}

uint32_t mu_view_each_node(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    const struct mu_job *found = mu_job_find(core, job);
    const struct mu_group *g;

    if (found == NULL || ordinal >= found->tasks)
        return MU_NODE_NONE;
    g = &found->groups[mu_job_group_of(found, ordinal)];
    return g->more && g->more->each ? g->more->each[ordinal - g->first] : MU_NODE_NONE;
}

bool mu_view_dep_blocks(const struct mu_core *core, uint64_t job, uint32_t group, uint32_t dep)
{
    const struct mu_job *found = mu_job_find(core, job);
    const struct mu_group_more *more = found && group < found->groups_count ? found->groups[group].more : NULL;

    return more && dep < more->deps_count && more->deps[dep].state != MU_DEP_MET;
}

/* ---- tasks ---- */

/* The task's group, and its place there; NULL when there is no such task. */
static const struct mu_group *task_of(const struct mu_core *core, uint64_t job, uint32_t ordinal, uint32_t *out_i)
{
    const struct mu_job *found = mu_job_find(core, job);
    const struct mu_group *g;

    if (found == NULL || ordinal >= found->tasks)
        return NULL;
    g = &found->groups[mu_job_group_of(found, ordinal)];
    *out_i = ordinal - g->first;
    return g;
}

uint32_t mu_view_group_of(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    const struct mu_job *found = mu_job_find(core, job);

    return found && ordinal < found->tasks ? mu_job_group_of(found, ordinal) : UINT32_MAX;
}

struct mu_str mu_view_line(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    uint32_t i;
    const struct mu_group *g = task_of(core, job, ordinal, &i);

    return g && g->more && g->more->lines.lines ? mu_lines_get(&g->more->lines, i) : (struct mu_str){ "", 0 };
}

bool mu_view_ordinal_of(const struct mu_core *core, uint64_t job, uint64_t index, uint32_t *out_ordinal)
{
    const struct mu_job *found = mu_job_find(core, job);
    const struct mu_group_more *more = found && found->groups_count == 1 ? found->groups[0].more : NULL;
    uint64_t step = more ? more->array_step : 1;

    if (found == NULL)
        return false;
    if (more && (index < more->array_first || (index - more->array_first) % step))
        return false;
    index = more ? (index - more->array_first) / step : index;
    if (index >= found->tasks)
        return false;
    *out_ordinal = (uint32_t)index;
    return true;
}

uint64_t mu_view_index_of(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    const struct mu_job *found = mu_job_find(core, job);
    const struct mu_group_more *more = found && found->groups_count == 1 ? found->groups[0].more : NULL;

    return more ? more->array_first + ordinal * more->array_step : ordinal;
}

uint64_t mu_view_array_value(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    uint32_t i;
    const struct mu_group *g = task_of(core, job, ordinal, &i);

    return g && g->more ? g->more->array_first + i * g->more->array_step : g ? i : 0;
}

enum mu_task_state mu_view_task(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    uint32_t i;
    const struct mu_group *g = task_of(core, job, ordinal, &i);

    return g ? mu_taskset_get(&g->set, i) : MU_TASK_STATES;
}

uint32_t mu_view_attempts(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    const struct mu_attempt *live = mu_attempts_find(&core->attempts, job, ordinal);
    uint32_t i;
    const struct mu_group *g = task_of(core, job, ordinal, &i);

    if (live)
        return live->attempt;
    return g ? mu_tries_get(g, i).attempts : 0;
}

uint32_t mu_view_next(const struct mu_core *core, uint64_t job, uint32_t group, enum mu_task_state state, uint32_t from)
{
    const struct mu_job *found = mu_job_find(core, job);
    const struct mu_group *g = found && group < found->groups_count ? &found->groups[group] : NULL;
    uint32_t i;

    if (g == NULL)
        return UINT32_MAX;
    i = mu_taskset_next(&g->set, state, from > g->first ? from - g->first : 0);
    return i == UINT32_MAX ? i : g->first + i;
}

uint64_t mu_view_backoff_until(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    if (job > MU_JOB_ID_MAX || ordinal >= MU_TASKS_PER_JOB_MAX)
        return 0;
    return mu_timers_due(&core->timers, mu_task_key(job, ordinal));
}

const struct mu_attempt *mu_view_attempt(const struct mu_core *core, uint64_t job, uint32_t ordinal)
{
    return mu_attempts_find(&core->attempts, job, ordinal);
}

const struct mu_attempt *mu_view_node_attempt(const struct mu_core *core, uint32_t node, uint64_t *cursor)
{
    struct mu_list *head, *at;

    if (node >= core->nodes.count)
        return NULL;
    head = &core->nodes.at[node]->attempts;
    at = *cursor ? ((struct mu_list *)(uintptr_t)*cursor)->next : head->next;
    if (at == head)
        return NULL;
    *cursor = (uintptr_t)at;
    return mu_attempt_of(at);
}

/* ---- users ---- */

uint32_t mu_view_users(const struct mu_core *core, const struct mu_user ***out)
{
    *out = (const struct mu_user **)(void *)core->users.at;
    return core->users.count;
}

const struct mu_user *mu_view_user(const struct mu_core *core, uint32_t word)
{
    return mu_map_get_ptr(&core->users.by_word, word);
}

uint64_t mu_view_usage(const struct mu_core *core, const struct mu_user *user, uint64_t now_ms)
{
    return now_ms <= user->usage_ms ? user->usage : mu_usage_decayed(user->usage, now_ms - user->usage_ms, core->halflife_ms);
}
