/* server/record.c -- see record.h. */
#include "server/record.h"

#include "base/assert.h"
#include "base/json.h"

static bool group_of(const struct mu_core *core, uint64_t job, uint32_t group, struct mu_job_group *out, struct mu_arena *arena)
{
    struct mu_group_view view;
    struct mu_group_spec spec;

    if (!mu_view_group(core, job, group, &view) || !mu_view_group_spec(core, job, group, &spec, arena))
        return false;
    *out = (struct mu_job_group){ .name = spec.name, .first = view.first, .tasks = view.tasks, .array_first = spec.array_first,
                                  .array_step = spec.array_step, .is_array = spec.is_array };
    return true;
}

bool mu_record_of(const struct mu_core *core, uint64_t job, struct mu_job_record *out, struct mu_arena *arena)
{
    struct mu_job_view v;
    uint64_t *counts;

    if (!mu_view_job(core, job, &v))
        return false;
    counts = mu_arena_alloc(arena, MU_TASK_STATES * sizeof *counts);
    for (int i = 0; i < MU_TASK_STATES; i++)
        counts[i] = v.count[i];
    *out = (struct mu_job_record){ .id = v.id, .name = v.name, .user = v.user, .state = mu_str_of(mu_view_job_state(&v)),
        .priority = v.priority, .submitted_ms = v.submitted_ms, .started_ms = v.started_ms, .ended_ms = v.ended_ms,
        .deadline_ms = v.deadline_ms, .held = v.held, .open = v.open, .tasks = v.tasks, .key = v.key,
        .counts = { counts, MU_TASK_STATES }, .groups_count = v.groups };
    out->groups = mu_arena_alloc(arena, (v.groups + 1) * sizeof *out->groups);
    for (uint32_t i = 0; i < v.groups; i++)
        if (!group_of(core, job, i, &out->groups[i], arena))
            return false;
    return true;
}

uint64_t mu_record_index(const struct mu_job_record *job, uint32_t ordinal)
{
    const struct mu_job_group *g = job->groups;

    return job->groups_count == 1 ? g->array_first + ordinal * (g->array_step ? g->array_step : 1) : ordinal;
}

bool mu_record_ordinal(const struct mu_job_record *job, uint64_t index, uint32_t *out_ordinal)
{
    uint64_t first = 0, step = 1;

    if (job->groups_count == 1) {
        first = job->groups[0].array_first;
        step = job->groups[0].array_step ? job->groups[0].array_step : 1;
    }
    if (index < first || (index - first) % step != 0 || (index - first) / step >= job->tasks)
        return false;
    *out_ordinal = (uint32_t)((index - first) / step);
    return true;
}

struct mu_str mu_record_group(const struct mu_job_record *job, uint32_t ordinal)
{
    uint32_t lo = 0, hi = job->groups_count;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (job->groups[mid].first <= ordinal)
            lo = mid;
        else
            hi = mid;
    }
    return hi > 0 ? job->groups[lo].name : (struct mu_str){ 0 };
}

void mu_show_counts(struct mu_buf *b, const uint64_t by_state[MU_TASK_STATES])
{
    uint64_t waiting = by_state[MU_TASK_BLOCKED] + by_state[MU_TASK_READY] + by_state[MU_TASK_BACKOFF];

    mu_json_open(b, '{');
    mu_json_ku64(b, "waiting", waiting);
    for (int s = MU_TASK_STARTING; s < MU_TASK_STATES; s++)
        mu_json_ku64(b, mu_task_state_text((enum mu_task_state)s), by_state[s]);
    mu_json_close(b, '{');
}

static void show_str_or_null(struct mu_buf *b, const char *key, struct mu_str s)
{
    mu_json_key(b, key);
    if (s.size > 0)
        mu_json_str(b, s);
    else
        mu_json_null(b);
}

static void show_group(struct mu_buf *b, const struct mu_job_group *g)
{
    char range[80];
    uint64_t step = g->array_step ? g->array_step : 1, last = g->array_first + (uint64_t)(g->tasks ? g->tasks - 1 : 0) * step;

    mu_json_open(b, '{');
    show_str_or_null(b, "name", g->name);
    mu_json_ku64(b, "first", g->first);
    mu_json_ku64(b, "tasks", g->tasks);
    snprintf(range, sizeof range, step == 1 ? "%llu-%llu" : "%llu-%llu:%llu", (unsigned long long)g->array_first,
             (unsigned long long)last, (unsigned long long)step);
    mu_json_ktext(b, "array", g->is_array ? range : NULL);
    mu_json_close(b, '{');
}

