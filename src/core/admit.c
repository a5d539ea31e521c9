/* What is refused, and in which words: the same for the leader before it proposes and for every replica after. */
#include "core/state.h"

#include "base/units.h"

enum { FIELD = MU_ERR_FIELD, RETRIES_MAX = 1000 };

/* "tasks[2].array", or "array" for a job of one group. */
static const char *field(char at[FIELD], uint32_t groups, uint32_t i, const char *key)
{
    if (groups == 1)
        snprintf(at, FIELD, "%s", key);
    else
        snprintf(at, FIELD, "tasks[%u].%s", (unsigned)i, key);
    return at;
}

/* ---- forms ---- */

static bool is_plain(struct mu_str s)
{
    for (uint32_t i = 0; i < s.size; i++) {
        if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
            return false;
    }
    return true;
}

bool mu_name_is_ok(struct mu_str name)
{
    return name.size > 0 && name.size <= MU_NAME_MAX && is_plain(name);
}

bool mu_label_is_ok(struct mu_str label)
{
    struct mu_str value, name = mu_str_cut(label, '=', &value);

    return name.size > 0 && value.size > 0 && name.size + value.size < MU_NAME_MAX && is_plain(label);
}

bool mu_resource_name_is_ok(struct mu_str name)
{
    return mu_name_is_ok(name) && !mu_str_is(name, "cpus") && !mu_str_is(name, "mem") && !mu_str_is(name, "gpus") &&
           memchr(name.at, '=', name.size) == NULL;
}

static bool has_nul(struct mu_str s)
{
    return s.size && memchr(s.at, '\0', s.size) != NULL;
}

/* ---- one group ---- */

/* A group as it is checked: where it stands, how to name its keys. */
struct group_check {
    const struct mu_group_spec *g;
    uint32_t i, groups;
    bool stored; /* its lines are kept apart */
    struct mu_err *err;
    char at[FIELD];
};
#define REFUSE(c, key, ...) mu_fail_at((c)->err, MU_INVALID, field((c)->at, (c)->groups, (c)->i, key), __VA_ARGS__)

static enum mu_rc check_command(struct group_check *c)
{
    const struct mu_group_spec *g = c->g;

    if ((g->argv.count > 0) + (g->script.size > 0) + (g->lines.size > 0) != 1)
        return REFUSE(c, "command", "exactly one of command, script and lines is needed");
    if (g->argv.count && g->argv.at[0].size == 0)
        return REFUSE(c, "command", "the name of the program is empty");
    for (uint32_t i = 0; i < g->argv.count; i++) {
        if (has_nul(g->argv.at[i]))
            return REFUSE(c, "command", "an argument has a zero byte in it");
    }
    if (has_nul(g->script))
        return REFUSE(c, "script", "the text has a zero byte in it");
    if (has_nul(g->lines))
        return REFUSE(c, "lines", "a line has a zero byte in it");
    if (g->lines.size && mu_lines_count(g->lines) == 0)
        return REFUSE(c, "lines", "the last line does not end with a newline");
    if (g->lines.size && !c->stored && mu_lines_count(g->lines) != g->tasks)
        return REFUSE(c, "lines", "there are %u lines for %u tasks", (unsigned)mu_lines_count(g->lines), (unsigned)g->tasks);
    return MU_OK;
}

static enum mu_rc check_array(struct group_check *c)
{
    const struct mu_group_spec *g = c->g;
    uint64_t span;

    if (g->tasks == 0)
        return REFUSE(c, "array", "a group needs at least one task");
    if (g->tasks > MU_TASKS_PER_JOB_MAX)
        return mu_fail_at(c->err, MU_TOOBIG, field(c->at, c->groups, c->i, "array"), "%u tasks are more than the %d a job may have",
                          (unsigned)g->tasks, MU_TASKS_PER_JOB_MAX);
    if (__builtin_mul_overflow(g->array_step, (uint64_t)g->tasks, &span) || span > INT64_MAX || g->array_first > INT64_MAX)
        return REFUSE(c, "array", "the indices go beyond 2^63");
    return MU_OK;
}

static enum mu_rc check_resources(struct group_check *c)
{
    const struct mu_group_spec *g = c->g;

