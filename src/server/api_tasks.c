/* server/api_tasks.c -- tasks of a job: what core says of their states, and the history of how they ended. */
#include "server/api.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000, PAST_WINDOW = 8192 };

struct page {
    char state[128];       /* of the query */
    uint32_t states;       /* bits of enum mu_task_state */
    uint32_t from, limit;
    struct mu_job_record job;
    bool in_core;
    struct mu_task_show *tasks;
    uint32_t *ordinals, *nodes;
    uint32_t count;
    bool more;
    struct mu_buf b;       /* the answer while it is written in parts */
};

/* "waiting,failed" to a set; 0: a word is no state. */
static uint32_t states_of(struct mu_str words)
{
    uint32_t set = 0;

    if (words.size == 0)
        return UINT32_MAX;
    while (words.size > 0) {
        struct mu_str word = mu_str_cut(words, ',', &words);
        uint32_t bits = 0;
        for (int s = 0; s < MU_TASK_STATES; s++)
            if (mu_str_is(word, mu_task_state_text((enum mu_task_state)s)))
                bits |= 1u << s;
        if (bits == 0)
            return 0;
        set |= bits;
    }
    return set;
}

static const char *node_name(struct mu_call *c, uint32_t node)
{
    const struct mu_node *n = node == MU_NODE_NONE ? NULL : mu_view_node(mu_ctl_core(c->sv->ctl), node);

    return n ? n->name : NULL;
}

/* All that core knows of a task. */
static void task_of(struct mu_call *c, const struct mu_job_record *job, uint32_t ordinal, struct mu_task_show *out, uint32_t *out_node)
{
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);
    const struct mu_attempt *a = mu_view_attempt(core, job->id, ordinal);

    *out = (struct mu_task_show){ .job = job->id, .index = mu_record_index(job, ordinal), .group = mu_record_group(job, ordinal),
                                  .state = mu_view_task(core, job->id, ordinal), .held = job->held,
                                  .attempt = mu_view_attempts(core, job->id, ordinal), .submitted_ms = job->submitted_ms };
    *out_node = MU_NODE_NONE;
    if (a == NULL)
        return;
    out->attempt = a->attempt;
    out->placed_ms = a->placed_ms;
    out->started_ms = a->started_ms;
    *out_node = a->node;
}

/* The end of an attempt completes what core says of its task. */
static void task_ended(struct mu_task_show *t, uint32_t *node, const struct mu_result_row *row)
{
    if (mu_task_is_live(t->state) || (t->attempt > row->attempt && t->attempt != 0))
        return;
    t->end = row;
    t->attempt = row->attempt;
    t->submitted_ms = row->submitted_ms ? row->submitted_ms : t->submitted_ms;
    t->placed_ms = row->placed_ms;
    t->started_ms = row->started_ms;
    *node = row->placed_ms ? row->node : MU_NODE_NONE;
}

static void page_cleanup(struct mu_call *c)
{
    struct page *p = c->state;
    mu_buf_fini(&p->b);
}

static void page_open(struct page *p)
{
    mu_json_open(&p->b, '{');
    mu_json_kopen(&p->b, "tasks", '[');
}

static void page_answer(struct mu_call *c, struct page *p, bool more, uint32_t last)
{
    mu_json_close(&p->b, '[');
    mu_json_key(&p->b, "next");
    if (more)
        mu_json_u64(&p->b, mu_record_index(&p->job, last));
    else
        mu_json_null(&p->b);
    mu_json_close(&p->b, '{');
    mu_call_json(c, 200, &p->b);
}

/* ---- a job core has ---- */

static uint32_t next_in_core(const struct mu_core *core, const struct page *p, uint32_t from)
{
    for (uint32_t g = mu_view_group_of(core, p->job.id, from); g < p->job.groups_count; g++) {
        uint32_t best = UINT32_MAX;
        for (int s = 0; s < MU_TASK_STATES; s++) {
            if (p->states >> s & 1) {
                uint32_t at = mu_view_next(core, p->job.id, g, (enum mu_task_state)s, from);
                best = at < best ? at : best;
            }
        }
        if (best != UINT32_MAX)
            return best;
        from = p->job.groups[g].first + p->job.groups[g].tasks;
    }
    return UINT32_MAX;
}

