/* server/api.h -- the HTTP API's frame: one table of routes, and what a handler gets; private to the room.
 *
 * What       struct mu_route: method, path, who may, body, query, handler, words for the OpenAPI document. Dispatch, the
 *            check of rights, the document and the test of every route against every credential come from the table.
 * Ownership  a struct mu_call lives from dispatch until mu_call_end, which the reply helpers call; a handler must not touch
 *            it after one of them. Its cleanup gives back what the handler attached.
 * Time       the loop's.   Threads  the loop's.
 * Failure    helpers that answer false have answered the request already.
 * Limits     per route; MU_CALLS_MAX calls open at once.
 */
#ifndef MU_SERVER_API_H
#define MU_SERVER_API_H

#include "base/json.h"
#include "server/record.h"
#include "server/server.h"

enum { MU_CALLS_MAX = 20000, MU_API_BODY_MAX = 1024 * 1024 };

enum mu_role { MU_ROLE_NONE, MU_ROLE_READER, MU_ROLE_SUBMITTER, MU_ROLE_OPERATOR, MU_ROLE_AGENT };
const char *mu_role_text(enum mu_role r);

enum mu_body {
    MU_BODY_NONE,  /* what comes is discarded */
    MU_BODY_JSON,  /* collected before the handler runs; MU_BODY_JSON without a body is 411 */
    MU_BODY_OWN,   /* the handler runs at once and says what to do with it */
};

struct mu_call;
struct mu_route {
    enum mu_http_method method;
    const char *path;    /* "{id}" a job, "{task}" an index, "{name}" a name */
    enum mu_role role;
    enum mu_body body;
    uint32_t body_max;
    const char *query;   /* parameters, separated by blanks */
    void (*handle)(struct mu_call *c);
    const char *summary; /* one line */
    const char *answer;  /* name of a schema, or a media type */
};
const struct mu_route *mu_route_at(unsigned i); /* NULL past the last */

struct mu_call {
    struct mu_list link, wait_link;
    struct mu_server *sv;
    struct mu_req *req;
    const struct mu_route *route;
    uint64_t job, task;           /* from the path */
    char name[MU_NAME_MAX + 1];
    char user[MU_NAME_MAX + 1];
    uint64_t began_ns;
    struct mu_arena arena;
    struct mu_ask ask;
    struct mu_history_query *query;
    void *timer;                  /* of mu_loop_after */
    void *state;                  /* the handler's */
    void (*cleanup)(struct mu_call *c);
    void (*on_body)(struct mu_call *c, const void *bytes, size_t size);
    void (*on_end)(struct mu_call *c);
    void (*on_drain)(struct mu_call *c);
};

void mu_api_init(struct mu_server *sv);
void mu_api_close(struct mu_server *sv);
void mu_api_request(void *sv, struct mu_req *req); /* mu_httpd_fn */

/* The answer is complete, or nobody waits for it: give everything back. */
void mu_call_end(struct mu_call *c);
/* Answer whole and end. */
void mu_call_json(struct mu_call *c, unsigned status, const struct mu_buf *json);
void mu_call_fail(struct mu_call *c, const struct mu_err *err);
void mu_call_failf(struct mu_call *c, enum mu_rc rc, const char *field, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Query parameters. False: malformed, and answered. Outputs stay untouched when absent. */
bool mu_call_text(struct mu_call *c, const char *name, char *out, size_t cap);
bool mu_call_u64(struct mu_call *c, const char *name, uint64_t max, uint64_t *out);
bool mu_call_flag(struct mu_call *c, const char *name, bool *out); /* 1, true or empty; 0 or false */
bool mu_call_duration(struct mu_call *c, const char *name, uint64_t max_ms, uint64_t *out_ms);
bool mu_call_has(const struct mu_call *c, const char *name);
/* The media type without parameters, lower case; "" none. */
void mu_call_type(const struct mu_call *c, char *out, size_t cap);

/* The ordinal of c->task in a job of core; false: answered with 404. */
bool mu_call_ordinal(struct mu_call *c, uint32_t *out);
/* Ask the history; false: too busy, and answered. done gets the call; c->query is cleared before. */
bool mu_call_results(struct mu_call *c, const struct mu_history_find *find, mu_history_fn *done);
bool mu_call_past_job(struct mu_call *c, mu_history_fn *done);

/* jobs */
void mu_api_jobs_list(struct mu_call *c);
void mu_api_job_get(struct mu_call *c);
void mu_api_job_cancel(struct mu_call *c);
void mu_api_job_hold(struct mu_call *c);
void mu_api_job_release(struct mu_call *c);
void mu_api_job_retry(struct mu_call *c);
void mu_api_job_wait(struct mu_call *c);
void mu_waits_job(struct mu_server *sv, uint64_t job); /* it ended, or is gone */
void mu_waits_turn(struct mu_server *sv);
/* tasks */
void mu_api_tasks_list(struct mu_call *c);
void mu_api_task_get(struct mu_call *c);
void mu_api_explain(struct mu_call *c);
/* submitting */
void mu_api_submit(struct mu_call *c);
void mu_api_part(struct mu_call *c);
/* output */
void mu_api_stdout(struct mu_call *c);
void mu_api_stderr(struct mu_call *c);
void mu_api_output(struct mu_call *c);
void mu_api_events(struct mu_call *c);
/* nodes, policies, quotas */
void mu_api_nodes_list(struct mu_call *c);
void mu_api_node_get(struct mu_call *c);
void mu_api_node_drain(struct mu_call *c);
void mu_api_node_resume(struct mu_call *c);
void mu_api_node_label(struct mu_call *c);
void mu_api_policies_get(struct mu_call *c);
void mu_api_policies_put(struct mu_call *c);
void mu_api_quotas_get(struct mu_call *c);
void mu_api_quota_put(struct mu_call *c);
/* the cluster and the server */
void mu_api_stats(struct mu_call *c);
void mu_api_cluster(struct mu_call *c);
void mu_api_metrics(struct mu_call *c);
void mu_api_healthz(struct mu_call *c);
void mu_api_readyz(struct mu_call *c);
void mu_api_openapi(struct mu_call *c);
void mu_api_agent(struct mu_call *c);

/* The OpenAPI document of the table. */
void mu_openapi_put(struct mu_buf *b);

#endif
