/* Clients: each has at most one question out, waits a while for its answer, and asks again under the same key until it
 * knows. An answer may be lost; then the question has to be asked once more. */
#include "sim/cluster.h"

enum {
    PATIENCE_MS = 3000,
    AGAIN_MS = 400,
    LOST_OF_1000 = 20,
};

/* One question, until its client knows the answer. */
struct mu_ask {
    struct mu_client_sim *client;
    struct mu_plan *plan;   /* a submit, or the stream this is a part of; else NULL */
    struct mu_event ev;     /* kind 0: the submit of plan */
    struct mu_arena arena;  /* what ev points into */
    struct call *call;      /* on its way; NULL between two tries */
    struct mu_timer *timer; /* patience, or the next try */
};

/* One delivery of it. */
struct call {
    struct mu_list link;
    struct mu_ask *ask; /* NULL: nobody waits any more */
    struct mu_cluster *cluster;
    uint64_t life;      /* of the server that has it as a token; 0: on its way there */
    struct mu_ctl_reply reply;
    char text[MU_ERR_TEXT];
};

static struct mu_world *world_of(struct mu_client_sim *cl)
{
    return &cl->cluster->world;
}

static uint64_t net_delay(struct mu_cluster *c)
{
    return mu_world_between(&c->world, c->net.delay_us[0], c->net.delay_us[1]);
}

static void ask_try(void *arg);
static void think_later(struct mu_client_sim *cl);

static void ask_free(struct mu_ask *a)
{
    mu_world_cancel(world_of(a->client), a->timer);
    mu_arena_fini(&a->arena);
    a->client->ask = NULL;
    free(a);
}

static void call_free(struct call *call)
{
    mu_list_remove(&call->link);
    free(call);
}

static void ask_again(struct mu_ask *a)
{
    a->timer = mu_world_after(world_of(a->client), mu_world_between(world_of(a->client), 1, 2 * AGAIN_MS) * 1000, ask_try, a);
}

/* ---- answers ---- */

static void submit_answered(struct mu_ask *a, const struct mu_ctl_reply *reply)
{
    struct mu_cluster *c = a->client->cluster;

    if (reply->rc == MU_OK)
        mu_oracle_acked(c->oracle, a->plan, reply->job);
    else if (reply->rc == MU_INVALID && a->plan->spec.deadline_ms != 0)
        return; /* it took so long that its deadline has passed */
    else if (reply->rc == MU_BUSY)
        return; /* what fills the queue may be waiting for this client to do something else */
    else if (reply->rc != MU_IMPOSSIBLE && reply->rc != MU_NOTFOUND)
        mu_world_fail(&c->world, "submit of %s was answered %s (%s)", a->plan->key, mu_rc_code(reply->rc), reply->text);
}

static bool is_worth_another_try(enum mu_rc rc)
{
    return rc == MU_UNKNOWN || rc == MU_NOTLEADER || rc == MU_BUSY || rc == MU_FULL || rc == MU_CLOSED;
}

static void call_answered(void *arg)
{
    struct call *call = arg;
    struct mu_ask *a = call->ask;
    struct mu_client_sim *cl = a ? a->client : NULL;
    struct mu_ctl_reply reply = call->reply;
    char text[MU_ERR_TEXT];

    memcpy(text, call->text, sizeof text);
    reply.text = text;
    call_free(call);
    if (a == NULL)
        return;
    a->call = NULL;
    mu_world_cancel(world_of(cl), a->timer);
    a->timer = NULL;
    mu_world_note(world_of(cl), "answer", cl->index, a->ev.kind, (uint64_t)-reply.rc, reply.job);
    if (is_worth_another_try(reply.rc) && !(reply.rc == MU_BUSY && cl->cluster->healing)) {
        cl->unknown += reply.rc == MU_UNKNOWN;
        ask_again(a);
        return;
    }
    cl->answered++;
    if (a->ev.kind == 0)
        submit_answered(a, &reply);
    else if (a->plan && reply.rc == MU_OK)
        a->plan->parts -= a->plan->parts > 0;
    ask_free(a);
    think_later(cl);
}

