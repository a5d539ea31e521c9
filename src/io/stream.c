/* Streams: bounded flows over a libuv socket, gathered writes, one lazy timer each. */
#include "io/inside.h"

#include "base/assert.h"

enum { FINISH_MS = 5000, KEEP_BYTES = 64 * 1024 /* a larger buffer is given back when it is empty */ };

static void plain_raw(struct mu_stream *s, const uint8_t *bytes, size_t size)
{
    mu_stream_deliver(s, bytes, size);
}

static void plain_flush(struct mu_stream *s)
{
    mu_stream_send(s, &s->out);
}

static const struct mu_transport plain = { plain_raw, plain_flush };

static void mark_show(struct mu_stream *s)
{
    if (mu_list_is_empty(&s->show))
        mu_list_add_tail(&s->loop->shows, &s->show);
}

static void mark_dirty(struct mu_stream *s)
{
    if (mu_list_is_empty(&s->dirty))
        mu_list_add_tail(&s->loop->dirty, &s->dirty);
}

static void break_later(struct mu_stream *s, enum mu_rc why, int uv_rc)
{
    if (s->broken != MU_OK)
        return;
    s->broken = why;
    s->broken_uv = uv_rc;
    mark_dirty(s);
}

static void trim_buf(struct mu_buf *b)
{
    if (b->size == 0 && b->cap > KEEP_BYTES)
        mu_buf_fini(b);
}

static void on_closed(uv_handle_t *h)
{
    struct mu_stream *s = h->data;

    if (--s->handles > 0)
        return;
    mu_buf_fini(&s->in);
    mu_buf_fini(&s->out);
    mu_buf_fini(&s->sending);
    free(s);
}

void mu_stream_close(struct mu_stream *s)
{
    if (s == NULL || s->closed)
        return;
    s->closed = true;
    s->user = NULL;
    mu_list_remove(&s->show);
    mu_list_remove(&s->dirty);
    mu_list_remove(&s->finish);
    if (s->from != NULL)
        mu_listener_left(s->from, s->peer_key);
    s->from = NULL;
    if (s->timer_open)
        uv_close((uv_handle_t *)&s->timer, on_closed);
    uv_close(&s->uv.handle, on_closed);
}

static void tell_end(struct mu_stream *s, enum mu_rc why, int uv_rc)
{
    const struct mu_stream_user *user = s->user;
    void *arg = s->arg;
    struct mu_err err;

    if (why == MU_IO)
        mu_fail(&err, MU_IO, "connection to %s: %s", mu_stream_peer(s), uv_strerror(uv_rc));
    else
        mu_fail(&err, why, "connection to %s: %s", mu_stream_peer(s), mu_rc_text(why));
    mu_stream_close(s);
    if (user != NULL)
        user->on_close(arg, &err);
}

static size_t queued(const struct mu_stream *s)
{
    return s->writing ? uv_stream_get_write_queue_size(&s->uv.stream) : 0;
}

size_t mu_stream_pending(const struct mu_stream *s)
{
    return s->out.size + queued(s);
}

static bool is_full(const struct mu_stream *s)
{
    return mu_stream_pending(s) >= s->limits.out_high;
}

bool mu_stream_is_full(struct mu_stream *s)
{
    /* Noted when it is said: the kernel may take everything before the next flush looks. */
    s->drain_wanted = s->drain_wanted || is_full(s);
    return is_full(s);
}

/* -- input -- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct mu_stream *s = h->data;

    (void)suggested;
    *out = uv_buf_init(s->loop->read, sizeof s->loop->read);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf);

/* Reading follows from the state, wherever that was changed. */
static void adjust_reading(struct mu_stream *s)
{
    bool want = !s->closed && !s->eof && (s->finishing || (s->user != NULL && !s->paused && !s->stalled));

    if (want == s->reading)
        return;
    s->reading = want;
    if (want)
        uv_read_start(&s->uv.stream, on_alloc, on_read);
    else
        uv_read_stop(&s->uv.stream);
}

