/* The HTTP server: connections that take one request at a time. Answers are written in httpd_answer.c. */
#include "io/httpd_inside.h"

#include "base/assert.h"

enum {
    HEAD_MS = 10000,
    IDLE_MS = 60000,
    GONE_MS = 1000,          /* a client that half-closed still gets an answer that comes this soon */
    KEEP_BYTES = 64 * 1024,  /* a larger buffer of a request is not kept for the next one */
    SPARE_MAX = 64,
};

/* -- requests: kept for reuse with their buffers -- */

static struct mu_req *req_new(struct mu_conn *c)
{
    struct mu_httpd *d = c->d;
    struct mu_req *req;

    if (mu_list_is_empty(&d->spare)) {
        req = calloc(1, sizeof *req);
        MU_ASSERT(req != NULL);
    } else {
        req = MU_CONTAINER(d->spare.next, struct mu_req, link);
        mu_list_remove(&req->link);
        d->spares--;
    }
    req->c = c;
    return req;
}

static void req_delete(struct mu_req *req)
{
    mu_buf_fini(&req->bytes);
    mu_buf_fini(&req->body);
    mu_buf_fini(&req->extra);
    free(req);
}

static void req_free(struct mu_httpd *d, struct mu_req *req)
{
    if (d->spares >= SPARE_MAX) {
        req_delete(req);
        return;
    }
    if (req->body.cap > KEEP_BYTES)
        mu_buf_fini(&req->body);
    req->bytes.size = req->body.size = req->extra.size = 0;
    mu_list_add_tail(&d->spare, &req->link);
    d->spares++;
}

/* The owner hears that its request is dead, once. */
static void tell_gone(struct mu_req *req)
{
    const struct mu_req_ops *ops = req->ops;

    req->ops = NULL;
    if (ops != NULL && req->answer != MU_ANSWER_DONE)
        ops->on_gone(req->arg, req);
    req->answer = MU_ANSWER_DONE;
}

/* -- connections -- */

static void conn_release(struct mu_conn *c)
{
    struct mu_httpd *d = c->d;

    if (c->depth > 0)
        return; /* whoever is on the stack does it */
    MU_ASSERT(c->s == NULL);
    if (c->req != NULL)
        req_free(d, c->req);
    mu_list_remove(&c->link);
    d->stats.conns--;
    free(c);
}

static void account(struct mu_conn *c)
{
    c->d->stats.bytes_in += mu_stream_bytes_in(c->s);
    c->d->stats.bytes_out += mu_stream_bytes_out(c->s) + mu_stream_pending(c->s);
}

static void conn_finish(struct mu_conn *c)
{
    account(c);
    mu_stream_finish(c->s);
    c->s = NULL;
}

static void conn_drop(struct mu_conn *c)
{
    account(c);
    mu_stream_close(c->s);
    c->s = NULL;
    if (c->req != NULL)
        tell_gone(c->req);
}

void mu_conn_close(struct mu_conn *c)
{
    c->depth++;
    conn_drop(c);
    c->depth--;
    conn_release(c);
}

static void conn_refuse(struct mu_conn *c, unsigned status, const struct mu_err *err)
{
    c->d->stats.refused++;
    mu_answer_refusal(c, status, err);
    conn_finish(c);
}

/* The body cannot go on: the owner's request is dead; the client hears why unless it has an answer, or half of one. */
static void req_refuse(struct mu_req *req, unsigned status, const struct mu_err *err)
{
    struct mu_conn *c = req->c;
    enum mu_req_answer answer = req->answer;

    tell_gone(req);
    if (answer == MU_ANSWER_DONE)
        conn_finish(c);
    else if (answer == MU_ANSWER_BEGUN)
        conn_drop(c);
    else
        conn_refuse(c, status, err);
}

bool mu_req_can_skip(const struct mu_req *req)
{
    if (req->in.done)
        return true;
    if (req->head.expect_continue && !req->continued && req->in.total == 0)
        return false; /* it may never come, or it may */
    return req->head.framing != MU_HTTP_LENGTH || req->in.left <= MU_HTTPD_DISCARD;
}

