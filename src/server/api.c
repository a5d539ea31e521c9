/* server/api.c -- the table of routes, dispatch, rights, and the helpers of handlers. See api.h. */
#include "server/api.h"

#include "base/log.h"
#include "base/units.h"

#include <ctype.h>

#define GET MU_HTTP_GET
#define POST MU_HTTP_POST
#define PUT MU_HTTP_PUT
#define DELETE MU_HTTP_DELETE
#define JSON_MAX MU_API_BODY_MAX
enum { SPEC_MAX = 16 * 1024 * 1024, LINES_MAX = 64 * 1024 * 1024 };

static const struct mu_route routes[] = {
    { GET, "/healthz", MU_ROLE_NONE, MU_BODY_NONE, 0, "", mu_api_healthz, "is the process alive", "text/plain" },
    { GET, "/readyz", MU_ROLE_NONE, MU_BODY_NONE, 0, "", mu_api_readyz, "does it take work", "text/plain" },
    { GET, "/metrics", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_metrics, "counters for Prometheus", "text/plain" },
    { GET, "/openapi.json", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_openapi, "this document", "application/json" },
    { GET, "/v1/jobs", MU_ROLE_READER, MU_BODY_NONE, 0, "state name user after limit", mu_api_jobs_list, "list jobs, newest first", "Jobs" },
    { POST, "/v1/jobs", MU_ROLE_SUBMITTER, MU_BODY_OWN, SPEC_MAX, "", mu_api_submit, "submit a job, or many as NDJSON", "Submitted" },
    { GET, "/v1/jobs/{id}", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_job_get, "one job", "Job" },
    { DELETE, "/v1/jobs/{id}", MU_ROLE_SUBMITTER, MU_BODY_NONE, 0, "", mu_api_job_cancel, "cancel it", "Job" },
    { POST, "/v1/jobs/{id}/cancel", MU_ROLE_SUBMITTER, MU_BODY_NONE, 0, "task", mu_api_job_cancel, "cancel it, or one task", "Job" },
    { POST, "/v1/jobs/{id}/hold", MU_ROLE_SUBMITTER, MU_BODY_NONE, 0, "", mu_api_job_hold, "start no more of its tasks", "Job" },
    { POST, "/v1/jobs/{id}/release", MU_ROLE_SUBMITTER, MU_BODY_NONE, 0, "", mu_api_job_release, "go on after hold", "Job" },
    { POST, "/v1/jobs/{id}/retry", MU_ROLE_SUBMITTER, MU_BODY_NONE, 0, "", mu_api_job_retry, "run again what did not succeed", "Job" },
    { GET, "/v1/jobs/{id}/wait", MU_ROLE_READER, MU_BODY_NONE, 0, "timeout", mu_api_job_wait, "answer when it has ended", "Job" },
    { GET, "/v1/jobs/{id}/explain", MU_ROLE_READER, MU_BODY_NONE, 0, "task", mu_api_explain, "why it waits, or ran where it did", "Why" },
    { GET, "/v1/jobs/{id}/output", MU_ROLE_READER, MU_BODY_NONE, 0, "follow live output after", mu_api_output, "all its output as tasks end", "application/x-ndjson" },
    { GET, "/v1/jobs/{id}/tasks", MU_ROLE_READER, MU_BODY_NONE, 0, "state after limit", mu_api_tasks_list, "list its tasks", "Tasks" },
    { POST, "/v1/jobs/{id}/tasks", MU_ROLE_SUBMITTER, MU_BODY_OWN, LINES_MAX, "from last", mu_api_part, "more command lines for an open job", "Total" },
    { GET, "/v1/jobs/{id}/tasks/{task}", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_task_get, "one task with its attempts", "Task" },
    { GET, "/v1/jobs/{id}/tasks/{task}/stdout", MU_ROLE_READER, MU_BODY_NONE, 0, "follow attempt offset", mu_api_stdout, "its output", "text/plain" },
    { GET, "/v1/jobs/{id}/tasks/{task}/stderr", MU_ROLE_READER, MU_BODY_NONE, 0, "follow attempt offset", mu_api_stderr, "its errors", "text/plain" },
    { GET, "/v1/nodes", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_nodes_list, "list nodes", "Nodes" },
    { GET, "/v1/nodes/{name}", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_node_get, "one node", "Node" },
    { POST, "/v1/nodes/{name}/drain", MU_ROLE_OPERATOR, MU_BODY_NONE, 0, "", mu_api_node_drain, "give it no new work", "Node" },
    { POST, "/v1/nodes/{name}/resume", MU_ROLE_OPERATOR, MU_BODY_NONE, 0, "", mu_api_node_resume, "give it work again", "Node" },
    { POST, "/v1/nodes/{name}/label", MU_ROLE_OPERATOR, MU_BODY_JSON, JSON_MAX, "", mu_api_node_label, "set labels; an empty value removes one", "Node" },
    { GET, "/v1/policies", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_policies_get, "policies in force and available", "Policies" },
    { PUT, "/v1/policies", MU_ROLE_OPERATOR, MU_BODY_JSON, JSON_MAX, "", mu_api_policies_put, "choose policies", "Policies" },
    { GET, "/v1/quotas", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_quotas_get, "users with their quotas and shares", "Quotas" },
    { PUT, "/v1/quotas/{name}", MU_ROLE_OPERATOR, MU_BODY_JSON, JSON_MAX, "", mu_api_quota_put, "limit a user", "Quota" },
    { GET, "/v1/stats", MU_ROLE_READER, MU_BODY_NONE, 0, "window", mu_api_stats, "throughput, response times, utilisation", "Stats" },
    { GET, "/v1/events", MU_ROLE_READER, MU_BODY_NONE, 0, "job", mu_api_events, "what happens, as it happens", "text/event-stream" },
    { GET, "/v1/cluster", MU_ROLE_READER, MU_BODY_NONE, 0, "", mu_api_cluster, "servers, leader, epoch", "Cluster" },
    { GET, "/v1/agent", MU_ROLE_AGENT, MU_BODY_NONE, 0, "", mu_api_agent, "become a node (upgrade to muster-agent)", "muster-agent" },
};