static void page_fill(struct mu_call *c, struct page *p)
{
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);

    p->tasks = mu_arena_alloc(&c->arena, p->limit * sizeof *p->tasks);
    p->ordinals = mu_arena_alloc(&c->arena, p->limit * sizeof *p->ordinals);
    p->nodes = mu_arena_alloc(&c->arena, p->limit * sizeof *p->nodes);
    for (uint32_t at = p->from; at < p->job.tasks; at++) {
        at = p->states == UINT32_MAX ? at : next_in_core(core, p, at);
        if (at >= p->job.tasks)
            return;
        if (p->count == p->limit) {
            p->more = true;
            return;
        }
        p->ordinals[p->count] = at;
        task_of(c, &p->job, at, &p->tasks[p->count], &p->nodes[p->count]);
        p->count++;
    }
}

static void page_show(struct mu_call *c, struct page *p)
{
    uint64_t now_ms = mu_wall_ms();

    page_open(p);
    for (uint32_t i = 0; i < p->count; i++) {
        p->tasks[i].node = node_name(c, p->nodes[i]);
        mu_show_task(&p->b, &p->tasks[i], now_ms);
    }
    page_answer(c, p, p->more, p->count ? p->ordinals[p->count - 1] : 0);
}

static int by_ordinal(const void *a, const void *b)
{
    const struct mu_result_row *x = a, *y = b;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static void on_ends(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct page *p = c->state;
    struct mu_result_row *rows;

    c->query = NULL;
    if (a->rc != MU_OK) {
        mu_call_failf(c, a->rc, "", "the history cannot be read");
        return;
    }
    rows = mu_arena_alloc(&c->arena, (a->rows_count + 1) * sizeof *rows);
    memcpy(rows, a->rows, a->rows_count * sizeof *rows);
    qsort(rows, a->rows_count, sizeof *rows, by_ordinal);
    for (uint32_t i = 0, r = 0; i < p->count; i++) {
        while (r < a->rows_count && rows[r].ordinal < p->ordinals[i])
            r++;
        if (r < a->rows_count && rows[r].ordinal == p->ordinals[i])
            task_ended(&p->tasks[i], &p->nodes[i], &rows[r]);
    }
    page_show(c, p);
}

static void core_page(struct mu_call *c, struct page *p)
{
    bool wants_ends = false;

    page_fill(c, p);
    for (uint32_t i = 0; i < p->count; i++)
        wants_ends |= !mu_task_is_live(p->tasks[i].state) && (p->tasks[i].attempt > 0 || mu_task_is_final(p->tasks[i].state));
    if (!wants_ends)
        page_show(c, p);
    else
        mu_call_results(c, &(struct mu_history_find){ .job = c->job, .lo = p->ordinals[0], .hi = p->ordinals[p->count - 1],
            .seq_to = UINT64_MAX, .ordinals = p->ordinals, .ordinals_count = p->count }, on_ends);
}

/* ---- a job only the history has ---- */

static void on_past_page(void *arg, const struct mu_history_answer *a);

static void past_page(struct mu_call *c, struct page *p)
{
    uint32_t n = p->job.tasks - p->from < PAST_WINDOW ? p->job.tasks - p->from : PAST_WINDOW;

    if (p->from >= p->job.tasks) {
        page_answer(c, p, false, 0);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        p->ordinals[i] = p->from + i;
    mu_call_results(c, &(struct mu_history_find){ .job = c->job, .lo = p->from, .hi = p->from + n - 1, .seq_to = UINT64_MAX,
                                                  .ordinals = p->ordinals, .ordinals_count = n }, on_past_page);
}

/* A task without a result in a job that is over never ran: its group was cancelled. */
static void on_past_page(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct page *p = c->state;
    uint32_t end = p->from + PAST_WINDOW < p->job.tasks ? p->from + PAST_WINDOW : p->job.tasks;
    struct mu_result_row **row_of = calloc(PAST_WINDOW, sizeof *row_of);

    MU_ASSERT(row_of != NULL);
    c->query = NULL;
    for (uint32_t i = 0; i < a->rows_count; i++)
        row_of[a->rows[i].ordinal - p->from] = (struct mu_result_row *)&a->rows[i];
    uint32_t last = p->from, at = p->from;
    for (; at < end && p->count < p->limit; at++) {
        const struct mu_result_row *row = row_of[at - p->from];
        struct mu_task_show t = { .job = c->job, .index = mu_record_index(&p->job, at), .group = mu_record_group(&p->job, at),
                                  .state = row ? row->state : MU_TASK_CANCELLED, .submitted_ms = p->job.submitted_ms };
        uint32_t node = MU_NODE_NONE;
        if (!(p->states >> t.state & 1))
            continue;
        if (row != NULL)
            task_ended(&t, &node, row);
        t.node = node_name(c, node);
        mu_show_task(&p->b, &t, 0);
        p->count++;
        last = at;
    }
    free(row_of);
    p->from = at;
    if (a->rc != MU_OK)
        mu_call_failf(c, a->rc, "", "the history cannot be read");
    else if (p->count == p->limit)
        page_answer(c, p, at < p->job.tasks, last);
    else
        past_page(c, p);
}

/* The record lives as long as the call: a past one is copied out of its answer. */
static void keep_record(struct mu_call *c, const struct mu_job_record *record, struct mu_job_record *out)
{
    struct mu_buf b = { 0 };
    struct mu_str bytes;

    mu_pb_put(&b, &mu_job_record_pb, record);
    bytes = (struct mu_str){ mu_arena_strdup(&c->arena, (char *)b.at, b.size), (uint32_t)b.size };
    MU_ASSERT(mu_pb_get(&mu_job_record_pb, out, bytes, &c->arena));
    mu_buf_fini(&b);
}

/* ---- the list ---- */

static void page_begin(struct mu_call *c, struct page *p)
{
    bool after = mu_call_has(c, "after");

    if (after && !mu_record_ordinal(&p->job, c->task, &p->from)) {
        mu_call_failf(c, MU_INVALID, "after", "job %llu has no task %llu", (unsigned long long)c->job, (unsigned long long)c->task);
        return;
    }
    p->from += after;
    if (p->in_core) {
        core_page(c, p);
    } else {
        p->ordinals = mu_arena_alloc(&c->arena, PAST_WINDOW * sizeof *p->ordinals);
        page_open(p);
        past_page(c, p);
    }
}

static void on_page_job(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct page *p = c->state;

    c->query = NULL;
    if (a->rc != MU_OK || a->jobs_count == 0) {
        mu_call_failf(c, a->rc != MU_OK ? a->rc : MU_NOTFOUND, "", "there is no job %llu", (unsigned long long)c->job);
        return;
    }
    keep_record(c, &a->jobs[0], &p->job);
    page_begin(c, p);
}

void mu_api_tasks_list(struct mu_call *c)
{
    struct page *p = mu_arena_alloc(&c->arena, sizeof *p);
    struct mu_job_record record;
    uint64_t limit = LIMIT_DEFAULT;

    c->state = p;
    c->cleanup = page_cleanup;
    if (!mu_call_text(c, "state", p->state, sizeof p->state) || !mu_call_u64(c, "after", UINT64_MAX, &c->task) ||
        !mu_call_u64(c, "limit", LIMIT_MAX, &limit))
        return;
    p->limit = limit ? (uint32_t)limit : 1;
    p->states = states_of(mu_str_of(p->state));
    if (p->states == 0) {
        mu_call_failf(c, MU_INVALID, "state", "\"%s\": states are waiting starting running stopping succeeded failed cancelled lost", p->state);
        return;
    }
    p->in_core = mu_record_of(mu_ctl_core(c->sv->ctl), c->job, &record, &c->arena);
    if (!p->in_core) {
        mu_call_past_job(c, on_page_job);
        return;
    }
    keep_record(c, &record, &p->job);
    page_begin(c, p);
}

/* ---- one task ---- */

static void show_attempt(struct mu_call *c, struct mu_buf *b, const struct mu_result_row *row)
{
    mu_json_open(b, '{');
    mu_json_ku64(b, "attempt", row->attempt);
    mu_json_ktext(b, "node", row->placed_ms ? node_name(c, row->node) : NULL);
    mu_json_ktext(b, "reason", mu_end_text(row->how));
    mu_show_end(b, row->how, row->code, false);
    mu_json_ktime(b, "placed", row->placed_ms);
    mu_json_ktime(b, "started", row->started_ms);
    mu_json_ktime(b, "ended", row->ended_ms);
    mu_json_kfixed(b, "run_s", row->run_us, 6);
    mu_json_ku64(b, "stdout_bytes", row->out_bytes);
    mu_json_ku64(b, "stderr_bytes", row->err_bytes);
    mu_json_close(b, '{');
}

static void on_task_ends(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct page *p = c->state;

    c->query = NULL;
    if (a->rc != MU_OK) {
        mu_call_failf(c, a->rc, "", "the history cannot be read");
        return;
    }
    if (a->rows_count > 0) {
        if (!p->in_core)
            p->tasks[0].state = a->rows[a->rows_count - 1].state;
        task_ended(&p->tasks[0], &p->nodes[0], &a->rows[a->rows_count - 1]);
    }
    p->tasks[0].node = node_name(c, p->nodes[0]);
    mu_show_task(&p->b, &p->tasks[0], mu_wall_ms());
    p->b.size--; /* reopen the object */
    mu_json_kopen(&p->b, "attempts", '[');
    for (uint32_t i = 0; i < a->rows_count; i++)
        if (a->rows[i].placed_ms != 0)
            show_attempt(c, &p->b, &a->rows[i]);
    mu_json_close(&p->b, '[');
    mu_json_close(&p->b, '{');
    mu_call_json(c, 200, &p->b);
}

static void task_begin(struct mu_call *c, struct page *p)
{
    uint32_t ordinal;

    if (!mu_record_ordinal(&p->job, c->task, &ordinal)) {
        mu_call_failf(c, MU_NOTFOUND, "", "job %llu has no task %llu", (unsigned long long)c->job, (unsigned long long)c->task);
        return;
    }
    p->tasks = mu_arena_alloc(&c->arena, sizeof *p->tasks);
    p->nodes = mu_arena_alloc(&c->arena, sizeof *p->nodes);
    if (p->in_core) {
        task_of(c, &p->job, ordinal, p->tasks, p->nodes);
    } else {
        *p->tasks = (struct mu_task_show){ .job = c->job, .index = c->task, .group = mu_record_group(&p->job, ordinal),
                                           .state = MU_TASK_CANCELLED, .submitted_ms = p->job.submitted_ms };
        *p->nodes = MU_NODE_NONE;
    }
    mu_call_results(c, &(struct mu_history_find){ .job = c->job, .lo = ordinal, .hi = ordinal, .seq_to = UINT64_MAX,
                                                  .limit = LIMIT_MAX }, on_task_ends);
}

static void on_task_job(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct page *p = c->state;

    c->query = NULL;
    if (a->rc != MU_OK || a->jobs_count == 0) {
        mu_call_failf(c, a->rc != MU_OK ? a->rc : MU_NOTFOUND, "", "there is no job %llu", (unsigned long long)c->job);
        return;
    }
    keep_record(c, &a->jobs[0], &p->job);
    task_begin(c, p);
}

void mu_api_task_get(struct mu_call *c)
{
    struct page *p = mu_arena_alloc(&c->arena, sizeof *p);
    struct mu_job_record record;

    c->state = p;
    c->cleanup = page_cleanup;
    p->in_core = mu_record_of(mu_ctl_core(c->sv->ctl), c->job, &record, &c->arena);
    if (!p->in_core) {
        mu_call_past_job(c, on_task_job);
        return;
    }
    keep_record(c, &record, &p->job);
    task_begin(c, p);
}

/* ---- explain ---- */

static const char *why_word(enum mu_why_kind kind)
{
    static const char *const words[] = {
        [MU_WHY_HELD] = "held", [MU_WHY_DEPENDENCY] = "dependency", [MU_WHY_BACKOFF] = "backoff",
        [MU_WHY_MAX_PARALLEL] = "max-parallel", [MU_WHY_QUOTA] = "quota", [MU_WHY_NO_NODES] = "no-nodes",
        [MU_WHY_CONSTRAINT] = "constraint", [MU_WHY_RESOURCE] = "resources", [MU_WHY_IMPOSSIBLE] = "impossible",
        [MU_WHY_ORDER] = "order", [MU_WHY_NEXT] = "next", [MU_WHY_LIVE] = "placed", [MU_WHY_ENDED] = "ended",
        [MU_WHY_OPEN] = "open", [MU_WHY_NODE_GONE] = "node-gone",
    };
    return kind < MU_COUNT(words) && words[kind] ? words[kind] : "unknown";
}

/* The task a question about a whole job is about: one that waits, else one that lives, else the first. */
static uint32_t telling_task(const struct mu_core *core, uint64_t job, uint32_t groups)
{
    static const enum mu_task_state order[] = { MU_TASK_READY, MU_TASK_BACKOFF, MU_TASK_BLOCKED, MU_TASK_STARTING, MU_TASK_RUNNING };

    for (size_t i = 0; i < MU_COUNT(order); i++)
        for (uint32_t g = 0; g < groups; g++) {
            uint32_t at = mu_view_next(core, job, g, order[i], 0);
            if (at != UINT32_MAX)
                return at;
        }
    return 0;
}

static void show_text(struct mu_buf *b, const char *key, const char *text)
{
    mu_json_ktext(b, key, text[0] ? text : NULL);
}

static void explain_answer(struct mu_call *c, uint32_t ordinal, const struct mu_why *why)
{
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);
    struct mu_buf b = { 0 };
    char task[48];

    snprintf(task, sizeof task, "%llu.%llu", (unsigned long long)c->job, (unsigned long long)mu_view_index_of(core, c->job, ordinal));
    mu_json_open(&b, '{');
    mu_json_ku64(&b, "job", c->job);
    mu_json_ktext(&b, "task", task);
    mu_json_ktext(&b, "state", mu_task_state_text(mu_view_task(core, c->job, ordinal)));
    mu_json_ktext(&b, "reason", why_word(why->kind));
    show_text(&b, "text", why->text);
    show_text(&b, "nearest", why->nearest);
    show_text(&b, "frees", why->frees);
    mu_json_key(&b, "estimate_s");
    if (why->estimate_ms == UINT64_MAX)
        mu_json_null(&b);
    else
        mu_json_fixed(&b, why->estimate_ms, 3);
    show_text(&b, "basis", why->basis);
    mu_json_kopen(&b, "nodes", '{');
    mu_json_ku64(&b, "total", why->nodes_total);
    mu_json_ku64(&b, "allowed", why->nodes_allowed);
    mu_json_ku64(&b, "could", why->nodes_could);
    mu_json_close(&b, '{');
    mu_json_ku64(&b, "ahead", why->ahead);
    mu_json_close(&b, '{');
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

void mu_api_explain(struct mu_call *c)
{
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);
    bool one = mu_call_has(c, "task");
    struct mu_job_view job;
    struct mu_why why = { 0 };
    uint32_t ordinal;

    if (!mu_call_u64(c, "task", UINT64_MAX, &c->task))
        return;
    if (!mu_view_job(core, c->job, &job)) {
        mu_call_failf(c, MU_NOTFOUND, "", "there is no job %llu, or it ended long ago", (unsigned long long)c->job);
        return;
    }
    if (one && !mu_call_ordinal(c, &ordinal))
        return;
    if (!one)
        ordinal = telling_task(core, c->job, job.groups);
    mu_sched_explain(mu_ctl_sched(c->sv->ctl), c->job, ordinal, mu_wall_ms(), &why);
    explain_answer(c, ordinal, &why);
}
