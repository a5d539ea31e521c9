/* server/api_logs.c -- stdout and stderr of one task, from the node that has them, also while it runs or has not begun.
 *
 * Without `attempt` a follower goes on to the next attempt when one ends and the task will be tried again; the answer ends
 * with the task. The head leaves with the first byte, so that a lost beginning can be told in Muster-Gap, or
 * after HEAD_MS without one.
 */
#include "server/api.h"

#include "server/fetch.h"

enum { HEAD_MS = 300 };

struct logs {
    struct mu_call *c;
    struct mu_follower follower; /* in the list while it waits for an attempt */
    struct mu_fetch fetch;
    uint32_t ordinal, stream, want; /* want: the attempt to show next; 0: none is placed yet */
    uint64_t offset;
    bool follow, only;              /* only: that attempt and no other */
    bool begun;
};

static void next(struct logs *l);

static void begin(struct logs *l, uint64_t gone)
{
    char text[24];

    if (l->begun)
        return;
    l->begun = true;
    if (gone > 0) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)gone);
        mu_req_header(l->c->req, "Muster-Gap", text);
    }
    mu_req_header(l->c->req, "X-Content-Type-Options", "nosniff");
    mu_req_begin(l->c->req, 200, "text/plain; charset=utf-8");
}

static void finish(struct logs *l)
{
    struct mu_call *c = l->c;

    begin(l, 0);
    mu_req_end(c->req);
    mu_call_end(c);
}

static void give_up(struct logs *l, const struct mu_err *err)
{
    struct mu_call *c = l->c;
    char text[MU_ERR_TEXT + 64];

    if (l->begun) { /* too late for a status: say it in place, and end so that the reader notices */
        snprintf(text, sizeof text, "[muster: the rest cannot be had: %s]\n", err->text);
        mu_req_write(c->req, text, strlen(text));
        mu_req_abort(c->req);
    } else if (err->rc == MU_CLOSED || err->rc == MU_TIMEOUT) {
        mu_req_header(c->req, "Retry-After", "10");
        mu_req_error(c->req, err->rc == MU_CLOSED ? 503 : 504, err->rc == MU_CLOSED ? "node_down" : "node_away", NULL, err->text);
    } else {
        mu_req_fail(c->req, err);
    }
    mu_call_end(c);
}

static void give_upf(struct logs *l, enum mu_rc rc, const char *text)
{
    struct mu_err err;

    mu_fail(&err, rc, "%s", text);
    give_up(l, &err);
}

/* ---- from the node ---- */

static bool on_data(struct mu_fetch *f, struct mu_str bytes, uint64_t gone)
{
    struct logs *l = MU_CONTAINER(f, struct logs, fetch);
    char text[64];
    bool more = true;

    begin(l, gone);
    if (gone > 0) {
        snprintf(text, sizeof text, "[muster: %llu bytes are gone]\n", (unsigned long long)gone);
        more = mu_req_write(l->c->req, text, strlen(text));
    }
    return (bytes.size == 0 || mu_req_write(l->c->req, bytes.at, bytes.size)) && more;
}

static void on_fetched(struct mu_fetch *f)
{
    struct logs *l = MU_CONTAINER(f, struct logs, fetch);

    l->offset = 0;
    if (l->only || !l->follow) {
        finish(l);
        return;
    }
    l->want++;
    next(l);
}

static void on_failed(struct mu_fetch *f, const struct mu_err *err)
{
    give_up(MU_CONTAINER(f, struct logs, fetch), err);
}

static const struct mu_fetch_ops fetch_ops = { .data = on_data, .end = on_fetched, .fail = on_failed };

static void fetch_from(struct logs *l, uint32_t node)
{
    l->fetch = (struct mu_fetch){ .job = l->c->job, .ordinal = l->ordinal, .attempt = l->want, .node = node, .stream = l->stream,
                                  .offset = l->offset, .follow = l->follow, .ops = &fetch_ops };
    mu_fetch_start(l->c->sv, &l->fetch);
}

static void on_row(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct logs *l = c->state;
    const struct mu_result_row *row = NULL;

    c->query = NULL;
    for (uint32_t i = 0; i < a->rows_count; i++)
        if (l->want == 0 || a->rows[i].attempt == l->want)
            row = &a->rows[i];
    if (a->rc != MU_OK) {
        give_upf(l, a->rc, "the history cannot be read");
    } else if (row == NULL && l->want != 0) {
        give_upf(l, MU_NOTFOUND, "there is no such attempt, or its result is not kept any more");
    } else if (row == NULL || row->placed_ms == 0 || row->started_ms == 0 || (l->stream == 1 ? row->out_bytes : row->err_bytes) <= l->offset) {
        l->want = row ? row->attempt : 1;
        on_fetched(&l->fetch); /* it wrote nothing */
    } else {
        l->want = row->attempt;
        fetch_from(l, row->node);
    }
}

