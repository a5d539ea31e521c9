/* Agents: one connection after another serves a node. HELLO is checked and becomes a NODE_JOIN; when that is durable
 * both sides compare what they have. Leases run by boottime; frames gather and leave once a turn. */

#include "server/ctl_impl.h"

#include "base/hash.h"

#include <stdlib.h>

enum {
    START_FRAME_MAX = 1 << 20,        /* bytes gathered before a START frame is closed */
    SPECS_KNOWN_MAX = MU_SPECS_MAX / 2, /* half, so that waiting STARTs may lag behind the SPECs by the other half */
    ATTEMPTS_HAD_MAX = 1 << 18,
    SCANS_A_LEASE = 8,
};

static struct mu_ctl_agent *agent_of(struct mu_list *link)
{
    return MU_CONTAINER(link, struct mu_ctl_agent, link);
}

static struct mu_ctl_node *node_at(struct mu_ctl *ctl, uint32_t node)
{
    if (node >= ctl->nodes_count) {
        uint32_t count = node + 1 > 2 * ctl->nodes_count ? node + 1 : 2 * ctl->nodes_count;

        ctl->nodes = realloc(ctl->nodes, count * sizeof *ctl->nodes);
        MU_ASSERT(ctl->nodes != NULL);
        memset(ctl->nodes + ctl->nodes_count, 0, (count - ctl->nodes_count) * sizeof *ctl->nodes);
        ctl->nodes_count = count;
    }
    return &ctl->nodes[node];
}

/* ---- what an agent is to hear ---- */

static void agent_dirty(struct mu_ctl *ctl, struct mu_ctl_agent *a)
{
    if (mu_list_is_empty(&a->dirty_link))
        mu_list_add_tail(&ctl->dirty, &a->dirty_link);
}

static void agent_say(struct mu_ctl *ctl, struct mu_ctl_agent *a, enum mu_msg_type type, const void *msg)
{
    mu_frame_put(&a->out, type, ctl->epoch, msg);
    agent_dirty(ctl, a);
}

static void starts_close(struct mu_ctl *ctl, struct mu_ctl_agent *a)
{
    if (a->starts.size > 0)
        mu_frame_put_raw(&a->out, MU_MSG_START, ctl->epoch, a->starts.at, a->starts.size);
    mu_buf_clear(&a->starts);
    a->specs_pending = 0;
}

static void stops_close(struct mu_ctl *ctl, struct mu_ctl_agent *a)
{
    if (a->stops.size > 0)
        mu_frame_put_raw(&a->out, MU_MSG_STOP, ctl->epoch, a->stops.at, a->stops.size);
    mu_buf_clear(&a->stops);
}

static void agent_flush(struct mu_ctl *ctl, struct mu_ctl_agent *a)
{
    starts_close(ctl, a); /* before STOP: it may be for one of them */
    stops_close(ctl, a);
    if (a->ack != 0)
        mu_frame_put(&a->out, MU_MSG_ACK, ctl->epoch, &(struct mu_msg_ack){ .seq = a->ack });
    a->ack = 0;
    if (a->peer != NULL && a->out.size > 0)
        ctl->out.send(ctl->out.arg, a->peer, a->out.at, a->out.size);
    mu_buf_clear(&a->out);
    if (a->peer != NULL && a->drop)
        ctl->out.drop(ctl->out.arg, a->peer);
    a->drop = false;
}

void mu_ctl_agents_flush(struct mu_ctl *ctl)
{
    while (!mu_list_is_empty(&ctl->dirty)) {
        struct mu_ctl_agent *a = MU_CONTAINER(ctl->dirty.next, struct mu_ctl_agent, dirty_link);
        mu_list_remove(&a->dirty_link);
        agent_flush(ctl, a);
    }
}

/* ---- life of a connection ---- */

static void agent_unname(struct mu_ctl *ctl, struct mu_ctl_agent *a)
{
    if (a->name != NULL && mu_map_get_ptr(&ctl->names, a->name_hash) == a)
        mu_map_remove(&ctl->names, a->name_hash);
}

