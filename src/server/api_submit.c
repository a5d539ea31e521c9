/* server/api_submit.c -- submitting: one spec, a stream of specs, more lines for an open job. */
#include "server/api.h"

#include "wire/jobspec.h"

enum {
    PENDING_MAX = 8192,             /* specs of a stream that are not answered yet: past it reading waits */
    LINE_MAX = 4 * 1024 * 1024,     /* of NDJSON */
    ANSWERS_MAX = 16 * 1024 * 1024, /* bytes of answers a client may leave unread: past it reading waits */
};

static void accept_time(struct mu_call *c, uint64_t began_ns)
{
    uint64_t now_ns = mu_boot_ns();
    mu_stats_stage(&c->sv->stats, now_ns / 1000000, MU_STAGE_ACCEPT, (now_ns - began_ns) / 1000);
}

static void no_space(struct mu_err *err)
{
    mu_fail(err, MU_FULL, "the server's disk is nearly full: no new work is taken until there is room");
}

/* ---- one ---- */

static void on_submitted(struct mu_ask *ask)
{
    struct mu_call *c = MU_CONTAINER(ask, struct mu_call, ask);
    struct mu_buf b = { 0 };

    if (ask->reply.rc != MU_OK) {
        mu_call_fail(c, &ask->err);
        return;
    }
    accept_time(c, c->began_ns);
    mu_json_open(&b, '{');
    mu_json_ku64(&b, "id", ask->reply.job);
    if (ask->reply.existing)
        mu_json_kbool(&b, "existing", true);
    mu_json_close(&b, '{');
    mu_call_json(c, ask->reply.existing ? 200 : 201, &b);
    mu_buf_fini(&b);
}

/* The header's key counts for a spec without one; two that differ are a mistake. */
static bool key_apply(struct mu_call *c, struct mu_str json, struct mu_job_spec *spec)
{
    struct mu_str key = mu_http_find(mu_req_head(c->req), "idempotency-key");

    if (key.size == 0)
        return true;
    if (spec->key.size > 0 && !mu_str_eq(spec->key, key)) {
        mu_call_failf(c, MU_INVALID, "Idempotency-Key", "the header and the job name different keys");
        return false;
    }
    if (key.size > MU_NAME_MAX || !mu_utf8_valid(key)) {
        mu_call_failf(c, MU_INVALID, "Idempotency-Key", "a key is at most %d bytes of text", MU_NAME_MAX);
        return false;
    }
    spec->key = key;
    spec->digest = mu_jobspec_digest(json);
    return true;
}

static void submit_text(struct mu_call *c, struct mu_str json)
{
    struct mu_job_spec spec = { 0 };
    struct mu_err err = { 0 };

    if (c->sv->no_space)
        no_space(&err);
    else
        mu_jobspec_json(json, mu_str_of(c->user), &spec, &c->arena, &err);
    if (err.rc != MU_OK) {
        mu_call_fail(c, &err);
        return;
    }
    if (!key_apply(c, json, &spec))
        return;
    mu_ask_init(&c->ask, c->sv, on_submitted);
    mu_ask_submit(&c->ask, &spec);
}

static void on_spec(struct mu_call *c)
{
    submit_text(c, mu_req_body(c->req));
}

static void on_yaml(struct mu_call *c)
{
    struct mu_buf json = { 0 };
    struct mu_err err;

    if (mu_yaml_to_json(mu_req_body(c->req), &json, &err) != MU_OK)
        mu_call_fail(c, &err);
    else
        submit_text(c, mu_buf_str(&json));
    mu_buf_fini(&json);
}

/* ---- many ---- */

struct bulk;
struct bulk_line {
    struct mu_list link; /* in order of the lines */
    struct bulk *bulk;
    struct mu_ask ask;
    bool answered;
};
struct bulk {
    struct mu_call *c;
    struct mu_buf rest;      /* of a line that is not complete */
    struct mu_list lines, spare;
    uint32_t pending;
    struct mu_arena arena;   /* of the line being read */
    bool ended, paused, full;
    size_t unread;           /* answered since the connection was full */
    struct mu_buf out;
};

static void bulk_answer(struct mu_buf *b, const struct mu_ask *ask)
{
    mu_json_open(b, '{');
    if (ask->err.rc == MU_OK) {
        mu_json_ku64(b, "id", ask->reply.job);
        if (ask->reply.existing)
            mu_json_kbool(b, "existing", true);
    } else {
        mu_json_kopen(b, "error", '{');
        mu_json_ktext(b, "code", mu_rc_code(ask->err.rc));
        mu_json_ktext(b, "message", ask->err.text);
        if (ask->err.field[0])
            mu_json_ktext(b, "field", ask->err.field);
        mu_json_close(b, '{');
    }
    mu_json_close(b, '{');
    mu_buf_addc(b, '\n');
}

