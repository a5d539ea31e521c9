/* server/api_output.c -- all output of a job in one answer: what ended, in the order in which it ended, each task with its
 * output in front. doc/api.md has the lines.
 *
 * Ended tasks come from the history up to where the call began, from the tape after that, and from the history again
 * whenever the tape has overtaken a slow reader. A task without output is written straight away; one with output waits
 * in a queue while its node is asked, so that lines of tasks never change places.
 */
#include "server/api.h"

#include "base/base64.h"
#include "server/fetch.h"

enum {
    ITEMS_MAX = 64,           /* tasks whose output is on its way */
    QUEUE_MAX = 256,          /* tasks that have ended and are not sent: past it nothing more is read */
    LIVE_MAX = 32,            /* running tasks shown as they write */
    ITEM_BYTES = 64 * 1024,   /* of output held for a task that is not the first of the queue */
    BURST_BYTES = 128 * 1024, /* of lines before the connection is asked whether it can take more */
};

struct item {
    struct mu_list link;      /* in queue or live */
    struct output *o;
    uint64_t index;
    uint32_t ordinal, attempt, node, code;
    enum mu_task_state state;
    enum mu_end how;
    uint64_t run_us;
    bool ended, done;         /* its attempt is over; all of its output is in lines */
    bool want[2];             /* streams still to be read, or being read */
    bool started[2];
    struct mu_fetch fetch[2];
    struct mu_buf lines;      /* not sent yet */
    struct mu_buf carry[2];   /* the beginning of a character whose rest has not come */
};

struct output {
    struct mu_call *c;
    struct mu_follower follower;
    struct mu_list queue, live;    /* ended, in order; running */
    uint32_t queue_count, live_count;
    bool follow, live_wanted, output, full, past; /* past: core does not know the job any more */
    bool history, reading;         /* what comes next is in the history; it is being asked */
    bool resync;                   /* the place on the tape is behind seq */
    bool closing;                  /* only the job's line is missing */
    uint64_t skip_tasks;           /* ended tasks the client has already */
    uint64_t seq;                  /* of the last entry something was taken from */
    uint32_t seq_rows;             /* rows of the job taken from that entry */
    uint64_t upto;                 /* the history is read to here */
    struct mu_job_record record;   /* of a past job */
    struct mu_buf out;
};

static void move(struct mu_follower *f);

static void wake(struct output *o)
{
    o->follower.woken = true;
    mu_server_again(o->c->sv);
}

/* ---- lines ---- */

static void put_data(struct item *it, int stream, struct mu_str bytes, uint64_t gone, bool text)
{
    struct mu_buf *b = &it->lines;

    mu_json_open(b, '{');
    mu_json_ku64(b, "index", it->index);
    mu_json_ktext(b, "stream", stream == 0 ? "stdout" : "stderr");
    if (it->attempt > 1)
        mu_json_ku64(b, "attempt", it->attempt);
    if (gone > 0)
        mu_json_ku64(b, "gone", gone);
    mu_json_key(b, text ? "data" : "data_base64");
    if (text) {
        mu_json_str(b, bytes);
    } else {
        mu_buf_addc(b, '"');
        mu_base64_put(b, bytes.at, bytes.size, false);
        mu_buf_addc(b, '"');
    }
    mu_json_close(b, '{');
    mu_buf_addc(b, '\n');
}

/* How many bytes at the end of s are the beginning of a character that may be completed by what follows. */
static uint32_t cut_tail(struct mu_str s)
{
    for (uint32_t n = 1; n <= 3 && n <= s.size; n++) {
        uint8_t c = (uint8_t)s.at[s.size - n];
        if (c >= 0xc0)
            return (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) > n ? n : 0;
        if (c < 0x80)
            return 0;
    }
    return 0;
}

static void put_bytes(struct item *it, int stream, struct mu_str bytes, uint64_t gone, bool last)
{
    struct mu_buf *carry = &it->carry[stream];
    struct mu_buf joined = { 0 };
    uint32_t tail;

    if (carry->size > 0) {
        mu_buf_add(&joined, carry->at, carry->size);
        mu_buf_add(&joined, bytes.at, bytes.size);
        bytes = mu_buf_str(&joined);
    }
    tail = last ? 0 : cut_tail(bytes);
    bytes.size -= tail;
    if (bytes.size > 0 || gone > 0)
        put_data(it, stream, bytes, gone, mu_utf8_valid(bytes));
    struct mu_buf keep = { 0 };
    if (tail > 0)
        mu_buf_add(&keep, bytes.at + bytes.size, tail);
    mu_buf_fini(carry);
    *carry = keep;
    mu_buf_fini(&joined);
}

