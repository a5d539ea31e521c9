/* io/httpc.h -- a blocking HTTP/1.1 client for the command line.
 *
 * What       one call at a time to the first of a list of servers that answers; connections are kept and used again;
 *            307 (to another server, same method and body) is followed once a call.
 * Ownership  options are copied. Answers belong to the client until the next call; a mu_httpc_call body to the caller.
 * Time       connect_ms for each server tried; idle_ms for each wait for bytes, 0 waits for ever.
 * Threads    one client, one thread.
 * Failure    MU_IO "no server answers at URL: connection refused", MU_TIMEOUT, MU_AGAIN when wake_fd became readable.
 *            A status of 400 or more is not a failure here: mu_httpc_check turns it into one.
 *            A request that may have reached a server is repeated only when its method is safe (GET, HEAD, PUT, DELETE)
 *            or `again` is set (it carries an idempotency key).
 * Limits     head MU_HTTP_HEAD_MAX; a collected body body_max.
 */
#ifndef MU_IO_HTTPC_H
#define MU_IO_HTTPC_H

#include "base/err.h"
#include "base/str.h"
#include "wire/http.h"

struct mu_httpc;

struct mu_httpc_options {
    const char *servers;  /* "http://127.0.0.1:7788[,http://...]" or "unix:/path" */
    const char *token;    /* sent as Bearer; NULL: none */
    uint64_t connect_ms;  /* 0: 3 s */
    uint64_t idle_ms;     /* 0: 60 s for calls; a stream waits for ever unless told */
    size_t body_max;      /* 0: 256 MiB */
    int wake_fd;          /* when readable (a signal's pipe), waits end with MU_AGAIN; -1: none. Not read by us. */
};

struct mu_httpc_req {
    const char *method; /* NULL: GET */
    const char *target; /* "/v1/jobs?limit=3": already encoded */
    const char *type;   /* of the body; NULL: none */
    const void *body;
    size_t size;
    const char *key;    /* Idempotency-Key; NULL: none */
    const char *header; /* one more line, "Last-Event-ID: 7", without CRLF; NULL: none */
    bool again;         /* may be sent twice */
};

enum mu_rc mu_httpc_open(struct mu_httpc **out_client, const struct mu_httpc_options *opt, struct mu_err *err);
void mu_httpc_close(struct mu_httpc *c); /* accepts NULL */
/* The server that answered last, or the first of the list: "http://127.0.0.1:7788". */
const char *mu_httpc_server(const struct mu_httpc *c);

/* Ask and read the whole answer into body (cleared first). */
enum mu_rc mu_httpc_call(struct mu_httpc *c, const struct mu_httpc_req *req, unsigned *out_status, struct mu_buf *body,
                         struct mu_err *err);
/* OK below 400; else the rc that fits the status, with message and field of the {"error":...} in body. */
enum mu_rc mu_httpc_check(unsigned status, const struct mu_buf *body, struct mu_err *err);

/* -- an answer in pieces -- */
/* Ask and read the head; it lives until the next call or mu_httpc_done. */
enum mu_rc mu_httpc_start(struct mu_httpc *c, const struct mu_httpc_req *req, const struct mu_http_head **out_head,
                          struct mu_err *err);
/* The next piece into bytes: at least one byte; *out_size 0 is the end. wait_ms 0: until something comes;
 * MU_TIMEOUT leaves the answer readable, MU_AGAIN too. */
enum mu_rc mu_httpc_read(struct mu_httpc *c, void *bytes, size_t cap, size_t *out_size, uint64_t wait_ms,
                         struct mu_err *err);
/* Through with it: the connection is kept if the answer was read to its end, else closed. */
void mu_httpc_done(struct mu_httpc *c);

/* -- a request in pieces (chunked): begin, send any number of times, then mu_httpc_finish reads the head.
 *    Not repeated on another server once begun. The server's early answer ends it: send returns MU_CLOSED, go on with
 *    finish. While sending, what the server answers is read, so neither side waits for the other. -- */
enum mu_rc mu_httpc_begin(struct mu_httpc *c, const struct mu_httpc_req *req, struct mu_err *err);
enum mu_rc mu_httpc_send(struct mu_httpc *c, const void *bytes, size_t size, struct mu_err *err);
enum mu_rc mu_httpc_finish(struct mu_httpc *c, const struct mu_http_head **out_head, struct mu_err *err);

#endif