static void tell_eof(struct mu_stream *s)
{
    if (s->finishing) {
        if (s->shut)
            mu_stream_close(s);
        return;
    }
    if (s->user == NULL || s->paused || s->eof_told)
        return;
    s->eof_told = true;
    if (s->user->on_eof != NULL)
        s->user->on_eof(s->arg);
    else
        tell_end(s, MU_CLOSED, 0);
}

/* What is kept is shown; what is used of it goes. */
static void show_kept(struct mu_stream *s)
{
    size_t used;

    if (s->closed || s->user == NULL || s->paused)
        return;
    if (s->in.size > 0) {
        used = s->user->on_data(s->arg, s->in.at, s->in.size);
        if (s->closed || s->finishing)
            return;
        MU_ASSERT(used <= s->in.size);
        mu_buf_drop(&s->in, used);
        trim_buf(&s->in);
    }
    s->stalled = s->in.size >= s->limits.in_max;
    adjust_reading(s);
    if (s->eof)
        tell_eof(s);
}

void mu_stream_deliver(struct mu_stream *s, const uint8_t *bytes, size_t size)
{
    const struct mu_stream_user *user = s->user;
    size_t used = 0;

    if (s->finishing)
        return;
    if (s->in.size > 0 || s->user == NULL || s->paused) {
        mu_buf_add(&s->in, bytes, size);
        show_kept(s);
        return;
    }
    used = user->on_data(s->arg, bytes, size);
    if (s->closed || s->finishing)
        return;
    MU_ASSERT(used <= size);
    mu_buf_add(&s->in, bytes + used, size - used);
    if (s->user != user && s->in.size > 0)
        mark_show(s);
    s->stalled = s->in.size >= s->limits.in_max;
    adjust_reading(s);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct mu_stream *s = h->data;

    if (n > 0) {
        s->progress_ms = uv_now(&s->loop->uv);
        s->bytes_in += (size_t)n;
        s->via->on_raw(s, (const uint8_t *)buf->base, (size_t)n);
    } else if (n == UV_EOF) {
        s->eof = true;
        adjust_reading(s);
        tell_eof(s);
    } else if (n < 0) {
        tell_end(s, MU_IO, (int)n);
    }
}

void mu_stream_pause(struct mu_stream *s)
{
    s->paused = true;
    adjust_reading(s);
}

void mu_stream_resume(struct mu_stream *s)
{
    s->paused = s->stalled = false;
    if (s->in.size > 0 || (s->eof && !s->eof_told))
        mark_show(s);
    adjust_reading(s);
}

void mu_streams_show(struct mu_loop *loop)
{
    struct mu_list now;

    if (mu_list_is_empty(&loop->shows))
        return;
    mu_list_init(&now);
    mu_list_add_tail(&loop->shows, &now);
    mu_list_remove(&loop->shows);
    while (!mu_list_is_empty(&now)) {
        struct mu_stream *s = MU_CONTAINER(now.next, struct mu_stream, show);
        mu_list_remove(&s->show);
        show_kept(s);
    }
}

void mu_stream_own(struct mu_stream *s, const struct mu_stream_user *user, void *arg)
{
    MU_ASSERT(!s->closed && !s->finishing);
    MU_ASSERT(user == NULL || (user->on_data != NULL && user->on_close != NULL));
    s->user = user;
    s->arg = arg;
    s->eof_told = false;
    mu_stream_resume(s);
}

void mu_stream_limit(struct mu_stream *s, const struct mu_stream_limits *limits)
{
    s->limits.in_max = limits->in_max ? limits->in_max : MU_STREAM_IN_MAX;
    s->limits.out_high = limits->out_high ? limits->out_high : MU_STREAM_OUT_HIGH;
    s->limits.out_max = limits->out_max ? limits->out_max : MU_STREAM_OUT_MAX;
}

/* -- output -- */

static void tell_drain(struct mu_stream *s)
{
    if (s->closed || !s->drain_wanted || is_full(s))
        return;
    s->drain_wanted = false;
    if (s->user != NULL && s->user->on_drain != NULL) {
        mu_loop_again(s->loop);
        s->user->on_drain(s->arg);
    }
}