/* It serves nothing any more; what it is still owed by commits is void. */
static void agent_gone(struct mu_ctl *ctl, struct mu_ctl_agent *a)
{
    if (a->state == MU_CTL_AGENT_UP) {
        ctl->nodes[a->node].agent = NULL;
        mu_sched_node_silent(ctl->sched, a->node, true);
    }
    agent_unname(ctl, a);
    a->state = MU_CTL_AGENT_GONE;
    mu_buf_clear(&a->starts);
    mu_buf_clear(&a->stops);
    a->ack = 0;
}

static void agent_refuse(struct mu_ctl *ctl, struct mu_ctl_agent *a, const char *code, const char *text, bool final)
{
    struct mu_msg_refuse refuse = { .code = mu_str_of(code), .text = mu_str_of(text), .final = final };

    if (a->state == MU_CTL_AGENT_GONE)
        return;
    agent_gone(ctl, a);
    a->drop = true;
    agent_say(ctl, a, MU_MSG_REFUSE, &refuse);
}

void mu_ctl_agents_refuse(struct mu_ctl *ctl, const char *code, const char *text)
{
    MU_LIST_EACH(it, &ctl->agents)
        agent_refuse(ctl, agent_of(it), code, text, false);
}

void mu_ctl_agent_unref(struct mu_ctl *ctl, struct mu_ctl_agent *a)
{
    MU_ASSERT(a->refs > 0);
    if (--a->refs > 0)
        return;
    MU_ASSERT(a->state == MU_CTL_AGENT_GONE && a->peer == NULL);
    mu_list_remove(&a->link);
    mu_list_remove(&a->dirty_link);
    mu_buf_fini(&a->out);
    mu_buf_fini(&a->starts);
    mu_buf_fini(&a->stops);
    mu_map_fini(&a->specs);
    free(a->had);
    free(a->name);
    free(a->boot);
    free(a->address);
    free(a);
    ctl->stats.agents--;
}

struct mu_ctl_agent *mu_ctl_agent_open(struct mu_ctl *ctl, struct mu_ctl_now now, void *peer, const char *address)
{
    struct mu_ctl_agent *a = calloc(1, sizeof *a);

    (void)now;
    MU_ASSERT(a != NULL && peer != NULL);
    a->peer = peer;
    a->address = mu_str_dup(mu_str_of(address ? address : ""));
    a->refs = 1;
    a->node = MU_NODE_NONE;
    a->spec_last = MU_CTL_NO_SPEC;
    mu_list_init(&a->dirty_link);
    mu_list_add_tail(&ctl->agents, &a->link);
    ctl->stats.agents++;
    return a;
}

/* A node that said goodbye and has nothing left need not run out its lease. */
static void goodbye(struct mu_ctl *ctl, const struct mu_ctl_agent *a)
{
    const struct mu_node *n = a->state == MU_CTL_AGENT_UP ? mu_view_node(ctl->core, a->node) : NULL;
    struct mu_ev_node_lost lost = { .node = a->node, .why = MU_STR_LIT("left") };

    if (n == NULL || !a->ping.leaving || n->live > 0 || ctl->nodes[a->node].losing || n->state == MU_NODE_DOWN || n->state == MU_NODE_AWAY)
        return;
    ctl->nodes[a->node].losing = true;
    mu_ctl_propose(ctl, MU_EV_NODE_LOST, &lost);
}

void mu_ctl_agent_close(struct mu_ctl *ctl, struct mu_ctl_now now, struct mu_ctl_agent *a)
{
    (void)now;
    MU_ASSERT(a->peer != NULL);
    goodbye(ctl, a);
    agent_gone(ctl, a);
    a->peer = NULL;
    mu_list_remove(&a->dirty_link);
    mu_ctl_agent_unref(ctl, a);
}

/* ---- HELLO ---- */

static int ref_order(const void *a, const void *b)
{
    const struct mu_task_ref *x = a, *y = b;
    uint64_t kx = mu_task_key(x->job, x->ordinal), ky = mu_task_key(y->job, y->ordinal);

    if (kx != ky)
        return kx < ky ? -1 : 1;
    return x->attempt < y->attempt ? -1 : x->attempt > y->attempt;
}

static const struct mu_task_ref *had_find(const struct mu_ctl_agent *a, const struct mu_attempt *t)
{
    struct mu_task_ref key = { .job = t->job, .ordinal = t->ordinal, .attempt = t->attempt };

    return a->had_count ? bsearch(&key, a->had, a->had_count, sizeof key, ref_order) : NULL;
}

