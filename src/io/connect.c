/* Connecting: look up, try each address, then perhaps shake hands. One life, one answer. */
#include "io/connect.h"
#include "io/httpc.h"
#include "io/inside.h"

#include "base/assert.h"

#include <sys/un.h>

enum { TIMEOUT_MS = 10000, ANSWER_MAX = 16 * 1024 };

struct mu_connect {
    struct mu_loop *loop;
    struct mu_url url;
    struct mu_timer *timer;
    void *start;
    uv_getaddrinfo_t lookup;
    uv_connect_t req;
    struct addrinfo *list, *next;
    struct mu_stream *s; /* the attempt under way, or the one that shakes hands */
    bool looking, connecting, over;
    int last; /* why the last attempt failed, as libuv says it */
    mu_connect_fn *done;
    void *arg;
    /* handshake; request empty for a plain connect */
    struct mu_buf request, answer;
    char protocol[64];
    struct mu_http_parser parser;
    struct mu_http_body body;
    bool refused; /* the answer was not 101: its body is read for the reason */
    struct mu_connect_end end;
};

/* libuv still holds parts of it until its callbacks came. */
static void release(struct mu_connect *c)
{
    if (c->looking || c->connecting)
        return;
    if (c->list != NULL)
        uv_freeaddrinfo(c->list);
    mu_buf_fini(&c->request);
    mu_buf_fini(&c->answer);
    free(c);
}

static void stop(struct mu_connect *c)
{
    c->over = true;
    mu_timer_free(c->timer);
    c->timer = NULL;
    mu_loop_cancel(c->loop, c->start);
    c->start = NULL;
    if (c->looking)
        uv_cancel((uv_req_t *)&c->lookup);
    if (c->s != NULL)
        mu_stream_close(c->s);
    c->s = NULL;
}

void mu_connect_cancel(struct mu_connect *c)
{
    if (c == NULL)
        return;
    stop(c);
    release(c);
}

static void finish(struct mu_connect *c, struct mu_stream *s)
{
    struct mu_connect_end end = c->end;
    mu_connect_fn *done = c->done;
    void *arg = c->arg;

    if (s != NULL)
        c->s = NULL;
    stop(c);
    release(c);
    done(arg, s, &end);
}

static void fail(struct mu_connect *c, enum mu_rc rc, const char *what)
{
    mu_fail(&c->end.err, rc, "no server answers at %s: %s", c->url.text, what);
    finish(c, NULL);
}

/* -- the handshake -- */

/* Not 101: the status, when to come back, and the body for the reason. */
static void refused(struct mu_connect *c, const struct mu_http_head *head)
{
    struct mu_str retry = mu_http_find(head, "retry-after");
    uint64_t seconds;

    c->refused = true;
    c->end.status = head->status;
    if (retry.at != NULL && mu_str_u64(retry, &seconds) && seconds < 86400)
        c->end.retry_ms = seconds * 1000;
    mu_http_body_init(&c->body, head);
}

static void refusal_end(struct mu_connect *c)
{
    if (mu_httpc_check(c->end.status, &c->answer, &c->end.err) == MU_OK)
        mu_fail(&c->end.err, MU_INVALID, "%s answers %u instead of changing to %s", c->url.text, c->end.status,
                c->protocol);
    finish(c, NULL);
}

static size_t refusal_data(struct mu_connect *c, const uint8_t *bytes, size_t size)
{
    bool bad = false;

    for (size_t n = 0, used; n < size && !c->body.done && !bad; n += used) {
        struct mu_str piece;
        bad = mu_http_body_take(&c->body, bytes + n, size - n, &used, &piece, NULL) != MU_OK;
        if (!bad)
            mu_buf_add(&c->answer, piece.at, piece.size);
    }
    if (c->body.done || bad || c->answer.size > ANSWER_MAX)
        refusal_end(c);
    return size;
}

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    struct mu_connect *c = arg;
    struct mu_stream *s = c->s;
    struct mu_http_head head;
    struct mu_err err;
    size_t used = 0;
    enum mu_rc rc;

    if (c->refused)
        return refusal_data(c, bytes, size);
    rc = mu_http_head_take(&c->parser, bytes, size, &used, &head, &err);
    if (rc == MU_AGAIN)
        return 0;
    if (rc != MU_OK) {
        fail(c, MU_INVALID, err.text);
        return size;
    }
    if (head.status == 101 && head.upgrade.size == strlen(c->protocol) &&
        strncasecmp(head.upgrade.at, c->protocol, head.upgrade.size) == 0) {
        mu_stream_own(s, NULL, NULL);
        finish(c, s);
        return used;
    }
    if (head.status < 200 && head.status != 101)
        return used; /* the answer proper is still to come */
    refused(c, &head);
    return used + refusal_data(c, bytes + used, size - used);
}

static void on_close(void *arg, const struct mu_err *err)
{
    struct mu_connect *c = arg;

    c->s = NULL;
    if (c->refused && mu_http_body_eof(&c->body, NULL) == MU_OK)
        refusal_end(c);
    else
        fail(c, err->rc, err->rc == MU_CLOSED ? "the connection was closed" : err->text);
}