    if (g->cpu_milli > MU_AMOUNT_MAX)
        return REFUSE(c, "resources.cpus", "more than anything has");
    if (g->mem_bytes > MU_AMOUNT_MAX)
        return REFUSE(c, "resources.mem", "more than anything has");
    if (g->gpu_milli > MU_AMOUNT_MAX)
        return REFUSE(c, "resources.gpus", "more than anything has");
    for (uint32_t i = 0; i < g->resources_count; i++) {
        struct mu_str name = g->resources[i].name;
        if (!mu_resource_name_is_ok(name) || g->resources[i].amount > MU_AMOUNT_MAX)
            return REFUSE(c, "resources", "\"" MU_STR_FMT "\" has no proper name or amount", MU_STR_ARG(name));
        for (uint32_t k = 0; k < i; k++) {
            if (mu_str_eq(name, g->resources[k].name))
                return REFUSE(c, "resources", "\"" MU_STR_FMT "\" is named twice", MU_STR_ARG(name));
        }
    }
    return g->resources_count > MU_RES_MAX - MU_RES_NAMED ? REFUSE(c, "resources", "too many kinds of resources") : MU_OK;
}

static enum mu_rc check_labels(struct group_check *c, const struct mu_strs *labels, const char *key)
{
    for (uint32_t i = 0; i < labels->count; i++) {
        if (!mu_label_is_ok(labels->at[i]))
            return REFUSE(c, key, "\"" MU_STR_FMT "\" is not of the form K=V", MU_STR_ARG(labels->at[i]));
    }
    return MU_OK;
}

static enum mu_rc check_env(struct group_check *c)
{
    const struct mu_strs *env = &c->g->env;

    for (uint32_t i = 0; i < env->count; i++) {
        struct mu_str value, name = mu_str_cut(env->at[i], '=', &value);
        if (name.size == 0 || name.size == env->at[i].size || has_nul(env->at[i]))
            return REFUSE(c, "env", "\"" MU_STR_FMT "\" is not of the form K=V", MU_STR_ARG(env->at[i]));
    }
    return MU_OK;
}

static enum mu_rc check_paths(struct group_check *c)
{
    const struct { const char *key; struct mu_str text; } paths[] = {
        { "cwd", c->g->cwd }, { "stdin", c->g->stdin_path }, { "stdout", c->g->stdout_path }, { "stderr", c->g->stderr_path },
    };

    for (uint32_t i = 0; i < MU_COUNT(paths); i++) {
        if (has_nul(paths[i].text) || paths[i].text.size >= 4096)
            return REFUSE(c, paths[i].key, "not a path: a zero byte in it, or longer than 4095 bytes");
    }
    return MU_OK;
}

static enum mu_rc check_words(struct group_check *c)
{
    const struct { const char *key; struct mu_str text; } words[] = {
        { "name", c->g->name }, { "user", c->g->run_as }, { "node", c->g->node }, { "place", c->g->place },
    };

    for (uint32_t i = 0; i < MU_COUNT(words); i++) {
        if (words[i].text.size && !mu_name_is_ok(words[i].text))
            return REFUSE(c, words[i].key, "has control characters, or more than %d bytes", MU_NAME_MAX);
    }
    return MU_OK;
}

static enum mu_rc check_times(struct group_check *c)
{
    const struct mu_group_spec *g = c->g;

    if (g->retries > RETRIES_MAX)
        return REFUSE(c, "retries", "at most %d", RETRIES_MAX);
    if (g->backoff_ms > MU_DURATION_MAX)
        return REFUSE(c, "backoff", "longer than a lifetime");
    if (g->timeout_ms > MU_DURATION_MAX)
        return REFUSE(c, "timeout", "longer than a lifetime");
    if (g->grace_ms > MU_DURATION_MAX)
        return REFUSE(c, "grace", "longer than a lifetime");
    if (g->abort_after_milli > 1000)
        return REFUSE(c, "abort_after", "more than 100%%");
    return MU_OK;
}

static enum mu_rc check_each_node(struct group_check *c)
{
    const struct mu_strs *each = &c->g->each_node;

    if (each->count == 0)
        return MU_OK;
    if (each->count != c->g->tasks)
        return REFUSE(c, "each_node", "%u nodes are named for %u tasks", (unsigned)each->count, (unsigned)c->g->tasks);
    if (c->g->lines.size || c->g->node.size)
        return REFUSE(c, "each_node", "goes with neither lines nor node");
    return MU_OK;
}

static enum mu_rc check_deps(struct group_check *c)
{
    for (uint32_t i = 0; i < c->g->after_count; i++) {
        const struct mu_dep *dep = &c->g->after[i];
        if (dep->kind > MU_DEP_EACH_ANY)
            return REFUSE(c, "after", "there is no dependency of kind %u", (unsigned)dep->kind);
        if (dep->job > MU_JOB_ID_MAX || dep->group >= MU_GROUPS_PER_JOB_MAX)
            return REFUSE(c, "after", "there is no such job or group");
    }
    return MU_OK;
}

static enum mu_rc check_group(struct group_check *c)
{
    static enum mu_rc (*const checks[])(struct group_check *) = {
        check_words, check_array, check_command, check_resources, check_env, check_paths, check_times, check_each_node,
        check_deps,
    };
    enum mu_rc rc = MU_OK;

