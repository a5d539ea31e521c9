/* The control server's pure half: commits become effects, a turn decides and appends. Entries, requests and agents
 * have files of their own. */

#include "server/ctl_impl.h"

#include "journal/journal.h"

enum {
    DRIFT_PART = 8,          /* stamps run at 7/8 to 9/8 of the boottime clock while they approach the wall clock */
    FULL_RETRY_MS = 1000,
};

const struct mu_ctl_options mu_ctl_options_default = {
    .server_name = "",
    .server_url = "",
    .lease_ms = 9000,
    .lease_margin_ms = 500,
    .record_max = 1 << 20,
    .inflight_max = 2,
    .gather_max = 64 << 20,
    .request_max = 256 << 20,
    .requests_max = 1 << 20,
    .decide_max = 4096,
};

/* ---- time ---- */

uint64_t mu_ctl_stamp_ms(struct mu_ctl *ctl, struct mu_ctl_now now)
{
    int64_t pace = (int64_t)(now.boot_ms - ctl->drift_at_ms) / DRIFT_PART;
    int64_t apart = (int64_t)(now.wall_ms - now.boot_ms) - ctl->drift_ms;
    uint64_t stamp;

    if (pace > 0) {
        ctl->drift_ms += apart > pace ? pace : apart < -pace ? -pace : apart;
        ctl->drift_at_ms = now.boot_ms;
    }
    stamp = now.boot_ms + (uint64_t)ctl->drift_ms;
    return stamp > mu_view_now_ms(ctl->core) ? stamp : mu_view_now_ms(ctl->core);
}

static void time_begin(struct mu_ctl *ctl, struct mu_ctl_now now)
{
    uint64_t last = mu_view_now_ms(ctl->core);

    ctl->drift_ms = (int64_t)((now.wall_ms > last ? now.wall_ms : last) - now.boot_ms);
    ctl->drift_at_ms = now.boot_ms;
    ctl->turned_ms = now.boot_ms;
}

/* ---- commits ---- */

/* Where a commit is: its entry if it is ours, and the first mark not passed yet. */
struct commit {
    struct mu_ctl_now now;
    uint64_t seq, time_ms;
    struct mu_ctl_entry *own;
    uint32_t event, mark;
};

static struct mu_ctl_mark *mark_of_event(const struct commit *c)
{
    struct mu_ctl_mark *m = c->own && c->mark < c->own->marks_count ? &c->own->marks[c->mark] : NULL;

    return m && m->event == c->event ? m : NULL;
}

static void on_reply(struct mu_ctl *ctl, struct commit *c, const struct mu_fx *fx)
{
    struct mu_ctl_mark *m;

    while ((m = mark_of_event(c)) != NULL && m->kind == MU_CTL_MARK_ACK)
        c->mark++; /* its turn comes when all of the entry is applied */
    if (m == NULL)
        return;
    c->mark++;
    if (m->kind == MU_CTL_MARK_JOIN) {
        mu_ctl_agent_joined(ctl, c->now, m->agent, fx);
        return;
    }
    struct mu_ctl_reply reply = { .rc = fx->rc, .job = fx->job, .existing = fx->existing, .field = fx->field, .text = fx->text };
    mu_ctl_request_replied(ctl, m->request, &reply);
}

static void policy_apply(struct mu_ctl *ctl, const char *kind)
{
    struct mu_policy_view p = mu_view_policy(ctl->core, kind);

    /* It was checked before it was proposed; a policy this version does not have leaves the one before in force. */
    (void)mu_sched_policy_set(ctl->sched, mu_str_of(kind), p.name, p.params, NULL);
}

/* What the leader does about one effect. */
static void effect_perform(struct mu_ctl *ctl, struct commit *c, const struct mu_fx *fx)
{
    switch (fx->kind) {
    case MU_FX_REPLY:
        on_reply(ctl, c, fx);
        break;
    case MU_FX_GROUP:
        mu_sched_on_group(ctl->sched, fx->job, fx->group);
        break;
    case MU_FX_NODE:
        mu_sched_on_node(ctl->sched, fx->node);
        mu_ctl_agents_node(ctl, fx->node);
        break;
    case MU_FX_START:
        mu_sched_on_placed(ctl->sched, fx->job, fx->ordinal);
        mu_ctl_agent_start(ctl, fx->job, fx->ordinal, fx->attempt, fx->node);
        break;
    case MU_FX_STOP:
        mu_ctl_agent_stop(ctl, fx->job, fx->ordinal, fx->attempt, fx->node, fx->how);
        break;
    case MU_FX_UNPLACED:
        mu_sched_on_unplaced(ctl->sched, fx->job, fx->ordinal, fx->node, fx->shape);
        break;
    case MU_FX_FREED:
        mu_sched_on_freed(ctl->sched, fx->job, fx->ordinal, fx->node, fx->shape);
        break;
    case MU_FX_ENDED:
        if (fx->node != MU_NODE_NONE && fx->ended->run_us > 0)
            mu_sched_on_ended(ctl->sched, fx->node, fx->shape, fx->ended->run_us, fx->state == MU_TASK_SUCCEEDED);
        break;
    case MU_FX_FORGET:
        mu_ctl_agents_forget(ctl, fx->job);
        break;
    case MU_FX_POLICY:
        policy_apply(ctl, fx->text);
        break;
    case MU_FX_USER:
        mu_sched_on_quota(ctl->sched);
        break;
    case MU_FX_TASK:
    case MU_FX_JOB:
        break;
    }
}

