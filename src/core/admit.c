/* What is refused because of how things stand: the same for the leader before it proposes and for every replica after. */
#include "core/state.h"

#include "base/units.h"

enum { FIELD = MU_ERR_FIELD };

/* ---- other jobs ---- */

static enum mu_rc admit_job_dep(const struct mu_core *core, const struct mu_job *self, const struct mu_group_spec *g,
                                const struct mu_dep *dep, const char *at, struct mu_err *err)
{
    const struct mu_job *job = mu_job_find(core, dep->job);
    bool each = dep->kind >= MU_DEP_EACH_OK;

    if (dep->job >= core->next_job)
        return mu_fail_at(err, MU_NOTFOUND, at, "there is no job %llu", (unsigned long long)dep->job);
    if (self && dep->job >= self->id)
        return mu_fail_at(err, MU_INVALID, at, "job %llu did not come before this one", (unsigned long long)dep->job);
    if (job == NULL && dep->kind != MU_DEP_ANY)
        return mu_fail_at(err, MU_NOTFOUND, at, "job %llu ended long ago; how is not known here any more",
                          (unsigned long long)dep->job);
    if (job && each && mu_job_is_open(job))
        return mu_fail_at(err, MU_STATE, at, "job %llu is still open: how many tasks it will have is not known",
                          (unsigned long long)dep->job);
    if (job && each && job->tasks != g->tasks)
        return mu_fail_at(err, MU_INVALID, at, "one after one needs equal counts of tasks: %u after the %u of job %llu",
                          (unsigned)g->tasks, (unsigned)job->tasks, (unsigned long long)dep->job);
    return MU_OK;
}

/* ---- demands that no node could ever hold ---- */

static uint64_t need_of(const struct mu_core *core, const struct mu_group_spec *g, uint32_t kind)
{
    struct mu_str name;

    switch (kind) {
    case MU_RES_CPU: return g->cpu_milli;
    case MU_RES_MEM: return g->mem_bytes;
    case MU_RES_GPU: return g->gpu_milli;
    default: break;
    }
    name = mu_words_text(&core->words, core->kind_word[kind]);
    for (uint32_t i = 0; i < g->resources_count; i++) {
        if (mu_str_eq(g->resources[i].name, name))
            return g->resources[i].amount;
    }
    return 0;
}

/* What node lacks when empty: its worst part in thousandths of the need; 0 it fits. */
static uint64_t lack_of(const struct mu_core *core, const struct mu_res *need, const struct mu_node *node, uint32_t *out_kind)
{
    uint64_t worst = 0;

    for (uint32_t kind = 0; kind < core->kinds; kind++) {
        uint64_t want = need->amount[kind], has = node->total.amount[kind], part;
        if (want <= has)
            continue;
        part = 1 + (want - has) * 1000 / want; /* amounts are at most 2^48 */
        if (part > worst) {
            worst = part;
            *out_kind = kind;
        }
    }
    return worst;
}

static const char *amount_text(char at[MU_TEXT_UNITS], uint32_t kind, uint64_t amount)
{
    if (kind == MU_RES_MEM)
        return mu_size_text(at, amount);
    if (kind >= MU_RES_NAMED)
        snprintf(at, MU_TEXT_UNITS, "%llu", (unsigned long long)amount);
    else
        mu_milli_text(at, amount);
    return at;
}

static enum mu_rc refuse_lack(const struct mu_core *core, const char *at, const struct mu_node *node, uint32_t kind,
                              uint64_t want, bool only, struct mu_err *err)
{
    char wants[MU_TEXT_UNITS], has[MU_TEXT_UNITS], lacks[MU_TEXT_UNITS];
    struct mu_str name = mu_words_text(&core->words, core->kind_word[kind]);
    uint64_t total = node->total.amount[kind];

    amount_text(wants, kind, want);
    amount_text(has, kind, total);
    amount_text(lacks, kind, want - total);
    if (only)
        return mu_fail_at(err, MU_IMPOSSIBLE, at, "%s " MU_STR_FMT " asked, but node %.60s has only %s when empty, %s too few",
                          wants, MU_STR_ARG(name), node->name, has, lacks);
    return mu_fail_at(err, MU_IMPOSSIBLE, at,
                      "%s " MU_STR_FMT " asked, and no node could ever hold that: %.60s, the nearest, has %s when empty, %s too few",
                      wants, MU_STR_ARG(name), node->name, has, lacks);
}

static const char *kind_key(const struct mu_core *core, char key[FIELD], uint32_t kind)
{
    snprintf(key, FIELD, "resources.%.40s", mu_words_text(&core->words, core->kind_word[kind]).at);
    return key;
}

