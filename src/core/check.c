/* Every invariant, all counted anew from nothing. */
#include "core/census.h"

/* ---- nodes ---- */

static const char *attempts_flaw(const struct mu_core *core, const struct mu_node_slot *node, uint64_t *count)
{
    struct mu_res used = { 0 };
    uint32_t live = 0;

    MU_LIST_EACH(link, &node->attempts)
    {
        const struct mu_attempt *a = mu_attempt_of(link);
        if (a->node != node->at.id || mu_attempts_find(&core->attempts, a->job, a->ordinal) != a)
            return "an attempt is listed at a wrong node";
        if (a->placed_ms > core->now_ms || a->shape >= core->shapes.count)
            return "an attempt is out of place";
        for (uint32_t i = 0; i < core->kinds; i++)
            used.amount[i] += core->shapes.at[a->shape]->at.need.amount[i];
        live++;
    }
    *count += live;
    if (live != node->at.live || memcmp(&used, &node->at.used, sizeof used) != 0)
        return "a node's ledger is not the sum of its attempts";
    if (node->squeezed == mu_res_within(core, &used, &node->at.total))
        return "a node is given more than it has";
    return live && node->at.state == MU_NODE_DOWN ? "a node that is down runs something" : NULL;
}

static const char *node_flaw(const struct mu_core *core, uint32_t id, uint64_t *attempts)
{
    const struct mu_node_slot *node = core->nodes.at[id];
    const uint64_t *known = mu_map_find(&core->nodes.by_word, node->word);

    if (node->at.id != id || known == NULL || *known != id || node->at.boot == NULL)
        return "a node is out of place";
    if (node->at.state >= MU_NODE_STATES || (node->at.state == MU_NODE_UP && node->at.drain) ||
        (node->at.state == MU_NODE_DRAINING && !node->at.drain))
        return "a node's state is not what was asked";
    return attempts_flaw(core, node, attempts);
}

static const char *nodes_flaw(const struct mu_core *core)
{
    struct mu_res total = { 0 };
    uint64_t attempts = 0;
    const char *flaw = NULL;

    for (uint32_t id = 0; id < core->nodes.count && flaw == NULL; id++) {
        const struct mu_node *node = &core->nodes.at[id]->at;
        flaw = node_flaw(core, id, &attempts);
        for (uint32_t i = 0; i < MU_RES_MAX; i++) {
            if (node->state != MU_NODE_DOWN)
                total.amount[i] += node->total.amount[i];
            if (node->total.amount[i] > core->nodes.at[core->nodes.largest[i]]->at.total.amount[i])
                flaw = "a node is larger than the largest";
        }
    }
    if (flaw == NULL && memcmp(&total, &core->nodes.total, sizeof total) != 0)
        flaw = "the cluster is not the sum of its nodes";
    if (flaw == NULL && attempts != core->attempts.by_task.count)
        flaw = "an attempt is at no node";
    return flaw;
}

/* ---- shapes, words ---- */

static void count_ids(uint32_t *refs, const struct mu_word_ids *ids)
{
    for (uint32_t i = 0; i < ids->count; i++)
        refs[ids->at[i]]++;
}

static const char *words_flaw(const struct mu_core *core)
{
    uint32_t *refs = mu_core_alloc((core->words.count + 1) * sizeof refs[0]);
    const char *flaw = NULL;

    for (uint32_t i = 0; i < core->kinds; i++)
        refs[core->kind_word[i]]++;
    for (uint32_t i = 0; i < core->users.count; i++)
        refs[core->users.at[i]->id]++;
    for (uint32_t i = 0; i < core->nodes.count; i++) {
        refs[core->nodes.at[i]->word]++;
        count_ids(refs, &core->nodes.at[i]->at.labels);
        count_ids(refs, &core->nodes.at[i]->own);
        count_ids(refs, &core->nodes.at[i]->set);
    }
    for (uint32_t i = 0; i < core->shapes.count; i++) {
        count_ids(refs, &core->shapes.at[i]->at.labels);
        count_ids(refs, &core->shapes.at[i]->at.prefer);
        refs[core->shapes.at[i]->at.place]++;
        refs[core->shapes.at[i]->node_word]++;
    }
    for (uint32_t i = 1; i < core->words.count && flaw == NULL; i++) {
        if (refs[i] != mu_words_refs(&core->words, i))
            flaw = "a word is counted wrong";
    }
    free(refs);
    return flaw;
}

