/* wire/jobspec.c -- the reader of job specs: one table of keys, one function a kind of value. See jobspec.h. */
#include "wire/jobspec.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/units.h"

#include <jansson.h>
#include <stdio.h>

enum { GRACE_DEFAULT_MS = 10000, BACKOFF_DEFAULT_MS = 1000, CPU_DEFAULT_MILLI = 1000 };

struct ctx {
    struct mu_arena *arena;
    struct mu_err *err;
    json_t *tasks;      /* the array of task objects */
    json_t *names;      /* their names and places, for `after` */
    char path[96];      /* "tasks[2]." or "" for the flat form */
    char field[MU_ERR_FIELD];
};

typedef bool read_fn(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *at);

struct key {
    const char *name;
    read_fn *read;
    size_t offset; /* of the member read_fn fills */
};

static const char *at(struct ctx *c, const char *key)
{
    snprintf(c->field, sizeof c->field, "%s%s", c->path, key);
    return c->field;
}

__attribute__((format(printf, 2, 3)))
static bool bad(struct ctx *c, const char *fmt, ...)
{
    char text[MU_ERR_TEXT];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mu_fail_at(c->err, MU_INVALID, c->field, "%s: %s", c->field[0] ? c->field : "the job", text);
    return false;
}

static struct mu_str keep(struct ctx *c, const char *text, size_t size)
{
    const char *copy = mu_arena_strdup(c->arena, text, size);
    return (struct mu_str){ copy, copy != NULL ? (uint32_t)size : 0 };
}

/* Text of a string or number: YAML scalars come as strings, JSON numbers as numbers. */
static bool text_of(struct ctx *c, const json_t *v, struct mu_str *out)
{
    char number[40];

    if (json_is_string(v)) {
        *out = keep(c, json_string_value(v), json_string_length(v));
        return memchr(json_string_value(v), '\0', json_string_length(v)) == NULL || bad(c, "holds a NUL character");
    }
    if (json_is_integer(v))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(number, sizeof number, "%.15g", json_real_value(v));
    else
        return bad(c, "must be a text or a number");
    *out = keep(c, number, strlen(number));
    return true;
}

static bool read_text(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    (void)g;
    if (!json_is_string(v))
        return bad(c, "must be a text");
    return text_of(c, v, out);
}

static bool name_ok(struct ctx *c, struct mu_str s)
{
    if (s.size == 0 || s.size > MU_NAME_MAX)
        return bad(c, "must have 1 to %d bytes", MU_NAME_MAX);
    for (uint32_t i = 0; i < s.size; i++)
        if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
            return bad(c, "holds a control character at byte %u", i + 1);
    return true;
}

static bool read_name(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    return read_text(c, v, g, out) && name_ok(c, *(struct mu_str *)out);
}

static bool read_u64_of(struct ctx *c, const json_t *v, uint64_t max, uint64_t *out)
{
    struct mu_str s;
    uint64_t n;

    if (!text_of(c, v, &s))
        return false;
    if (!mu_str_u64(s, &n))
        return bad(c, "must be a whole number, not \"" MU_STR_FMT "\"", MU_STR_ARG(s));
    if (n > max)
        return bad(c, "must be at most %llu", (unsigned long long)max);
    *out = n;
    return true;
}

static bool read_u32(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    uint64_t n = 0;
    (void)g;
    if (!read_u64_of(c, v, MU_TASKS_PER_JOB_MAX, &n))
        return false;
    *(uint32_t *)out = (uint32_t)n;
    return true;
}

static bool read_duration(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    struct mu_str s;
    (void)g;
    if (!text_of(c, v, &s))
        return false;
    return mu_parse_duration(s, out) || bad(c, "must be a duration like 90s, 5m or 2h, not \"" MU_STR_FMT "\"", MU_STR_ARG(s));
}

static bool read_bool_of(struct ctx *c, const json_t *v, bool *out)
{
    if (!json_is_boolean(v))
        return bad(c, "must be true or false");
    *out = json_is_true(v);
    return true;
}

