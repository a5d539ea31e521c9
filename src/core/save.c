/* The whole state as a stream of facts, in an order that is the same on every replica. Numbers of words and shapes are
 * each server's own and stay out of it. */
#include "core/snapshot.h"
#include "core/state.h"

enum { FORMAT = 1 };

static int by_text(const void *a, const void *b)
{
    const struct mu_str *x = a, *y = b;
    uint32_t size = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->at, y->at, size);

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static void put_labels(struct mu_snap_out *out, const struct mu_core *core, const struct mu_word_ids *ids)
{
    struct mu_str *texts = mu_core_alloc((ids->count + 1) * sizeof texts[0]);

    for (uint32_t i = 0; i < ids->count; i++)
        texts[i] = mu_words_text(&core->words, ids->at[i]);
    qsort(texts, ids->count, sizeof texts[0], by_text);
    mu_snap_put(out, ids->count);
    for (uint32_t i = 0; i < ids->count; i++)
        mu_snap_put_text(out, texts[i]);
    free(texts);
}

static void put_policies(struct mu_snap_out *out, const struct mu_core *core)
{
    for (uint32_t i = 0; i < MU_POLICY_KINDS; i++) {
        const struct mu_policy *p = &core->policy[i];
        mu_snap_put_text(out, mu_str_of(p->name));
        mu_snap_put(out, p->params.count);
        for (uint32_t k = 0; k < p->params.count; k++)
            mu_snap_put_text(out, p->params.at[k]);
    }
}

static void put_users(struct mu_snap_out *out, const struct mu_core *core)
{
    mu_snap_put(out, core->users.count);
    for (uint32_t i = 0; i < core->users.count; i++) {
        const struct mu_user *user = core->users.at[i];
        mu_snap_put_text(out, mu_words_text(&core->words, user->id));
        mu_snap_put(out, user->weight);
        mu_snap_put(out, user->waiting_max);
        mu_snap_put(out, user->cpu_milli_max);
        mu_snap_put(out, user->usage);
        mu_snap_put(out, user->usage_ms);
    }
}

static void put_node(struct mu_snap_out *out, const struct mu_core *core, const struct mu_node_slot *node)
{
    const char *const texts[] = { node->at.name, node->at.boot, node->at.version, node->at.limits, node->at.address };

    for (uint32_t i = 0; i < MU_COUNT(texts); i++)
        mu_snap_put_text(out, mu_str_of(texts[i]));
    mu_snap_put(out, node->at.state);
    mu_snap_put(out, (uint64_t)node->at.drain | (uint64_t)node->at.keep << 1);
    for (uint32_t i = 0; i < core->kinds; i++)
        mu_snap_put(out, node->at.total.amount[i]);
    put_labels(out, core, &node->own);
    put_labels(out, core, &node->set);
    mu_snap_put(out, node->at.joined_ms);
    mu_snap_put(out, node->at.changed_ms);
    mu_snap_put(out, node->at.ended_ok);
    mu_snap_put(out, node->at.ended_bad);
}

static void put_nodes(struct mu_snap_out *out, const struct mu_core *core)
{
    mu_snap_put(out, core->kinds);
    for (uint32_t i = MU_RES_NAMED; i < core->kinds; i++)
        mu_snap_put_text(out, mu_words_text(&core->words, core->kind_word[i]));
    mu_snap_put(out, core->nodes.count);
    for (uint32_t i = 0; i < core->nodes.count; i++)
        put_node(out, core, core->nodes.at[i]);
}

/* ---- jobs ---- */

static void put_states(struct mu_snap_out *out, const struct mu_taskset *set)
{
    enum mu_task_state state;

    for (uint32_t i = 0, count; i < set->tasks; i += count) {
        count = mu_taskset_run(set, i, set->tasks, &state);
        mu_snap_put(out, state);
        mu_snap_put(out, count);
    }
}