static void ask_history(struct logs *l)
{
    mu_call_results(l->c, &(struct mu_history_find){ .job = l->c->job, .lo = l->ordinal, .hi = l->ordinal, .seq_to = UINT64_MAX,
                                                     .limit = MU_HISTORY_ROWS_MAX }, on_row);
}

/* ---- which attempt ---- */

static void wait_more(struct logs *l)
{
    if (mu_list_is_empty(&l->follower.link)) {
        l->follower.position = mu_tape_end(&l->c->sv->tape);
        mu_list_add_tail(&l->c->sv->followers, &l->follower.link);
    }
}

/* Find the attempt that is wanted: it lives, or has ended, or is still to come. */
static void next(struct logs *l)
{
    const struct mu_core *core = mu_ctl_core(l->c->sv->ctl);
    enum mu_task_state state = mu_view_task(core, l->c->job, l->ordinal);
    uint32_t placed = mu_view_attempts(core, l->c->job, l->ordinal);
    const struct mu_attempt *a = mu_view_attempt(core, l->c->job, l->ordinal);
    struct mu_job_view job;
    bool gone = !mu_view_job(core, l->c->job, &job);

    if (!l->only && l->want < placed && l->want == 0)
        l->want = placed; /* begin with the latest */
    if (a != NULL && a->attempt == l->want)
        fetch_from(l, a->node);
    else if (l->want != 0 && l->want <= placed)
        ask_history(l);
    else if (l->only && (!l->follow || gone || mu_task_is_final(state)))
        give_upf(l, MU_NOTFOUND, "there is no such attempt");
    else if (gone || mu_task_is_final(state))
        finish(l);
    else if (!l->follow)
        finish(l);
    else
        wait_more(l);
}

static void on_tape(struct mu_follower *f)
{
    struct logs *l = MU_CONTAINER(f, struct logs, follower);
    const struct mu_tape *tape = &l->c->sv->tape;
    bool news = f->position < mu_tape_begin(tape);

    for (; !news && f->position < mu_tape_end(tape); f->position++) {
        const struct mu_tape_item *item = mu_tape_at(tape, f->position);
        news = item->job == l->c->job && (item->kind == MU_TAPE_JOB || item->ordinal == l->ordinal);
    }
    f->position = mu_tape_end(tape);
    if (!news)
        return;
    mu_follower_remove(f);
    next(l);
}

/* ---- the call ---- */

static void on_head_time(void *arg)
{
    struct mu_call *c = arg;
    struct logs *l = c->state;

    c->timer = NULL;
    begin(l, 0);
}

static void on_drain(struct mu_call *c)
{
    struct logs *l = c->state;
    mu_fetch_resume(&l->fetch);
}

static void logs_cleanup(struct mu_call *c)
{
    struct logs *l = c->state;

    mu_fetch_stop(&l->fetch);
    mu_follower_remove(&l->follower);
}

static void on_past(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct logs *l = c->state;

    c->query = NULL;
    if (a->rc != MU_OK || a->jobs_count == 0)
        mu_call_failf(c, a->rc != MU_OK ? a->rc : MU_NOTFOUND, "", "there is no job %llu", (unsigned long long)c->job);
    else if (!mu_record_ordinal(&a->jobs[0], c->task, &l->ordinal))
        mu_call_failf(c, MU_NOTFOUND, "", "job %llu has no task %llu", (unsigned long long)c->job, (unsigned long long)c->task);
    else {
        l->follow = false;
        ask_history(l);
    }
}

static void logs(struct mu_call *c, uint32_t stream)
{
    struct logs *l = mu_arena_alloc(&c->arena, sizeof *l);
    struct mu_job_view job;
    uint64_t attempt = 0;

    *l = (struct logs){ .c = c, .stream = stream, .follower.move = on_tape };
    mu_list_init(&l->follower.link);
    if (!mu_call_u64(c, "attempt", UINT32_MAX, &attempt) || !mu_call_u64(c, "offset", INT64_MAX, &l->offset) ||
        !mu_call_flag(c, "follow", &l->follow))
        return;
    l->want = (uint32_t)attempt;
    l->only = attempt != 0;
    c->state = l;
    c->cleanup = logs_cleanup;
    c->on_drain = on_drain;
    if (!mu_view_job(mu_ctl_core(c->sv->ctl), c->job, &job)) {
        mu_call_past_job(c, on_past);
        return;
    }
    if (!mu_call_ordinal(c, &l->ordinal))
        return;
    c->timer = mu_loop_after(c->sv->loop, HEAD_MS, on_head_time, c);
    next(l);
}

void mu_api_stdout(struct mu_call *c) { logs(c, 1); }
void mu_api_stderr(struct mu_call *c) { logs(c, 2); }