const struct mu_route *mu_route_at(unsigned i) { return i < MU_COUNT(routes) ? &routes[i] : NULL; }

const char *mu_role_text(enum mu_role r)
{
    static const char *const texts[] = { [MU_ROLE_NONE] = "none", [MU_ROLE_READER] = "reader", [MU_ROLE_SUBMITTER] = "submitter",
                                         [MU_ROLE_OPERATOR] = "operator", [MU_ROLE_AGENT] = "agent" };
    MU_ASSERT(r < MU_COUNT(texts));
    return texts[r];
}

/* ---- ends and answers ---- */

void mu_call_end(struct mu_call *c)
{
    struct mu_server *sv = c->sv;

    mu_ask_cancel(&c->ask);
    if (c->query != NULL)
        mu_history_cancel(sv->history, c->query);
    mu_loop_cancel(sv->loop, c->timer);
    if (c->cleanup != NULL)
        c->cleanup(c);
    mu_list_remove(&c->wait_link);
    mu_list_remove(&c->link);
    mu_arena_fini(&c->arena);
    sv->calls_count--;
    free(c);
}

void mu_call_json(struct mu_call *c, unsigned status, const struct mu_buf *json)
{
    mu_req_reply(c->req, status, "application/json", json->at, json->size);
    mu_call_end(c);
}

static void req_fail(struct mu_req *req, const struct mu_err *err)
{
    unsigned status = mu_http_status_of(err->rc);

    if (status == 429 || status == 503 || status == 507)
        mu_req_header(req, "Retry-After", "1");
    if (status == 401)
        mu_req_header(req, "WWW-Authenticate", "Bearer realm=\"muster\"");
    mu_req_fail(req, err);
}

void mu_call_fail(struct mu_call *c, const struct mu_err *err)
{
    req_fail(c->req, err);
    mu_call_end(c);
}

void mu_call_failf(struct mu_call *c, enum mu_rc rc, const char *field, const char *fmt, ...)
{
    struct mu_err err = { .rc = rc };
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, ap);
    va_end(ap);
    snprintf(err.field, sizeof err.field, "%s", field ? field : "");
    mu_call_fail(c, &err);
}

/* ---- query ---- */