static bool name_is_good(struct mu_str name)
{
    if (name.size == 0 || name.size > MU_NAME_MAX)
        return false;
    for (uint32_t i = 0; i < name.size; i++)
        if ((unsigned char)name.at[i] <= ' ' || name.at[i] == 0x7f)
            return false;
    return true;
}

static void agent_remember(struct mu_ctl *ctl, struct mu_ctl_agent *a, const struct mu_msg_hello *h)
{
    a->name = mu_str_dup(h->name);
    a->boot = mu_str_dup(h->boot);
    a->name_hash = mu_hash(h->name.at, h->name.size, 0);
    a->had_count = h->attempts_count;
    a->had = malloc((h->attempts_count + 1) * sizeof *a->had);
    MU_ASSERT(a->had != NULL);
    if (h->attempts_count > 0)
        memcpy(a->had, h->attempts, h->attempts_count * sizeof *a->had);
    qsort(a->had, a->had_count, sizeof *a->had, ref_order);
    mu_map_put_ptr(&ctl->names, a->name_hash, a);
}

/* A second connection of the same boot replaces the first, which may only look alive. Another boot under the same name
 * is another machine, or the same one whose old connection has not been found dead yet: it has to wait. */
static bool name_is_free(struct mu_ctl *ctl, const struct mu_msg_hello *h)
{
    struct mu_ctl_agent *other = mu_map_get_ptr(&ctl->names, mu_hash(h->name.at, h->name.size, 0));

    if (other == NULL || !mu_str_is(h->name, other->name))
        return true;
    if (!mu_str_is(h->boot, other->boot))
        return false;
    agent_refuse(ctl, other, "replaced", "the node has connected anew", false);
    return true;
}

static bool hello_is_welcome(struct mu_ctl *ctl, struct mu_ctl_agent *a, const struct mu_msg_hello *h)
{
    bool ours = h->cluster.size == sizeof ctl->opt.cluster && memcmp(h->cluster.at, ctl->opt.cluster, h->cluster.size) == 0;

    if (!ctl->leads)
        agent_refuse(ctl, a, "not_leader", "this server does not lead", false);
    else if (h->cluster.size > 0 && !ours)
        agent_refuse(ctl, a, "cluster", "the node belongs to another cluster", true);
    else if (h->epoch > ctl->epoch)
        agent_refuse(ctl, a, "epoch", "the node has seen a later leader: this journal went back", false);
    else if (!name_is_good(h->name) || h->boot.size == 0 || h->boot.size > MU_NAME_MAX)
        agent_refuse(ctl, a, "invalid", "the node's name or boot id is malformed", true);
    else if (!name_is_free(ctl, h))
        agent_refuse(ctl, a, "name", "another node of this name is connected", false);
    else
        return true;
    return false;
}

static void on_hello(struct mu_ctl *ctl, struct mu_ctl_now now, struct mu_ctl_agent *a, const struct mu_msg_hello *h)
{
    const struct mu_node *known = mu_view_node_named(ctl->core, h->name);
    struct mu_ev_node_join join = {
        .name = h->name, .boot = h->boot, .cpu_milli = h->cpu_milli, .mem_bytes = h->mem_bytes, .gpu_milli = h->gpu_milli,
        .resources = h->resources, .resources_count = h->resources_count, .labels = h->labels, .keep = h->keep,
        .version = h->version, .limits = h->limits, .address = mu_str_of(a->address),
    };
    struct mu_ctl_mark *m;

    if (!hello_is_welcome(ctl, a, h))
        return;
    agent_remember(ctl, a, h);
    a->state = MU_CTL_AGENT_JOINING;
    if (known)
        node_at(ctl, known->id)->heard_ms = now.boot_ms; /* no NODE_LOST from here on */
    m = mu_ctl_mark_add(mu_ctl_propose(ctl, MU_EV_NODE_JOIN, &join), MU_CTL_MARK_JOIN);
    m->agent = a;
    a->refs++;
}

/* ---- reconciliation ---- */

