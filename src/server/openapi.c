/* server/openapi.c -- the OpenAPI document: paths from the table of routes, answers from a table of shapes. */
#include "server/api.h"

#include "wire/jobspec.h"

/* name:type, separated by blanks. Types: integer number string boolean time object any, a shape's name, "[]" before one
 * for a list; "?" behind one: may be null. */
static const struct { const char *name, *fields; } shapes[] = {
    { "Error", "error:ErrorBody" },
    { "ErrorBody", "code:string message:string field:string" },
    { "Submitted", "id:integer existing:boolean" },
    { "Total", "tasks:integer" },
    { "Counts", "waiting:integer starting:integer running:integer stopping:integer succeeded:integer failed:integer"
                " cancelled:integer lost:integer" },
    { "Group", "name:string? first:integer tasks:integer array:string?" },
    { "Job", "id:integer name:string user:string state:string priority:integer submitted:time started:time? ended:time?"
             " held:boolean open:boolean tasks:integer counts:Counts groups:[]Group? key:string? deadline:time?" },
    { "Jobs", "jobs:[]Job next:integer?" },
    { "Attempt", "attempt:integer node:string? reason:string exit_code:integer? signal:integer? placed:time? started:time?"
                 " ended:time? run_s:number stdout_bytes:integer stderr_bytes:integer error:string? errno:integer?" },
    { "Task", "job:integer index:integer task:string group:string? state:string reason:string? attempt:integer node:string?"
              " exit_code:integer? signal:integer? error:string? errno:integer? submitted:time placed:time? started:time? ended:time?"
              " wait_s:number? run_s:number? user_s:number? sys_s:number? max_rss:integer? stdout_bytes:integer?"
              " stderr_bytes:integer? attempts:[]Attempt" },
    { "Tasks", "tasks:[]Task next:integer?" },
    { "WhyNodes", "total:integer allowed:integer could:integer" },
    { "Why", "job:integer task:string state:string reason:string text:string? nearest:string? frees:string? estimate_s:number?"
             " basis:string? nodes:WhyNodes ahead:integer" },
    { "Load", "cpus:number mem:integer disk_free:integer" },
    { "Node", "name:string id:integer state:string drain:boolean cpus:number cpus_used:number mem:integer mem_used:integer gpus:number"
              " gpus_used:number resources:object labels:object running:integer limits:string version:string address:string"
              " ended_ok:integer ended_failed:integer joined:time? load:Load?" },
    { "Nodes", "nodes:[]Node" },
    { "Policy", "name:string params:object" },
    { "PolicyAbout", "name:string about:string" },
    { "PoliciesAvailable", "order:[]PolicyAbout place:[]PolicyAbout" },
    { "Policies", "order:Policy place:Policy available:PoliciesAvailable" },
    { "Quota", "user:string waiting_max:integer? cpus_max:number? weight:integer waiting:integer cpus_used:number" },
    { "Quotas", "quotas:[]Quota" },
    { "Stage", "count:integer mean_s:number? p50_s:number? p95_s:number? p99_s:number?" },
    { "Stages", "accept:Stage queue:Stage start:Stage run:Stage response:Stage" },
    { "Throughput", "tasks_per_s:number" },
    { "JournalStats", "seq:integer append_p50_s:number? append_p99_s:number?" },
    { "Utilisation", "cpu:number mem:number" },
    { "Stats", "window_s:number throughput:Throughput stages:Stages journal:JournalStats utilisation:Utilisation tasks:Counts"
               " jobs:object nodes:object uptime_s:number" },
    { "Leader", "name:string url:string" },
    { "Server", "name:string url:string role:string index:integer" },
    { "Cluster", "cluster:string version:string leader:Leader? epoch:integer index:integer servers:[]Server" },
};

static void put_ref(struct mu_buf *b, struct mu_str name)
{
    char text[80];

    snprintf(text, sizeof text, "#/components/schemas/" MU_STR_FMT, MU_STR_ARG(name));
    mu_json_open(b, '{');
    mu_json_ktext(b, "$ref", text);
    mu_json_close(b, '{');
}