bool mu_call_text(struct mu_call *c, const char *name, char *out, size_t cap)
{
    char value[512];
    int found = mu_http_query_get(mu_req_head(c->req)->query, name, value, cap < sizeof value ? cap : sizeof value);

    if (found < 0)
        mu_call_failf(c, MU_INVALID, name, "%s: malformed or too long", name);
    else if (found > 0)
        snprintf(out, cap, "%s", value);
    return found >= 0;
}

bool mu_call_has(const struct mu_call *c, const char *name)
{
    char value[512];
    return mu_http_query_get(mu_req_head(c->req)->query, name, value, sizeof value) != 0;
}

bool mu_call_u64(struct mu_call *c, const char *name, uint64_t max, uint64_t *out)
{
    char text[40] = "";
    uint64_t n;

    if (!mu_call_has(c, name))
        return true;
    if (!mu_call_text(c, name, text, sizeof text))
        return false;
    if (!mu_str_u64(mu_str_of(text), &n) || n > max) {
        mu_call_failf(c, MU_INVALID, name, "%s must be a whole number up to %llu, not \"%s\"", name, (unsigned long long)max, text);
        return false;
    }
    *out = n;
    return true;
}

bool mu_call_flag(struct mu_call *c, const char *name, bool *out)
{
    char text[40] = "";
    bool yes, no;

    if (!mu_call_has(c, name))
        return true;
    if (!mu_call_text(c, name, text, sizeof text))
        return false;
    yes = text[0] == '\0' || strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
    no = strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
    if (!yes && !no) {
        mu_call_failf(c, MU_INVALID, name, "%s must be 1 or 0, not \"%s\"", name, text);
        return false;
    }
    *out = yes;
    return true;
}

bool mu_call_duration(struct mu_call *c, const char *name, uint64_t max_ms, uint64_t *out_ms)
{
    char text[40] = "";
    uint64_t ms;

    if (!mu_call_has(c, name))
        return true;
    if (!mu_call_text(c, name, text, sizeof text))
        return false;
    if (!mu_parse_duration(mu_str_of(text), &ms)) {
        mu_call_failf(c, MU_INVALID, name, "%s must be a duration like 30s, not \"%s\"", name, text);
        return false;
    }
    *out_ms = ms < max_ms ? ms : max_ms;
    return true;
}

void mu_call_type(const struct mu_call *c, char *out, size_t cap)
{
    struct mu_str rest, type = mu_str_cut(mu_http_find(mu_req_head(c->req), "content-type"), ';', &rest);
    size_t n = 0;

    while (type.size > 0 && type.at[type.size - 1] == ' ')
        type.size--;
    for (; n < type.size && n + 1 < cap; n++)
        out[n] = (char)tolower((unsigned char)type.at[n]);
    out[n] = '\0';
}

/* Every parameter is one the route knows, and comes once. */
static bool query_check(struct mu_call *c)
{
    struct mu_str rest = mu_req_head(c->req)->query, seen[16];
    unsigned count = 0;

    while (rest.size > 0) {
        struct mu_str value, name = mu_str_cut(mu_str_cut(rest, '&', &rest), '=', &value), words = mu_str_of(c->route->query);
        bool known = name.size == 0, twice = false;
        while (words.size > 0)
            known |= mu_str_eq(mu_str_cut(words, ' ', &words), name);
        for (unsigned i = 0; i < count; i++)
            twice |= name.size > 0 && mu_str_eq(seen[i], name);
        if (known && !twice && count < MU_COUNT(seen)) {
            seen[count++] = name;
            continue;
        }
        char text[MU_ERR_FIELD];
        snprintf(text, sizeof text, MU_STR_FMT, MU_STR_ARG(name));
        if (twice)
            mu_call_failf(c, MU_INVALID, text, "%s is given twice", text);
        else
            mu_call_failf(c, MU_INVALID, text, "%s is not a parameter of %s", text, c->route->path);
        return false;
    }
    return true;
}

/* ---- jobs and the history ---- */

bool mu_call_ordinal(struct mu_call *c, uint32_t *out)
{
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);
    struct mu_job_view job;

    if (!mu_view_job(core, c->job, &job))
        mu_call_failf(c, MU_NOTFOUND, "", "there is no job %llu", (unsigned long long)c->job);
    else if (!mu_view_ordinal_of(core, c->job, c->task, out))
        mu_call_failf(c, MU_NOTFOUND, "task", "job %llu has no task %llu", (unsigned long long)c->job, (unsigned long long)c->task);
    else
        return true;
    return false;
}