static void on_shut(uv_shutdown_t *req, int status)
{
    struct mu_stream *s = req->handle->data;

    s->shut = true;
    if (s->finishing && (s->eof || status != 0))
        mu_stream_close(s);
}

static void end_if_due(struct mu_stream *s)
{
    if (!s->end_wanted || s->ended || s->closed || mu_stream_pending(s) > 0)
        return;
    s->ended = true;
    if (uv_shutdown(&s->shutdown, &s->uv.stream, on_shut) != 0)
        break_later(s, MU_IO, UV_ENOTCONN);
}

static void on_written(uv_write_t *req, int status)
{
    struct mu_stream *s = req->handle->data;

    s->writing = false;
    s->bytes_out += s->sending.size;
    s->sending.size = 0;
    trim_buf(&s->sending);
    if (s->closed)
        return;
    if (status != 0) {
        tell_end(s, MU_IO, status);
        return;
    }
    s->progress_ms = uv_now(&s->loop->uv);
    mu_stream_flush(s);
    tell_drain(s);
}

void mu_stream_send(struct mu_stream *s, struct mu_buf *b)
{
    uv_buf_t at = uv_buf_init((char *)b->at, (unsigned)b->size);
    int n;

    if (b->size == 0 || s->writing)
        return;
    n = uv_try_write(&s->uv.stream, &at, 1);
    if (n < 0 && n != UV_EAGAIN) {
        break_later(s, MU_IO, n);
        b->size = 0;
        return;
    }
    if (n > 0) {
        s->bytes_out += (size_t)n;
        s->progress_ms = uv_now(&s->loop->uv);
    }
    if (n == (int)b->size) {
        b->size = 0;
        trim_buf(b);
        return;
    }
    if (n > 0)
        mu_buf_drop(b, (size_t)n);
    struct mu_buf spare = s->sending;
    s->sending = *b;
    *b = spare;
    at = uv_buf_init((char *)s->sending.at, (unsigned)s->sending.size);
    s->writing = true;
    if (uv_write(&s->write, &s->uv.stream, &at, 1, on_written) != 0) {
        s->writing = false;
        break_later(s, MU_IO, UV_EPIPE);
    }
}

void mu_stream_flush(struct mu_stream *s)
{
    if (s->closed || s->broken != MU_OK)
        return;
    if (mu_stream_pending(s) > s->limits.out_max) {
        break_later(s, MU_TOOBIG, 0);
        return;
    }
    s->via->flush(s);
    end_if_due(s);
}

void mu_streams_flush(struct mu_loop *loop)
{
    struct mu_list now;

    if (mu_list_is_empty(&loop->dirty))
        return;
    mu_list_init(&now);
    mu_list_add_tail(&loop->dirty, &now);
    mu_list_remove(&loop->dirty);
    while (!mu_list_is_empty(&now)) {
        struct mu_stream *s = MU_CONTAINER(now.next, struct mu_stream, dirty);
        mu_list_remove(&s->dirty);
        mu_stream_flush(s);
        if (s->broken != MU_OK && !s->closed) {
            mu_loop_again(loop);
            tell_end(s, s->broken, s->broken_uv);
        } else {
            tell_drain(s);
        }
    }
}

struct mu_buf *mu_stream_out(struct mu_stream *s)
{
    mark_dirty(s);
    return &s->out;
}

bool mu_stream_write(struct mu_stream *s, const void *bytes, size_t size)
{
    if (s->closed || s->end_wanted || s->broken != MU_OK)
        return true;
    mark_dirty(s);
    if (s->out.size <= s->limits.out_max)
        mu_buf_add(&s->out, bytes, size);
    return !mu_stream_is_full(s);
}

void mu_stream_end(struct mu_stream *s)
{
    s->end_wanted = true;
    mark_dirty(s);
}