/* A schema by the name of a type. */
static void put_type(struct mu_buf *b, struct mu_str type)
{
    static const char *const plain[] = { "integer", "number", "string", "boolean", "object" };

    if (type.size > 0 && type.at[type.size - 1] == '?') {
        type.size--;
        mu_json_open(b, '{');
        mu_json_kopen(b, "anyOf", '[');
        put_type(b, type);
        mu_json_open(b, '{');
        mu_json_ktext(b, "type", "null");
        mu_json_close(b, '{');
        mu_json_close(b, '[');
        mu_json_close(b, '{');
        return;
    }
    if (type.size > 2 && type.at[0] == '[') {
        mu_json_open(b, '{');
        mu_json_ktext(b, "type", "array");
        mu_json_key(b, "items");
        put_type(b, (struct mu_str){ type.at + 2, type.size - 2 });
        mu_json_close(b, '{');
        return;
    }
    for (size_t i = 0; i < MU_COUNT(plain); i++)
        if (mu_str_is(type, plain[i])) {
            mu_json_open(b, '{');
            mu_json_kstr(b, "type", type);
            mu_json_close(b, '{');
            return;
        }
    if (!mu_str_is(type, "time")) {
        put_ref(b, type);
        return;
    }
    mu_json_open(b, '{');
    mu_json_ktext(b, "type", "string");
    mu_json_ktext(b, "format", "date-time");
    mu_json_close(b, '{');
}

static void put_shapes(struct mu_buf *b)
{
    for (size_t i = 0; i < MU_COUNT(shapes); i++) {
        struct mu_str rest = mu_str_of(shapes[i].fields);
        mu_json_kopen(b, shapes[i].name, '{');
        mu_json_ktext(b, "type", "object");
        mu_json_kopen(b, "properties", '{');
        while (rest.size > 0) {
            struct mu_str type, name = mu_str_cut(mu_str_cut(rest, ' ', &rest), ':', &type);
            mu_json_str(b, name);
            mu_buf_addc(b, ':');
            put_type(b, type);
        }
        mu_json_close(b, '{');
        mu_json_close(b, '{');
    }
    mu_json_key(b, "JobSpec");
    mu_buf_addz(b, mu_jobspec_schema);
}

static void put_parameter(struct mu_buf *b, struct mu_str name, const char *in, const char *type)
{
    mu_json_open(b, '{');
    mu_json_kstr(b, "name", name);
    mu_json_ktext(b, "in", in);
    if (strcmp(in, "path") == 0)
        mu_json_kbool(b, "required", true);
    mu_json_key(b, "schema");
    put_type(b, mu_str_of(type));
    mu_json_close(b, '{');
}

static void put_parameters(struct mu_buf *b, const struct mu_route *r)
{
    struct mu_str path = mu_str_of(r->path), query = mu_str_of(r->query);

    mu_json_kopen(b, "parameters", '[');
    while (path.size > 0) {
        struct mu_str part = mu_str_cut(path, '/', &path);
        if (part.size > 2 && part.at[0] == '{')
            put_parameter(b, (struct mu_str){ part.at + 1, part.size - 2 }, "path", mu_str_is(part, "{name}") ? "string" : "integer");
    }
    while (query.size > 0)
        put_parameter(b, mu_str_cut(query, ' ', &query), "query", "string");
    mu_json_close(b, '[');
}

static void put_content(struct mu_buf *b, const char *type, const char *shape)
{
    mu_json_kopen(b, type, '{');
    mu_json_kopen(b, "schema", '{');
    if (shape != NULL) {
        b->size--;
        put_type(b, mu_str_of(shape));
    } else {
        mu_json_ktext(b, "type", "string");
        mu_json_close(b, '{');
    }
    mu_json_close(b, '{');
}