/* One live attempt of the node, as core has it. */
static void attempt_reconcile(struct mu_ctl *ctl, struct mu_ctl_agent *a, const struct mu_attempt *t)
{
    const struct mu_task_ref *ref = had_find(a, t);

    if (t->state == MU_TASK_STOPPING) {
        if (ref == NULL || !mu_task_is_final((enum mu_task_state)ref->state))
            mu_ctl_agent_stop(ctl, t->job, t->ordinal, t->attempt, t->node, t->why);
    } else if (ref == NULL && t->state == MU_TASK_STARTING) {
        mu_ctl_agent_start(ctl, t->job, t->ordinal, t->attempt, t->node);
    } else if (ref == NULL) { /* it ran there and is not known there: whatever became of it, it is over */
        struct mu_ev_ended ended = { .job = t->job, .ordinal = t->ordinal, .attempt = t->attempt, .how = MU_END_NODE_LOST };
        mu_ctl_propose(ctl, MU_EV_ENDED, &ended);
    }
}

/* What the agent runs and core does not know as live there any more. */
static void strays_stop(struct mu_ctl *ctl, struct mu_ctl_agent *a)
{
    for (uint32_t i = 0; i < a->had_count; i++) {
        const struct mu_task_ref *r = &a->had[i];
        const struct mu_attempt *t = mu_view_attempt(ctl->core, r->job, r->ordinal);

        if (mu_task_is_final((enum mu_task_state)r->state) || (t && t->attempt == r->attempt && t->node == a->node))
            continue;
        mu_ctl_agent_stop(ctl, r->job, r->ordinal, r->attempt, a->node, MU_END_CANCEL);
        ctl->stats.stale_attempts++;
    }
}

void mu_ctl_agent_joined(struct mu_ctl *ctl, struct mu_ctl_now now, struct mu_ctl_agent *a, const struct mu_fx *fx)
{
    const struct mu_attempt *t;
    uint64_t cursor = 0;

    if (a->state != MU_CTL_AGENT_JOINING)
        return;
    if (fx->rc != MU_OK) {
        agent_refuse(ctl, a, mu_rc_code(fx->rc), fx->text ? fx->text : mu_rc_text(fx->rc), fx->rc == MU_INVALID);
        return;
    }
    struct mu_ctl_node *node = node_at(ctl, fx->node);
    struct mu_msg_welcome welcome = {
        .cluster = { (const char *)ctl->opt.cluster, sizeof ctl->opt.cluster }, .node = fx->node,
        .lease_ms = ctl->opt.lease_ms, .server = mu_str_of(ctl->opt.server_name),
    };

    MU_ASSERT(node->agent == NULL);
    a->state = MU_CTL_AGENT_UP;
    a->node = fx->node;
    node->agent = a;
    node->heard_ms = now.boot_ms;
    mu_sched_node_silent(ctl->sched, fx->node, false);
    agent_say(ctl, a, MU_MSG_WELCOME, &welcome);
    while ((t = mu_view_node_attempt(ctl->core, a->node, &cursor)) != NULL)
        attempt_reconcile(ctl, a, t);
    strays_stop(ctl, a);
    free(a->had);
    a->had = NULL;
    a->had_count = 0;
}

/* ---- dispatch ---- */

static void place_note(struct mu_ctl *ctl, uint64_t job, uint32_t node)
{
    uint64_t *first = mu_map_find(&ctl->place_jobs, job);
    uint32_t at;

    if (first && ctl->places[*first - 1].node == node)
        return;
    if (ctl->places_free != 0) {
        at = ctl->places_free - 1;
        ctl->places_free = ctl->places[at].next;
    } else {
        if (ctl->places_count == ctl->places_cap) {
            ctl->places_cap = ctl->places_cap ? 2 * ctl->places_cap : 256;
            ctl->places = realloc(ctl->places, ctl->places_cap * sizeof *ctl->places);
            MU_ASSERT(ctl->places != NULL);
        }
        at = ctl->places_count++;
    }
    ctl->places[at] = (struct mu_ctl_place){ .node = node, .next = first ? (uint32_t)*first : 0 };
    mu_map_put(&ctl->place_jobs, job, at + 1);
}

