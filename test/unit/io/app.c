#include "app.h"

#include "base/assert.h"

#include <ctype.h>

struct call { /* one request */
    struct app *app;
    uint64_t left, bytes;
};

static struct call *call_new(struct app *app)
{
    struct call *c = calloc(1, sizeof *c);

    MU_ASSERT(c != NULL);
    c->app = app;
    return c;
}

static void reply_text(struct mu_req *req, const char *text)
{
    mu_req_reply(req, 200, "text/plain", text, strlen(text));
}

static void on_gone(void *arg, struct mu_req *req)
{
    struct call *c = arg;

    c->app->gones++;
    c->app->gone = true;
    if (c->app->later == req)
        c->app->later = NULL;
    free(c);
}

/* -- /later, /quiet -- */

static const struct mu_req_ops later_ops = { .on_gone = on_gone };

void app_answer(struct app *app, const char *text)
{
    struct mu_req *req = app->later;

    MU_ASSERT(req != NULL);
    app->later = NULL;
    app->waiting = false;
    free(app->later_call);
    reply_text(req, text);
}

static void on_later_end(void *arg, struct mu_req *req)
{
    struct call *c = arg;

    c->app->later = req;
    c->app->later_call = c;
    c->app->waiting = true;
}

static const struct mu_req_ops later_end_ops = { .on_end = on_later_end, .on_gone = on_gone };

/* -- /echo -- */

static void on_echo_end(void *arg, struct mu_req *req)
{
    struct mu_str body = mu_req_body(req);

    mu_req_reply(req, 200, "application/octet-stream", body.at, body.size);
    free(arg);
}

static const struct mu_req_ops echo_ops = { .on_end = on_echo_end, .on_gone = on_gone };

/* -- /count -- */

static void on_count_body(void *arg, struct mu_req *req, const void *bytes, size_t size)
{
    struct call *c = arg;

    (void)bytes;
    c->bytes += size;
    c->app->counted = c->bytes;
    if (c->app->pause_each) {
        c->app->paused = true;
        c->app->later = req;
        mu_req_pause(req);
    }
}

static void on_count_end(void *arg, struct mu_req *req)
{
    struct call *c = arg;
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)c->bytes);
    reply_text(req, text);
    free(c);
}

void app_resume(struct app *app)
{
    app->paused = false;
    mu_req_resume(app->later);
}

static const struct mu_req_ops count_ops = { .on_body = on_count_body, .on_end = on_count_end, .on_gone = on_gone };

/* -- /stream -- */

static void stream_more(void *arg, struct mu_req *req)
{
    static const char block[10000];
    struct call *c = arg;
    bool more = true;
    size_t written = 0;

    while (c->left > 0 && more) {
        size_t n = c->left < sizeof block ? (size_t)c->left : sizeof block;
        more = mu_req_write(req, block, n);
        c->left -= n;
        written += n;
    }
    if (written > c->app->most_pending)
        c->app->most_pending = written;
    if (c->left == 0) {
        free(c);
        mu_req_end(req);
    }
}

static const struct mu_req_ops stream_ops = { .on_drain = stream_more, .on_gone = on_gone };

/* -- /lines -- */

static void on_lines_body(void *arg, struct mu_req *req, const void *bytes, size_t size)
{
    char text[32];

    (void)arg, (void)bytes;
    mu_req_write(req, text, (size_t)snprintf(text, sizeof text, "%zu\n", size));
}

static void on_lines_end(void *arg, struct mu_req *req)
{
    free(arg);
    mu_req_end(req);
}

static const struct mu_req_ops lines_ops = { .on_body = on_lines_body, .on_end = on_lines_end, .on_gone = on_gone };

/* -- /ignore -- */

static void on_ignore_end(void *arg, struct mu_req *req)
{
    reply_text(req, "ignored");
    free(arg);
}

static const struct mu_req_ops ignore_ops = { .on_end = on_ignore_end, .on_gone = on_gone };

/* -- /up -- */