static const char *shapes_flaw(const struct mu_census *c)
{
    const struct mu_core *core = c->core;

    for (uint32_t i = 0; i < core->shapes.count; i++) {
        const struct mu_shape *s = &core->shapes.at[i]->at;
        const struct mu_node_slot *node = s->node_name ? mu_node_find(core, mu_str_of(s->node_name)) : NULL;
        if (s->id != i || s->refs != c->shape_refs[i])
            return "a shape is counted wrong";
        if (s->node_name && (s->node_unknown != (node == NULL) || (node && node->at.id != s->node)))
            return "a shape does not know its node";
    }
    return NULL;
}

/* ---- users ---- */

static const char *users_flaw(const struct mu_census *c)
{
    const struct mu_core *core = c->core;
    struct mu_res *live = mu_core_alloc((core->users.count + 1) * sizeof live[0]);
    const char *flaw = NULL;
    struct mu_map_slot slot;

    for (uint32_t i = 0; (i = mu_map_next(&core->attempts.by_task, i, &slot)) != 0;) {
        const struct mu_attempt *a = (const struct mu_attempt *)(uintptr_t)slot.value;
        struct mu_res *sum = &live[*mu_map_find(&c->user_at, mu_job_find(core, a->job)->user->id)];
        for (uint32_t k = 0; k < core->kinds; k++)
            sum->amount[k] += core->shapes.at[a->shape]->at.need.amount[k];
    }
    for (uint32_t i = 0; i < core->users.count && flaw == NULL; i++) {
        const struct mu_user *user = core->users.at[i];
        if (user->waiting != c->waiting[i] || memcmp(&user->live, &live[i], sizeof live[i]) != 0)
            flaw = "a user's counts are not those of the jobs";
        else if (user->usage_ms > core->now_ms || user->weight == 0)
            flaw = "a user's usage is out of place";
    }
    free(live);
    return flaw;
}

/* ---- all ---- */

static const char *ended_flaw(const struct mu_core *core)
{
    uint64_t before_ms = 0, count = 0;

    MU_LIST_EACH(link, &core->ended)
    {
        const struct mu_job *job = MU_CONTAINER(link, struct mu_job, ended);
        if (!job->over || job->ended_ms < before_ms)
            return "the list of ended jobs is out of order";
        before_ms = job->ended_ms;
        count++;
    }
    return count == core->ended_count ? NULL : "ended jobs are counted wrong";
}

static const char *totals_flaw(const struct mu_census *c)
{
    const struct mu_core *core = c->core;

    if (memcmp(c->count, core->count, sizeof c->count) != 0)
        return "the counts of all tasks are not those of the jobs";
    if (c->jobs != core->jobs.count || c->over != core->ended_count || c->whole_open != core->whole_open)
        return "jobs are counted wrong";
    if (c->bytes != core->bytes)
        return "the bytes of specs are counted wrong";
    if (c->attempts != core->attempts.by_task.count)
        return "an attempt has no task";
    if (c->timers != core->timers.by_key.count || c->timers != core->timers.heap.count)
        return "a timer is for nothing";
    if (c->edges != c->deps_wait)
        return "somebody is said to wait twice";
    return core->work_count ? "something is left to be settled" : NULL;
}

static const char *census_flaw(struct mu_census *c)
{
    const struct mu_core *core = c->core;
    const struct mu_job *job = NULL;
    const char *flaw = nodes_flaw(core);

    for (uint32_t i = 0; i < core->users.count; i++)
        mu_map_put(&c->user_at, core->users.at[i]->id, i);
    for (uint64_t id = 0; flaw == NULL && (job = mu_jobs_next(&core->jobs, id)) != NULL; id = job->id)
        flaw = mu_job_flaw(c, job);
    if (flaw == NULL)
        flaw = shapes_flaw(c);
    if (flaw == NULL)
        flaw = words_flaw(core);
    if (flaw == NULL)
        flaw = ended_flaw(core);
    if (flaw == NULL)
        flaw = totals_flaw(c);
    return flaw ? flaw : users_flaw(c);
}

const char *mu_core_flaw(const struct mu_core *core)
{
    struct mu_census c = { .core = core };
    const char *flaw;

    c.shape_refs = mu_core_alloc((core->shapes.count + 1) * sizeof c.shape_refs[0]);
    c.waiting = mu_core_alloc((core->users.count + 1) * sizeof c.waiting[0]);
    flaw = census_flaw(&c);
    free(c.shape_refs);
    free(c.waiting);
    mu_map_fini(&c.user_at);
    return flaw;
}

void mu_core_check(const struct mu_core *core)
{
    const char *flaw = mu_core_flaw(core);

    if (flaw)
        mu_assert_failed(__FILE__, __LINE__, flaw);
}