static void put_backoffs(struct mu_snap_out *out, const struct mu_core *core, const struct mu_job *job, const struct mu_group *g)
{
    for (uint32_t i = 0; (i = mu_taskset_next(&g->set, MU_TASK_BACKOFF, i)) != UINT32_MAX; i++)
        mu_snap_put(out, mu_timers_due(&core->timers, mu_task_key(job->id, g->first + i)));
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void put_tries(struct mu_snap_out *out, const struct mu_map *tries)
{
    uint64_t *keys = mu_core_alloc((tries->count + 1) * sizeof keys[0]);
    struct mu_map_slot slot;
    uint32_t count = 0;

    for (uint32_t i = 0; (i = mu_map_next(tries, i, &slot)) != 0;)
        keys[count++] = slot.key;
    qsort(keys, count, sizeof keys[0], by_number);
    mu_snap_put(out, count);
    for (uint32_t i = 0; i < count; i++) {
        mu_snap_put(out, keys[i]);
        mu_snap_put(out, *mu_map_find(tries, keys[i]));
    }
    free(keys);
}

static void put_group_more(struct mu_snap_out *out, const struct mu_group *g)
{
    const struct mu_group_more *more = g->more;
    struct mu_str text;

    mu_snap_put(out, more->aborted);
    mu_snap_put(out, more->each != NULL);
    for (uint32_t i = 0; more->each && i < g->set.tasks; i++)
        mu_snap_put(out, more->each[i]);
    for (uint32_t k = 0; k < more->deps_count; k++)
        mu_snap_put(out, more->deps[k].state);
    put_tries(out, &more->tries);
    for (uint32_t i = 0; mu_lines_piece(&more->lines, i, &text); i++)
        mu_snap_put_text(out, text);
    mu_snap_put(out, 0); /* an empty text */
}

/* More than its spec tells; whether it has been allocated is no fact. */
static bool has_more(const struct mu_group *g)
{
    const struct mu_group_more *more = g->more;

    return more && (more->aborted || more->each || more->deps_count || more->tries.count || more->lines.lines);
}

static void put_group(struct mu_snap_out *out, const struct mu_core *core, const struct mu_job *job, const struct mu_group *g)
{
    mu_snap_put_text(out, (struct mu_str){ job->bytes + g->spec_at, g->spec_size });
    mu_snap_put(out, g->set.tasks);
    put_states(out, &g->set);
    put_backoffs(out, core, job, g);
    mu_snap_put(out, has_more(g));
    if (has_more(g))
        put_group_more(out, g);
}

static void put_job_more(struct mu_snap_out *out, const struct mu_core *core, const struct mu_job *job)
{
    const struct mu_job_more *more = job->more;
    bool timed = mu_timers_due(&core->timers, MU_TIMER_DEADLINE | job->id) != 0;

    mu_snap_put(out, more->open);
    mu_snap_put(out, (uint64_t)more->closed | (uint64_t)more->complete << 1 | (uint64_t)timed << 2);
    mu_snap_put(out, more->deadline_ms);
    mu_snap_put(out, more->digest);
    mu_snap_put_text(out, mu_job_key(job));
}

static void put_job(struct mu_snap_out *out, const struct mu_core *core, const struct mu_job *job, uint64_t before,
                    uint64_t user)
{
    bool more = job->more && (job->more->open || job->more->deadline_ms || job->more->key);

    mu_snap_put(out, job->id - before);
    mu_snap_put(out, (uint64_t)job->held | (uint64_t)job->cancelled << 1 | (uint64_t)job->over << 2 | (uint64_t)more << 3);
    mu_snap_put(out, user);
    mu_snap_put(out, (uint32_t)job->priority);
    mu_snap_put(out, job->submitted_ms);
    mu_snap_put(out, job->started_ms);
    mu_snap_put(out, job->ended_ms);
    mu_snap_put_text(out, mu_job_name(job));
    if (more)
        put_job_more(out, core, job);
    mu_snap_put(out, job->groups_count);
    for (uint32_t g = 0; g < job->groups_count; g++)
        put_group(out, core, job, &job->groups[g]);
}

static void put_jobs(struct mu_snap_out *out, const struct mu_core *core)
{
    const struct mu_job *job;
    struct mu_map user_at = { 0 };

    for (uint32_t i = 0; i < core->users.count; i++)
        mu_map_put(&user_at, core->users.at[i]->id, i);
    mu_snap_put(out, core->jobs.count);
    for (uint64_t id = 0; (job = mu_jobs_next(&core->jobs, id)) != NULL; id = job->id)
        put_job(out, core, job, id, *mu_map_find(&user_at, job->user->id));
    MU_LIST_EACH(link, &core->ended)
        mu_snap_put(out, MU_CONTAINER(link, struct mu_job, ended)->id);
    mu_map_fini(&user_at);
}

static void put_attempts(struct mu_snap_out *out, const struct mu_core *core)
{
    for (uint32_t n = 0; n < core->nodes.count; n++) {
        mu_snap_put(out, core->nodes.at[n]->at.live);
        MU_LIST_EACH(link, &core->nodes.at[n]->attempts)
        {
            const struct mu_attempt *a = mu_attempt_of(link);
            mu_snap_put(out, a->job);
            mu_snap_put(out, a->ordinal);
            mu_snap_put(out, a->attempt);
            mu_snap_put(out, a->why);
            mu_snap_put(out, a->placed_ms);
            mu_snap_put(out, a->started_ms);
        }
    }
}

static uint64_t put_all(struct mu_snap_out *out, const struct mu_core *core)
{
    mu_snap_put(out, FORMAT);
    mu_snap_put(out, core->now_ms);
    mu_snap_put(out, core->version);
    mu_snap_put(out, core->epoch);
    mu_snap_put(out, core->next_job);
    mu_snap_put_text(out, mu_str_of(core->server ? core->server : ""));
    mu_snap_put_text(out, mu_str_of(core->url ? core->url : ""));
    put_policies(out, core);
    put_users(out, core);
    put_nodes(out, core);
    put_jobs(out, core);
    put_attempts(out, core);
    return mu_snap_end(out);
}

void mu_core_save(const struct mu_core *core, struct mu_buf *b)
{
    struct mu_snap_out out = { .to = b };

    put_all(&out, core);
}

uint64_t mu_core_hash(const struct mu_core *core)
{
    struct mu_snap_out out = { 0 };

    return put_all(&out, core);
}
