/* io/httpd.h -- an HTTP/1.1 server on the loop.
 *
 * What       keep-alive, pipelining (answers in order, one request of a connection at a time), bodies whole or in
 *            pieces, answers at once, later, or in pieces, upgrade to a raw stream. Who may ask is not decided here.
 * Ownership  a struct mu_req is the server's, the owner's to use from on_request until it is answered in full
 *            (mu_req_reply, mu_req_end, mu_req_upgrade) or on_gone was entered: after either it is dead. Head and body
 *            views live as long. All bytes given are copied.
 * Time       head_ms for a head once its first byte is there, idle_ms between requests and for progress of bodies.
 * Threads    the loop's thread only.
 * Failure    what is malformed is answered by the server itself: {"error":{"code","message","field"}} and close.
 * Limits     struct mu_httpd_options; bodies as on_request decides.
 */
#ifndef MU_IO_HTTPD_H
#define MU_IO_HTTPD_H

#include "io/stream.h"
#include "wire/http.h"

struct mu_httpd;
struct mu_req;

struct mu_httpd_options { /* 0: the default */
    uint64_t head_ms;       /* 10 s */
    uint64_t idle_ms;       /* 60 s */
    uint32_t conns_max;     /* a listener: 10,000 */
    uint32_t per_peer_max;  /* 0: no limit */
    size_t out_high;        /* bytes of answer that wait before mu_req_write answers false: 256 KiB */
};

/* The head is there, the body is not read. Answer at once, or mu_req_take and one of mu_req_collect, mu_req_stream,
 * mu_req_ignore. */
typedef void mu_httpd_fn(void *arg, struct mu_req *req);

enum mu_rc mu_httpd_open(struct mu_httpd **out_httpd, struct mu_loop *loop, const struct mu_httpd_options *opt,
                         mu_httpd_fn *on_request, void *arg, struct mu_err *err);
/* Any number of times. Addresses as mu_listen; refuses what mu_listen_allowed refuses. */
enum mu_rc mu_httpd_listen(struct mu_httpd *d, const char *addr, const struct mu_tls *tls, struct mu_err *err);
/* Of the i-th listener, NULL past the last. */
const char *mu_httpd_addr(const struct mu_httpd *d, unsigned i);
/* Take no new connection, close idle ones, end the others after their answer. */
void mu_httpd_drain(struct mu_httpd *d);
/* Everything at once: requests under way get on_gone. Accepts NULL. Not from inside a callback of its own. */
void mu_httpd_close(struct mu_httpd *d);

struct mu_httpd_stats {
    uint64_t requests, refused, bytes_in, bytes_out;
    uint32_t conns;
};
void mu_httpd_stats_get(const struct mu_httpd *d, struct mu_httpd_stats *out);

/* -- the request -- */
const struct mu_http_head *mu_req_head(const struct mu_req *req);
const char *mu_req_peer(const struct mu_req *req);

struct mu_req_ops { /* any may be NULL, except on_gone */
    /* A piece of a streamed body. */
    void (*on_body)(void *arg, struct mu_req *req, const void *bytes, size_t size);
    /* The body is complete (also when there is none). Not called after the answer is complete. */
    void (*on_end)(void *arg, struct mu_req *req);
    /* A streamed answer may go on: mu_req_write had answered false. */
    void (*on_drain)(void *arg, struct mu_req *req);
    /* The client went, or its body was malformed or too large, before the answer was complete. req is dead. */
    void (*on_gone)(void *arg, struct mu_req *req);
};
/* The answer comes later; callbacks go to ops with arg. Inside on_request. */
void mu_req_take(struct mu_req *req, const struct mu_req_ops *ops, void *arg);

/* What to do with the body, inside on_request. Larger than max: refused with 413 before or while it is read.
 * collect: whole, on_end, then mu_req_body. stream: pieces by on_body. ignore: discarded (the default). */
void mu_req_collect(struct mu_req *req, size_t max);
void mu_req_stream(struct mu_req *req, uint64_t max);
void mu_req_ignore(struct mu_req *req);
/* A collected body, from on_end on. */
struct mu_str mu_req_body(const struct mu_req *req);
/* Stop and go on reading a streamed body; no on_body or on_end while paused. The client is slowed by TCP. */
void mu_req_pause(struct mu_req *req);
void mu_req_resume(struct mu_req *req);

/* -- the answer -- */
/* A header more, before the answer begins. CR, LF and NUL in the value are dropped. */
void mu_req_header(struct mu_req *req, const char *name, const char *value);
/* The whole answer. type may be NULL: no body. */
void mu_req_reply(struct mu_req *req, unsigned status, const char *type, const void *bytes, size_t size);
/* {"error":{"code","message","field"}}; field "" or NULL is left out. */
void mu_req_error(struct mu_req *req, unsigned status, const char *code, const char *field, const char *message);
/* The same from an error: status by mu_http_status_of(err->rc). */
void mu_req_fail(struct mu_req *req, const struct mu_err *err);
/* An answer of unknown length: begin, any number of writes, end. Chunked, or until close for HTTP/1.0. */
void mu_req_begin(struct mu_req *req, unsigned status, const char *type);
/* false: enough for now, wait for on_drain. */
bool mu_req_write(struct mu_req *req, const void *bytes, size_t size);
void mu_req_end(struct mu_req *req);
/* Cut a begun answer short so that the client notices: the connection is closed without the end. No on_gone. */
void mu_req_abort(struct mu_req *req);
/* 101 with `Upgrade: protocol`; the stream is the caller's (call mu_stream_own at once), req is dead. Bytes that came
 * behind the head are shown to the new owner. Only for a request with mu_req_head(req)->upgrade. */
struct mu_stream *mu_req_upgrade(struct mu_req *req, const char *protocol);

#endif
