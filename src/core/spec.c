/* The form of what is asked, whatever the state: one function a kind of key, and the words when it is wrong. */
#include "core/state.h"

enum { FIELD = MU_ERR_FIELD, RETRIES_MAX = 1000 };

/* "tasks[2].array", or "array" for a job of one group. */
const char *mu_spec_field(char at[FIELD], uint32_t groups, uint32_t i, const char *key)
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
#define REFUSE(c, key, ...) mu_fail_at((c)->err, MU_INVALID, mu_spec_field((c)->at, (c)->groups, (c)->i, key), __VA_ARGS__)

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
        return mu_fail_at(c->err, MU_TOOBIG, mu_spec_field(c->at, c->groups, c->i, "array"), "%u tasks are more than the %d a job may have",
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