static struct mu_str *strs_alloc(struct ctx *c, struct mu_strs *s, size_t count)
{
    s->count = (uint32_t)count;
    s->at = mu_arena_alloc(c->arena, (count ? count : 1) * sizeof *s->at);
    return s->at;
}

static bool read_strs(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    struct mu_strs *s = out;
    size_t i;
    json_t *item;
    char field[MU_ERR_FIELD];
    (void)g;

    if (!json_is_array(v) || json_array_size(v) == 0)
        return bad(c, "must be a list with at least one word");
    strs_alloc(c, s, json_array_size(v));
    snprintf(field, sizeof field, "%s", c->field);
    json_array_foreach(v, i, item) {
        snprintf(c->field, sizeof c->field, "%.50s[%zu]", field, i);
        if (!text_of(c, item, &s->at[i]))
            return false;
    }
    return true;
}

/* {"K": "V"} as "K=V" words. */
static bool read_pairs(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    struct mu_strs *s = out;
    const char *k;
    json_t *item;
    uint32_t n = 0;
    (void)g;

    if (!json_is_object(v))
        return bad(c, "must be an object of names and texts");
    strs_alloc(c, s, json_object_size(v));
    json_object_foreach((json_t *)v, k, item) {
        struct mu_str val;
        char *pair;
        size_t size;
        if (k[0] == '\0' || strchr(k, '=') != NULL)
            return bad(c, "\"%.40s\" is not a name", k);
        if (!text_of(c, item, &val))
            return false;
        size = strlen(k) + 1 + val.size;
        pair = mu_arena_alloc(c->arena, size + 1);
        snprintf(pair, size + 1, "%s=%.*s", k, (int)val.size, val.at);
        s->at[n++] = (struct mu_str){ pair, (uint32_t)size };
    }
    return true;
}

static bool read_lines(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    struct mu_buf b = { 0 };
    struct mu_str *lines = out;
    size_t i;
    json_t *item;
    uint32_t count = 0;

    if (json_is_string(v)) {
        mu_buf_add(&b, json_string_value(v), json_string_length(v));
        if (b.size > 0 && b.at[b.size - 1] != '\n')
            mu_buf_addc(&b, '\n');
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, item) {
            if (!json_is_string(item) || strchr(json_string_value(item), '\n') != NULL) {
                mu_buf_fini(&b);
                return bad(c, "item %zu must be a text without a line break", i);
            }
            mu_buf_add(&b, json_string_value(item), json_string_length(item));
            mu_buf_addc(&b, '\n');
        }
    } else {
        return bad(c, "must be a list of texts, or one text with a command a line");
    }
    for (size_t k = 0; k < b.size; k++)
        count += b.at[k] == '\n';
    *lines = keep(c, (char *)b.at, b.size);
    mu_buf_fini(&b);
    g->tasks = count;
    if (memchr(lines->at != NULL ? lines->at : "", '\0', lines->size) != NULL)
        return bad(c, "holds a NUL character");
    return count <= MU_TASKS_PER_JOB_MAX || bad(c, "has %u lines; a job has at most %d tasks", count, MU_TASKS_PER_JOB_MAX);
}

bool mu_parse_array(struct mu_str text, uint64_t *out_first, uint64_t *out_step, uint64_t *out_count)
{
    struct mu_str step = { 0 }, range = mu_str_cut(text, ':', &step), last = { 0 }, first = mu_str_cut(range, '-', &last);
    uint64_t a, b, by = 1;
    bool has_step = memchr(text.at != NULL ? text.at : "", ':', text.size) != NULL;

    if (!mu_str_u64(first, &a) || !mu_str_u64(last, &b) || b < a)
        return false;
    if (has_step && (!mu_str_u64(step, &by) || by == 0))
        return false;
    *out_first = a;
    *out_step = by;
    *out_count = (b - a) / by + 1;
    return *out_count != 0;
}

static bool read_array(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    struct mu_str s;
    uint64_t count;
    (void)out;

    if (!text_of(c, v, &s))
        return false;
    if (!mu_parse_array(s, &g->array_first, &g->array_step, &count))
        return bad(c, "must be FIRST-LAST or FIRST-LAST:STEP, not \"" MU_STR_FMT "\"", MU_STR_ARG(s));
    if (count > MU_TASKS_PER_JOB_MAX)
        return bad(c, "has %llu tasks; a job has at most %d", (unsigned long long)count, MU_TASKS_PER_JOB_MAX);
    g->tasks = (uint32_t)count;
    g->is_array = true;
    return true;
}

