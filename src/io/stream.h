/* io/stream.h -- a connection as two flows of bytes with bounds: TCP or unix socket, later TLS.
 *
 * What       struct mu_stream and struct mu_listener. What is written within a turn of the loop leaves as one write at
 *            its end. What is between socket and owner (nothing, or TLS) is a row of struct mu_transport.
 * Ownership  mu_stream_close and mu_stream_finish end the owner's part: no callback after they return. on_close does
 *            too: the stream is gone when it returns. Bytes given to mu_stream_write are copied.
 * Time       the loop's; time-outs in ms, 0 for none.
 * Threads    the loop's thread only.
 * Failure    a broken connection is on_close, exactly once, never from inside mu_stream_write.
 * Limits     input kept for the owner: in_max, then reading stops. Output waiting: out_high asks the writer to wait,
 *            past out_max the connection is cut off (on_close with MU_TOOBIG).
 */
#ifndef MU_IO_STREAM_H
#define MU_IO_STREAM_H

#include "base/err.h"
#include "base/str.h"
#include "io/loop.h"

struct mu_stream;
struct mu_listener;
struct mu_tls; /* later: a configured TLS context; NULL means plain */

enum {
    MU_STREAM_READ = 64 * 1024,             /* bytes read at once */
    MU_STREAM_IN_MAX = 64 * 1024,           /* default in_max */
    MU_STREAM_OUT_HIGH = 256 * 1024,        /* default out_high */
    MU_STREAM_OUT_MAX = 64 * 1024 * 1024,   /* default out_max */
    MU_ADDR_TEXT = 128,
};

struct mu_stream_user {
    /* Bytes have come. Return how many are used up; the rest is shown again, in front of what follows, when more has
     * come or after mu_stream_resume. With in_max unused nothing more is read until mu_stream_resume. */
    size_t (*on_data)(void *arg, const uint8_t *bytes, size_t size);
    /* The other side will send no more; what it left unused was shown before. NULL: treated as closed. */
    void (*on_eof)(void *arg);
    /* Output fell below out_high after that had been said. May be NULL. */
    void (*on_drain)(void *arg);
    /* The time set by mu_stream_idle or mu_stream_until has passed. NULL: on_close with MU_TIMEOUT. */
    void (*on_timeout)(void *arg);
    /* Broken, closed by the other side, cut off or timed out; err says which. The stream is gone. */
    void (*on_close)(void *arg, const struct mu_err *err);
};

struct mu_stream_limits { /* 0: the default */
    size_t in_max, out_high, out_max;
};

/* A stream as it comes from a listener or a connect delivers nothing until it has an owner. Another owner may follow
 * (an upgrade): input not used by the first is shown to the second at the end of the turn. user NULL: nobody for now. */
void mu_stream_own(struct mu_stream *s, const struct mu_stream_user *user, void *arg);
void mu_stream_limit(struct mu_stream *s, const struct mu_stream_limits *limits);

/* Takes all of it. false: enough for now, wait for on_drain. On a stream that is breaking it is dropped. */
bool mu_stream_write(struct mu_stream *s, const void *bytes, size_t size);
/* The buffer of output itself, to append to without a copy, for use before the next call into io only. */
struct mu_buf *mu_stream_out(struct mu_stream *s);
/* Bytes written and not yet taken by the kernel. */
size_t mu_stream_pending(const struct mu_stream *s);
/* pending >= out_high; true promises on_drain as mu_stream_write does. */
bool mu_stream_is_full(struct mu_stream *s);
/* Do not wait for the end of the turn. */
void mu_stream_flush(struct mu_stream *s);
/* Stop reading: no on_data, no on_eof until resumed. */
void mu_stream_pause(struct mu_stream *s);
/* Go on; what was left unused is shown again at the end of the turn, also when reading had not stopped. */
void mu_stream_resume(struct mu_stream *s);
/* Half-close: after what is pending the other side sees the end; reading goes on. */
void mu_stream_end(struct mu_stream *s);
/* Without progress in either direction for ms: on_timeout. Stays set. */
void mu_stream_idle(struct mu_stream *s, uint64_t ms);
/* on_timeout once ms from now whatever happens; 0 takes it back. */
void mu_stream_until(struct mu_stream *s, uint64_t ms);
/* Send what is pending, half-close, discard input until the other side closes or 5 s have passed; then it is gone. */
void mu_stream_finish(struct mu_stream *s);
/* At once; pending bytes are dropped. Accepts NULL. */
void mu_stream_close(struct mu_stream *s);

/* "127.0.0.1:40112", "[::1]:7788", "unix". */
const char *mu_stream_peer(const struct mu_stream *s);
/* Input its owner has left unused. */
size_t mu_stream_unused(const struct mu_stream *s);
struct mu_loop *mu_stream_loop(const struct mu_stream *s);
uint64_t mu_stream_bytes_in(const struct mu_stream *s);
uint64_t mu_stream_bytes_out(const struct mu_stream *s);

/* -- listening -- */
struct mu_listen_options {
    uint32_t conns_max;     /* open at once; beyond it new ones wait in the kernel's queue; 0: 10,000 */
    uint32_t per_peer_max;  /* of one remote address; beyond it they are closed at once; 0: no limit */
    const struct mu_tls *tls;
};

/* addr "127.0.0.1:7788", "[::1]:7788", "localhost:7788", ":7788" (loopback), port 0 for a free one, "unix:/path".
 * on_accept owns the stream. A stale unix socket is replaced; one that answers is "in use". */
enum mu_rc mu_listen(struct mu_listener **out_listener, struct mu_loop *loop, const char *addr,
                     const struct mu_listen_options *opt, void (*on_accept)(void *arg, struct mu_stream *s), void *arg,
                     struct mu_err *err);
/* The address it really has, port filled in. */
const char *mu_listener_addr(const struct mu_listener *l);
uint32_t mu_listener_conns(const struct mu_listener *l);
/* Its streams live on. Accepts NULL. */
void mu_listener_close(struct mu_listener *l);
/* The rule of the house: without TLS only loopback and unix sockets are bound. */
enum mu_rc mu_listen_allowed(const char *addr, const struct mu_tls *tls, struct mu_err *err);

#endif
