/* The HTTP server's requests as their owners see them: what they ask, and the writing of answers. */
#include "io/httpd_inside.h"

#include "base/assert.h"
#include "base/json.h"

/* "Sun, 22 Nov 2026 20:00:00 GMT", made once a second. */
static struct mu_str date_of(struct mu_httpd *d)
{
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    uint64_t now = mu_loop_now_ms(d->loop);
    struct tm tm;
    time_t s;

    if (d->date[0] != '\0' && now == d->date_ms)
        return mu_str_of(d->date);
    d->date_ms = now;
    s = (time_t)(mu_wall_ms() / 1000);
    if (d->date[0] != '\0' && (uint64_t)s == d->date_s)
        return mu_str_of(d->date);
    d->date_s = (uint64_t)s;
    gmtime_r(&s, &tm);
    snprintf(d->date, sizeof d->date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return mu_str_of(d->date);
}

static void put_common(struct mu_buf *out, struct mu_httpd *d, unsigned status, const char *type)
{
    mu_http_put_status(out, status);
    mu_http_put_field(out, "Date", date_of(d));
    if (type != NULL)
        mu_http_put_field(out, "Content-Type", mu_str_of(type));
}

static void put_error(struct mu_buf *b, const char *code, const char *field, const char *message)
{
    mu_json_open(b, '{');
    mu_json_kopen(b, "error", '{');
    mu_json_ktext(b, "code", code);
    mu_json_ktext(b, "message", message);
    if (field != NULL && field[0] != '\0')
        mu_json_ktext(b, "field", field);
    mu_json_close(b, '{');
    mu_json_close(b, '{');
    mu_buf_addc(b, '\n');
}

void mu_answer_refusal(struct mu_conn *c, unsigned status, const struct mu_err *err)
{
    struct mu_buf *out = mu_stream_out(c->s), body = { 0 };

    put_error(&body, mu_rc_code(err->rc), err->field, err->text);
    put_common(out, c->d, status, "application/json");
    mu_http_put_length(out, body.size);
    mu_buf_addz(out, "Connection: close\r\n\r\n");
    mu_buf_add(out, body.at, body.size);
    mu_buf_fini(&body);
}

/* -- the request -- */

const struct mu_http_head *mu_req_head(const struct mu_req *req)
{
    return &req->head;
}

const char *mu_req_peer(const struct mu_req *req)
{
    return mu_stream_peer(req->c->s);
}

void mu_req_take(struct mu_req *req, const struct mu_req_ops *ops, void *arg)
{
    MU_ASSERT(req->answer != MU_ANSWER_DONE && ops->on_gone != NULL);
    req->ops = ops;
    req->arg = arg;
}

void mu_req_collect(struct mu_req *req, size_t max)
{
    req->use = MU_BODY_COLLECT;
    req->body_max = max;
}

void mu_req_stream(struct mu_req *req, uint64_t max)
{
    req->use = MU_BODY_STREAM;
    req->body_max = max;
}

struct mu_str mu_req_body(const struct mu_req *req)
{
    return mu_buf_str(&req->body);
}

void mu_req_pause(struct mu_req *req)
{
    req->paused = true;
}

void mu_req_resume(struct mu_req *req)
{
    if (!req->paused)
        return;
    req->paused = false;
    mu_conn_settle(req->c);
}

/* -- the answer -- */

void mu_req_header(struct mu_req *req, const char *name, const char *value)
{
    MU_ASSERT(req->answer == MU_ANSWER_NONE);
    mu_http_put_field(&req->extra, name, mu_str_of(value));
}

static bool has_body(const struct mu_req *req, unsigned status)
{
    return status >= 200 && status != 204 && status != 304 && req->head.method != MU_HTTP_HEAD;
}

/* Everything up to the framing fields. */
static struct mu_buf *head_begin(struct mu_req *req, unsigned status, const char *type)
{
    struct mu_buf *out = mu_stream_out(req->c->s);