/* May be called from inside ctl: the answer travels. */
void mu_client_reply(void *token, const struct mu_ctl_reply *reply)
{
    struct call *call = token;
    struct mu_cluster *c = call->cluster;

    call->life = 0;
    call->reply = (struct mu_ctl_reply){ .rc = reply->rc, .job = reply->job, .existing = reply->existing };
    snprintf(call->text, sizeof call->text, "%s: %s", reply->field ? reply->field : "", reply->text ? reply->text : "");
    if (mu_world_chance(&c->world, c->healing ? 0 : LOST_OF_1000)) {
        if (call->ask)
            call->ask->call = NULL; /* its patience runs out */
        call_free(call);
        return;
    }
    mu_world_after(&c->world, net_delay(c), call_answered, call);
}

/* ---- questions ---- */

static void call_arrives(void *arg)
{
    struct call *call = *(struct call **)arg;
    struct mu_server_sim *s = &call->cluster->server;
    struct mu_ask *a = call->ask;

    free(arg);
    if (a == NULL) { /* nobody waits */
        call_free(call);
        return;
    }
    if (s->ctl == NULL) {
        mu_client_reply(call, &(struct mu_ctl_reply){ .rc = MU_NOTLEADER });
        return;
    }
    call->life = s->life;
    if (a->ev.kind == 0)
        mu_ctl_submit(s->ctl, mu_server_now(s), &a->plan->spec, call);
    else
        mu_ctl_request(s->ctl, mu_server_now(s), &a->ev, call);
    mu_server_turn_soon(s);
}

static void call_delivered(void *arg)
{
    struct call *call = arg, **box;
    struct mu_server_sim *s = &call->cluster->server;

    if (!s->proc.alive) { /* refused at once */
        mu_client_reply(call, &(struct mu_ctl_reply){ .rc = MU_CLOSED });
        return;
    }
    box = malloc(sizeof *box); /* the inbox of a dying process frees what it is given, and nothing behind it */
    MU_ASSERT(box != NULL);
    *box = call;
    mu_proc_run(&s->proc, call_arrives, box);
}

/* Not answered in time: the connection is closed, so the server forgets it. */
static void call_drop(struct mu_ask *a)
{
    struct call *call = a->call;
    struct mu_server_sim *s = &a->client->cluster->server;

    a->call = NULL;
    if (call == NULL)
        return;
    call->ask = NULL;
    if (call->life != 0) {
        if (call->life == s->life && s->ctl)
            mu_ctl_forget(s->ctl, call);
        call_free(call);
    }
}

static void patience_ends(void *arg)
{
    struct mu_ask *a = arg;

    a->timer = NULL;
    a->client->unknown++;
    call_drop(a);
    ask_again(a);
}

static void ask_try(void *arg)
{
    struct mu_ask *a = arg;
    struct mu_client_sim *cl = a->client;
    struct call *call = calloc(1, sizeof *call);

    MU_ASSERT(call != NULL && a->call == NULL);
    *call = (struct call){ .ask = a, .cluster = cl->cluster };
    mu_list_init(&call->link);
    mu_list_add_tail(&cl->cluster->calls, &call->link);
    a->call = call;
    cl->asked++;
    a->timer = mu_world_after(world_of(cl), PATIENCE_MS * 1000, patience_ends, a);
    mu_world_after(world_of(cl), net_delay(cl->cluster), call_delivered, call);
}

static struct mu_ask *ask_new(struct mu_client_sim *cl)
{
    struct mu_ask *a = calloc(1, sizeof *a);

    MU_ASSERT(a != NULL && cl->ask == NULL);
    a->client = cl;
    cl->ask = a;
    return a;
}

/* ---- what to ask ---- */

static uint64_t some_job(struct mu_client_sim *cl)
{
    const struct mu_ctl *ctl = cl->cluster->server.ctl;
    uint64_t next = ctl ? mu_view_next_job(mu_ctl_core(ctl)) : 1;

    return next > 1 ? mu_world_between(world_of(cl), next > 12 ? next - 12 : 1, next - 1) : 0;
}

static void ask_submit(struct mu_client_sim *cl)
{
    struct mu_ask *a = ask_new(cl);

    a->plan = mu_plan_new(world_of(cl), ++cl->cluster->jobs, some_job(cl), mu_clock_wall_ms(&cl->cluster->server.clock));
    mu_world_note(world_of(cl), "submits", cl->index, a->plan->number, a->plan->spec.groups_count, a->plan->spec.open);
    mu_oracle_plan(cl->cluster->oracle, a->plan);
    ask_try(a);
}