static const struct mu_stream_user handshake = { .on_data = on_data, .on_close = on_close };

/* -- the connection -- */

static void try_next(struct mu_connect *c);

static void on_connected(uv_connect_t *req, int status)
{
    struct mu_connect *c = MU_CONTAINER(req, struct mu_connect, req);
    struct mu_stream *s = c->s;

    c->connecting = false;
    if (c->over) {
        release(c);
        return;
    }
    if (status != 0) {
        c->last = status;
        mu_stream_close(s);
        c->s = NULL;
        try_next(c);
        return;
    }
    mu_stream_start(s);
    if (c->request.size == 0) {
        finish(c, s);
        return;
    }
    mu_stream_own(s, &handshake, c);
    mu_stream_write(s, c->request.at, c->request.size);
}

static void try_next(struct mu_connect *c)
{
    while (c->next != NULL) {
        struct sockaddr *a = c->next->ai_addr;
        int rc;
        c->next = c->next->ai_next;
        c->s = mu_stream_new(c->loop, false);
        rc = uv_tcp_connect(&c->req, &c->s->uv.tcp, a, on_connected);
        c->connecting = rc == 0;
        if (c->connecting)
            return;
        c->last = rc;
        mu_stream_close(c->s);
        c->s = NULL;
    }
    fail(c, MU_IO, uv_strerror(c->last ? c->last : UV_EADDRNOTAVAIL));
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct mu_connect *c = MU_CONTAINER(req, struct mu_connect, lookup);

    c->looking = false;
    c->list = c->next = list;
    if (c->over)
        release(c);
    else if (status != 0)
        fail(c, MU_IO, uv_strerror(status));
    else
        try_next(c);
}

static void begin_unix(struct mu_connect *c)
{
    if (strlen(c->url.host) >= sizeof ((struct sockaddr_un *)0)->sun_path) {
        fail(c, MU_INVALID, "the path of the socket is too long");
        return;
    }
    c->s = mu_stream_new(c->loop, true);
    c->connecting = true;
    uv_pipe_connect(&c->req, &c->s->uv.pipe, c->url.host, on_connected);
}

static void begin(struct mu_connect *c)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    int rc;

    if (c->url.is_unix) {
        begin_unix(c);
        return;
    }
    rc = uv_getaddrinfo(&c->loop->uv, &c->lookup, on_looked_up, c->url.host, c->url.port, &hints);
    c->looking = rc == 0;
    if (rc != 0)
        fail(c, MU_IO, uv_strerror(rc));
}

static void on_timeout(void *arg)
{
    fail(arg, MU_TIMEOUT, "time ran out");
}

static void on_start(void *arg)
{
    struct mu_connect *c = arg;

    c->start = NULL;
    if (c->end.err.rc != MU_OK)
        finish(c, NULL);
    else
        begin(c);
}

/* The start is put off by a turn: done is never called from inside the caller's call. */
static struct mu_connect *connect_new(struct mu_loop *loop, uint64_t timeout_ms, const struct mu_tls *tls,
                                      mu_connect_fn *done, void *arg)
{
    struct mu_connect *c = mu_io_alloc(sizeof *c);

    c->loop = loop;
    c->done = done;
    c->arg = arg;
    c->timer = mu_timer_new(loop, on_timeout, c);
    mu_timer_start(c->timer, timeout_ms ? timeout_ms : TIMEOUT_MS);
    c->start = mu_loop_after(loop, 0, on_start, c);
    if (tls != NULL)
        mu_fail(&c->end.err, MU_UNSUPPORTED, "TLS is not spoken here");
    return c;
}

struct mu_connect *mu_connect(struct mu_loop *loop, const char *addr, uint64_t timeout_ms, const struct mu_tls *tls,
                              mu_connect_fn *done, void *arg)
{
    struct mu_connect *c = connect_new(loop, timeout_ms, tls, done, arg);

    mu_addr_parse(&c->url, addr, &c->end.err);
    return c;
}

struct mu_connect *mu_upgrade(struct mu_loop *loop, const struct mu_upgrade_options *opt, mu_connect_fn *done, void *arg)
{
    struct mu_connect *c = connect_new(loop, opt->timeout_ms, opt->tls, done, arg);

    mu_url_parse(&c->url, mu_str_of(opt->url), &c->end.err);
    if (c->url.tls && c->end.err.rc == MU_OK)
        mu_fail(&c->end.err, MU_UNSUPPORTED, "%s: TLS is not spoken here", opt->url);
    snprintf(c->protocol, sizeof c->protocol, "%s", opt->protocol);
    mu_http_parser_init(&c->parser, MU_HTTP_RESPONSE, MU_HTTP_GET);
    mu_http_put_request(&c->request, "GET", opt->target);
    mu_http_put_field(&c->request, "Host", mu_url_authority(&c->url));
    if (opt->token != NULL)
        mu_http_put_bearer(&c->request, opt->token);
    mu_http_put_field(&c->request, "Connection", MU_STR_LIT("Upgrade"));
    mu_http_put_field(&c->request, "Upgrade", mu_str_of(opt->protocol));
    mu_buf_addz(&c->request, "\r\n");
    return c;
}