static void put_end(struct mu_buf *b, const struct item *it)
{
    mu_json_open(b, '{');
    mu_json_ku64(b, "index", it->index);
    mu_json_ktext(b, "state", mu_task_state_text(it->state));
    mu_show_end(b, it->how, it->code, true);
    if (it->attempt > 1)
        mu_json_ku64(b, "attempt", it->attempt);
    mu_json_kfixed(b, "run_s", it->run_us, 6);
    mu_json_close(b, '{');
    mu_buf_addc(b, '\n');
}

static void put_job(struct mu_buf *b, const struct mu_job_record *job)
{
    uint64_t counts[MU_TASK_STATES] = { 0 };

    for (uint32_t i = 0; i < MU_TASK_STATES && i < job->counts.count; i++)
        counts[i] = job->counts.at[i];
    mu_json_open(b, '{');
    mu_json_ku64(b, "job", job->id);
    mu_json_kstr(b, "state", job->state);
    mu_json_ku64(b, "tasks", job->tasks);
    mu_json_key(b, "counts");
    mu_show_counts(b, counts);
    mu_json_close(b, '{');
    mu_buf_addc(b, '\n');
}

static void send(struct output *o)
{
    if (o->out.size > 0 && !mu_req_write(o->c->req, o->out.at, o->out.size))
        o->full = true;
    mu_buf_clear(&o->out);
}

/* ---- items ---- */

static void item_free(struct item *it)
{
    for (int s = 0; s < 2; s++) {
        mu_fetch_stop(&it->fetch[s]);
        mu_buf_fini(&it->carry[s]);
    }
    mu_buf_fini(&it->lines);
    mu_list_remove(&it->link);
    free(it);
}

static bool is_first(const struct item *it)
{
    return it->o->queue.next == &it->link;
}

/* The first of the queue, and what runs, may write through; the others hold a little. */
static bool may_go_on(const struct item *it)
{
    return !it->o->full && (it->lines.size < ITEM_BYTES || (it->ended && is_first(it)) || !it->ended);
}

static bool on_data(struct mu_fetch *f, struct mu_str bytes, uint64_t gone)
{
    int stream = (int)f->stream - 1;
    struct item *it = MU_CONTAINER(f - stream, struct item, fetch);

    put_bytes(it, stream, bytes, gone, false);
    wake(it->o);
    return may_go_on(it);
}

static void stream_over(struct mu_fetch *f, const struct mu_err *err)
{
    int stream = (int)f->stream - 1;
    struct item *it = MU_CONTAINER(f - stream, struct item, fetch);
    struct mu_buf *b = &it->lines;

    put_bytes(it, stream, (struct mu_str){ 0 }, 0, true);
    it->want[stream] = false;
    if (err != NULL) {
        mu_json_open(b, '{');
        mu_json_ku64(b, "index", it->index);
        mu_json_ktext(b, "stream", stream == 0 ? "stdout" : "stderr");
        mu_json_ktext(b, "error", err->text);
        mu_json_close(b, '{');
        mu_buf_addc(b, '\n');
    }
    wake(it->o);
}

static void on_fetched(struct mu_fetch *f) { stream_over(f, NULL); }
static void on_failed(struct mu_fetch *f, const struct mu_err *err) { stream_over(f, err); }
static const struct mu_fetch_ops fetch_ops = { .data = on_data, .end = on_fetched, .fail = on_failed };

static void item_fetch(struct item *it, int stream, bool follow)
{
    it->started[stream] = true;
    it->fetch[stream] = (struct mu_fetch){ .job = it->o->c->job, .ordinal = it->ordinal, .attempt = it->attempt, .node = it->node,
                                           .stream = (uint32_t)stream + 1, .follow = follow, .window = ITEM_BYTES, .ops = &fetch_ops };
    mu_fetch_start(it->o->c->sv, &it->fetch[stream]);
}

static struct item *item_new(struct output *o, uint32_t ordinal, uint32_t attempt, uint32_t node)
{
    struct item *it = calloc(1, sizeof *it);

    MU_ASSERT(it != NULL);
    it->o = o;
    it->ordinal = ordinal;
    it->attempt = attempt;
    it->node = node;
    it->index = o->past ? mu_record_index(&o->record, ordinal) : mu_view_index_of(mu_ctl_core(o->c->sv->ctl), o->c->job, ordinal);
    mu_list_init(&it->link);
    return it;
}