static void bulk_pace(struct bulk *k)
{
    bool wait = k->pending >= PENDING_MAX || k->unread > ANSWERS_MAX;

    if (wait != k->paused && !k->ended) {
        k->paused = wait;
        if (wait)
            mu_req_pause(k->c->req);
        else
            mu_req_resume(k->c->req);
    }
}

/* Hand on the answers of the first lines, as far as they are known; the last one ends the call. */
static void bulk_flush(struct bulk *k)
{
    struct mu_req *req = k->c->req;

    mu_buf_clear(&k->out);
    while (!mu_list_is_empty(&k->lines)) {
        struct bulk_line *line = MU_CONTAINER(k->lines.next, struct bulk_line, link);
        if (!line->answered)
            break;
        bulk_answer(&k->out, &line->ask);
        mu_list_remove(&line->link);
        mu_list_add_head(&k->spare, &line->link);
        k->pending--;
    }
    if (k->out.size > 0)
        k->full = !mu_req_write(req, k->out.at, k->out.size) || k->full;
    k->unread += k->full ? k->out.size : 0;
    if (k->ended && k->pending == 0) {
        mu_req_end(req);
        mu_call_end(k->c);
    } else {
        bulk_pace(k);
    }
}

static void on_line_done(struct mu_ask *ask)
{
    struct bulk_line *line = MU_CONTAINER(ask, struct bulk_line, ask);
    struct bulk *k = line->bulk;

    line->answered = true;
    if (ask->err.rc == MU_OK)
        accept_time(k->c, k->c->began_ns);
    if (k->lines.next == &line->link) /* else an earlier one will take it along */
        bulk_flush(k);
}

static struct bulk_line *line_new(struct bulk *k)
{
    struct bulk_line *line;

    if (mu_list_is_empty(&k->spare)) {
        line = calloc(1, sizeof *line);
        MU_ASSERT(line != NULL);
    } else {
        line = MU_CONTAINER(k->spare.next, struct bulk_line, link);
        mu_list_remove(&line->link);
    }
    line->bulk = k;
    line->answered = false;
    mu_ask_init(&line->ask, k->c->sv, on_line_done);
    mu_list_add_tail(&k->lines, &line->link);
    k->pending++;
    return line;
}

static void bulk_take(struct bulk *k, struct mu_str text)
{
    struct mu_job_spec spec = { 0 };
    struct bulk_line *line;

    if (text.size > 0 && text.at[text.size - 1] == '\r')
        text.size--;
    if (text.size == 0)
        return;
    line = line_new(k);
    mu_arena_reset(&k->arena);
    if (k->c->sv->no_space)
        no_space(&line->ask.err);
    else
        mu_jobspec_json(text, mu_str_of(k->c->user), &spec, &k->arena, &line->ask.err);
    if (line->ask.err.rc == MU_OK)
        mu_ask_submit(&line->ask, &spec);
    else
        line->answered = true;
}

static void on_bulk_body(struct mu_call *c, const void *bytes, size_t size)
{
    struct bulk *k = c->state;
    const char *at = bytes, *end = at + size;

    k->c->began_ns = mu_boot_ns(); /* of these lines */
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        if (nl == NULL)
            break;
        if (k->rest.size > 0) {
            mu_buf_add(&k->rest, at, (size_t)(nl - at));
            bulk_take(k, mu_buf_str(&k->rest));
            mu_buf_clear(&k->rest);
        } else {
            bulk_take(k, (struct mu_str){ at, (uint32_t)(nl - at) });
        }
        at = nl + 1;
    }
    mu_buf_add(&k->rest, at, (size_t)(end - at));
    if (k->rest.size > LINE_MAX) { /* what was accepted stays accepted; the rest of the stream makes no sense */
        struct bulk_line *line = line_new(k);
        mu_fail(&line->ask.err, MU_TOOBIG, "a line is longer than %d bytes; nothing after it was read", LINE_MAX);
        line->answered = true;
        k->ended = true;
        c->on_body = NULL;
        c->on_end = NULL;
    }
    bulk_flush(k);
}

static void on_bulk_end(struct mu_call *c)
{
    struct bulk *k = c->state;

    k->c->began_ns = mu_boot_ns();
    bulk_take(k, mu_buf_str(&k->rest));
    mu_buf_clear(&k->rest);
    k->ended = true;
    bulk_flush(k);
}

static void on_bulk_drain(struct mu_call *c)
{
    struct bulk *k = c->state;

    k->full = false;
    k->unread = 0;
    bulk_pace(k);
}