void mu_ctl_agents_forget(struct mu_ctl *ctl, uint64_t job)
{
    uint64_t *first = mu_map_find(&ctl->place_jobs, job);
    uint32_t at = first ? (uint32_t)*first : 0, next;

    for (; at != 0; at = next) {
        struct mu_ctl_place *p = &ctl->places[at - 1];
        struct mu_ctl_agent *a = p->node < ctl->nodes_count ? ctl->nodes[p->node].agent : NULL;

        if (a)
            agent_say(ctl, a, MU_MSG_FORGET, &(struct mu_msg_forget){ .job = job });
        next = p->next;
        p->next = ctl->places_free;
        ctl->places_free = at;
    }
    mu_map_remove(&ctl->place_jobs, job);
}

static void spec_send(struct mu_ctl *ctl, struct mu_ctl_agent *a, uint64_t job, uint32_t group)
{
    struct mu_job_view view;
    struct mu_msg_spec spec = { .job = job, .group = group };

    MU_ASSERT(mu_view_job(ctl->core, job, &view));
    spec.spec = mu_view_group_bytes(ctl->core, job, group);
    spec.job_name = view.name;
    spec.user = view.user;
    spec.tasks = view.tasks;
    if (a->specs.count >= SPECS_KNOWN_MAX)
        mu_map_clear(&a->specs);
    if (a->specs_pending >= SPECS_KNOWN_MAX)
        starts_close(ctl, a);
    mu_map_put(&a->specs, job << 16 | group, 1);
    if (a->starts.size > 0)
        a->specs_pending++;
    agent_say(ctl, a, MU_MSG_SPEC, &spec);
    place_note(ctl, job, a->node);
}

void mu_ctl_agent_start(struct mu_ctl *ctl, uint64_t job, uint32_t ordinal, uint32_t attempt, uint32_t node)
{
    struct mu_ctl_agent *a = node < ctl->nodes_count ? ctl->nodes[node].agent : NULL;
    uint32_t group;
    uint64_t key;

    if (a == NULL)
        return; /* when it comes back both sides compare, or its lease runs out */
    group = mu_view_group_of(ctl->core, job, ordinal);
    key = job << 16 | group;
    if (key != a->spec_last && mu_map_find(&a->specs, key) == NULL)
        spec_send(ctl, a, job, group);
    a->spec_last = key;
    struct mu_start start = {
        .job = job, .ordinal = ordinal, .attempt = attempt, .group = group,
        .index = mu_view_array_value(ctl->core, job, ordinal), .line = mu_view_line(ctl->core, job, ordinal),
    };
    if (a->starts.size > START_FRAME_MAX)
        starts_close(ctl, a);
    mu_pb_put_field(&a->starts, 1, &mu_start_pb, &start);
    agent_dirty(ctl, a);
}

void mu_ctl_agent_stop(struct mu_ctl *ctl, uint64_t job, uint32_t ordinal, uint32_t attempt, uint32_t node, enum mu_end how)
{
    struct mu_ctl_agent *a = node < ctl->nodes_count ? ctl->nodes[node].agent : NULL;
    struct mu_stop stop = { .job = job, .ordinal = ordinal, .attempt = attempt, .how = how };

    if (a == NULL)
        return;
    if (a->stops.size > START_FRAME_MAX) {
        starts_close(ctl, a);
        stops_close(ctl, a);
    }
    mu_pb_put_field(&a->stops, 1, &mu_stop_pb, &stop);
    agent_dirty(ctl, a);
}

/* The node changed: one that is called lost while its connection lives has to join again. */
void mu_ctl_agents_node(struct mu_ctl *ctl, uint32_t node)
{
    const struct mu_node *n = mu_view_node(ctl->core, node);
    struct mu_ctl_node *mine = node_at(ctl, node);

    if (n->state != MU_NODE_DOWN && n->state != MU_NODE_AWAY)
        return;
    mine->losing = false;
    if (mine->agent)
        agent_refuse(ctl, mine->agent, "lost", "the node was silent for longer than its lease", false);
}

/* ---- reports ---- */

static bool is_current(const struct mu_ctl *ctl, const struct mu_ctl_agent *a, uint64_t job, uint32_t ordinal, uint32_t attempt,
                       const struct mu_attempt **out)
{
    const struct mu_attempt *t = mu_view_attempt(ctl->core, job, ordinal);

    *out = t;
    return t && t->attempt == attempt && t->node == a->node;
}