void mu_stream_finish(struct mu_stream *s)
{
    if (s->closed)
        return;
    s->user = NULL;
    s->finishing = true;
    mu_list_add_tail(&s->loop->finishing, &s->finish);
    s->in.size = 0;
    s->idle_ms = 0;
    mu_stream_end(s);
    mu_stream_until(s, FINISH_MS);
    adjust_reading(s);
}

/* -- time: the timer is only moved when it would come too late -- */

static void arm(struct mu_stream *s);

static void on_due(uv_timer_t *h)
{
    struct mu_stream *s = h->data;
    uint64_t now = uv_now(&s->loop->uv);
    size_t queue = queued(s);

    s->due_ms = 0;
    if (queue < s->queue_seen)
        s->progress_ms = now;
    s->queue_seen = queue;
    bool until = s->until_ms != 0 && now >= s->until_ms;
    bool idle = s->idle_ms != 0 && now >= s->progress_ms + s->idle_ms;
    if (until)
        s->until_ms = 0;
    if (idle)
        s->progress_ms = now;
    arm(s);
    if (!until && !idle)
        return;
    if (s->user != NULL && s->user->on_timeout != NULL)
        s->user->on_timeout(s->arg);
    else
        tell_end(s, MU_TIMEOUT, 0);
}

static void arm(struct mu_stream *s)
{
    uint64_t now = uv_now(&s->loop->uv), due = s->until_ms;

    if (s->idle_ms != 0 && (due == 0 || s->progress_ms + s->idle_ms < due))
        due = s->progress_ms + s->idle_ms;
    if (s->closed || due == 0 || (s->due_ms != 0 && s->due_ms <= due))
        return;
    if (!s->timer_open) {
        s->timer_open = true;
        s->handles++;
        uv_timer_init(&s->loop->uv, &s->timer);
        s->timer.data = s;
    }
    s->due_ms = due;
    uv_timer_start(&s->timer, on_due, due > now ? due - now : 0, 0);
}

void mu_stream_idle(struct mu_stream *s, uint64_t ms)
{
    s->idle_ms = ms;
    s->progress_ms = uv_now(&s->loop->uv);
    arm(s);
}

void mu_stream_until(struct mu_stream *s, uint64_t ms)
{
    s->until_ms = ms > 0 ? uv_now(&s->loop->uv) + ms : 0;
    arm(s);
}

/* -- life -- */

struct mu_stream *mu_stream_new(struct mu_loop *loop, bool is_unix)
{
    struct mu_stream *s = mu_io_alloc(sizeof *s);

    s->loop = loop;
    s->is_unix = is_unix;
    s->via = &plain;
    s->handles = 1;
    mu_list_init(&s->show);
    mu_list_init(&s->dirty);
    mu_list_init(&s->finish);
    mu_stream_limit(s, &(struct mu_stream_limits){ 0 });
    if (is_unix)
        uv_pipe_init(&loop->uv, &s->uv.pipe, 0);
    else
        uv_tcp_init(&loop->uv, &s->uv.tcp);
    s->uv.handle.data = s;
    return s;
}

void mu_stream_start(struct mu_stream *s)
{
    if (!s->is_unix)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    s->progress_ms = uv_now(&s->loop->uv);
}

const char *mu_stream_peer(const struct mu_stream *s)
{
    struct mu_stream *cache = (struct mu_stream *)(uintptr_t)s;
    struct sockaddr_storage a;
    int size = sizeof a;

    if (s->peer[0] != '\0')
        return s->peer;
    if (s->is_unix)
        snprintf(cache->peer, sizeof s->peer, "unix");
    else if (uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&a, &size) == 0)
        mu_addr_text(cache->peer, sizeof s->peer, (struct sockaddr *)&a);
    else
        return "a peer that is gone";
    return s->peer;
}

size_t mu_stream_unused(const struct mu_stream *s)
{
    return s->in.size;
}

struct mu_loop *mu_stream_loop(const struct mu_stream *s)
{
    return s->loop;
}

uint64_t mu_stream_bytes_in(const struct mu_stream *s)
{
    return s->bytes_in;
}

uint64_t mu_stream_bytes_out(const struct mu_stream *s)
{
    return s->bytes_out;
}