static bool is_too_large(const struct mu_req *req)
{
    uint64_t known = req->in.total + (req->head.framing == MU_HTTP_LENGTH ? req->in.left : 0);

    return known > req->body_max;
}

static void refuse_size(struct mu_req *req)
{
    struct mu_err err;

    mu_fail(&err, MU_TOOBIG, "the body is larger than %llu bytes", (unsigned long long)req->body_max);
    req_refuse(req, 413, &err);
}

/* -- the loop over a connection's state: each step returns false when there is nothing to do for now -- */

static void head_wait(struct mu_conn *c, bool on)
{
    if (c->head_begun == on)
        return;
    c->head_begun = on;
    mu_stream_until(c->s, on ? c->d->opt.head_ms : 0);
}

static void req_start(struct mu_conn *c, struct mu_req *req, const uint8_t *bytes, size_t size)
{
    struct mu_httpd *d = c->d;

    mu_buf_add(&req->bytes, bytes, size);
    mu_http_head_rebase(&req->head, bytes, req->bytes.at);
    mu_http_body_init(&req->in, &req->head);
    if (!req->in.done)
        req->head.upgrade.size = 0; /* where the other protocol would begin is not clear */
    req->ops = NULL;
    req->use = MU_BODY_IGNORE;
    req->body_max = MU_HTTPD_DISCARD;
    req->answer = MU_ANSWER_NONE;
    req->paused = req->continued = req->ended = req->chunked = false;
    req->keep_alive = req->head.keep_alive && !d->draining;
    c->req = req;
    d->stats.requests++;
    d->on_request(d->arg, req);
    if (c->s == NULL)
        return;
    MU_ASSERT(req->answer == MU_ANSWER_DONE || req->ops != NULL); /* neither answered nor taken */
    if (req->answer != MU_ANSWER_DONE && is_too_large(req))
        refuse_size(req);
}

static bool step_head(struct mu_conn *c, const uint8_t *bytes, size_t size, size_t *used)
{
    struct mu_req *req;
    struct mu_err err;
    enum mu_rc rc;

    if (size == 0 || mu_stream_is_full(c->s))
        return false;
    req = req_new(c);
    rc = mu_http_head_take(&c->parser, bytes, size, used, &req->head, &err);
    if (rc == MU_OK) {
        head_wait(c, false);
        req_start(c, req, bytes, *used);
        return true;
    }
    req_free(c->d, req);
    if (rc == MU_AGAIN) {
        head_wait(c, true);
        return false;
    }
    conn_refuse(c, c->parser.refuse, &err);
    return true;
}

static bool use_piece(struct mu_req *req, struct mu_str piece)
{
    if (is_too_large(req)) {
        refuse_size(req);
        return true;
    }
    if (piece.size == 0 || req->answer == MU_ANSWER_DONE)
        return true;
    if (req->use == MU_BODY_COLLECT)
        mu_buf_add(&req->body, piece.at, piece.size);
    else if (req->use == MU_BODY_STREAM && req->ops->on_body != NULL)
        req->ops->on_body(req->arg, req, piece.at, piece.size);
    return true;
}