static enum mu_rc admit_on_node(const struct mu_core *core, const struct mu_res *need, const struct mu_node *node, bool only,
                                uint32_t groups, uint32_t i, struct mu_err *err)
{
    char at[FIELD], key[FIELD];
    uint32_t kind = 0;

    if (lack_of(core, need, node, &kind) == 0)
        return MU_OK;
    return refuse_lack(core, mu_spec_field(at, groups, i, kind_key(core, key, kind)), node, kind, need->amount[kind], only, err);
}

/* Sizes only: labels can be given while the cluster runs. */
static enum mu_rc admit_anywhere(const struct mu_core *core, const struct mu_res *need, uint32_t groups, uint32_t i,
                                 struct mu_err *err)
{
    const struct mu_node *nearest = NULL;
    uint64_t least = UINT64_MAX;
    uint32_t kind;

    for (uint32_t k = 0; k < core->kinds; k++) {
        if (mu_res_within(core, need, &core->nodes.at[core->nodes.largest[k]]->at.total))
            return MU_OK;
    }
    for (uint32_t n = 0; n < core->nodes.count; n++) {
        uint64_t lack = lack_of(core, need, &core->nodes.at[n]->at, &kind);
        if (lack == 0)
            return MU_OK;
        if (lack < least) {
            least = lack;
            nearest = &core->nodes.at[n]->at;
        }
    }
    return admit_on_node(core, need, nearest, false, groups, i, err);
}

static enum mu_rc admit_each_node(const struct mu_core *core, const struct mu_group_spec *g, const struct mu_res *need,
                                  uint32_t groups, uint32_t i, struct mu_err *err)
{
    char at[FIELD];

    for (uint32_t k = 0; k < g->each_node.count; k++) {
        const struct mu_node_slot *node = mu_node_find(core, g->each_node.at[k]);
        enum mu_rc rc;
        if (node == NULL)
            return mu_fail_at(err, MU_NOTFOUND, mu_spec_field(at, groups, i, "each_node"), "there is no node \"" MU_STR_FMT "\"",
                              MU_STR_ARG(g->each_node.at[k]));
        rc = admit_on_node(core, need, &node->at, true, groups, i, err);
        if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

bool mu_kinds_fit(const struct mu_core *core, const struct mu_group_spec *groups, uint32_t count)
{
    struct mu_str made[MU_RES_MAX];
    uint32_t kinds = 0;

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < groups[i].resources_count; k++) {
            struct mu_str name = groups[i].resources[k].name;
            uint32_t at = 0;
            if (mu_core_kind(core, name) != UINT32_MAX)
                continue;
            while (at < kinds && !mu_str_eq(made[at], name))
                at++;
            if (at == kinds && core->kinds + kinds == MU_RES_MAX)
                return false;
            if (at == kinds)
                made[kinds++] = name;
        }
    }
    return true;
}

static enum mu_rc admit_need(const struct mu_core *core, const struct mu_group_spec *g, uint32_t groups, uint32_t i,
                             struct mu_err *err)
{
    const struct mu_node_slot *only = g->node.size ? mu_node_find(core, g->node) : NULL;
    struct mu_res need = { 0 };
    char at[FIELD];

    for (uint32_t k = 0; k < g->resources_count; k++) {
        if (core->nodes.count && g->resources[k].amount && mu_core_kind(core, g->resources[k].name) == UINT32_MAX)
            return mu_fail_at(err, MU_IMPOSSIBLE, mu_spec_field(at, groups, i, "resources"),
                              "no node has any \"" MU_STR_FMT "\"", MU_STR_ARG(g->resources[k].name));
    }
    for (uint32_t kind = 0; kind < core->kinds; kind++)
        need.amount[kind] = need_of(core, g, kind);
    if (g->each_node.count)
        return admit_each_node(core, g, &need, groups, i, err);
    if (core->nodes.count == 0 || (g->node.size && only == NULL))
        return MU_OK; /* the first node, or the one it asks for, is still to come */
    if (only)
        return admit_on_node(core, &need, &only->at, true, groups, i, err);
    return admit_anywhere(core, &need, groups, i, err);
}