    for (uint32_t i = 0; rc == MU_OK && i < MU_COUNT(checks); i++)
        rc = checks[i](c);
    if (rc == MU_OK)
        rc = check_labels(c, &c->g->labels, "labels");
    if (rc == MU_OK)
        rc = check_labels(c, &c->g->prefer, "prefer");
    return rc;
}

static enum mu_rc check_groups(const struct mu_group_spec *groups, uint32_t count, uint32_t base, uint64_t tasks_before,
                               bool stored, struct mu_err *err)
{
    uint64_t tasks = tasks_before;

    if (count > MU_GROUPS_PER_JOB_MAX - base)
        return mu_fail_at(err, MU_TOOBIG, "tasks", "more than %d groups", MU_GROUPS_PER_JOB_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct group_check c = { .g = &groups[i], .i = base + i, .groups = base + count, .stored = stored, .err = err };
        enum mu_rc rc = check_group(&c);
        if (rc != MU_OK)
            return rc;
        tasks += groups[i].tasks;
    }
    if (tasks > MU_TASKS_PER_JOB_MAX)
        return mu_fail_at(err, MU_TOOBIG, count == 1 ? "array" : "tasks", "%llu tasks are more than the %d a job may have",
                          (unsigned long long)tasks, MU_TASKS_PER_JOB_MAX);
    return MU_OK;
}

enum mu_rc mu_groups_check(const struct mu_group_spec *groups, uint32_t count, uint32_t base, uint64_t tasks_before,
                           struct mu_err *err)
{
    return check_groups(groups, count, base, tasks_before, false, err);
}

static enum mu_rc check_head(const struct mu_job_spec *spec, struct mu_err *err)
{
    if (spec->name.size && !mu_name_is_ok(spec->name))
        return mu_fail_at(err, MU_INVALID, "name", "has control characters, or more than %d bytes", MU_NAME_MAX);
    if (!mu_name_is_ok(spec->user))
        return mu_fail_at(err, MU_INVALID, "user", "a user's name has 1 to %d bytes and no control characters", MU_NAME_MAX);
    if (spec->key.size > MU_KEY_MAX || !is_plain(spec->key))
        return mu_fail_at(err, MU_INVALID, "key", "has control characters, or more than %d bytes", MU_KEY_MAX);
    if (spec->priority < INT32_MIN || spec->priority > INT32_MAX)
        return mu_fail_at(err, MU_INVALID, "priority", "beyond 2^31");
    if (spec->deadline_ms > MU_TIME_MAX)
        return mu_fail_at(err, MU_INVALID, "deadline", "not in this world");
    if (spec->open > MU_OPEN_STREAM)
        return mu_fail_at(err, MU_INVALID, "open", "is one of no, whole, stream");
    if (spec->groups_count == 0)
        return mu_fail_at(err, MU_INVALID, "tasks", "a job needs at least one task");
    return MU_OK;
}

enum mu_rc mu_spec_check(const struct mu_job_spec *spec, struct mu_err *err)
{
    enum mu_rc rc = check_head(spec, err);

    return rc == MU_OK ? check_groups(spec->groups, spec->groups_count, 0, 0, false, err) : rc;
}

enum mu_rc mu_spec_check_stored(const struct mu_job_spec *spec)
{
    enum mu_rc rc = check_head(spec, NULL);

    return rc == MU_OK ? check_groups(spec->groups, spec->groups_count, 0, 0, true, NULL) : rc;
}

/* ---- groups that wait for each other ---- */

static void group_text(char *at, size_t size, const struct mu_group_spec *g, uint32_t i)
{
    if (g->name.size)
        snprintf(at, size, MU_STR_FMT, (int)(g->name.size < 40 ? g->name.size : 40), g->name.at);
    else
        snprintf(at, size, "tasks[%u]", (unsigned)i);
}

/* The groups that are new, after base old ones. */
struct graph {
    const struct mu_job *job; /* of the old ones */
    const struct mu_group_spec *groups;
    uint32_t base, count;
};

/* The first group, among those that still have waits, that group i (new ones from 0) waits for. */
static uint32_t waits_for(const struct graph *g, const uint32_t *waits, uint32_t i)
{
    const struct mu_dep *dep = g->groups[i].after;

    while (dep->job || dep->group < g->base || waits[dep->group - g->base] == 0)
        dep++;
    return dep->group - g->base;
}

/* Name a cycle: from any group that has waits go to one it waits for, and so on. */
static enum mu_rc refuse_cycle(const struct graph *g, const uint32_t *waits, struct mu_err *err)
{
    char text[MU_ERR_TEXT - 60] = "", name[48];
    size_t used = 0;
    uint32_t at = 0, start;