static void event_commit(struct mu_ctl *ctl, struct commit *c, const struct mu_event *ev)
{
    mu_core_apply(ctl->core, c->time_ms, ev, &ctl->fx);
    for (uint32_t i = 0; i < ctl->fx.count; i++) {
        ctl->out.effect(ctl->out.arg, c->seq, c->time_ms, &ctl->fx.at[i]);
        if (ctl->leads)
            effect_perform(ctl, c, &ctl->fx.at[i]);
    }
    if (ev->kind == MU_EV_DUE)
        ctl->due = false;
    for (struct mu_ctl_mark *m; (m = mark_of_event(c)) != NULL; c->mark++)
        MU_ASSERT(m->kind == MU_CTL_MARK_ACK); /* every request got its REPLY */
}

static void acks_commit(struct mu_ctl *ctl, struct mu_ctl_entry *own)
{
    for (uint32_t i = 0; i < own->marks_count; i++)
        if (own->marks[i].kind == MU_CTL_MARK_ACK)
            mu_ctl_agent_ack(ctl, own->marks[i].agent, own->marks[i].report);
}

void mu_ctl_on_commit(struct mu_ctl *ctl, struct mu_ctl_now now, uint64_t seq, uint64_t epoch, const void *bytes, size_t size)
{
    struct commit c = { .now = now, .seq = seq };
    struct mu_reader r;
    struct mu_event ev;

    MU_ASSERT(seq == ctl->applied + 1);
    if (ctl->leads) {
        c.own = mu_ctl_flying(ctl, seq);
        MU_ASSERT(c.own != NULL && epoch == ctl->epoch);
    } else {
        ctl->sched_stale = true;
    }
    MU_ASSERT(mu_entry_open(&r, bytes, size, &c.time_ms));
    for (; mu_arena_reset(&ctl->arena), mu_entry_next(&r, &ev, &ctl->arena); c.event++)
        event_commit(ctl, &c, &ev);
    MU_ASSERT(!r.bad);
    ctl->applied = seq;
    if (c.own) {
        c.own->committed = true;
        acks_commit(ctl, c.own);
    }
}

/* ---- the journal's other news ---- */

/* The seq stays free and the epoch goes on: everything not durable is dropped, as if it had never been asked. */
static void full_settle(struct mu_ctl *ctl, struct mu_ctl_now now)
{
    ctl->next_seq = ctl->full_seq;
    ctl->full_until_ms = now.boot_ms + FULL_RETRY_MS;
    mu_ctl_requests_fail(ctl, MU_FULL, MU_FULL, "the journal has no space left");
    mu_ctl_agents_refuse(ctl, "full", "the journal has no space left");
    mu_ctl_gather_drop(ctl);
    mu_ctl_agents_fresh(ctl, now);
    mu_sched_reset(ctl->sched);
}

void mu_ctl_on_done(struct mu_ctl *ctl, struct mu_ctl_now now, uint64_t seq, int journal_end)
{
    struct mu_ctl_entry *e = MU_CONTAINER(ctl->flying.next, struct mu_ctl_entry, link);

    MU_ASSERT(!mu_list_is_empty(&ctl->flying) && e->seq == seq);
    MU_ASSERT(e->committed == (journal_end == MU_JOURNAL_OK));
    ctl->flying_count--;
    if (journal_end == MU_JOURNAL_OK) {
        ctl->full_until_ms = 0;
        mu_ctl_entry_recycle(ctl, e);
        return;
    }
    mu_list_remove(&e->link);
    mu_list_add_head(&ctl->queue, &e->link); /* dropped with the rest, soon */
    ctl->stuck = true;
    if (journal_end == MU_JOURNAL_FULL && !ctl->full) {
        ctl->full = true;
        ctl->full_seq = seq;
    }
    if (ctl->full && mu_list_is_empty(&ctl->flying))
        full_settle(ctl, now);
}