static void bulk_cleanup(struct mu_call *c)
{
    struct bulk *k = c->state;

    mu_list_move(&k->spare, &k->lines);
    while (!mu_list_is_empty(&k->spare)) {
        struct bulk_line *line = MU_CONTAINER(k->spare.next, struct bulk_line, link);
        mu_list_remove(&line->link);
        mu_ask_cancel(&line->ask);
        free(line);
    }
    mu_arena_fini(&k->arena);
    mu_buf_fini(&k->rest);
    mu_buf_fini(&k->out);
    free(k);
}

static void submit_many(struct mu_call *c)
{
    struct bulk *k = calloc(1, sizeof *k);

    MU_ASSERT(k != NULL);
    k->c = c;
    mu_list_init(&k->lines);
    mu_list_init(&k->spare);
    c->state = k;
    c->cleanup = bulk_cleanup;
    c->on_body = on_bulk_body;
    c->on_end = on_bulk_end;
    c->on_drain = on_bulk_drain;
    mu_req_stream(c->req, UINT64_MAX);
    mu_req_begin(c->req, 200, "application/x-ndjson");
}

static void wrong_type(struct mu_call *c, const char *wanted)
{
    char text[160];

    snprintf(text, sizeof text, "the body must be %s", wanted);
    mu_req_error(c->req, 415, "unsupported", "Content-Type", text);
    mu_call_end(c);
}

static bool has_body(struct mu_call *c)
{
    if (mu_req_head(c->req)->framing != MU_HTTP_NONE)
        return true;
    mu_req_error(c->req, 411, "length_required", NULL, "a body is needed");
    mu_call_end(c);
    return false;
}

void mu_api_submit(struct mu_call *c)
{
    char type[64];

    if (!has_body(c))
        return;
    mu_call_type(c, type, sizeof type);
    if (strcmp(type, "application/x-ndjson") == 0) {
        submit_many(c);
        return;
    }
    if (strcmp(type, "application/yaml") == 0)
        c->on_end = on_yaml;
    else if (type[0] == '\0' || strcmp(type, "application/json") == 0)
        c->on_end = on_spec;
    else {
        wrong_type(c, "application/json, application/yaml or application/x-ndjson");
        return;
    }
    mu_req_collect(c->req, c->route->body_max);
}

/* ---- more of an open job ---- */

static void on_part_done(struct mu_ask *ask)
{
    struct mu_call *c = MU_CONTAINER(ask, struct mu_call, ask);
    struct mu_job_view job = { 0 };
    struct mu_buf b = { 0 };

    if (ask->reply.rc != MU_OK) {
        mu_call_fail(c, &ask->err);
        return;
    }
    accept_time(c, c->began_ns);
    mu_view_job(mu_ctl_core(c->sv->ctl), c->job, &job);
    mu_json_open(&b, '{');
    mu_json_ku64(&b, "tasks", job.tasks);
    mu_json_close(&b, '{');
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

static void on_lines(struct mu_call *c)
{
    struct mu_event ev = { .kind = MU_EV_PART, .part = { .job = c->job, .lines = mu_req_body(c->req) } };
    struct mu_err err = { 0 };
    struct mu_buf copy = { 0 };
    uint64_t from = 0;

    if (!mu_call_u64(c, "from", MU_TASKS_PER_JOB_MAX, &from) || !mu_call_flag(c, "last", &ev.part.last))
        return;
    if (c->sv->no_space && ev.part.lines.size > 0) {
        no_space(&err);
        mu_call_fail(c, &err);
        return;
    }
    if (memchr(ev.part.lines.at ? ev.part.lines.at : "", '\0', ev.part.lines.size) != NULL) {
        mu_call_failf(c, MU_INVALID, "body", "command lines hold no NUL");
        return;
    }
    if (ev.part.lines.size > 0 && ev.part.lines.at[ev.part.lines.size - 1] != '\n') {
        mu_buf_add(&copy, ev.part.lines.at, ev.part.lines.size);
        mu_buf_addc(&copy, '\n');
        ev.part.lines = mu_buf_str(&copy);
    }
    ev.part.tasks_before = (uint32_t)from;
    mu_ask_init(&c->ask, c->sv, on_part_done);
    mu_ask_event(&c->ask, &ev);
    mu_buf_fini(&copy);
}

void mu_api_part(struct mu_call *c)
{
    char type[64];

    if (!mu_call_has(c, "from")) {
        mu_call_failf(c, MU_INVALID, "from", "from says how many tasks the job has already");
        return;
    }
    mu_call_type(c, type, sizeof type);
    if (type[0] != '\0' && strcmp(type, "text/plain") != 0) {
        wrong_type(c, "text/plain: one command line a line");
        return;
    }
    c->on_end = on_lines;
    mu_req_collect(c->req, c->route->body_max);
}