static bool step_body(struct mu_req *req, const uint8_t *bytes, size_t size, size_t *used)
{
    struct mu_str piece;
    struct mu_err err;

    if (size == 0) {
        if (req->head.expect_continue && !req->continued && req->in.total == 0) {
            req->continued = true;
            mu_stream_write(req->c->s, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        }
        return false;
    }
    req->continued = true; /* it sends without waiting for leave */
    if (mu_http_body_take(&req->in, bytes, size, used, &piece, &err) != MU_OK) {
        req_refuse(req, 400, &err);
        return true;
    }
    return use_piece(req, piece);
}

/* Answered, and nothing of the body is to come that matters. */
static void req_through(struct mu_conn *c)
{
    struct mu_req *req = c->req;

    if (!req->keep_alive || c->d->draining) {
        conn_finish(c);
        return;
    }
    c->req = NULL;
    req_free(c->d, req);
}

static bool step(struct mu_conn *c, const uint8_t *bytes, size_t size, size_t *used)
{
    struct mu_req *req = c->req;

    if (req == NULL)
        return step_head(c, bytes, size, used);
    if (req->answer == MU_ANSWER_DONE) {
        if (!req->in.done && req->keep_alive)
            return step_body(req, bytes, size, used);
        req_through(c);
        return true;
    }
    if (req->paused)
        return false;
    if (!req->in.done)
        return step_body(req, bytes, size, used);
    if (req->ended)
        return false;
    req->ended = true;
    if (req->ops->on_end != NULL)
        req->ops->on_end(req->arg, req);
    return true;
}

/* The client sends no more: what it has not sent will not come; what it waits for may come soon. */
static void after_eof(struct mu_conn *c, bool all_shown)
{
    struct mu_req *req = c->req;

    if (req == NULL && (all_shown || mu_stream_unused(c->s) == 0))
        conn_finish(c);
    else if (req != NULL && !req->in.done && !req->paused && all_shown)
        conn_drop(c);
    else if (req != NULL && !req->paused)
        mu_stream_until(c->s, GONE_MS);
}

/* Returns how many bytes were used. */
static size_t drive(struct mu_conn *c, const uint8_t *bytes, size_t size, bool all_shown)
{
    size_t all = 0;
    bool more = true;

    c->depth++;
    while (more && c->s != NULL) {
        size_t used = 0;
        more = step(c, bytes + all, size - all, &used);
        all += used;
    }
    if (c->s != NULL && c->half_closed && !mu_stream_is_full(c->s))
        after_eof(c, all_shown);
    c->depth--;
    return all;
}

void mu_conn_settle(struct mu_conn *c)
{
    if (c->depth > 0)
        return;
    if (c->s != NULL)
        drive(c, NULL, 0, false);
    if (c->s != NULL)
        mu_stream_resume(c->s);
    else
        conn_release(c);
}

/* -- what the stream tells -- */

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    struct mu_conn *c = arg;
    size_t used = drive(c, bytes, size, true);

    if (c->s == NULL)
        conn_release(c);
    return used;
}

static void on_eof(void *arg)
{
    struct mu_conn *c = arg;

    c->half_closed = true;
    drive(c, NULL, 0, true);
    if (c->s == NULL)
        conn_release(c);
}

static void on_drain(void *arg)
{
    struct mu_conn *c = arg;
    struct mu_req *req = c->req;

    c->depth++;
    if (req != NULL && req->answer == MU_ANSWER_BEGUN && req->ops != NULL && req->ops->on_drain != NULL)
        req->ops->on_drain(req->arg, req);
    c->depth--;
    mu_conn_settle(c);
}

/* The head took too long, or nothing moved for idle_ms: whose fault is it? */
static void timed_out(struct mu_conn *c)
{
    struct mu_req *req = c->req;
    struct mu_err err;

    mu_fail(&err, MU_TIMEOUT, "the request took too long to arrive");
    if (req == NULL && c->head_begun)
        conn_refuse(c, 408, &err);
    else if (req == NULL)
        conn_finish(c);
    else if (c->half_closed || req->answer == MU_ANSWER_DONE || mu_stream_pending(c->s) > 0)
        conn_drop(c);
    else if (!req->in.done && !req->paused)
        req_refuse(req, 408, &err);
}

static void on_timeout(void *arg)
{
    struct mu_conn *c = arg;

    c->depth++;
    timed_out(c);
    c->depth--;
    if (c->s == NULL)
        conn_release(c);
}

static void on_close(void *arg, const struct mu_err *err)
{
    struct mu_conn *c = arg;

    (void)err;
    account(c);
    c->s = NULL;
    c->depth++;
    if (c->req != NULL)
        tell_gone(c->req);
    c->depth--;
    conn_release(c);
}