void mu_show_job(struct mu_buf *b, const struct mu_job_record *job, uint32_t groups_max)
{
    uint64_t counts[MU_TASK_STATES] = { 0 };

    mu_json_open(b, '{');
    mu_json_ku64(b, "id", job->id);
    mu_json_kstr(b, "name", job->name);
    mu_json_kstr(b, "user", job->user);
    mu_json_kstr(b, "state", job->state);
    mu_json_ks64(b, "priority", job->priority);
    mu_json_ktime(b, "submitted", job->submitted_ms);
    mu_json_ktime(b, "started", job->started_ms);
    mu_json_ktime(b, "ended", job->ended_ms);
    mu_json_kbool(b, "held", job->held);
    mu_json_kbool(b, "open", job->open);
    mu_json_ku64(b, "tasks", job->tasks);
    for (uint32_t i = 0; i < MU_TASK_STATES && i < job->counts.count; i++)
        counts[i] = job->counts.at[i];
    mu_json_key(b, "counts");
    mu_show_counts(b, counts);
    if (job->groups_count > groups_max) {
        mu_json_knull(b, "groups");
    } else {
        mu_json_kopen(b, "groups", '[');
        for (uint32_t i = 0; i < job->groups_count; i++)
            show_group(b, &job->groups[i]);
        mu_json_close(b, '[');
    }
    show_str_or_null(b, "key", job->key);
    mu_json_ktime(b, "deadline", job->deadline_ms);
    mu_json_close(b, '{');
}

void mu_show_end(struct mu_buf *b, enum mu_end how, uint32_t code, bool brief)
{
    if (how == MU_END_EXIT)
        mu_json_ku64(b, "exit_code", code);
    else if (!brief)
        mu_json_knull(b, "exit_code");
    if (how == MU_END_SIGNAL)
        mu_json_ku64(b, "signal", code);
    else if (!brief)
        mu_json_knull(b, "signal");
    if (how != MU_END_EXIT && brief)
        mu_json_ktext(b, "reason", mu_end_text(how));
    if (how == MU_END_NOSTART) {
        mu_json_ktext(b, "error", strerror((int)code));
        mu_json_ku64(b, "errno", code);
    }
}

static const char *waits_for(const struct mu_task_show *t)
{
    if (t->held)
        return "held";
    return t->state == MU_TASK_BLOCKED ? "dependency" : t->state == MU_TASK_BACKOFF ? "backoff" : "resources";
}

static void show_span(struct mu_buf *b, const char *key, uint64_t from_ms, uint64_t to_ms)
{
    if (from_ms == 0)
        mu_json_knull(b, key);
    else
        mu_json_kfixed(b, key, to_ms > from_ms ? to_ms - from_ms : 0, 3);
}

static void show_usage(struct mu_buf *b, const struct mu_result_row *end)
{
    static const struct mu_result_row none;
    const struct mu_result_row *e = end ? end : &none;

    mu_json_key(b, "user_s");
    if (end) mu_json_fixed(b, e->user_us, 6); else mu_json_null(b);
    mu_json_key(b, "sys_s");
    if (end) mu_json_fixed(b, e->sys_us, 6); else mu_json_null(b);
    mu_json_key(b, "max_rss");
    if (end) mu_json_u64(b, e->rss_bytes); else mu_json_null(b);
    mu_json_key(b, "stdout_bytes");
    if (end) mu_json_u64(b, e->out_bytes); else mu_json_null(b);
    mu_json_key(b, "stderr_bytes");
    if (end) mu_json_u64(b, e->err_bytes); else mu_json_null(b);
}

static void show_times(struct mu_buf *b, const struct mu_task_show *t, uint64_t now_ms)
{
    const struct mu_result_row *end = t->end;
    uint64_t wait_to = t->placed_ms ? t->placed_ms : end ? end->ended_ms : now_ms;

    mu_json_ktime(b, "submitted", t->submitted_ms);
    mu_json_ktime(b, "placed", t->placed_ms);
    mu_json_ktime(b, "started", t->started_ms);
    mu_json_ktime(b, "ended", end && mu_task_is_final(t->state) ? end->ended_ms : 0);
    if (mu_task_is_final(t->state) && end == NULL)
        mu_json_knull(b, "wait_s");
    else
        show_span(b, "wait_s", t->submitted_ms, wait_to);
    if (end == NULL)
        show_span(b, "run_s", t->started_ms, now_ms);
    else if (end->started_ms != 0)
        mu_json_kfixed(b, "run_s", end->run_us, 6);
    else
        mu_json_knull(b, "run_s");
}