/* ---- what happened ---- */

struct ending { /* of an attempt, from the tape or the history */
    uint32_t ordinal, attempt, node, code;
    enum mu_task_state state;
    enum mu_end how;
    uint64_t run_us, bytes[2];
};

static struct item *live_find(struct output *o, uint32_t ordinal, uint32_t attempt)
{
    MU_LIST_EACH(l, &o->live) {
        struct item *it = MU_CONTAINER(l, struct item, link);
        if (it->ordinal == ordinal && it->attempt == attempt)
            return it;
    }
    return NULL;
}

static void item_ended(struct item *it, const struct ending *e)
{
    it->ended = true;
    it->state = e->state;
    it->how = e->how;
    it->code = e->code;
    it->run_us = e->run_us;
}

static void on_running(struct output *o, uint32_t ordinal, uint32_t attempt, uint32_t node)
{
    struct item *it;

    if (!o->live_wanted || !o->output || o->live_count >= LIVE_MAX || live_find(o, ordinal, attempt) != NULL)
        return;
    it = item_new(o, ordinal, attempt, node);
    mu_list_add_tail(&o->live, &it->link);
    o->live_count++;
    for (int s = 0; s < 2; s++) {
        it->want[s] = true;
        item_fetch(it, s, true);
    }
}

static void on_ending(struct output *o, const struct ending *e)
{
    struct item *it = o->live_count > 0 ? live_find(o, e->ordinal, e->attempt) : NULL;
    bool final = mu_task_is_final(e->state);

    if (e->attempt == 0)
        return; /* never ran: the job's line counts it */
    if (it != NULL) {
        mu_list_remove(&it->link);
        o->live_count--;
    }
    if (final && o->skip_tasks > 0) {
        o->skip_tasks--;
        if (it != NULL)
            item_free(it);
        return;
    }
    if (it != NULL) {
        /* shown while it ran; what is missing of it comes in its turn */
    } else if (!final) {
        return;
    } else if (mu_list_is_empty(&o->queue) && (!o->output || e->bytes[0] + e->bytes[1] == 0)) {
        struct item plain = { .attempt = e->attempt }; /* the common case of a batch: one line and nothing kept */
        plain.index = o->past ? mu_record_index(&o->record, e->ordinal)
                              : mu_view_index_of(mu_ctl_core(o->c->sv->ctl), o->c->job, e->ordinal);
        item_ended(&plain, e);
        put_end(&o->out, &plain);
        return;
    } else {
        it = item_new(o, e->ordinal, e->attempt, e->node);
        for (int s = 0; s < 2; s++)
            it->want[s] = o->output && e->bytes[s] > 0;
    }
    item_ended(it, e);
    mu_list_add_tail(&o->queue, &it->link);
    o->queue_count++;
}

/* Ask nodes for the first of the queue, send the lines that are complete, in order. */
static void queue_turn(struct output *o)
{
    uint32_t asked = 0;

    MU_LIST_EACH(l, &o->live) {
        struct item *it = MU_CONTAINER(l, struct item, link);
        mu_buf_add(&o->out, it->lines.at, it->lines.size);
        mu_buf_clear(&it->lines);
    }
    while (!mu_list_is_empty(&o->queue)) {
        struct item *it = MU_CONTAINER(o->queue.next, struct item, link);
        mu_buf_add(&o->out, it->lines.at, it->lines.size);
        mu_buf_clear(&it->lines);
        if (it->want[0] || it->want[1])
            break;
        if (mu_task_is_final(it->state))
            put_end(&o->out, it);
        o->queue_count--;
        item_free(it);
    }
    MU_LIST_EACH(l, &o->queue) {
        struct item *it = MU_CONTAINER(l, struct item, link);
        if (asked++ == ITEMS_MAX)
            break;
        for (int s = 0; s < 2; s++)
            if (it->want[s] && !it->started[s])
                item_fetch(it, s, false);
    }
}

static void resume_all(struct output *o)
{
    struct mu_list *lists[] = { &o->live, &o->queue };

    for (size_t i = 0; i < MU_COUNT(lists) && !o->full; i++)
        MU_LIST_EACH(l, lists[i]) {
            struct item *it = MU_CONTAINER(l, struct item, link);
            for (int s = 0; s < 2 && may_go_on(it); s++)
                mu_fetch_resume(&it->fetch[s]);
        }
}