static bool read_resource(struct ctx *c, const char *key, const json_t *v, struct mu_group_spec *g)
{
    struct mu_str s;
    uint64_t n;

    if (!text_of(c, v, &s))
        return false;
    if (strcmp(key, "cpus") == 0)
        return mu_parse_milli(s, &g->cpu_milli) || bad(c, "must be a number of cpus like 2 or 0.5, not \"" MU_STR_FMT "\"", MU_STR_ARG(s));
    if (strcmp(key, "mem") == 0)
        return mu_parse_size(s, &g->mem_bytes) || bad(c, "must be a size like 512MiB or 4G, not \"" MU_STR_FMT "\"", MU_STR_ARG(s));
    if (strcmp(key, "gpus") == 0)
        return mu_parse_milli(s, &g->gpu_milli) || bad(c, "must be a number of gpus, not \"" MU_STR_FMT "\"", MU_STR_ARG(s));
    if (!mu_str_u64(s, &n))
        return bad(c, "must be a whole number, not \"" MU_STR_FMT "\"", MU_STR_ARG(s));
    g->resources[g->resources_count].name = keep(c, key, strlen(key));
    g->resources[g->resources_count].amount = n;
    return name_ok(c, g->resources[g->resources_count++].name);
}

static bool read_resources(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    const char *k;
    json_t *item;
    char key[80];
    (void)out;

    if (!json_is_object(v))
        return bad(c, "must be an object like {cpus: 1, mem: 512MiB}");
    if (json_object_size(v) > MU_RES_MAX)
        return bad(c, "names more than %d resources", MU_RES_MAX);
    g->resources = mu_arena_alloc(c->arena, MU_RES_MAX * sizeof *g->resources);
    json_object_foreach((json_t *)v, k, item) {
        snprintf(key, sizeof key, "resources.%.40s", k);
        at(c, key);
        if (!read_resource(c, k, item, g))
            return false;
    }
    return true;
}

/* A dependency: a number is a job, any other text a task of this file. */
static bool read_dep(struct ctx *c, const json_t *v, uint32_t kind, struct mu_dep *dep)
{
    struct mu_str s;
    const json_t *place;

    if (!text_of(c, v, &s))
        return false;
    dep->kind = kind;
    if (mu_str_u64(s, &dep->job))
        return dep->job != 0 || bad(c, "job 0 does not exist");
    place = json_object_get(c->names, s.at);
    if (place != NULL) {
        dep->group = (uint32_t)json_integer_value(place);
        return true;
    }
    return bad(c, "no task is named \"" MU_STR_FMT "\"", MU_STR_ARG(s));
}

static bool read_deps(struct ctx *c, const json_t *v, struct mu_group_spec *g, uint32_t kind)
{
    size_t count = json_is_array(v) ? json_array_size(v) : 1;
    struct mu_dep *deps = mu_arena_alloc(c->arena, (g->after_count + count + 1) * sizeof *deps);
    char field[MU_ERR_FIELD];

    if (g->after_count > 0)
        memcpy(deps, g->after, g->after_count * sizeof *deps);
    g->after = deps;
    snprintf(field, sizeof field, "%s", c->field);
    for (size_t i = 0; i < count; i++) {
        if (json_is_array(v))
            snprintf(c->field, sizeof c->field, "%.50s[%zu]", field, i);
        if (!read_dep(c, json_is_array(v) ? json_array_get(v, i) : v, kind, &deps[g->after_count]))
            return false;
        g->after_count++;
    }
    return true;
}

static bool read_after(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    (void)out;
    return read_deps(c, v, g, MU_DEP_OK);
}
static bool read_after_any(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    (void)out;
    return read_deps(c, v, g, MU_DEP_ANY);
}
static bool read_after_each(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    (void)out;
    return read_deps(c, v, g, MU_DEP_EACH_OK);
}
static bool read_after_each_any(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    (void)out;
    return read_deps(c, v, g, MU_DEP_EACH_ANY);
}