static bool asked(struct mu_call *c)
{
    if (c->query == NULL)
        mu_call_failf(c, MU_BUSY, "", "too many readers of the history, try again");
    return c->query != NULL;
}

bool mu_call_results(struct mu_call *c, const struct mu_history_find *find, mu_history_fn *done)
{
    c->query = mu_history_results(c->sv->history, find, done, c);
    return asked(c);
}

bool mu_call_past_job(struct mu_call *c, mu_history_fn *done)
{
    c->query = mu_history_jobs(c->sv->history, &(struct mu_history_find_jobs){ .before = c->job, .only = true }, done, c);
    return asked(c);
}

/* ---- dispatch ---- */

/* Does path fit pattern? Fills what stands in braces. -1: a part in braces is malformed. */
static int path_match(struct mu_call *c, struct mu_str pattern, struct mu_str path)
{
    while (pattern.size > 0 || path.size > 0) {
        struct mu_str p = mu_str_cut(pattern, '/', &pattern), s = mu_str_cut(path, '/', &path);
        if (p.size == 0 || p.at[0] != '{') {
            if (!mu_str_eq(p, s))
                return 0;
        } else if (s.size == 0) {
            return 0;
        } else if (mu_str_is(p, "{id}")) {
            if (!mu_str_u64(s, &c->job) || c->job == 0 || c->job > MU_JOB_ID_MAX)
                return -1;
        } else if (mu_str_is(p, "{task}")) {
            if (!mu_str_u64(s, &c->task))
                return -1;
        } else if (!mu_http_decode(s, false, c->name, sizeof c->name)) {
            return -1;
        }
    }
    return 1;
}

static const struct mu_route *route_find(struct mu_call *c, const struct mu_http_head *head, enum mu_rc *why, char *allow, size_t allow_cap)
{
    enum mu_http_method method = head->method == MU_HTTP_HEAD ? MU_HTTP_GET : head->method;
    size_t n = 0;

    *why = MU_NOTFOUND;
    allow[0] = '\0';
    for (size_t i = 0; i < MU_COUNT(routes); i++) {
        static const char *const names[] = { [GET] = "GET", [POST] = "POST", [PUT] = "PUT", [DELETE] = "DELETE" };
        int fits = path_match(c, mu_str_of(routes[i].path), head->path);
        if (fits == 0)
            continue;
        if (routes[i].method == method) {
            *why = fits < 0 ? MU_NOTFOUND : MU_OK;
            return fits < 0 ? NULL : &routes[i];
        }
        if (fits < 0)
            continue;
        *why = MU_UNSUPPORTED;
        n += (size_t)snprintf(allow + n, allow_cap - n, "%s%s", n ? ", " : "", names[routes[i].method]);
    }
    return NULL;
}

static void refuse(struct mu_req *req, enum mu_rc rc, const char *text)
{
    struct mu_err err;

    mu_fail(&err, rc, "%s", text);
    req_fail(req, &err);
}

static void on_body(void *arg, struct mu_req *req, const void *bytes, size_t size)
{
    struct mu_call *c = arg;
    (void)req;
    if (c->on_body != NULL)
        c->on_body(c, bytes, size);
}

static void on_end(void *arg, struct mu_req *req)
{
    struct mu_call *c = arg;
    (void)req;
    if (c->route->body == MU_BODY_JSON)
        c->route->handle(c);
    else if (c->on_end != NULL)
        c->on_end(c);
}

static void on_drain(void *arg, struct mu_req *req)
{
    struct mu_call *c = arg;
    (void)req;
    if (c->on_drain != NULL)
        c->on_drain(c);
}

static void on_gone(void *arg, struct mu_req *req)
{
    (void)req;
    mu_call_end(arg);
}

static const struct mu_req_ops call_ops = { .on_body = on_body, .on_end = on_end, .on_drain = on_drain, .on_gone = on_gone };