void mu_show_task(struct mu_buf *b, const struct mu_task_show *t, uint64_t now_ms)
{
    const char *reason = NULL;
    char name[48];

    snprintf(name, sizeof name, "%llu.%llu", (unsigned long long)t->job, (unsigned long long)t->index);
    mu_json_open(b, '{');
    mu_json_ku64(b, "job", t->job);
    mu_json_ku64(b, "index", t->index);
    mu_json_ktext(b, "task", name);
    show_str_or_null(b, "group", t->group);
    mu_json_ktext(b, "state", mu_task_state_text(t->state));
    if (mu_task_is_waiting(t->state))
        reason = waits_for(t);
    else if (t->end)
        reason = mu_end_text(t->end->how);
    else if (t->state == MU_TASK_CANCELLED)
        reason = "cancel";
    mu_json_ktext(b, "reason", reason);
    mu_json_ku64(b, "attempt", t->attempt);
    mu_json_ktext(b, "node", t->node);
    mu_show_end(b, t->end ? t->end->how : MU_END_CANCEL, t->end ? t->end->code : 0, false);
    show_times(b, t, now_ms);
    show_usage(b, t->end);
    mu_json_close(b, '{');
}

static void show_amount(struct mu_buf *b, uint32_t kind, uint64_t amount)
{
    if (kind == MU_RES_CPU || kind == MU_RES_GPU)
        mu_json_fixed(b, amount, 3);
    else
        mu_json_u64(b, amount);
}

static void show_resources(struct mu_buf *b, const struct mu_core *core, const struct mu_node *node)
{
    static const char *const names[] = { "cpus", "mem", "gpus" };

    for (uint32_t k = 0; k < MU_RES_NAMED; k++) {
        char key[16];
        snprintf(key, sizeof key, "%s_used", names[k]);
        mu_json_key(b, names[k]);
        show_amount(b, k, node->total.amount[k]);
        mu_json_key(b, key);
        show_amount(b, k, node->used.amount[k]);
    }
    mu_json_kopen(b, "resources", '{');
    for (uint32_t k = MU_RES_NAMED; k < mu_view_res_kinds(core); k++) {
        if (node->total.amount[k] == 0 && node->used.amount[k] == 0)
            continue;
        mu_json_str(b, mu_view_res_name(core, k));
        mu_buf_addc(b, ':');
        mu_json_open(b, '{');
        mu_json_ku64(b, "total", node->total.amount[k]);
        mu_json_ku64(b, "used", node->used.amount[k]);
        mu_json_close(b, '{');
    }
    mu_json_close(b, '{');
}

static void show_labels(struct mu_buf *b, const struct mu_core *core, const struct mu_node *node)
{
    mu_json_kopen(b, "labels", '{');
    for (uint32_t i = 0; i < node->labels.count; i++) {
        struct mu_str value, key = mu_str_cut(mu_view_word(core, node->labels.at[i]), '=', &value);
        mu_json_str(b, key);
        mu_buf_addc(b, ':');
        mu_json_str(b, value);
    }
    mu_json_close(b, '{');
}

static void show_load(struct mu_buf *b, const struct mu_msg_ping *ping)
{
    if (ping == NULL) {
        mu_json_knull(b, "load");
        return;
    }
    mu_json_kopen(b, "load", '{');
    mu_json_kfixed(b, "cpus", ping->cpu_milli_used, 3);
    mu_json_ku64(b, "mem", ping->mem_used);
    mu_json_ku64(b, "disk_free", ping->disk_free);
    mu_json_close(b, '{');
}

void mu_show_node(struct mu_buf *b, const struct mu_core *core, const struct mu_node *node, const struct mu_msg_ping *ping)
{
    mu_json_open(b, '{');
    mu_json_ktext(b, "name", node->name);
    mu_json_ku64(b, "id", node->id);
    mu_json_ktext(b, "state", mu_node_state_text(node->state));
    mu_json_kbool(b, "drain", node->drain);
    show_resources(b, core, node);
    show_labels(b, core, node);
    mu_json_ku64(b, "running", node->live);
    mu_json_ktext(b, "limits", node->limits);
    mu_json_ktext(b, "version", node->version);
    mu_json_ktext(b, "address", node->address);
    mu_json_ku64(b, "ended_ok", node->ended_ok);
    mu_json_ku64(b, "ended_failed", node->ended_bad);
    mu_json_ktime(b, "joined", node->joined_ms);
    show_load(b, ping);
    mu_json_close(b, '{');
}