static void report_started(struct mu_ctl *ctl, uint64_t stamp_ms, struct mu_ctl_agent *a, const struct mu_started *s)
{
    const struct mu_attempt *t;
    uint64_t ago_ms = s->ago_us / 1000;
    struct mu_ev_started ev = { .job = s->job, .ordinal = s->ordinal, .attempt = s->attempt };

    if (!is_current(ctl, a, s->job, s->ordinal, s->attempt, &t) || t->state != MU_TASK_STARTING)
        return;
    ev.started_ms = stamp_ms > ago_ms ? stamp_ms - ago_ms : 0;
    mu_ctl_propose(ctl, MU_EV_STARTED, &ev);
}

static bool report_ended(struct mu_ctl *ctl, uint64_t stamp_ms, struct mu_ctl_agent *a, const struct mu_result *r)
{
    const struct mu_attempt *t;
    uint64_t ago_ms = (r->ago_us + r->run_us) / 1000;
    struct mu_ev_ended ev = {
        .job = r->job, .ordinal = r->ordinal, .attempt = r->attempt, .how = r->how, .code = r->code,
        .run_us = r->run_us, .user_us = r->user_us, .sys_us = r->sys_us,
        .rss_bytes = r->rss_bytes, .out_bytes = r->out_bytes, .err_bytes = r->err_bytes,
    };

    if (!is_current(ctl, a, r->job, r->ordinal, r->attempt, &t)) {
        ctl->stats.stale_results++;
        return false;
    }
    ev.started_ms = stamp_ms > ago_ms ? stamp_ms - ago_ms : 0;
    mu_ctl_propose(ctl, MU_EV_ENDED, &ev);
    return true;
}

static bool on_report(struct mu_ctl *ctl, struct mu_ctl_now now, struct mu_ctl_agent *a, const struct mu_msg_report *r, struct mu_err *err)
{
    uint64_t stamp_ms = mu_ctl_stamp_ms(ctl, now);
    struct mu_ctl_entry *newest;

    if (r->seq != a->reports + 1)
        return mu_fail(err, MU_INVALID, "report %llu after %llu", (unsigned long long)r->seq, (unsigned long long)a->reports), false;
    a->reports = r->seq;
    for (uint32_t i = 0; i < r->ended_count; i++)
        if (r->ended[i].how >= MU_ENDS)
            return mu_fail(err, MU_INVALID, "a result of kind %u", r->ended[i].how), false;
    for (uint32_t i = 0; i < r->started_count; i++)
        report_started(ctl, stamp_ms, a, &r->started[i]);
    for (uint32_t i = 0; i < r->ended_count; i++)
        report_ended(ctl, stamp_ms, a, &r->ended[i]);
    if (r->ended_count == 0)
        return true;
    newest = mu_ctl_newest(ctl); /* stale ones may be known from events that are still on their way */
    if (newest == NULL) {
        mu_ctl_agent_ack(ctl, a, r->seq);
        return true;
    }
    struct mu_ctl_mark *m = mu_ctl_mark_add(newest, MU_CTL_MARK_ACK);
    m->agent = a;
    m->report = r->seq;
    a->refs++;
    return true;
}

void mu_ctl_agent_ack(struct mu_ctl *ctl, struct mu_ctl_agent *a, uint64_t report)
{
    if (a->state != MU_CTL_AGENT_UP)
        return;
    a->ack = report > a->ack ? report : a->ack;
    agent_dirty(ctl, a);
}

/* ---- messages ---- */

static void on_ping(struct mu_ctl *ctl, struct mu_ctl_agent *a, const struct mu_msg_ping *p)
{
    a->ping = *p;
    a->pinged = true;
    if (p->leaving) /* no NODE_LOST: what runs there has not ended yet */
        mu_sched_node_silent(ctl->sched, a->node, true);
    agent_say(ctl, a, MU_MSG_PONG, &(struct mu_msg_pong){ .sent_us = p->sent_us });
}

