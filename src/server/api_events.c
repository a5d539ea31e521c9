/* server/api_events.c -- server-sent events: the tape, read by whoever likes, at his own pace. */
#include "server/api.h"

enum { BURST_BYTES = 64 * 1024, BEAT_MS = 15000 };

struct events {
    struct mu_follower follower;
    struct mu_call *c;
    uint64_t job;   /* 0: all */
    bool full;      /* the client has not taken what it was sent */
    struct mu_buf b;
};

static const char *node_name(const struct mu_server *sv, uint32_t node)
{
    const struct mu_node *n = node == MU_NODE_NONE ? NULL : mu_view_node(mu_ctl_core(sv->ctl), node);

    return n ? n->name : NULL;
}

static void put_task(struct mu_server *sv, struct mu_buf *b, const struct mu_tape_item *item)
{
    mu_json_ktext(b, "type", "task");
    mu_json_ku64(b, "job", item->job);
    mu_json_ku64(b, "index", mu_view_index_of(mu_ctl_core(sv->ctl), item->job, item->ordinal));
    if (item->count > 1)
        mu_json_ku64(b, "count", item->count);
    mu_json_ku64(b, "attempt", item->attempt);
    mu_json_ktext(b, "state", mu_task_state_text((enum mu_task_state)item->state));
    mu_json_ktext(b, "node", node_name(sv, item->node));
    if (item->kind != MU_TAPE_ENDED)
        return;
    mu_json_ktext(b, "reason", mu_end_text((enum mu_end)item->how));
    if (item->how == MU_END_EXIT)
        mu_json_ku64(b, "exit_code", item->code);
    if (item->how == MU_END_SIGNAL)
        mu_json_ku64(b, "signal", item->code);
    mu_json_kfixed(b, "run_s", item->run_us, 6);
}

static void put_item(struct mu_server *sv, struct mu_buf *b, const struct mu_tape_item *item)
{
    struct mu_policy_view policy;

    mu_buf_addz(b, "id: ");
    mu_buf_u64(b, item->id);
    mu_buf_addz(b, "\ndata: ");
    mu_json_open(b, '{');
    switch ((enum mu_tape_kind)item->kind) {
    case MU_TAPE_TASK: case MU_TAPE_ENDED: put_task(sv, b, item); break;
    case MU_TAPE_JOB:
        mu_json_ktext(b, "type", "job");
        mu_json_ku64(b, "job", item->job);
        mu_json_ktext(b, "state", mu_job_word_text((enum mu_job_word)item->state));
        break;
    case MU_TAPE_NODE:
        mu_json_ktext(b, "type", "node");
        mu_json_ktext(b, "node", node_name(sv, item->node));
        mu_json_ktext(b, "state", mu_node_state_text((enum mu_node_state)item->state));
        break;
    case MU_TAPE_POLICY:
        policy = mu_view_policy(mu_ctl_core(sv->ctl), item->place ? "place" : "order");
        mu_json_ktext(b, "type", "policy");
        mu_json_ktext(b, "kind", item->place ? "place" : "order");
        mu_json_kstr(b, "name", policy.name);
        break;
    }
    mu_json_ktime(b, "time", item->time_ms);
    mu_json_close(b, '{');
    mu_buf_addz(b, "\n\n");
}

/* What was overwritten before this reader came to it. */
static void put_gap(struct events *e)
{
    uint64_t begin = mu_tape_begin(&e->c->sv->tape);

    if (e->follower.position >= begin)
        return;
    mu_buf_printf(&e->b, "event: gap\ndata: {\"missed\":%llu}\n\n", (unsigned long long)(begin - e->follower.position));
    e->follower.position = begin;
}

static void move(struct mu_follower *f)
{
    struct events *e = MU_CONTAINER(f, struct events, follower);
    const struct mu_tape *tape = &e->c->sv->tape;

    while (!e->full && (f->position != mu_tape_end(tape) || e->b.size > 0)) {
        put_gap(e);
        while (f->position != mu_tape_end(tape) && e->b.size < BURST_BYTES) {
            const struct mu_tape_item *item = mu_tape_at(tape, f->position++);
            if (e->job == 0 || item->job == e->job)
                put_item(e->c->sv, &e->b, item);
        }
        if (e->b.size > 0)
            e->full = !mu_req_write(e->c->req, e->b.at, e->b.size);
        mu_buf_clear(&e->b);
    }
}

static void on_drain(struct mu_call *c)
{
    struct events *e = c->state;

    e->full = false;
    e->follower.woken = true;
    mu_server_again(c->sv);
}

/* A comment now and then: proxies keep the connection, and one that is dead is noticed. */
static void on_beat(void *arg)
{
    struct mu_call *c = arg;
    struct events *e = c->state;

    if (!e->full)
        e->full = !mu_req_write(c->req, ":\n\n", 3);
    c->timer = mu_loop_after(c->sv->loop, BEAT_MS, on_beat, c);
}

static void events_cleanup(struct mu_call *c)
{
    struct events *e = c->state;

    mu_follower_remove(&e->follower);
    mu_buf_fini(&e->b);
    free(e);
}

/* Where to begin: behind the id the client had last, else now. */
static bool begin_at(struct mu_call *c, struct events *e)
{
    struct mu_str last = mu_http_find(mu_req_head(c->req), "last-event-id");
    uint64_t id;

    e->follower.position = mu_tape_end(&c->sv->tape);
    if (last.size == 0)
        return true;
    if (!mu_str_u64(last, &id)) {
        mu_call_failf(c, MU_INVALID, "Last-Event-ID", "Last-Event-ID must be the id of an event");
        return false;
    }
    if (!mu_tape_seek(&c->sv->tape, id, &e->follower.position))
        mu_buf_addz(&e->b, "event: gap\ndata: {\"missed\":null}\n\n");
    return true;
}

void mu_api_events(struct mu_call *c)
{
    struct events *e;
    uint64_t job = 0;

    if (!mu_call_u64(c, "job", MU_JOB_ID_MAX, &job))
        return;
    e = calloc(1, sizeof *e);
    MU_ASSERT(e != NULL);
    e->c = c;
    e->job = job;
    e->follower.move = move;
    mu_list_init(&e->follower.link);
    c->state = e;
    c->cleanup = events_cleanup;
    c->on_drain = on_drain;
    if (!begin_at(c, e))
        return;
    mu_req_header(c->req, "Cache-Control", "no-store");
    mu_req_begin(c->req, 200, "text/event-stream");
    mu_buf_addz(&e->b, ":\n\n"); /* the head leaves at once */
    mu_follower_add(c->sv, &e->follower);
    c->timer = mu_loop_after(c->sv->loop, BEAT_MS, on_beat, c);
}
