/* io/httpd_inside.h -- what the two halves of the HTTP server share. Private to io.
 *
 * What       connections and requests in full. httpd.c drives a connection, httpd_answer.c writes answers.
 * Ownership, Time, Threads, Failure, Limits: as in httpd.h.
 *
 * A connection is driven by one loop over its state (httpd.c: drive). Whatever an owner does to a request only changes
 * the state; then mu_conn_settle lets the loop go on, unless it is that loop which called the owner.
 */
#ifndef MU_IO_HTTPD_INSIDE_H
#define MU_IO_HTTPD_INSIDE_H

#include "io/httpd.h"

#include "base/list.h"

enum mu_req_answer { MU_ANSWER_NONE, MU_ANSWER_BEGUN, MU_ANSWER_DONE };
enum mu_req_use { MU_BODY_IGNORE, MU_BODY_COLLECT, MU_BODY_STREAM };

enum {
    MU_HTTPD_LISTENERS = 16,
    MU_HTTPD_DISCARD = 64 * 1024, /* of a body nobody wants, to keep the connection */
    MU_HTTP_DATE = 40,
};

struct mu_conn {
    struct mu_list link;
    struct mu_httpd *d;
    struct mu_stream *s; /* NULL: no longer ours */
    struct mu_req *req;  /* under way */
    unsigned depth;      /* callbacks of ours on the stack */
    bool head_begun, half_closed;
    struct mu_http_parser parser;
};

struct mu_req {
    struct mu_list link; /* among the spare ones */
    struct mu_conn *c;
    const struct mu_req_ops *ops;
    void *arg;
    struct mu_http_head head;
    struct mu_buf bytes; /* of the head */
    struct mu_http_body in;
    struct mu_buf body;  /* collected */
    struct mu_buf extra; /* header lines of the answer */
    uint64_t body_max;
    enum mu_req_use use;
    enum mu_req_answer answer;
    bool paused, continued, ended, keep_alive, chunked;
};

struct mu_httpd {
    struct mu_loop *loop;
    struct mu_httpd_options opt;
    mu_httpd_fn *on_request;
    void *arg;
    struct mu_listener *listeners[MU_HTTPD_LISTENERS];
    unsigned listeners_count;
    struct mu_list conns, spare;
    unsigned spares;
    bool draining;
    struct mu_httpd_stats stats;
    uint64_t date_ms, date_s; /* loop time and second the text below is of */
    char date[MU_HTTP_DATE];
};

/* Carry on after the state of c's request has changed. c may be freed. */
void mu_conn_settle(struct mu_conn *c);
/* Drop the connection at once; the owner hears of it if its request is not answered. */
void mu_conn_close(struct mu_conn *c);
/* May the rest of the body be read away to keep the connection? */
bool mu_req_can_skip(const struct mu_req *req);
/* A whole answer that refuses, from the server itself; closes. */
void mu_answer_refusal(struct mu_conn *c, unsigned status, const struct mu_err *err);

#endif