static void put_body(struct mu_buf *b, const struct mu_route *r)
{
    bool spec = r->handle == mu_api_submit, lines = r->handle == mu_api_part;

    if (r->body == MU_BODY_NONE)
        return;
    mu_json_kopen(b, "requestBody", '{');
    mu_json_kopen(b, "content", '{');
    if (lines)
        put_content(b, "text/plain", NULL);
    else
        put_content(b, "application/json", spec ? "JobSpec" : "object");
    if (spec) {
        put_content(b, "application/yaml", "JobSpec");
        put_content(b, "application/x-ndjson", NULL);
    }
    mu_json_close(b, '{');
    mu_json_close(b, '{');
}

static void put_answers(struct mu_buf *b, const struct mu_route *r)
{
    bool shape = strchr(r->answer, '/') == NULL && r->role != MU_ROLE_AGENT;

    mu_json_kopen(b, "responses", '{');
    mu_json_kopen(b, r->role == MU_ROLE_AGENT ? "101" : r->handle == mu_api_submit ? "201" : "200", '{');
    mu_json_ktext(b, "description", r->summary);
    if (r->role != MU_ROLE_AGENT) {
        mu_json_kopen(b, "content", '{');
        put_content(b, shape ? "application/json" : r->answer, shape ? r->answer : NULL);
        mu_json_close(b, '{');
    }
    mu_json_close(b, '{');
    mu_json_kopen(b, "default", '{');
    mu_json_ktext(b, "description", "what is wrong");
    mu_json_kopen(b, "content", '{');
    put_content(b, "application/json", "Error");
    mu_json_close(b, '{');
    mu_json_close(b, '{');
    mu_json_close(b, '{');
}

static void put_operation(struct mu_buf *b, const struct mu_route *r)
{
    static const char *const verbs[] = { [MU_HTTP_GET] = "get", [MU_HTTP_POST] = "post", [MU_HTTP_PUT] = "put", [MU_HTTP_DELETE] = "delete" };

    mu_json_kopen(b, verbs[r->method], '{');
    mu_json_ktext(b, "summary", r->summary);
    mu_json_ktext(b, "x-role", mu_role_text(r->role));
    if (r->role == MU_ROLE_NONE) {
        mu_json_kopen(b, "security", '[');
        mu_json_close(b, '[');
    }
    put_parameters(b, r);
    put_body(b, r);
    put_answers(b, r);
    mu_json_close(b, '{');
}

static void put_paths(struct mu_buf *b)
{
    const struct mu_route *r, *other;

    for (unsigned i = 0; (r = mu_route_at(i)) != NULL; i++) {
        bool seen = false;
        for (unsigned j = 0; j < i; j++)
            seen |= strcmp(mu_route_at(j)->path, r->path) == 0;
        if (seen)
            continue;
        mu_json_kopen(b, r->path, '{');
        for (unsigned j = i; (other = mu_route_at(j)) != NULL; j++)
            if (strcmp(other->path, r->path) == 0)
                put_operation(b, other);
        mu_json_close(b, '{');
    }
}

void mu_openapi_put(struct mu_buf *b)
{
    mu_json_open(b, '{');
    mu_json_ktext(b, "openapi", "3.1.0");
    mu_json_kopen(b, "info", '{');
    mu_json_ktext(b, "title", "Muster");
    mu_json_ktext(b, "version", MU_VERSION_TEXT);
    mu_json_ktext(b, "description", "One pool out of many machines. See doc/api.md.");
    mu_json_close(b, '{');
    mu_json_kopen(b, "security", '[');
    mu_buf_addz(b, "{\"token\":[]}");
    mu_json_close(b, '[');
    mu_json_kopen(b, "paths", '{');
    put_paths(b);
    mu_json_close(b, '{');
    mu_json_kopen(b, "components", '{');
    mu_json_key(b, "securitySchemes");
    mu_buf_addz(b, "{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}");
    mu_json_kopen(b, "schemas", '{');
    put_shapes(b);
    mu_json_close(b, '{');
    mu_json_close(b, '{');
    mu_json_close(b, '{');
}

void mu_api_openapi(struct mu_call *c)
{
    struct mu_buf b = { 0 };

    mu_openapi_put(&b);
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}