enum mu_rc mu_groups_admit(const struct mu_core *core, const struct mu_job *job, const struct mu_group_spec *groups,
                           uint32_t count, struct mu_err *err)
{
    uint32_t base = job ? job->groups_count : 0;
    char at[FIELD];

    if (!mu_kinds_fit(core, groups, count))
        return mu_fail_at(err, MU_BUSY, "resources", "a cluster knows %d kinds of resources, and all are taken", MU_RES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        enum mu_rc rc = admit_need(core, &groups[i], base + count, base + i, err);
        for (uint32_t k = 0; rc == MU_OK && k < groups[i].after_count; k++) {
            const struct mu_dep *dep = &groups[i].after[k];
            if (dep->job)
                rc = admit_job_dep(core, job, &groups[i], dep, mu_spec_field(at, base + count, base + i, "after"), err);
        }
        if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

/* ---- room ---- */

enum mu_rc mu_room_admit(const struct mu_core *core, const struct mu_user *user, uint64_t tasks, uint64_t bytes,
                         struct mu_err *err)
{
    uint64_t waiting = core->count[MU_TASK_BLOCKED] + core->count[MU_TASK_READY] + core->count[MU_TASK_BACKOFF];

    if (tasks && waiting + tasks > core->limits.tasks_waiting_max)
        return mu_fail(err, MU_BUSY, "%llu tasks wait already; with %llu more they would be more than %llu",
                       (unsigned long long)waiting, (unsigned long long)tasks,
                       (unsigned long long)core->limits.tasks_waiting_max);
    if (bytes && core->bytes + bytes > core->limits.bytes_max)
        return mu_fail(err, MU_BUSY, "the specs of all jobs would take more than %llu bytes",
                       (unsigned long long)core->limits.bytes_max);
    if (tasks && user && user->waiting_max && user->waiting + tasks > user->waiting_max)
        return mu_fail(err, MU_BUSY, "%llu of your tasks wait already; with %llu more they would be more than your quota of %llu",
                       (unsigned long long)user->waiting, (unsigned long long)tasks, (unsigned long long)user->waiting_max);
    return MU_OK;
}

uint64_t mu_groups_bytes(const struct mu_group_spec *groups, uint32_t count, uint64_t *out_tasks)
{
    uint64_t bytes = 0;

    *out_tasks = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_group_spec *g = &groups[i];
        *out_tasks += g->tasks;
        bytes += 64 + g->script.size + g->lines.size + g->cwd.size;
        for (uint32_t k = 0; k < g->argv.count; k++)
            bytes += g->argv.at[k].size + 2;
        for (uint32_t k = 0; k < g->env.count; k++)
            bytes += g->env.at[k].size + 2;
    }
    return bytes;
}

/* The job that this key made before, whatever it asked for. */
uint64_t mu_spec_existing(const struct mu_core *core, const struct mu_job_spec *spec)
{
    const struct mu_user *user = mu_user_find(core, spec->user);

    return user && spec->key.size ? mu_job_by_key(core, user->id, spec->key) : 0;
}

enum mu_rc mu_core_admit(const struct mu_core *core, const struct mu_job_spec *spec, struct mu_err *err)
{
    const struct mu_user *user = mu_user_find(core, spec->user);
    uint64_t existing = mu_spec_existing(core, spec), tasks, bytes;
    struct mu_arena arena = { 0 };
    enum mu_rc rc;

    if (existing)
        return mu_job_find(core, existing)->more->digest == spec->digest ? MU_OK :
               mu_fail_at(err, MU_CONFLICT, "key", "the key \"" MU_STR_FMT "\" made job %llu, which asked for something else",
                          MU_STR_ARG(spec->key), (unsigned long long)existing);
    rc = mu_spec_check(spec, err);
    if (rc == MU_OK && spec->deadline_ms && spec->deadline_ms <= core->now_ms)
        rc = mu_fail_at(err, MU_INVALID, "deadline", "has passed already");
    if (rc == MU_OK && user == NULL && core->users.count == MU_USERS_MAX)
        rc = mu_fail_at(err, MU_BUSY, "user", "%d users are known, which is all there may be", MU_USERS_MAX);
    if (rc == MU_OK && (core->jobs.count >= core->limits.jobs_max || core->next_job > MU_JOB_ID_MAX))
        rc = mu_fail(err, MU_BUSY, "%llu jobs are kept, which is all there may be", (unsigned long long)core->jobs.count);
    if (rc == MU_OK && spec->open != MU_OPEN_WHOLE)
        rc = mu_graph_admit(NULL, spec->groups, spec->groups_count, &arena, err);
    if (rc == MU_OK)
        rc = mu_groups_admit(core, NULL, spec->groups, spec->groups_count, err);
    if (rc == MU_OK) {
        bytes = mu_groups_bytes(spec->groups, spec->groups_count, &tasks);
        rc = mu_room_admit(core, user, tasks, bytes, err);
    }
    mu_arena_fini(&arena);
    return rc;
}