static bool read_each_node(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    bool on = false;
    (void)out;

    if (!read_bool_of(c, v, &on))
        return false;
    if (on)
        strs_alloc(c, &g->each_node, 1)[0] = MU_STR_LIT("*");
    return true;
}

static bool read_abort_after(struct ctx *c, const json_t *v, struct mu_group_spec *g, void *out)
{
    struct mu_str s;
    uint64_t n;
    (void)out;

    if (!text_of(c, v, &s))
        return false;
    if (s.size > 1 && s.at[s.size - 1] == '%') {
        s.size--;
        if (!mu_parse_milli(s, &n) || n == 0 || n > 100000)
            return bad(c, "must be a number of failures or a share like 5%%");
        g->abort_after_milli = (uint32_t)(n / 100 ? n / 100 : 1);
        return true;
    }
    if (!mu_str_u64(s, &n) || n == 0 || n > MU_TASKS_PER_JOB_MAX)
        return bad(c, "must be a number of failures (from 1) or a share like 5%%");
    g->abort_after = (uint32_t)n;
    return true;
}

#define AT(member) offsetof(struct mu_group_spec, member)
static const struct key task_keys[] = {
    { "name", read_name, AT(name) },
    { "command", read_strs, AT(argv) },
    { "script", read_text, AT(script) },
    { "lines", read_lines, AT(lines) },
    { "array", read_array, 0 },
    { "resources", read_resources, 0 },
    { "after", read_after, 0 },
    { "after_any", read_after_any, 0 },
    { "after_each", read_after_each, 0 },
    { "after_each_any", read_after_each_any, 0 },
    { "retries", read_u32, AT(retries) },
    { "backoff", read_duration, AT(backoff_ms) },
    { "timeout", read_duration, AT(timeout_ms) },
    { "grace", read_duration, AT(grace_ms) },
    { "env", read_pairs, AT(env) },
    { "cwd", read_text, AT(cwd) },
    { "user", read_name, AT(run_as) },
    { "labels", read_pairs, AT(labels) },
    { "prefer", read_pairs, AT(prefer) },
    { "node", read_name, AT(node) },
    { "each_node", read_each_node, 0 },
    { "max_parallel", read_u32, AT(max_parallel) },
    { "abort_after", read_abort_after, 0 },
    { "place", read_name, AT(place) },
    { "stdin", read_text, AT(stdin_path) },
    { "stdout", read_text, AT(stdout_path) },
    { "stderr", read_text, AT(stderr_path) },
};

/* Keys may be written as flags are: after-any for after_any. */
static bool key_is(const char *name, const char *word)
{
    for (; *name != '\0' && (*name == *word || (*name == '_' && *word == '-')); name++, word++)
        ;
    return *name == '\0' && *word == '\0';
}

static const struct key *task_key(const char *word)
{
    for (size_t i = 0; i < MU_COUNT(task_keys); i++)
        if (key_is(task_keys[i].name, word))
            return &task_keys[i];
    return NULL;
}

static bool check_task(struct ctx *c, struct mu_group_spec *g)
{
    int ways = (g->argv.count > 0) + (g->script.size > 0) + (g->lines.size > 0);

    at(c, "command");
    if (ways != 1)
        return bad(c, ways == 0 ? "one of command, script and lines is needed" : "only one of command, script and lines may be given");
    if (g->argv.count > 0 && g->argv.at[0].size == 0)
        return bad(c, "the program's name is empty");
    at(c, "array");
    if (g->lines.size > 0 && g->is_array)
        return bad(c, "cannot be given beside lines");
    at(c, "each_node");
    if (g->each_node.count > 0 && (g->is_array || g->lines.size > 0 || g->node.size > 0))
        return bad(c, "cannot be given beside array, lines or node");
    return true;
}

static bool unknown_key(struct ctx *c, const char *word)
{
    at(c, word);
    return bad(c, "there is no such key");
}

static const char *const job_keys[] = { "name", "priority", "deadline", "key", "hold", "open", "tasks" };