static size_t on_up_data(void *arg, const uint8_t *bytes, size_t size)
{
    struct app *app = arg;

    for (size_t i = 0; i < size; i++)
        mu_stream_write(app->up, &(char){ (char)toupper(bytes[i]) }, 1);
    return size;
}

static void on_up_close(void *arg, const struct mu_err *err)
{
    struct app *app = arg;

    (void)err;
    app->up = NULL;
    app->up_closed = true;
}

static const struct mu_stream_user up_user = { .on_data = on_up_data, .on_close = on_up_close };

static void serve_up(struct app *app, struct mu_req *req)
{
    if (!mu_str_is(mu_req_head(req)->upgrade, "shout")) {
        mu_req_header(req, "Upgrade", "shout");
        mu_req_header(req, "Retry-After", "2");
        mu_req_error(req, 426, "version", "", "this place is for shouting");
        return;
    }
    app->up = mu_req_upgrade(req, "shout");
    mu_stream_own(app->up, &up_user, app);
}

static void serve_stream(struct app *app, struct mu_req *req, const struct mu_http_head *head)
{
    struct call *c = call_new(app);
    char n[24] = "";

    mu_http_query_get(head->query, "n", n, sizeof n);
    mu_str_u64(mu_str_of(n), &c->left);
    mu_req_take(req, &stream_ops, c);
    mu_req_begin(req, 200, "application/octet-stream");
    stream_more(c, req);
}

static void on_request(void *arg, struct mu_req *req)
{
    struct app *app = arg;
    const struct mu_http_head *head = mu_req_head(req);

    app->requests++;
    if (mu_str_is(head->path, "/hello")) {
        mu_req_header(req, "X-Test", "yes\r\nX-Injected: no");
        reply_text(req, "hi");
    } else if (mu_str_is(head->path, "/later")) {
        mu_req_take(req, &later_end_ops, call_new(app));
    } else if (mu_str_is(head->path, "/quiet")) {
        app->later = req;
        app->waiting = true;
        app->later_call = call_new(app);
        mu_req_take(req, &later_ops, app->later_call);
        mu_req_begin(req, 200, "text/event-stream");
    } else if (mu_str_is(head->path, "/echo")) {
        mu_req_take(req, &echo_ops, call_new(app));
        mu_req_collect(req, 1024 * 1024);
    } else if (mu_str_is(head->path, "/count")) {
        mu_req_take(req, &count_ops, call_new(app));
        mu_req_stream(req, UINT64_MAX);
    } else if (mu_str_is(head->path, "/stream")) {
        serve_stream(app, req, head);
    } else if (mu_str_is(head->path, "/lines")) {
        struct call *c = call_new(app);
        mu_req_take(req, &lines_ops, c);
        mu_req_stream(req, UINT64_MAX);
        mu_req_begin(req, 200, "application/x-ndjson");
    } else if (mu_str_is(head->path, "/ignore")) {
        mu_req_take(req, &ignore_ops, call_new(app));
    } else if (mu_str_is(head->path, "/early")) {
        mu_req_error(req, 403, "denied", "token", "not for \"you\"");
    } else if (mu_str_is(head->path, "/away")) {
        char there[64];
        mu_http_query_get(head->query, "to", there, sizeof there);
        mu_req_header(req, "Location", there);
        mu_req_reply(req, 307, NULL, NULL, 0);
    } else if (mu_str_is(head->path, "/up")) {
        serve_up(app, req);
    } else {
        mu_req_error(req, 404, "not_found", "", "no such path");
    }
}

void app_open(struct app *app, struct mu_loop *loop, const struct mu_httpd_options *opt)
{
    struct mu_err err = { 0 };

    *app = (struct app){ .loop = loop };
    MU_ASSERT(mu_httpd_open(&app->d, loop, opt, on_request, app, &err) == MU_OK);
    MU_ASSERT(mu_httpd_listen(app->d, "127.0.0.1:0", NULL, &err) == MU_OK);
}

void app_close(struct app *app)
{
    mu_stream_close(app->up);
    mu_httpd_close(app->d);
}

const char *app_addr(const struct app *app)
{
    return mu_httpd_addr(app->d, 0);
}