    while (waits[at] == 0)
        at++;
    for (uint32_t step = 0; step < g->count; step++)
        at = waits_for(g, waits, at); /* after so many steps we are on it for sure */
    start = at;
    do {
        group_text(name, sizeof name, &g->groups[at], g->base + at);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s -> ", name);
        at = waits_for(g, waits, at);
    } while (at != start && used + 2 * sizeof name < sizeof text);
    group_text(name, sizeof name, &g->groups[at], g->base + at);
    snprintf(text + used, sizeof text - used, "%s%s", name, at == start ? "" : " -> ...");
    snprintf(name, sizeof name, "tasks[%u].after", g->base + start);
    return mu_fail_at(err, MU_INVALID, name, "a cycle: these tasks wait for each other: %s", text);
}

static enum mu_rc check_refs(const struct graph *g, uint32_t i, struct mu_err *err)
{
    const struct mu_group_spec *spec = &g->groups[i];
    uint32_t all = g->base + g->count, tasks;
    char at[FIELD];

    for (uint32_t k = 0; k < spec->after_count; k++) {
        const struct mu_dep *dep = &spec->after[k];
        if (dep->job)
            continue;
        if (dep->group >= all)
            return mu_fail_at(err, MU_INVALID, field(at, all, g->base + i, "after"), "there is no group %u in this job",
                              (unsigned)dep->group);
        tasks = dep->group < g->base ? g->job->groups[dep->group].set.tasks : g->groups[dep->group - g->base].tasks;
        if (dep->kind >= MU_DEP_EACH_OK && tasks != spec->tasks)
            return mu_fail_at(err, MU_INVALID, field(at, all, g->base + i, "after_each"),
                              "one after one needs equal counts of tasks: %u after %u", (unsigned)spec->tasks, (unsigned)tasks);
    }
    return MU_OK;
}

/* Kahn's algorithm: take away what waits for nothing, until nothing is left. Edge e goes to group to[e]; the edges out
 * of a group are a list: first[group], next[e]; numbers + 1. */
static bool has_cycle(const struct graph *g, uint32_t edges_max, uint32_t *waits, struct mu_arena *arena)
{
    uint32_t *first = mu_arena_alloc(arena, g->count * sizeof first[0]);
    uint32_t *ready = mu_arena_alloc(arena, g->count * sizeof ready[0]);
    uint32_t *next = mu_arena_alloc(arena, (edges_max + 1) * sizeof next[0]);
    uint32_t *to = mu_arena_alloc(arena, (edges_max + 1) * sizeof to[0]);
    uint32_t edges = 0, queued = 0, done = 0;

    for (uint32_t i = 0; i < g->count; i++) {
        for (uint32_t k = 0; k < g->groups[i].after_count; k++) {
            const struct mu_dep *dep = &g->groups[i].after[k];
            if (dep->job || dep->group < g->base)
                continue;
            to[++edges] = i;
            next[edges] = first[dep->group - g->base];
            first[dep->group - g->base] = edges;
            waits[i]++;
        }
    }
    for (uint32_t i = 0; i < g->count; i++) {
        if (waits[i] == 0)
            ready[queued++] = i;
    }
    for (; done < queued; done++) {
        for (uint32_t e = first[ready[done]]; e; e = next[e]) {
            if (--waits[to[e]] == 0)
                ready[queued++] = to[e];
        }
    }
    return done < g->count;
}

enum mu_rc mu_graph_admit(const struct mu_job *job, const struct mu_group_spec *groups, uint32_t count,
                          struct mu_arena *arena, struct mu_err *err)
{
    struct graph g = { job, groups, job ? job->groups_count : 0, count };
    uint32_t edges = 0, *waits;

    for (uint32_t i = 0; i < count; i++) {
        enum mu_rc rc = check_refs(&g, i, err);
        if (rc != MU_OK)
            return rc;
        edges += groups[i].after_count;
    }
    if (edges == 0)
        return MU_OK;
    waits = mu_arena_alloc(arena, count * sizeof waits[0]);
    return has_cycle(&g, edges, waits, arena) ? refuse_cycle(&g, waits, err) : MU_OK;
}

/* ---- against the state: other jobs ---- */

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

/* ---- against the state: demands that no node could ever hold ---- */

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
    return refuse_lack(core, field(at, groups, i, kind_key(core, key, kind)), node, kind, need->amount[kind], only, err);
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
            return mu_fail_at(err, MU_NOTFOUND, field(at, groups, i, "each_node"), "there is no node \"" MU_STR_FMT "\"",
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
            return mu_fail_at(err, MU_IMPOSSIBLE, field(at, groups, i, "resources"),
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
                rc = admit_job_dep(core, job, &groups[i], dep, field(at, base + count, base + i, "after"), err);
        }
        if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

/* ---- against the state: room ---- */

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