static bool is_job_key(const char *word)
{
    for (size_t i = 0; i < MU_COUNT(job_keys); i++)
        if (strcmp(job_keys[i], word) == 0)
            return true;
    return false;
}

/* flat: the object is the job itself, so the job's own keys are passed over. */
static bool read_task(struct ctx *c, json_t *task, bool flat, struct mu_group_spec *g)
{
    const char *word;
    json_t *v;
    uint64_t seen = 0;

    g->array_step = 1;
    g->tasks = 1;
    g->cpu_milli = CPU_DEFAULT_MILLI;
    g->grace_ms = GRACE_DEFAULT_MS;
    g->backoff_ms = BACKOFF_DEFAULT_MS;
    json_object_foreach(task, word, v) {
        const struct key *key = flat && is_job_key(word) ? NULL : task_key(word);
        if (key == NULL && flat && is_job_key(word))
            continue;
        if (key == NULL)
            return unknown_key(c, word);
        if (seen & UINT64_C(1) << (key - task_keys)) {
            at(c, word);
            return bad(c, "the key stands twice");
        }
        seen |= UINT64_C(1) << (key - task_keys);
        at(c, word);
        if (!json_is_null(v) && !key->read(c, v, g, (char *)g + key->offset))
            return false;
    }
    return check_task(c, g);
}

static bool index_names(struct ctx *c)
{
    size_t i;
    json_t *task;

    json_array_foreach(c->tasks, i, task) {
        const char *name = json_string_value(json_object_get(task, "name"));
        if (name != NULL && json_object_get(c->names, name) != NULL) {
            snprintf(c->path, sizeof c->path, "tasks[%zu].", i);
            at(c, "name");
            return bad(c, "two tasks are named \"%.60s\"", name);
        }
        if (name != NULL)
            json_object_set_new(c->names, name, json_integer((json_int_t)i));
    }
    return true;
}

static bool read_tasks(struct ctx *c, struct mu_job_spec *out)
{
    size_t i;
    json_t *task;

    out->groups_count = (uint32_t)json_array_size(c->tasks);
    out->groups = mu_arena_alloc(c->arena, (out->groups_count + 1) * sizeof *out->groups);
    if (out->groups == NULL)
        return mu_fail(c->err, MU_TOOBIG, "the job is too large") == MU_OK;
    if (!index_names(c))
        return false;
    json_array_foreach(c->tasks, i, task) {
        snprintf(c->path, sizeof c->path, "tasks[%zu].", i);
        if (!json_is_object(task)) {
            snprintf(c->field, sizeof c->field, "tasks[%zu]", i);
            return bad(c, "must be an object");
        }
        if (!read_task(c, task, false, &out->groups[i]))
            return false;
    }
    c->path[0] = '\0';
    return true;
}