static const struct mu_stream_user stream_user = { on_data, on_eof, on_drain, on_timeout, on_close };

static void on_accept(void *arg, struct mu_stream *s)
{
    struct mu_httpd *d = arg;
    struct mu_conn *c = calloc(1, sizeof *c);

    MU_ASSERT(c != NULL);
    c->d = d;
    c->s = s;
    mu_list_add_tail(&d->conns, &c->link);
    d->stats.conns++;
    mu_http_parser_init(&c->parser, MU_HTTP_REQUEST, MU_HTTP_OTHER);
    mu_stream_limit(s, &(struct mu_stream_limits){ .out_high = d->opt.out_high });
    mu_stream_idle(s, d->opt.idle_ms);
    mu_stream_own(s, &stream_user, c);
}

/* -- the server -- */

enum mu_rc mu_httpd_open(struct mu_httpd **out_httpd, struct mu_loop *loop, const struct mu_httpd_options *opt,
                         mu_httpd_fn *on_request, void *arg, struct mu_err *err)
{
    struct mu_httpd *d = calloc(1, sizeof *d);

    if (d == NULL)
        return mu_fail(err, MU_NOMEM, "HTTP server: no memory");
    d->loop = loop;
    d->opt = opt != NULL ? *opt : (struct mu_httpd_options){ 0 };
    d->opt.head_ms = d->opt.head_ms ? d->opt.head_ms : HEAD_MS;
    d->opt.idle_ms = d->opt.idle_ms ? d->opt.idle_ms : IDLE_MS;
    d->on_request = on_request;
    d->arg = arg;
    mu_list_init(&d->conns);
    mu_list_init(&d->spare);
    *out_httpd = d;
    return MU_OK;
}

enum mu_rc mu_httpd_listen(struct mu_httpd *d, const char *addr, const struct mu_tls *tls, struct mu_err *err)
{
    struct mu_listen_options opt = { .conns_max = d->opt.conns_max, .per_peer_max = d->opt.per_peer_max, .tls = tls };
    enum mu_rc rc;

    if (d->listeners_count == MU_HTTPD_LISTENERS)
        return mu_fail(err, MU_TOOBIG, "%s: more than %d addresses", addr, MU_HTTPD_LISTENERS);
    rc = mu_listen(&d->listeners[d->listeners_count], d->loop, addr, &opt, on_accept, d, err);
    if (rc == MU_OK)
        d->listeners_count++;
    return rc;
}

const char *mu_httpd_addr(const struct mu_httpd *d, unsigned i)
{
    return i < d->listeners_count ? mu_listener_addr(d->listeners[i]) : NULL;
}

static void close_listeners(struct mu_httpd *d)
{
    for (unsigned i = 0; i < d->listeners_count; i++)
        mu_listener_close(d->listeners[i]);
    d->listeners_count = 0;
}

void mu_httpd_drain(struct mu_httpd *d)
{
    d->draining = true;
    close_listeners(d);
    MU_LIST_EACH_SAFE(it, &d->conns) {
        struct mu_conn *c = MU_CONTAINER(it, struct mu_conn, link);
        if (c->req != NULL || c->depth > 0)
            continue;
        conn_finish(c);
        conn_release(c);
    }
}

void mu_httpd_close(struct mu_httpd *d)
{
    if (d == NULL)
        return;
    close_listeners(d);
    while (!mu_list_is_empty(&d->conns)) {
        struct mu_conn *c = MU_CONTAINER(d->conns.next, struct mu_conn, link);
        MU_ASSERT(c->depth == 0);
        mu_conn_close(c);
    }
    while (!mu_list_is_empty(&d->spare)) {
        struct mu_req *req = MU_CONTAINER(d->spare.next, struct mu_req, link);
        mu_list_remove(&req->link);
        req_delete(req);
    }
    free(d);
}

void mu_httpd_stats_get(const struct mu_httpd *d, struct mu_httpd_stats *out)
{
    *out = d->stats;
}