void mu_ctl_on_lead(struct mu_ctl *ctl, struct mu_ctl_now now, uint64_t epoch, uint64_t next_seq)
{
    struct mu_ev_lead lead = { .epoch = epoch, .server = mu_str_of(ctl->opt.server_name), .url = mu_str_of(ctl->opt.server_url) };

    MU_ASSERT(!ctl->leads && epoch > ctl->epoch && next_seq == ctl->applied + 1);
    MU_ASSERT(mu_list_is_empty(&ctl->queue) && mu_list_is_empty(&ctl->flying));
    ctl->leads = true;
    ctl->epoch = epoch;
    ctl->next_seq = next_seq;
    ctl->full_until_ms = 0;
    time_begin(ctl, now);
    (void)mu_ctl_sched(ctl);
    mu_ctl_agents_fresh(ctl, now);
    mu_ctl_propose(ctl, MU_EV_LEAD, &lead);
}

void mu_ctl_on_lost(struct mu_ctl *ctl, struct mu_ctl_now now)
{
    (void)now;
    if (!ctl->leads)
        return;
    ctl->leads = false;
    ctl->sched_stale = true; /* the overlay goes with the lead */
    mu_ctl_requests_fail(ctl, MU_NOTLEADER, MU_UNKNOWN, NULL);
    ctl->withdrawn_count = 0; /* the next LEAD drops them */
    mu_ctl_agents_refuse(ctl, "not_leader", "this server does not lead any more");
    mu_ctl_gather_drop(ctl);
    mu_ctl_agents_flush(ctl);
}

/* ---- a turn ---- */

static void decide(struct mu_ctl *ctl, uint64_t stamp_ms)
{
    struct mu_decision d;
    uint32_t n = 0;

    for (; n < ctl->opt.decide_max && mu_ctl_gather_has_room(ctl); n++) {
        if (!mu_sched_next(ctl->sched, stamp_ms, &d))
            return;
        struct mu_ev_placed placed = { .job = d.job, .ordinal = d.ordinal, .attempt = d.attempt, .node = d.node };
        mu_ctl_propose(ctl, MU_EV_PLACED, &placed);
        ctl->stats.decided++;
    }
    ctl->more = true;
}

static void due_propose(struct mu_ctl *ctl)
{
    ctl->due = true;
    mu_ctl_propose(ctl, MU_EV_DUE, &(struct mu_ev_due){ 0 });
}

static void lead_turn(struct mu_ctl *ctl, struct mu_ctl_now now)
{
    uint64_t stamp_ms = mu_ctl_stamp_ms(ctl, now), gap_ms = now.boot_ms - ctl->turned_ms;

    if (gap_ms > ctl->opt.lease_ms / 2)
        mu_ctl_agents_paused(ctl, gap_ms);
    mu_ctl_agents_scan(ctl, now);
    if (!ctl->due && (mu_core_wake_ms(ctl->core) <= stamp_ms || ctl->full_until_ms != 0)) /* when full: to see if it still is */
        due_propose(ctl);
    mu_ctl_requests_withdraw(ctl);
    mu_ctl_requests_feed(ctl);
    decide(ctl, stamp_ms);
    mu_ctl_append_all(ctl, stamp_ms);
}