static void ask_event(struct mu_client_sim *cl, const struct mu_event *ev)
{
    bool of_job = ev->kind == MU_EV_CANCEL || ev->kind == MU_EV_HOLD || ev->kind == MU_EV_RETRY;
    struct mu_ask *a = ask_new(cl);

    a->ev = *ev;
    mu_world_note(world_of(cl), mu_event_name(ev->kind), cl->index, of_job ? ev->cancel.job : 0, 0, 0);
    ask_try(a);
}

/* The next part of a stream whose submit this or another client got through. */
static bool ask_part(struct mu_client_sim *cl, bool end_it)
{
    const struct mu_ctl *ctl = cl->cluster->server.ctl;
    struct mu_plan *p = ctl ? mu_oracle_stream(cl->cluster->oracle) : NULL;
    struct mu_job_view job;
    struct mu_ask *a;

    if (p == NULL || !mu_view_job(mu_ctl_core(ctl), p->job, &job))
        return false;
    for (uint32_t i = 0; i < cl->cluster->clients_count; i++)
        if (cl->cluster->clients[i].ask && cl->cluster->clients[i].ask->plan == p)
            return false; /* one writer a stream */
    a = ask_new(cl);
    a->plan = p;
    a->ev.kind = MU_EV_PART;
    a->ev.part = (struct mu_ev_part){ .job = p->job, .tasks_before = job.tasks, .last = end_it || p->parts <= 1 };
    if (!end_it)
        a->ev.part.lines = mu_plan_lines(world_of(cl), &a->arena, job.tasks, (uint32_t)mu_world_between(world_of(cl), 1, 20),
                                         mu_world_chance(world_of(cl), 50) ? 20000 : 0);
    mu_world_note(world_of(cl), "part", cl->index, p->job, job.tasks, a->ev.part.last);
    ask_try(a);
    return true;
}

static void ask_cancel(struct mu_client_sim *cl)
{
    struct mu_event ev = { .kind = MU_EV_CANCEL };

    ev.cancel.job = some_job(cl);
    if (mu_world_chance(world_of(cl), 500)) {
        ev.cancel.first = (uint32_t)mu_world_below(world_of(cl), 5);
        ev.cancel.count = (uint32_t)mu_world_between(world_of(cl), 1, 3);
    }
    ask_event(cl, &ev);
}

static void ask_hold(struct mu_client_sim *cl, uint64_t job, bool hold)
{
    struct mu_event ev = { .kind = MU_EV_HOLD };

    ev.hold.job = job;
    ev.hold.hold = hold;
    ask_event(cl, &ev);
}

static void ask_drain(struct mu_client_sim *cl, uint32_t node, bool drain)
{
    struct mu_event ev = { .kind = MU_EV_NODE_SET };

    ev.node_set.node = node;
    ev.node_set.set_drain = true;
    ev.node_set.drain = drain;
    ask_event(cl, &ev);
}

static void ask_policy(struct mu_client_sim *cl)
{
    static const char *const order[] = { "fifo", "fair" }, *const place[] = { "pack", "spread", "random", "least-load", "round-robin" };
    struct mu_event ev = { .kind = MU_EV_POLICY };
    bool of_order = mu_world_chance(world_of(cl), 300);

    ev.policy.kind = mu_str_of(of_order ? "order" : "place");
    ev.policy.name = mu_str_of(of_order ? order[mu_world_below(world_of(cl), MU_COUNT(order))] : place[mu_world_below(world_of(cl), MU_COUNT(place))]);
    ask_event(cl, &ev);
}

static void ask_quota(struct mu_client_sim *cl)
{
    struct mu_event ev = { .kind = MU_EV_QUOTA };

    ev.quota.user = mu_str_of("u0");
    ev.quota.cpu_milli_max = mu_world_chance(world_of(cl), 500) ? 2000 : 0;
    ev.quota.weight = (uint32_t)mu_world_between(world_of(cl), 1, 3);
    ask_event(cl, &ev);
}

static void ask_retry(struct mu_client_sim *cl)
{
    struct mu_event ev = { .kind = MU_EV_RETRY };

    ev.retry.job = some_job(cl);
    ask_event(cl, &ev);
}

