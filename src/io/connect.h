/* io/connect.h -- one outgoing connection on the loop, and the HTTP upgrade that agents begin with.
 *
 * What       mu_connect: a stream to an address. mu_upgrade: connect, GET with Upgrade, 101, then the raw stream.
 *            When to try again is the caller's affair.
 * Ownership  options are copied. The stream belongs to the caller from done on. The handle is dead once done was entered.
 * Time       timeout_ms covers all of it: lookup, connect, handshake.
 * Threads    the loop's thread; names are looked up on a pool thread.
 * Failure    done(arg, NULL, err), exactly once, never from inside the call that began it.
 * Limits     the answer's head: MU_HTTP_HEAD_MAX.
 */
#ifndef MU_IO_CONNECT_H
#define MU_IO_CONNECT_H

#include "io/stream.h"

struct mu_connect;

/* status: of the answer when the server answered something else than 101, else 0. retry_ms: its Retry-After, 0 none. */
struct mu_connect_end {
    struct mu_err err;
    unsigned status;
    uint64_t retry_ms;
};
/* s is NULL on failure; then end says why. On success the stream has no owner yet: call mu_stream_own inside. */
typedef void mu_connect_fn(void *arg, struct mu_stream *s, const struct mu_connect_end *end);

/* addr "host:port" or "unix:/path". */
struct mu_connect *mu_connect(struct mu_loop *loop, const char *addr, uint64_t timeout_ms, const struct mu_tls *tls,
                              mu_connect_fn *done, void *arg);

struct mu_upgrade_options {
    const char *url;      /* "http://host:port" or "unix:/path" */
    const char *target;   /* "/v1/agent" */
    const char *protocol; /* "muster-agent" */
    const char *token;    /* Bearer; NULL: none */
    uint64_t timeout_ms;  /* 0: 10 s */
    const struct mu_tls *tls;
};
/* A malformed url is reported through done as well. */
struct mu_connect *mu_upgrade(struct mu_loop *loop, const struct mu_upgrade_options *opt, mu_connect_fn *done, void *arg);

/* Give up: done is not called any more. Accepts NULL. */
void mu_connect_cancel(struct mu_connect *c);

#endif