static bool read_open(struct ctx *c, const json_t *v, uint32_t *out)
{
    static const char *const words[] = { [MU_OPEN_NO] = "no", [MU_OPEN_WHOLE] = "whole", [MU_OPEN_STREAM] = "stream" };

    for (uint32_t i = 0; json_is_string(v) && i < MU_COUNT(words); i++) {
        if (strcmp(json_string_value(v), words[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return bad(c, "must be no, whole or stream");
}

static bool read_priority(struct ctx *c, const json_t *v, int64_t *out)
{
    struct mu_str s;
    uint64_t n;
    bool minus;

    if (!text_of(c, v, &s))
        return false;
    minus = s.size > 0 && s.at[0] == '-';
    s.at += minus;
    s.size -= minus;
    if (!mu_str_u64(s, &n) || n > 1000000)
        return bad(c, "must be a whole number from -1000000 to 1000000");
    *out = minus ? -(int64_t)n : (int64_t)n;
    return true;
}

/* The keys of the job itself. */
static bool read_job(struct ctx *c, json_t *root, struct mu_job_spec *out)
{
    json_t *v;
    struct mu_str s;

    if ((v = json_object_get(root, at(c, "name"))) != NULL && !json_is_null(v) && !read_name(c, v, NULL, &out->name))
        return false;
    if ((v = json_object_get(root, at(c, "key"))) != NULL && !json_is_null(v) && !read_name(c, v, NULL, &out->key))
        return false;
    if ((v = json_object_get(root, at(c, "priority"))) != NULL && !json_is_null(v) && !read_priority(c, v, &out->priority))
        return false;
    if ((v = json_object_get(root, at(c, "hold"))) != NULL && !json_is_null(v) && !read_bool_of(c, v, &out->hold))
        return false;
    if ((v = json_object_get(root, at(c, "open"))) != NULL && !json_is_null(v) && !read_open(c, v, &out->open))
        return false;
    if ((v = json_object_get(root, at(c, "deadline"))) != NULL && !json_is_null(v)) {
        if (!text_of(c, v, &s))
            return false;
        if (!mu_parse_time(s, &out->deadline_ms))
            return bad(c, "must be a time like 2026-11-22T20:00:00Z, not \"" MU_STR_FMT "\"", MU_STR_ARG(s));
    }
    return true;
}

static bool read_root(struct ctx *c, json_t *root, struct mu_job_spec *out)
{
    const char *word;
    json_t *v;

    c->field[0] = '\0';
    if (!json_is_object(root))
        return bad(c, "must be an object");
    if (!read_job(c, root, out))
        return false;
    c->tasks = json_object_get(root, "tasks");
    if (c->tasks == NULL) {
        out->groups_count = 1;
        out->groups = mu_arena_alloc(c->arena, sizeof *out->groups);
        return read_task(c, root, true, out->groups);
    }
    at(c, "tasks");
    if (!json_is_array(c->tasks) || json_array_size(c->tasks) == 0)
        return bad(c, "must be a list with at least one task");
    if (json_array_size(c->tasks) > MU_GROUPS_PER_JOB_MAX)
        return bad(c, "has more than %d tasks; use an array", MU_GROUPS_PER_JOB_MAX);
    json_object_foreach(root, word, v) {
        if (!is_job_key(word) && task_key(word) != NULL) {
            at(c, word);
            return bad(c, "belongs inside a task, since there is a list of tasks");
        }
        if (!is_job_key(word))
            return unknown_key(c, word);
    }
    return read_tasks(c, out);
}

/* Of all that was asked, whatever the order of keys; the idempotency key itself left out. */
static uint64_t digest_of(json_t *root)
{
    json_t *copy = json_copy(root);
    char *text;
    uint64_t digest;

    json_object_del(copy, "key");
    text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    digest = text != NULL ? mu_hash(text, strlen(text), 0) : 0;
    free(text);
    json_decref(copy);
    return digest;
}

enum mu_rc mu_jobspec_json(struct mu_str json, struct mu_str user, struct mu_job_spec *out, struct mu_arena *arena, struct mu_err *err)
{
    struct ctx c = { .arena = arena };
    struct mu_err own = { 0 };
    json_error_t je;
    json_t *root;
    bool good;

    if (json.size > MU_JOBSPEC_BYTES_MAX)
        return mu_fail(err, MU_TOOBIG, "the job has %u bytes; at most %d", json.size, MU_JOBSPEC_BYTES_MAX);
    root = json_loadb(json.at, json.size, JSON_REJECT_DUPLICATES, &je);
    if (root == NULL)
        return mu_fail(err, MU_INVALID, "line %d, column %d: %s", je.line, je.column, je.text);
    memset(out, 0, sizeof *out);
    c.err = err != NULL ? err : &own;
    c.names = json_object();
    good = read_root(&c, root, out);
    json_decref(c.names);
    out->user = user;
    if (good && out->key.size > 0)
        out->digest = digest_of(root);
    json_decref(root);
    return good ? MU_OK : MU_INVALID;
}

uint64_t mu_jobspec_digest(struct mu_str json)
{
    json_t *root = json_loadb(json.at, json.size, JSON_REJECT_DUPLICATES, NULL);
    uint64_t digest = root != NULL ? digest_of(root) : 0;

    json_decref(root);
    return digest;
}

const char mu_jobspec_schema[] =
#include "wire/jobspec_schema.inc"
    ;