static bool user_set(struct mu_call *c)
{
    struct mu_str user = mu_http_find(mu_req_head(c->req), "muster-user");

    if (user.at == NULL)
        user = mu_str_of(c->sv->user);
    for (uint32_t i = 0; i < user.size; i++)
        if (!isalnum((unsigned char)user.at[i]) && (user.at[i] == 0 || strchr("._-@", user.at[i]) == NULL))
            user.size = 0;
    if (user.size == 0 || user.size > MU_NAME_MAX) {
        mu_call_failf(c, MU_INVALID, "Muster-User", "Muster-User must be a name of letters, digits and ._-@");
        return false;
    }
    snprintf(c->user, sizeof c->user, MU_STR_FMT, MU_STR_ARG(user));
    return true;
}

static void call_begin(struct mu_call *c)
{
    char type[64];

    if (!query_check(c) || !user_set(c))
        return;
    if (c->route->role != MU_ROLE_NONE && !c->sv->ready) {
        mu_call_failf(c, MU_NOTLEADER, "", "this server is still reading its journal");
        return;
    }
    if (c->route->body != MU_BODY_JSON) {
        c->route->handle(c);
        return;
    }
    mu_call_type(c, type, sizeof type);
    if (mu_req_head(c->req)->framing == MU_HTTP_NONE) {
        mu_req_error(c->req, 411, "length_required", NULL, "a JSON body is needed");
        mu_call_end(c);
    } else if (type[0] != '\0' && strcmp(type, "application/json") != 0) {
        mu_req_error(c->req, 415, "unsupported", "Content-Type", "the body must be application/json");
        mu_call_end(c);
    } else {
        mu_req_collect(c->req, c->route->body_max);
    }
}

void mu_api_request(void *arg, struct mu_req *req)
{
    struct mu_server *sv = arg;
    const struct mu_http_head *head = mu_req_head(req);
    struct mu_call *c;
    char allow[64];
    enum mu_rc why;

    if (sv->stopping || sv->ctl == NULL || sv->calls_count >= MU_CALLS_MAX) {
        refuse(req, sv->stopping || sv->ctl == NULL ? MU_NOTLEADER : MU_BUSY, sv->stopping ? "this server is stopping"
               : sv->ctl == NULL ? "this server is starting" : "too many open requests");
        return;
    }
    c = calloc(1, sizeof *c);
    MU_ASSERT(c != NULL);
    c->route = route_find(c, head, &why, allow, sizeof allow);
    if ((c->route == NULL || c->route->role != MU_ROLE_NONE) && !mu_auth_check(sv->auth, mu_http_find(head, "authorization"))) {
        refuse(req, MU_UNAUTHORIZED, "a valid token is required: Authorization: Bearer TOKEN");
    } else if (why == MU_UNSUPPORTED) {
        mu_req_header(req, "Allow", allow);
        mu_req_error(req, 405, "method_not_allowed", NULL, "this path knows other methods, see Allow");
    } else if (c->route == NULL) {
        refuse(req, MU_NOTFOUND, "there is nothing at this path");
    } else {
        c->sv = sv;
        c->req = req;
        c->began_ns = mu_boot_ns();
        mu_list_init(&c->wait_link);
        mu_list_add_tail(&sv->calls, &c->link);
        sv->calls_count++;
        sv->requests++;
        mu_req_take(req, &call_ops, c);
        call_begin(c);
        return;
    }
    free(c);
}

void mu_api_init(struct mu_server *sv)
{
    mu_list_init(&sv->calls);
    mu_list_init(&sv->asks_ready);
    mu_list_init(&sv->followers);
    mu_list_init(&sv->followers_moving);
    mu_list_init(&sv->waits_ready);
}

void mu_api_close(struct mu_server *sv)
{
    MU_ASSERT(mu_list_is_empty(&sv->calls)); /* closing the server's listeners ended them */
    mu_map_fini(&sv->waits);
}

void mu_api_agent(struct mu_call *c)
{
    struct mu_req *req = c->req;
    struct mu_server *sv = c->sv;

    if (!mu_str_is(mu_req_head(req)->upgrade, "muster-agent")) {
        mu_req_header(req, "Upgrade", "muster-agent");
        mu_req_error(req, 426, "upgrade_required", "Upgrade", "agents speak muster-agent");
        mu_call_end(c);
        return;
    }
    mu_call_end(c);
    mu_peer_open(sv, req);
}
