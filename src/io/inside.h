/* io/inside.h -- what the files of io share: libuv's handles and where they live. Private to io.
 *
 * What       struct mu_loop and struct mu_stream in full; the row between socket and owner.
 * Ownership  a uv handle lives inside its owner, which is freed when its last handle is closed.
 * Time, Threads, Failure, Limits: as in loop.h and stream.h.
 */
#ifndef MU_IO_INSIDE_H
#define MU_IO_INSIDE_H

#include "io/loop.h"
#include "io/stream.h"
#include "wire/http.h"

#include <pthread.h>
#include <uv.h>

struct mu_post {
    void (*fn)(void *p);
    void *p;
};
struct mu_posts {
    struct mu_post *at;
    size_t count, cap;
};

struct mu_loop {
    uv_loop_t uv;
    uv_prepare_t end_of_turn;
    uv_idle_t again; /* active: do not sleep */
    uv_async_t wake;
    uv_timer_t bound; /* of mu_loop_turn */
    pthread_mutex_t lock; /* guards posts */
    struct mu_posts posts, running;
    struct mu_list hooks;
    struct mu_list shows; /* streams with input to show again */
    struct mu_list dirty; /* streams with output to flush or an end to report */
    struct mu_list finishing; /* streams that nobody owns any more */
    bool again_wanted, bound_passed;
    char read[MU_STREAM_READ]; /* every stream reads into it */
};

/* What stands between socket and owner. Plain hands bytes through; TLS will be a second row. */
struct mu_transport {
    /* Bytes of the socket have come: hand what they mean to mu_stream_deliver. */
    void (*on_raw)(struct mu_stream *s, const uint8_t *bytes, size_t size);
    /* Send what is in s->out by mu_stream_send, now. */
    void (*flush)(struct mu_stream *s);
};

struct mu_stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct mu_loop *loop;
    const struct mu_transport *via;
    const struct mu_stream_user *user;
    void *arg;
    struct mu_list show, dirty, finish;
    struct mu_listener *from;
    uint64_t peer_key; /* of the listener's count */
    struct mu_buf in, out, sending;
    struct mu_stream_limits limits;
    uint64_t bytes_in, bytes_out;
    uint64_t idle_ms, until_ms, due_ms, progress_ms; /* until, due, progress: loop time; 0: none */
    size_t queue_seen;
    unsigned handles;
    enum mu_rc broken; /* to report at the end of the turn */
    int broken_uv;
    bool is_unix, timer_open, reading, paused, stalled, writing, eof, eof_told, end_wanted, ended, shut, drain_wanted,
        finishing, closed;
    char peer[MU_ADDR_TEXT];
};

/* A socket without a connection yet; NULL never. */
struct mu_stream *mu_stream_new(struct mu_loop *loop, bool is_unix);
/* The connection is there. */
void mu_stream_start(struct mu_stream *s);
void mu_stream_deliver(struct mu_stream *s, const uint8_t *bytes, size_t size);
/* Hand out to the kernel; takes the bytes of b. */
void mu_stream_send(struct mu_stream *s, struct mu_buf *b);
/* The two halves of the end of a turn. */
void mu_streams_show(struct mu_loop *loop);
void mu_streams_flush(struct mu_loop *loop);
/* A stream of the listener is gone. */
void mu_listener_left(struct mu_listener *l, uint64_t peer_key);

/* "HOST:PORT", ":PORT" (loopback) or "unix:/path". */
enum mu_rc mu_addr_parse(struct mu_url *out, const char *addr, struct mu_err *err);
/* "127.0.0.1:80", "[::1]:80" */
void mu_addr_text(char *out, size_t cap, const struct sockaddr *a);

/* Memory for a handle: zeroed; out of memory stops the process. */
void *mu_io_alloc(size_t size);

#endif