    MU_ASSERT(req->answer == MU_ANSWER_NONE);
    if (!mu_req_can_skip(req))
        req->keep_alive = false;
    put_common(out, req->c->d, status, type);
    mu_buf_add(out, req->extra.at, req->extra.size);
    return out;
}

static void head_end(struct mu_req *req, struct mu_buf *out)
{
    if (!req->keep_alive)
        mu_buf_addz(out, "Connection: close\r\n");
    else if (req->head.minor == 0)
        mu_buf_addz(out, "Connection: keep-alive\r\n");
    mu_buf_add(out, "\r\n", 2);
}

static void answered(struct mu_req *req)
{
    req->answer = MU_ANSWER_DONE;
    req->ops = NULL;
    if (req->body_max > req->in.total + MU_HTTPD_DISCARD)
        req->body_max = req->in.total + MU_HTTPD_DISCARD;
    mu_conn_settle(req->c);
}

void mu_req_reply(struct mu_req *req, unsigned status, const char *type, const void *bytes, size_t size)
{
    struct mu_buf *out = head_begin(req, status, type);

    if (status != 204 && status != 304)
        mu_http_put_length(out, size);
    head_end(req, out);
    if (has_body(req, status))
        mu_buf_add(out, bytes, size);
    answered(req);
}

void mu_req_error(struct mu_req *req, unsigned status, const char *code, const char *field, const char *message)
{
    struct mu_buf body = { 0 };

    put_error(&body, code, field, message);
    mu_req_reply(req, status, "application/json", body.at, body.size);
    mu_buf_fini(&body);
}

void mu_req_fail(struct mu_req *req, const struct mu_err *err)
{
    mu_req_error(req, mu_http_status_of(err->rc), mu_rc_code(err->rc), err->field, err->text);
}

void mu_req_begin(struct mu_req *req, unsigned status, const char *type)
{
    struct mu_buf *out;

    MU_ASSERT(req->ops != NULL && status >= 200 && status != 204 && status != 304);
    if (req->head.minor == 0)
        req->keep_alive = false;
    req->chunked = req->head.minor == 1;
    out = head_begin(req, status, type);
    if (req->chunked)
        mu_buf_addz(out, "Transfer-Encoding: chunked\r\n");
    head_end(req, out);
    req->answer = MU_ANSWER_BEGUN;
}

bool mu_req_write(struct mu_req *req, const void *bytes, size_t size)
{
    struct mu_stream *s = req->c->s;

    MU_ASSERT(req->answer == MU_ANSWER_BEGUN);
    if (size > 0 && req->head.method != MU_HTTP_HEAD) {
        if (req->chunked)
            mu_http_put_chunk(mu_stream_out(s), bytes, size);
        else
            mu_stream_write(s, bytes, size);
    }
    return !mu_stream_is_full(s);
}

void mu_req_end(struct mu_req *req)
{
    MU_ASSERT(req->answer == MU_ANSWER_BEGUN);
    if (req->chunked && req->head.method != MU_HTTP_HEAD)
        mu_http_put_last_chunk(mu_stream_out(req->c->s));
    answered(req);
}

void mu_req_abort(struct mu_req *req)
{
    req->ops = NULL;
    mu_conn_close(req->c);
}

struct mu_stream *mu_req_upgrade(struct mu_req *req, const char *protocol)
{
    struct mu_conn *c = req->c;
    struct mu_stream *s = c->s;
    struct mu_buf *out = head_begin(req, 101, NULL);

    MU_ASSERT(req->head.upgrade.size > 0);
    mu_http_put_field(out, "Connection", MU_STR_LIT("Upgrade"));
    mu_http_put_field(out, "Upgrade", mu_str_of(protocol));
    mu_buf_add(out, "\r\n", 2);
    mu_stream_own(s, NULL, NULL);
    mu_stream_idle(s, 0);
    mu_stream_until(s, 0);
    c->s = NULL;
    answered(req);
    return s;
}