static void ask_something(struct mu_client_sim *cl)
{
    uint64_t dice = mu_world_below(world_of(cl), 1000);
    uint32_t nodes = cl->cluster->server.ctl ? mu_view_nodes(mu_ctl_core(cl->cluster->server.ctl)) : 0;

    if (dice < 150 && ask_part(cl, false))
        return;
    if (dice < 700 || some_job(cl) == 0)
        ask_submit(cl);
    else if (dice < 770)
        ask_cancel(cl);
    else if (dice < 870)
        ask_hold(cl, some_job(cl), dice < 810);
    else if (dice < 910)
        ask_retry(cl);
    else if (dice < 960 && nodes > 0)
        ask_drain(cl, (uint32_t)mu_world_below(world_of(cl), nodes), dice < 930);
    else if (dice < 980)
        ask_policy(cl);
    else
        ask_quota(cl);
}

static bool is_over(const struct mu_job_view *job)
{
    for (int s = 0; s < MU_TASK_SUCCEEDED; s++)
        if (job->count[s] > 0)
            return false;
    return true;
}

/* No node of this cluster could ever run it. */
static bool is_hopeless(struct mu_client_sim *cl, const struct mu_group_spec *g)
{
    for (uint32_t i = 0; i < cl->cluster->nodes_count; i++) {
        const struct mu_node_sim *n = &cl->cluster->nodes[i];
        bool labelled = g->labels.count == 0 || mu_str_is(g->labels.at[0], n->label);
        if (labelled && g->cpu_milli <= n->cpu_milli && g->mem_bytes <= n->mem_bytes)
            return false;
    }
    return true;
}

static bool has_hopeless(struct mu_client_sim *cl, const struct mu_core *core, const struct mu_job_view *job)
{
    struct mu_arena arena = { 0 };
    struct mu_group_spec spec;
    bool hopeless = false;

    for (uint32_t g = 0; g < job->groups && !hopeless; g++)
        hopeless = mu_view_group_spec(core, job->id, g, &spec, &arena) && is_hopeless(cl, &spec);
    mu_arena_fini(&arena);
    return hopeless;
}

/* What keeps this job from ending is taken back. */
static bool job_relief(struct mu_client_sim *cl, const struct mu_core *core, uint64_t id)
{
    struct mu_event ev = { .kind = MU_EV_CANCEL };
    struct mu_job_view job;

    if (!mu_view_job(core, id, &job) || is_over(&job))
        return false;
    ev.cancel.job = id;
    if (job.held)
        ask_hold(cl, id, false);
    else if (has_hopeless(cl, core, &job))
        ask_event(cl, &ev);
    else
        return false;
    return true;
}

/* After the faults. false: nothing keeps work from ending. */
static bool ask_relief(struct mu_client_sim *cl)
{
    const struct mu_core *core = cl->cluster->server.ctl ? mu_ctl_core(cl->cluster->server.ctl) : NULL;

    if (core == NULL)
        return false;
    for (uint64_t id = 0; (id = mu_view_job_next(core, id)) != 0;)
        if (job_relief(cl, core, id))
            return true;
    for (uint32_t i = 0; i < mu_view_nodes(core); i++)
        if (mu_view_node(core, i)->drain) {
            ask_drain(cl, i, false);
            return true;
        }
    return ask_part(cl, true);
}

static void think(void *arg)
{
    struct mu_client_sim *cl = arg;

    cl->think = NULL;
    if (!cl->cluster->healing)
        ask_something(cl);
    else if (cl->index > 0 || !ask_relief(cl))
        think_later(cl);
}

static void think_later(struct mu_client_sim *cl)
{
    uint64_t most_ms = cl->cluster->healing ? 200 : cl->cluster->think_max_ms;

    if (cl->think == NULL && cl->ask == NULL)
        cl->think = mu_world_after(world_of(cl), mu_world_between(world_of(cl), 0, most_ms) * 1000, think, cl);
}

void mu_client_init(struct mu_cluster *c, uint32_t index)
{
    struct mu_client_sim *cl = &c->clients[index];

    cl->cluster = c;
    cl->index = index;
    think_later(cl);
}

bool mu_client_is_idle(const struct mu_client_sim *cl)
{
    return cl->ask == NULL;
}

void mu_client_fini(struct mu_client_sim *cl)
{
    mu_world_cancel(world_of(cl), cl->think);
    if (cl->ask) {
        call_drop(cl->ask);
        ask_free(cl->ask);
    }
}

void mu_calls_fini(struct mu_cluster *c)
{
    while (!mu_list_is_empty(&c->calls))
        call_free(MU_CONTAINER(c->calls.next, struct call, link));
}