/* ---- the history ---- */

static void on_rows(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct output *o = c->state;

    c->query = NULL;
    o->reading = false;
    if (a->rc != MU_OK) {
        mu_req_abort(c->req);
        mu_call_end(c);
        return;
    }
    for (uint32_t i = 0; i < a->rows_count; i++) {
        const struct mu_result_row *r = &a->rows[i];
        o->seq_rows = r->seq == o->seq ? o->seq_rows + 1 : 1;
        o->seq = r->seq;
        on_ending(o, &(struct ending){ .ordinal = r->ordinal, .attempt = r->attempt, .node = r->node, .code = r->code, .state = r->state,
                                       .how = r->how, .run_us = r->run_us, .bytes = { r->out_bytes, r->err_bytes } });
    }
    if (!a->more) { /* go on where the tape does */
        o->seq = o->upto;
        o->seq_rows = 0;
        o->history = false;
        o->resync = true;
    }
    wake(o);
}

/* What ended after the last row taken, up to now. */
static void read_history(struct output *o)
{
    struct mu_call *c = o->c;

    o->history = true;
    o->upto = o->past ? UINT64_MAX : mu_ctl_applied(c->sv->ctl);
    c->query = mu_history_results(c->sv->history, &(struct mu_history_find){
        .job = c->job, .hi = UINT32_MAX, .seq_after = o->seq > 0 && o->seq_rows > 0 ? o->seq - 1 : o->seq, .seq_to = o->upto,
        .skip = o->seq_rows, .limit = 4096 }, on_rows, c);
    o->reading = c->query != NULL;
    if (!o->reading) /* too many readers: with the next turn */
        wake(o);
}

/* ---- the tape ---- */

static void take_item(struct output *o, const struct mu_tape_item *item)
{
    uint64_t seq = mu_tape_seq_of(item->id);

    if (item->job != o->c->job)
        return;
    if (item->kind == MU_TAPE_TASK && item->state == MU_TASK_RUNNING)
        on_running(o, item->ordinal, item->attempt, item->node);
    if (item->kind != MU_TAPE_ENDED)
        return;
    o->seq_rows = seq == o->seq ? o->seq_rows + 1 : 1;
    o->seq = seq;
    on_ending(o, &(struct ending){ .ordinal = item->ordinal, .attempt = item->attempt, .node = item->node, .code = item->code,
                                   .state = (enum mu_task_state)item->state, .how = (enum mu_end)item->how, .run_us = item->run_us,
                                   .bytes = { item->out_bytes, item->err_bytes } });
}

/* False: overtaken, the history has to help. */
static bool tape_turn(struct output *o)
{
    const struct mu_tape *tape = &o->c->sv->tape;

    if (o->resync && !mu_tape_seek(tape, mu_tape_id_end(o->seq), &o->follower.position))
        return false;
    o->resync = false;
    if (o->follower.position < mu_tape_begin(tape))
        return false;
    while (o->follower.position != mu_tape_end(tape) && o->out.size < BURST_BYTES && o->queue_count < QUEUE_MAX)
        take_item(o, mu_tape_at(tape, o->follower.position++));
    return true;
}

/* ---- the end ---- */

static void close_with(struct output *o, const struct mu_job_record *job)
{
    struct mu_call *c = o->c;

    put_job(&o->out, job);
    send(o);
    mu_req_end(c->req);
    mu_call_end(c);
}

static void on_last(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;

    c->query = NULL;
    if (a->rc == MU_OK && a->jobs_count > 0) {
        close_with(c->state, &a->jobs[0]);
        return;
    }
    mu_req_abort(c->req);
    mu_call_end(c);
}

/* All that has happened was sent: is that all? True: the call is over, or about to be. */
static bool finish(struct output *o)
{
    struct mu_call *c = o->c;
    struct mu_job_view view;
    struct mu_job_record job;

    if (o->past) {
        close_with(o, &o->record);
        return true;
    }
    if (o->follow && mu_view_job(mu_ctl_core(c->sv->ctl), c->job, &view) && view.ended_ms == 0)
        return false;
    if (!mu_record_of(mu_ctl_core(c->sv->ctl), c->job, &job, &c->arena)) { /* forgotten while we looked */
        o->closing = true;
        c->query = mu_history_jobs(c->sv->history, &(struct mu_history_find_jobs){ .before = c->job, .only = true }, on_last, c);
        if (c->query == NULL) {
            mu_req_abort(c->req);
            mu_call_end(c);
        }
        return true;
    }
    close_with(o, &job);
    return true;
}