void mu_ctl_turn(struct mu_ctl *ctl, struct mu_ctl_now now)
{
    ctl->more = false;
    if (ctl->leads && !ctl->stuck && now.boot_ms >= ctl->full_until_ms)
        lead_turn(ctl, now);
    ctl->turned_ms = now.boot_ms;
    mu_ctl_agents_flush(ctl);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t mu_ctl_wake_ms(const struct mu_ctl *ctl, struct mu_ctl_now now)
{
    uint64_t wake_ms = UINT64_MAX, due_ms = mu_core_wake_ms(ctl->core);
    uint64_t stamp_ms = now.boot_ms + (uint64_t)ctl->drift_ms;

    if (!ctl->leads || ctl->stuck)
        return UINT64_MAX;
    if (ctl->full_until_ms > now.boot_ms)
        return ctl->full_until_ms;
    if (ctl->more && !ctl->refused && ctl->flying_count < ctl->opt.inflight_max)
        return now.boot_ms;
    if (mu_view_nodes(ctl->core) > 0)
        wake_ms = ctl->scan_ms;
    if (!ctl->due && due_ms != UINT64_MAX)
        wake_ms = earlier(wake_ms, now.boot_ms + (due_ms > stamp_ms ? due_ms - stamp_ms : 0));
    return wake_ms;
}

/* ---- life, snapshots, looks ---- */

struct mu_ctl *mu_ctl_new(const struct mu_ctl_options *opt, const struct mu_ctl_out *out)
{
    struct mu_ctl *ctl = calloc(1, sizeof *ctl);

    MU_ASSERT(ctl != NULL && opt->record_max >= MU_EVENT_BYTES_MAX + 4096 && opt->inflight_max > 0 && opt->lease_ms > 0);
    ctl->opt = *opt;
    ctl->opt.server_name = mu_str_dup(mu_str_of(opt->server_name));
    ctl->opt.server_url = mu_str_dup(mu_str_of(opt->server_url));
    ctl->out = *out;
    mu_list_init(&ctl->queue);
    mu_list_init(&ctl->flying);
    mu_list_init(&ctl->spare);
    mu_list_init(&ctl->requests);
    mu_list_init(&ctl->feeding);
    mu_list_init(&ctl->requests_spare);
    mu_list_init(&ctl->agents);
    mu_list_init(&ctl->dirty);
    ctl->core = mu_core_new(&ctl->opt.core_limits);
    ctl->sched = mu_sched_new(ctl->core, ctl->opt.seed);
    return ctl;
}

void mu_ctl_free(struct mu_ctl *ctl)
{
    if (ctl == NULL)
        return;
    mu_ctl_requests_fail(ctl, MU_CLOSED, MU_UNKNOWN, NULL);
    mu_ctl_gather_fini(ctl);
    mu_ctl_requests_fini(ctl);
    mu_ctl_agents_fini(ctl);
    mu_sched_free(ctl->sched);
    mu_core_free(ctl->core);
    mu_fx_fini(&ctl->fx);
    mu_arena_fini(&ctl->arena);
    mu_buf_fini(&ctl->scratch);
    mu_buf_fini(&ctl->key);
    free((char *)ctl->opt.server_name);
    free((char *)ctl->opt.server_url);
    free(ctl);
}

void mu_ctl_save(const struct mu_ctl *ctl, struct mu_buf *b)
{
    mu_core_save(ctl->core, b);
}

enum mu_rc mu_ctl_load(struct mu_ctl *ctl, uint64_t upto, const void *bytes, size_t size, struct mu_err *err)
{
    struct mu_core *core = mu_core_new(&ctl->opt.core_limits);
    enum mu_rc rc = mu_core_load(core, bytes, size, err);

    MU_ASSERT(!ctl->leads);
    if (rc != MU_OK) {
        mu_core_free(core);
        return rc;
    }
    mu_sched_free(ctl->sched);
    mu_core_free(ctl->core);
    ctl->core = core;
    ctl->sched = mu_sched_new(core, ctl->opt.seed);
    ctl->sched_stale = true;
    ctl->applied = upto;
    return MU_OK;
}

void mu_ctl_stats_get(const struct mu_ctl *ctl, struct mu_ctl_stats *out)
{
    *out = ctl->stats;
    out->inflight = ctl->flying_count;
    out->requests = ctl->requests_count;
    out->gathered = ctl->queued_bytes;
}

const struct mu_core *mu_ctl_core(const struct mu_ctl *ctl) { return ctl->core; }

struct mu_sched *mu_ctl_sched(struct mu_ctl *ctl)
{
    if (ctl->sched_stale) {
        mu_sched_reset(ctl->sched);
        policy_apply(ctl, "order");
        policy_apply(ctl, "place");
        ctl->sched_stale = false;
    }
    return ctl->sched;
}

bool mu_ctl_leads(const struct mu_ctl *ctl) { return ctl->leads; }
uint64_t mu_ctl_epoch(const struct mu_ctl *ctl) { return ctl->epoch; }
uint64_t mu_ctl_applied(const struct mu_ctl *ctl) { return ctl->applied; }

void mu_ctl_check(const struct mu_ctl *ctl)
{
    size_t queued = 0;
    uint32_t flying = 0, agents = 0;
    uint64_t seq = ctl->applied;

    MU_LIST_EACH(it, (struct mu_list *)&ctl->queue)
        queued += MU_CONTAINER(it, struct mu_ctl_entry, link)->bytes.size;
    MU_LIST_EACH(it, (struct mu_list *)&ctl->flying) {
        const struct mu_ctl_entry *e = MU_CONTAINER(it, struct mu_ctl_entry, link);
        MU_ASSERT(e->committed || ctl->stuck || e->seq == ++seq);
        flying++;
    }
    MU_ASSERT(ctl->stuck || queued == ctl->queued_bytes);
    MU_ASSERT(flying == ctl->flying_count && flying <= ctl->opt.inflight_max);
    MU_ASSERT(ctl->leads || (flying == 0 && queued == 0 && mu_list_is_empty(&ctl->requests)));
    MU_LIST_EACH(it, (struct mu_list *)&ctl->agents) {
        const struct mu_ctl_agent *a = MU_CONTAINER(it, struct mu_ctl_agent, link);
        MU_ASSERT(a->state != MU_CTL_AGENT_UP || (ctl->leads && ctl->nodes[a->node].agent == a));
        MU_ASSERT((a->state == MU_CTL_AGENT_JOINING || a->state == MU_CTL_AGENT_UP) ==
                  (a->name != NULL && mu_map_get_ptr(&ctl->names, a->name_hash) == a));
        agents++;
    }
    MU_ASSERT(agents == ctl->stats.agents);
}