bool mu_ctl_agent_msg(struct mu_ctl *ctl, struct mu_ctl_now now, struct mu_ctl_agent *a, const struct mu_msg *msg, struct mu_err *err)
{
    bool hello = msg->type == MU_MSG_HELLO;

    if (a->state == MU_CTL_AGENT_GONE)
        return true; /* it does not know yet that it was dropped */
    if (mu_msg_sender(msg->type) != 'A' || hello != (a->state == MU_CTL_AGENT_OPEN) || a->state == MU_CTL_AGENT_JOINING)
        return mu_fail(err, MU_INVALID, "%s is out of place", mu_msg_name(msg->type)), false;
    if (hello) {
        if (msg->hello.attempts_count > ATTEMPTS_HAD_MAX)
            return mu_fail(err, MU_TOOBIG, "a HELLO with %u attempts", msg->hello.attempts_count), false;
        on_hello(ctl, now, a, &msg->hello);
        return true;
    }
    ctl->nodes[a->node].heard_ms = now.boot_ms;
    if (msg->type == MU_MSG_REPORT)
        return on_report(ctl, now, a, &msg->report, err);
    if (msg->type == MU_MSG_PING)
        on_ping(ctl, a, &msg->ping);
    else
        ctl->out.agent_msg(ctl->out.arg, a->peer, msg);
    return true;
}

/* ---- leases ---- */

/* This process did not run for a while: what the nodes said meanwhile has not been read yet. */
void mu_ctl_agents_paused(struct mu_ctl *ctl, uint64_t gap_ms)
{
    for (uint32_t i = 0; i < ctl->nodes_count; i++)
        ctl->nodes[i].heard_ms += gap_ms;
}

void mu_ctl_agents_fresh(struct mu_ctl *ctl, struct mu_ctl_now now)
{
    uint32_t count = mu_view_nodes(ctl->core);

    if (count > 0)
        node_at(ctl, count - 1);
    for (uint32_t i = 0; i < ctl->nodes_count; i++) {
        ctl->nodes[i].heard_ms = now.boot_ms;
        ctl->nodes[i].losing = false;
        if (i < count)
            mu_sched_node_silent(ctl->sched, i, ctl->nodes[i].agent == NULL);
    }
    ctl->scan_ms = now.boot_ms;
}

void mu_ctl_agents_scan(struct mu_ctl *ctl, struct mu_ctl_now now)
{
    uint64_t silent_max = ctl->opt.lease_ms + ctl->opt.lease_margin_ms;
    uint32_t count = mu_view_nodes(ctl->core);

    if (now.boot_ms < ctl->scan_ms)
        return;
    ctl->scan_ms = now.boot_ms + ctl->opt.lease_ms / SCANS_A_LEASE + 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_node *n = mu_view_node(ctl->core, i);
        struct mu_ctl_node *mine = node_at(ctl, i);
        struct mu_ev_node_lost lost = { .node = i, .why = MU_STR_LIT("silent") };

        if (n->state == MU_NODE_DOWN || n->state == MU_NODE_AWAY || mine->losing || now.boot_ms < mine->heard_ms + silent_max)
            continue;
        mine->losing = true;
        ctl->stats.nodes_lost++;
        mu_ctl_propose(ctl, MU_EV_NODE_LOST, &lost);
    }
}

/* ---- looks ---- */

void *mu_ctl_node_peer(const struct mu_ctl *ctl, uint32_t node)
{
    return node < ctl->nodes_count && ctl->nodes[node].agent ? ctl->nodes[node].agent->peer : NULL;
}

const struct mu_msg_ping *mu_ctl_node_ping(const struct mu_ctl *ctl, uint32_t node)
{
    const struct mu_ctl_agent *a = node < ctl->nodes_count ? ctl->nodes[node].agent : NULL;

    return a && a->pinged ? &a->ping : NULL;
}

void mu_ctl_agents_fini(struct mu_ctl *ctl)
{
    MU_LIST_EACH_SAFE(it, &ctl->agents) {
        struct mu_ctl_agent *a = agent_of(it);
        a->state = MU_CTL_AGENT_GONE;
        a->peer = NULL;
        a->refs = 1;
        mu_ctl_agent_unref(ctl, a);
    }
    mu_map_fini(&ctl->names);
    mu_map_fini(&ctl->place_jobs);
    free(ctl->nodes);
    free(ctl->places);
}