static void move(struct mu_follower *f)
{
    struct output *o = MU_CONTAINER(f, struct output, follower);
    const struct mu_tape *tape = &o->c->sv->tape;

    while (!o->full && !o->closing) {
        bool caught_up;
        if (o->history ? !o->reading && o->queue_count < QUEUE_MAX : !o->past && !tape_turn(o))
            read_history(o);
        queue_turn(o);
        caught_up = !o->history && (o->past ? o->seq == UINT64_MAX : f->position == mu_tape_end(tape)) && mu_list_is_empty(&o->queue);
        if (caught_up && (mu_list_is_empty(&o->live) || !o->follow) && finish(o))
            return;
        if (o->out.size == 0)
            break;
        send(o);
    }
    resume_all(o);
}

/* ---- the call ---- */

static void on_drain(struct mu_call *c)
{
    struct output *o = c->state;

    o->full = false;
    wake(o);
}

static void output_cleanup(struct mu_call *c)
{
    struct output *o = c->state;

    mu_follower_remove(&o->follower);
    mu_list_move(&o->queue, &o->live);
    while (!mu_list_is_empty(&o->queue))
        item_free(MU_CONTAINER(o->queue.next, struct item, link));
    mu_buf_fini(&o->out);
    free(o);
}

/* Tasks that run already, when they are to be shown while they write. */
static void find_running(struct output *o, uint32_t groups)
{
    const struct mu_core *core = mu_ctl_core(o->c->sv->ctl);

    for (uint32_t g = 0; o->live_wanted && g < groups; g++)
        for (uint32_t at = 0; (at = mu_view_next(core, o->c->job, g, MU_TASK_RUNNING, at)) != UINT32_MAX && o->live_count < LIVE_MAX; at++) {
            const struct mu_attempt *a = mu_view_attempt(core, o->c->job, at);
            on_running(o, at, a->attempt, a->node);
        }
}

static void answer_begin(struct output *o)
{
    mu_req_begin(o->c->req, 200, "application/x-ndjson");
    mu_follower_add(o->c->sv, &o->follower);
    if (o->past)
        read_history(o);
}

static void on_past(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;
    struct output *o = c->state;
    struct mu_buf b = { 0 };
    struct mu_str bytes;

    c->query = NULL;
    if (a->rc != MU_OK || a->jobs_count == 0) {
        mu_call_failf(c, a->rc != MU_OK ? a->rc : MU_NOTFOUND, "", "there is no job %llu", (unsigned long long)c->job);
        return;
    }
    mu_pb_put(&b, &mu_job_record_pb, &a->jobs[0]);
    bytes = (struct mu_str){ mu_arena_strdup(&c->arena, (char *)b.at, b.size), (uint32_t)b.size };
    MU_ASSERT(mu_pb_get(&mu_job_record_pb, &o->record, bytes, &c->arena));
    mu_buf_fini(&b);
    o->past = true;
    answer_begin(o);
}

static struct output *output_new(struct mu_call *c)
{
    struct output *o = calloc(1, sizeof *o);

    MU_ASSERT(o != NULL);
    o->c = c;
    o->output = true;
    o->follower.move = move;
    mu_list_init(&o->follower.link);
    mu_list_init(&o->queue);
    mu_list_init(&o->live);
    c->state = o;
    c->cleanup = output_cleanup;
    c->on_drain = on_drain;
    return o;
}

void mu_api_output(struct mu_call *c)
{
    struct output *o = output_new(c);
    struct mu_job_view job;
    uint64_t over = 0;

    if (!mu_call_flag(c, "follow", &o->follow) || !mu_call_flag(c, "live", &o->live_wanted) ||
        !mu_call_flag(c, "output", &o->output) || !mu_call_u64(c, "after", UINT32_MAX, &o->skip_tasks))
        return;
    if (!mu_view_job(mu_ctl_core(c->sv->ctl), c->job, &job)) {
        mu_call_past_job(c, on_past);
        return;
    }
    for (int s = MU_TASK_SUCCEEDED; s < MU_TASK_STATES; s++)
        over += job.count[s];
    o->follower.position = mu_tape_end(&c->sv->tape);
    answer_begin(o);
    find_running(o, job.groups);
    if (over > 0)
        read_history(o); /* from the first entry on */
    else
        o->seq = mu_ctl_applied(c->sv->ctl);
}
