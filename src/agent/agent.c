/* agent/agent.c -- the node's pure half: one table of attempts, one connection, one lease.
 *
 * An attempt sits in exactly one list, and the list says what is owed for it:
 *   queued (a spawn) -> live (an exit) -> ended (a report) -> sent (an acknowledgement) -> gone
 * fresh is the part of live whose start has not been reported on this connection.
 */
#include "agent/agent.h"

#include "agent/table.h"
#include "base/assert.h"

#include <errno.h>
#include <signal.h>

enum { KILL_AGAIN_MS = 5000, WELCOME_MS = 5000 };

enum link_state { LINK_DOWN, LINK_HELLO, LINK_WELCOMED, LINK_DROPPED };

struct mu_agent {
    struct mu_agent_options opt;
    struct mu_agent_out out;
    struct mu_arena own, scratch; /* options; one frame's arrays */
    struct mu_buf frame;
    struct mu_specs specs;

    struct mu_agent_table table;
    struct mu_list queued, live, fresh, ended, sent;
    uint32_t running;         /* not ended */
    struct mu_room room;
    struct mu_heap due;
    uint64_t next_id;

    enum link_state link;
    uint8_t cluster[16];
    uint64_t epoch, report_seq;
    uint64_t lease_ms, lease_from_ms, hello_ms, ping_ms; /* lease_ms 0: none yet */
    bool leaving, say_leaving; /* say: the next turn pings, whether one is due or not */
    bool fenced;
};

static const struct {
    enum mu_task_state state;
    unsigned next;
} phases[] = {
    [MU_ATTEMPT_QUEUED] = { MU_TASK_STARTING, 1u << MU_ATTEMPT_SPAWNING | 1u << MU_ATTEMPT_ENDED },
    [MU_ATTEMPT_SPAWNING] = { MU_TASK_STARTING, 1u << MU_ATTEMPT_RUNNING | 1u << MU_ATTEMPT_ENDED },
    [MU_ATTEMPT_RUNNING] = { MU_TASK_RUNNING, 1u << MU_ATTEMPT_ENDED },
    [MU_ATTEMPT_ENDED] = { MU_TASK_FAILED, 0 },
};
_Static_assert(MU_COUNT(phases) == MU_ATTEMPT_PHASES, "one row a phase");

static void phase_move(struct mu_agent_attempt *t, enum mu_attempt_phase next)
{
    MU_ASSERT(phases[t->phase].next & 1u << next);
    t->phase = next;
}

static void list_move(struct mu_list *to, struct mu_agent_attempt *t)
{
    mu_list_remove(&t->link);
    mu_list_add_tail(to, &t->link);
}

static struct mu_agent_attempt *attempt_add(struct mu_agent *a, uint64_t id, uint64_t job, uint32_t ordinal, uint32_t attempt)
{
    struct mu_agent_attempt *t = mu_agent_table_add(&a->table, id, job, ordinal, attempt);

    list_move(&a->queued, t);
    a->running++;
    return t;
}

/* The life of an attempt. */

static void attempt_arm(struct mu_agent *a, struct mu_agent_attempt *t, uint64_t due_ms)
{
    mu_heap_remove(&a->due, &t->due);
    mu_heap_add(&a->due, &t->due, due_ms, t->id);
}

static void attempt_end(struct mu_agent *a, struct mu_agent_attempt *t, uint64_t now_ms, const struct mu_agent_exit *exit)
{
    if (t->spawned)
        mu_room_give(&a->room, &t->need, t->spec != NULL ? &t->spec->spec : NULL, t->lane);
    a->running--;
    phase_move(t, MU_ATTEMPT_ENDED);
    mu_heap_remove(&a->due, &t->due);
    t->exit = *exit;
    if (t->stop != MU_END_EXIT)
        t->exit.how = t->stop;
    t->ended_ms = now_ms;
    mu_spec_unref(t->spec);
    free(t->line);
    t->spec = NULL;
    t->line = NULL;
    list_move(&a->ended, t);
}

static void attempt_end_as(struct mu_agent *a, struct mu_agent_attempt *t, uint64_t now_ms, enum mu_end how, uint32_t code)
{
    attempt_end(a, t, now_ms, &(struct mu_agent_exit){ .id = t->id, .how = how, .code = code });
}

static void attempt_kill(struct mu_agent *a, struct mu_agent_attempt *t, uint64_t now_ms)
{
    t->killed = true;
    a->out.kill(a->out.arg, t->id, SIGKILL, t->stop);
    attempt_arm(a, t, now_ms + KILL_AGAIN_MS);
}

/* TERM now, KILL at kill_ms. A second reason to stop can only bring the KILL forward. */
static void attempt_stop(struct mu_agent *a, struct mu_agent_attempt *t, uint64_t now_ms, enum mu_end how, uint64_t kill_ms)
{
    if (t->phase == MU_ATTEMPT_ENDED)
        return;
    if (t->phase == MU_ATTEMPT_QUEUED) {
        attempt_end_as(a, t, now_ms, how, 0);
        return;
    }
    if (t->stop == MU_END_EXIT) {
        t->stop = how;
        a->out.kill(a->out.arg, t->id, SIGTERM, how);
        attempt_arm(a, t, kill_ms);
    } else if (!t->killed && kill_ms < t->due.key) {
        attempt_arm(a, t, kill_ms);
    }
}

static void attempt_running(struct mu_agent *a, struct mu_agent_attempt *t, uint64_t now_ms, uint64_t started_ms, uint64_t limit_ms)
{
    phase_move(t, MU_ATTEMPT_RUNNING);
    t->started_ms = started_ms;
    list_move(&a->fresh, t);
    if (limit_ms > 0 && t->stop == MU_END_EXIT)
        attempt_arm(a, t, now_ms + limit_ms);
}

/* lane_max: how many of its lane may run. */
static void attempt_spawn(struct mu_agent *a, struct mu_agent_attempt *t, uint32_t lane_max)
{
    const struct mu_group_spec *s = &t->spec->spec;
    uint64_t step = s->array_step > 0 ? s->array_step : 1, tasks = t->spec->tasks > 0 ? t->spec->tasks : 1;

    phase_move(t, MU_ATTEMPT_SPAWNING);
    t->spawned = true;
    list_move(&a->live, t);
    a->out.spawn(a->out.arg, &(struct mu_agent_spawn){
        .id = t->id, .job = t->job, .ordinal = t->ordinal, .attempt = t->attempt, .index = t->index,
        .first = s->array_first, .last = s->array_first + (tasks - 1) * step, .tasks = tasks,
        .spec_id = t->spec->id, .spec = s, .line = mu_str_of(t->line), .job_name = t->spec->job_name, .user = t->spec->user,
        .need = t->need, .lane = t->lane, .lane_max = lane_max });
    free(t->line);
    t->line = NULL;
}

/* What the spawner has in its hands comes first, then the queue in its order. */
static void spawn_queued(struct mu_agent *a)
{
    uint32_t lane, max;

    while ((lane = mu_room_widen(&a->room, &max)) != 0)
        a->out.lane(a->out.arg, lane, max);
    while (!mu_list_is_empty(&a->queued)) {
        struct mu_agent_attempt *t = MU_CONTAINER(a->queued.next, struct mu_agent_attempt, link);

        if (!mu_room_take(&a->room, &t->need, &t->spec->spec, &t->lane, &max))
            return;
        attempt_spawn(a, t, max);
    }
}

/* The connection. */

static void send_frame(struct mu_agent *a, enum mu_msg_type type, const void *msg)
{
    mu_buf_clear(&a->frame);
    mu_frame_put(&a->frame, type, a->epoch, msg);
    a->out.send(a->out.arg, a->frame.at, a->frame.size);
}

static void drop(struct mu_agent *a, const char *why, bool final)
{
    if (a->link == LINK_DROPPED || a->link == LINK_DOWN)
        return;
    a->link = LINK_DROPPED;
    a->out.drop(a->out.arg, why, final);
}

static bool is_zero(const uint8_t cluster[16])
{
    static const uint8_t zero[16];

    return memcmp(cluster, zero, sizeof zero) == 0;
}

static enum mu_task_state hello_state(const struct mu_agent_attempt *t)
{
    if (t->phase != MU_ATTEMPT_ENDED)
        return t->stop != MU_END_EXIT ? MU_TASK_STOPPING : phases[t->phase].state;
    if (t->exit.how == MU_END_EXIT && t->exit.code == 0)
        return MU_TASK_SUCCEEDED;
    return t->exit.how == MU_END_CANCEL ? MU_TASK_CANCELLED : t->exit.how == MU_END_NODE_LOST ? MU_TASK_LOST : MU_TASK_FAILED;
}

static void send_hello(struct mu_agent *a)
{
    const struct mu_agent_options *o = &a->opt;
    struct mu_list *const lists[] = { &a->queued, &a->live, &a->fresh, &a->ended, &a->sent };
    struct mu_msg_hello h = {
        .name = mu_str_of(o->name), .boot = mu_str_of(o->boot), .version = mu_str_of(o->version), .limits = mu_str_of(o->limits),
        .epoch = a->epoch, .cpu_milli = o->cpu_milli, .mem_bytes = o->mem_bytes, .gpu_milli = o->gpu_milli, .keep = o->keep,
        .resources = (struct mu_amount *)o->resources, .resources_count = o->resources_count,
        .labels = { (struct mu_str *)o->labels, o->labels_count },
    };

    if (!is_zero(a->cluster))
        h.cluster = (struct mu_str){ (const char *)a->cluster, sizeof a->cluster };
    mu_arena_reset(&a->scratch);
    h.attempts = mu_arena_alloc(&a->scratch, (mu_agent_table_count(&a->table) + 1) * sizeof *h.attempts);
    for (size_t i = 0; i < MU_COUNT(lists); i++)
        MU_LIST_EACH(it, lists[i]) {
            const struct mu_agent_attempt *t = MU_CONTAINER(it, struct mu_agent_attempt, link);
            h.attempts[h.attempts_count++] = (struct mu_task_ref){ t->job, t->ordinal, t->attempt, hello_state(t) };
        }
    MU_ASSERT(h.attempts_count == mu_agent_table_count(&a->table));
    send_frame(a, MU_MSG_HELLO, &h);
}

static void send_ping(struct mu_agent *a, uint64_t now_ms, const struct mu_msg_ping *load)
{
    struct mu_msg_ping ping = load != NULL ? *load : (struct mu_msg_ping){ 0 };

    ping.sent_us = now_ms * 1000;
    ping.running = a->running;
    ping.leaving = a->leaving;
    a->say_leaving = false;
    a->ping_ms = now_ms;
    send_frame(a, MU_MSG_PING, &ping);
}

static void take_started(struct mu_agent *a, uint64_t now_ms, struct mu_msg_report *r)
{
    r->started = mu_arena_alloc(&a->scratch, MU_AGENT_REPORT_MAX * sizeof *r->started);
    while (!mu_list_is_empty(&a->fresh) && r->started_count < MU_AGENT_REPORT_MAX) {
        struct mu_agent_attempt *t = MU_CONTAINER(a->fresh.next, struct mu_agent_attempt, link);

        r->started[r->started_count++] =
            (struct mu_started){ t->job, t->ordinal, t->attempt, (now_ms - t->started_ms) * 1000 };
        list_move(&a->live, t);
    }
}

static void take_ended(struct mu_agent *a, uint64_t now_ms, struct mu_msg_report *r)
{
    r->ended = mu_arena_alloc(&a->scratch, MU_AGENT_REPORT_MAX * sizeof *r->ended);
    while (!mu_list_is_empty(&a->ended) && r->ended_count < MU_AGENT_REPORT_MAX) {
        struct mu_agent_attempt *t = MU_CONTAINER(a->ended.next, struct mu_agent_attempt, link);

        r->ended[r->ended_count++] = (struct mu_result){
            .job = t->job, .ordinal = t->ordinal, .attempt = t->attempt, .how = t->exit.how, .code = t->exit.code,
            .ago_us = (now_ms - t->ended_ms) * 1000, .run_us = t->exit.run_us, .user_us = t->exit.user_us,
            .sys_us = t->exit.sys_us, .rss_bytes = t->exit.rss_bytes, .out_bytes = t->exit.out_bytes, .err_bytes = t->exit.err_bytes };
        t->report_seq = r->seq;
        list_move(&a->sent, t);
    }
}

static void send_reports(struct mu_agent *a, uint64_t now_ms)
{
    while (a->link == LINK_WELCOMED && !(mu_list_is_empty(&a->fresh) && mu_list_is_empty(&a->ended))) {
        struct mu_msg_report r = { .seq = ++a->report_seq };

        mu_arena_reset(&a->scratch);
        if (!mu_list_is_empty(&a->fresh))
            take_started(a, now_ms, &r);
        if (!mu_list_is_empty(&a->ended))
            take_ended(a, now_ms, &r);
        send_frame(a, MU_MSG_REPORT, &r);
    }
}

/* The lease. It runs from when the answered ping was sent: the server heard that ping no earlier. */

static uint64_t lease_part(const struct mu_agent *a, uint64_t tenths)
{
    return a->lease_from_ms + a->lease_ms * tenths / 10;
}

static bool lease_is_over(const struct mu_agent *a, uint64_t now_ms)
{
    return a->lease_ms == 0 || now_ms >= lease_part(a, 8);
}

static void lease_extend(struct mu_agent *a, uint64_t from_ms)
{
    if (from_ms < a->lease_from_ms)
        return;
    a->lease_from_ms = from_ms;
    a->fenced = false;
    if (a->out.lease != NULL)
        a->out.lease(a->out.arg, a->opt.keep ? UINT64_MAX : lease_part(a, 9));
}

/* Stop what still runs: TERM at 0.8, KILL at 0.9 of the lease, so that all is dead when the server gives it away. */
static void lease_fence(struct mu_agent *a, uint64_t now_ms)
{
    struct mu_list *const lists[] = { &a->queued, &a->live, &a->fresh };

    if (a->fenced || a->opt.keep || a->lease_ms == 0 || !lease_is_over(a, now_ms))
        return;
    a->fenced = true;
    for (size_t i = 0; i < MU_COUNT(lists); i++)
        MU_LIST_EACH_SAFE(it, lists[i])
            attempt_stop(a, MU_CONTAINER(it, struct mu_agent_attempt, link), now_ms, MU_END_NODE_LOST, lease_part(a, 9));
}

void mu_agent_leave(struct mu_agent *a, uint64_t now_ms, uint64_t grace_ms)
{
    struct mu_list *const lists[] = { &a->queued, &a->live, &a->fresh };

    a->leaving = true;
    a->say_leaving = true;
    for (size_t i = 0; i < MU_COUNT(lists); i++)
        MU_LIST_EACH_SAFE(it, lists[i])
            attempt_stop(a, MU_CONTAINER(it, struct mu_agent_attempt, link), now_ms, MU_END_PREEMPT, now_ms + grace_ms);
}

static void enforce_limits(struct mu_agent *a, uint64_t now_ms)
{
    struct mu_heap_link *min;

    while ((min = mu_heap_min(&a->due)) != NULL && min->key <= now_ms) {
        struct mu_agent_attempt *t = MU_CONTAINER(min, struct mu_agent_attempt, due);

        if (t->stop == MU_END_EXIT)
            attempt_stop(a, t, now_ms, MU_END_TIMEOUT, now_ms + t->grace_ms);
        else
            attempt_kill(a, t, now_ms);
    }
}

/* Messages of the server. */

static bool on_welcome(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    const struct mu_msg_welcome *w = &msg->welcome;

    (void)now_ms;
    if (w->cluster.size != sizeof a->cluster || is_zero((const uint8_t *)w->cluster.at) || w->lease_ms == 0)
        return mu_fail(err, MU_INVALID, "WELCOME without a cluster or a lease"), false;
    if (!is_zero(a->cluster) && memcmp(a->cluster, w->cluster.at, sizeof a->cluster) != 0) {
        drop(a, "the server belongs to another cluster", false);
        return true;
    }
    if (is_zero(a->cluster) || msg->epoch > a->epoch) {
        memcpy(a->cluster, w->cluster.at, sizeof a->cluster);
        a->epoch = msg->epoch;
        a->out.identity(a->out.arg, a->cluster, a->epoch);
    }
    a->link = LINK_WELCOMED;
    a->lease_ms = w->lease_ms;
    a->ping_ms = a->hello_ms;
    lease_extend(a, a->hello_ms);
    return true;
}

static bool on_refuse(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    char why[MU_ERR_TEXT];

    (void)now_ms, (void)err;
    snprintf(why, sizeof why, MU_STR_FMT ": " MU_STR_FMT, MU_STR_ARG(msg->refuse.code), MU_STR_ARG(msg->refuse.text));
    drop(a, why, msg->refuse.final && msg->epoch >= a->epoch);
    return true;
}

static bool on_spec(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    (void)now_ms;
    if (!mu_specs_put(&a->specs, &msg->spec))
        return mu_fail(err, MU_INVALID, "SPEC of job %llu is damaged", (unsigned long long)msg->spec.job), false;
    return true;
}

static bool start_one(struct mu_agent *a, uint64_t now_ms, const struct mu_start *s)
{
    struct mu_spec *spec;
    struct mu_agent_attempt *t;

    if (mu_agent_table_find(&a->table, s->job, s->ordinal, s->attempt) != NULL)
        return true;
    if (mu_agent_table_is_past(&a->table, s->job, s->ordinal, s->attempt)) {
        t = attempt_add(a, a->next_id++, s->job, s->ordinal, s->attempt);
        attempt_end_as(a, t, now_ms, MU_END_NODE_LOST, 0);
        return true;
    }
    if ((spec = mu_specs_find(&a->specs, s->job, s->group)) == NULL)
        return false;
    t = attempt_add(a, a->next_id++, s->job, s->ordinal, s->attempt);
    if (mu_agent_table_count(&a->table) > MU_AGENT_ATTEMPTS_MAX) {
        attempt_end_as(a, t, now_ms, MU_END_NOSTART, EAGAIN);
        return true;
    }
    t->index = s->index;
    t->timeout_ms = spec->spec.timeout_ms;
    t->grace_ms = spec->spec.grace_ms;
    t->need = (struct mu_agent_need){ spec->spec.cpu_milli, spec->spec.mem_bytes, spec->spec.gpu_milli };
    t->spec = mu_spec_ref(spec);
    t->line = mu_str_dup(s->line);
    return true;
}

static bool on_start(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    (void)err;
    if (a->leaving)
        return true; /* it crossed our last ping; the server finds out when we are gone */
    if (lease_is_over(a, now_ms)) {
        drop(a, "work came after the lease had run out", false);
        return true;
    }
    for (uint32_t i = 0; i < msg->start.tasks_count && a->link == LINK_WELCOMED; i++) {
        if (mu_agent_table_count(&a->table) >= 2 * MU_AGENT_ATTEMPTS_MAX)
            drop(a, "the server sends more work than can be remembered", false);
        else if (!start_one(a, now_ms, &msg->start.tasks[i]))
            drop(a, "work of a group came without its spec", false);
    }
    return true;
}

/* STOP of an attempt that never came here: answered, and remembered so that its START cannot follow. */
static void stop_unknown(struct mu_agent *a, uint64_t now_ms, const struct mu_stop *s)
{
    if (mu_agent_table_count(&a->table) >= 2 * MU_AGENT_ATTEMPTS_MAX) {
        drop(a, "the server sends more work than can be remembered", false);
        return;
    }
    struct mu_agent_attempt *t = attempt_add(a, a->next_id++, s->job, s->ordinal, s->attempt);

    attempt_end_as(a, t, now_ms, (enum mu_end)s->how, 0);
}

static bool on_stop(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    for (uint32_t i = 0; i < msg->stop.tasks_count; i++) {
        const struct mu_stop *s = &msg->stop.tasks[i];
        struct mu_agent_attempt *t = mu_agent_table_find(&a->table, s->job, s->ordinal, s->attempt);

        if (s->how == MU_END_EXIT || s->how >= MU_ENDS)
            return mu_fail(err, MU_INVALID, "STOP with the end %u", s->how), false;
        if (t != NULL)
            attempt_stop(a, t, now_ms, (enum mu_end)s->how, now_ms + t->grace_ms);
        else
            stop_unknown(a, now_ms, s);
    }
    return true;
}

static bool on_ack(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    (void)now_ms;
    if (msg->ack.seq > a->report_seq)
        return mu_fail(err, MU_INVALID, "ACK of a report that was not made"), false;
    while (!mu_list_is_empty(&a->sent)) {
        struct mu_agent_attempt *t = MU_CONTAINER(a->sent.next, struct mu_agent_attempt, link);

        if (t->report_seq > msg->ack.seq)
            break;
        mu_agent_table_past(&a->table, t);
        if (t->spawned)
            a->out.forget(a->out.arg, t->id);
        mu_agent_table_drop(&a->table, t);
    }
    return true;
}

static bool on_pong(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    uint64_t sent_ms = msg->pong.sent_us / 1000;

    if (sent_ms > a->ping_ms || sent_ms > now_ms)
        return mu_fail(err, MU_INVALID, "PONG for a ping that was not sent"), false;
    lease_extend(a, sent_ms);
    return true;
}

static bool on_output(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    (void)now_ms, (void)err;
    if (a->out.output != NULL)
        a->out.output(a->out.arg, msg);
    return true;
}

static const struct {
    bool (*on)(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err);
    enum link_state when;
} handlers[MU_MSG_TYPES] = {
    [MU_MSG_WELCOME] = { on_welcome, LINK_HELLO },
    [MU_MSG_SPEC] = { on_spec, LINK_WELCOMED },
    [MU_MSG_START] = { on_start, LINK_WELCOMED },
    [MU_MSG_STOP] = { on_stop, LINK_WELCOMED },
    [MU_MSG_ACK] = { on_ack, LINK_WELCOMED },
    [MU_MSG_PONG] = { on_pong, LINK_WELCOMED },
    [MU_MSG_OUTPUT_GET] = { on_output, LINK_WELCOMED },
    [MU_MSG_OUTPUT_STOP] = { on_output, LINK_WELCOMED },
    [MU_MSG_FORGET] = { on_output, LINK_WELCOMED },
};

bool mu_agent_msg(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err)
{
    if (a->link == LINK_DROPPED || a->link == LINK_DOWN)
        return true;
    if (msg->type == MU_MSG_REFUSE)
        return on_refuse(a, now_ms, msg, err);
    if (msg->epoch < a->epoch) {
        drop(a, "the server's epoch is over", false);
        return true;
    }
    if (msg->type >= MU_MSG_TYPES || handlers[msg->type].on == NULL || handlers[msg->type].when != a->link) {
        a->link = LINK_DROPPED;
        return mu_fail(err, MU_INVALID, "%s is out of place", mu_msg_name(msg->type)), false;
    }
    if (msg->epoch > a->epoch && a->link == LINK_WELCOMED) {
        a->epoch = msg->epoch;
        a->out.identity(a->out.arg, a->cluster, a->epoch);
    }
    if (handlers[msg->type].on(a, now_ms, msg, err))
        return true;
    a->link = LINK_DROPPED;
    return false;
}

void mu_agent_on_up(struct mu_agent *a, uint64_t now_ms)
{
    MU_ASSERT(a->link == LINK_DOWN);
    a->link = LINK_HELLO;
    a->hello_ms = now_ms;
    a->report_seq = 0;
    send_hello(a);
}

static void splice_front(struct mu_list *to, struct mu_list *from)
{
    while (!mu_list_is_empty(from)) {
        struct mu_list *last = from->prev;

        mu_list_remove(last);
        mu_list_add_head(to, last);
    }
}

void mu_agent_on_down(struct mu_agent *a, uint64_t now_ms)
{
    (void)now_ms;
    a->link = LINK_DOWN;
    mu_specs_clear(&a->specs);
    splice_front(&a->ended, &a->sent);
    MU_LIST_EACH_SAFE(it, &a->live)
        if (MU_CONTAINER(it, struct mu_agent_attempt, link)->phase == MU_ATTEMPT_RUNNING)
            list_move(&a->fresh, MU_CONTAINER(it, struct mu_agent_attempt, link));
}

/* The spawner's events. */

void mu_agent_on_started(struct mu_agent *a, uint64_t now_ms, uint64_t id)
{
    struct mu_agent_attempt *t = mu_agent_table_by_id(&a->table, id);

    if (t != NULL && t->phase == MU_ATTEMPT_SPAWNING)
        attempt_running(a, t, now_ms, now_ms, t->timeout_ms);
}

void mu_agent_on_exit(struct mu_agent *a, uint64_t now_ms, const struct mu_agent_exit *exit)
{
    struct mu_agent_attempt *t = mu_agent_table_by_id(&a->table, exit->id);

    if (t != NULL && t->phase != MU_ATTEMPT_ENDED && t->spawned)
        attempt_end(a, t, now_ms, exit);
}

void mu_agent_on_boot(struct mu_agent *a, uint64_t now_ms, const char *boot)
{
    struct mu_list *const lists[] = { &a->live, &a->fresh };

    a->opt.boot = mu_arena_strdup(&a->own, boot, strlen(boot));
    for (size_t i = 0; i < MU_COUNT(lists); i++)
        MU_LIST_EACH_SAFE(it, lists[i])
            attempt_end_as(a, MU_CONTAINER(it, struct mu_agent_attempt, link), now_ms, MU_END_NODE_LOST, 0);
    drop(a, "the spawner was lost", false);
}

static struct mu_agent_attempt *attempt_adopt(struct mu_agent *a, uint64_t now_ms, const struct mu_agent_task *task)
{
    struct mu_agent_attempt *t = attempt_add(a, task->id, task->job, task->ordinal, task->attempt);
    uint64_t ago_ms = task->started_ago_ms < now_ms ? task->started_ago_ms : now_ms;

    if (task->id >= a->next_id)
        a->next_id = task->id + 1;
    t->grace_ms = task->grace_ms;
    t->stop = task->stop;
    t->need = task->need;
    t->lane = a->opt.ahead_max > 0 && task->lane <= MU_ROOM_LANES ? task->lane : 0;
    t->timeout_ms = task->timeout_left_ms;
    t->spawned = true;
    mu_room_adopt(&a->room, &t->need, t->lane, task->waits);
    phase_move(t, MU_ATTEMPT_SPAWNING);
    if (task->waits)
        list_move(&a->live, t);
    else
        attempt_running(a, t, now_ms, now_ms - ago_ms, task->timeout_left_ms);
    if (t->stop != MU_END_EXIT) /* how much of its grace is left is not known: it is given once more */
        attempt_arm(a, t, now_ms + t->grace_ms);
    return t;
}

void mu_agent_adopt(struct mu_agent *a, uint64_t now_ms, const struct mu_agent_task *task)
{
    struct mu_agent_attempt *t = mu_agent_table_find(&a->table, task->job, task->ordinal, task->attempt);

    if (t == NULL && mu_agent_table_by_id(&a->table, task->id) == NULL)
        t = attempt_adopt(a, now_ms, task);
    if (t == NULL || t->id != task->id)
        return;
    t->listed = true;
    if (task->exit != NULL && t->phase != MU_ATTEMPT_ENDED)
        attempt_end(a, t, now_ms, task->exit);
}

void mu_agent_listed(struct mu_agent *a, uint64_t now_ms)
{
    struct mu_list *const lists[] = { &a->live, &a->fresh };

    for (size_t i = 0; i < MU_COUNT(lists); i++)
        MU_LIST_EACH_SAFE(it, lists[i]) {
            struct mu_agent_attempt *t = MU_CONTAINER(it, struct mu_agent_attempt, link);

            if (!t->listed)
                attempt_end_as(a, t, now_ms, MU_END_NODE_LOST, 0);
            t->listed = false;
        }
}

/* Turns. */

static uint64_t ping_due_ms(const struct mu_agent *a)
{
    return a->ping_ms + (a->lease_ms + 4) / 5;
}

/* How long a silent server is waited for: half a lease, so that there is time to find another. */
static uint64_t patience_ms(const struct mu_agent *a)
{
    return a->link == LINK_WELCOMED ? lease_part(a, 5) : a->hello_ms + WELCOME_MS;
}

void mu_agent_turn(struct mu_agent *a, uint64_t now_ms, const struct mu_msg_ping *load)
{
    lease_fence(a, now_ms);
    enforce_limits(a, now_ms);
    spawn_queued(a);
    if (a->link == LINK_DOWN || a->link == LINK_DROPPED)
        return;
    if (now_ms >= patience_ms(a)) {
        drop(a, "the server does not answer", false);
        return;
    }
    if (a->link != LINK_WELCOMED)
        return;
    send_reports(a, now_ms);
    if (now_ms >= ping_due_ms(a) || a->say_leaving)
        send_ping(a, now_ms, load);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t mu_agent_wake_ms(const struct mu_agent *a)
{
    const struct mu_heap_link *min = mu_heap_min(&a->due);
    uint64_t wake_ms = min != NULL ? min->key : UINT64_MAX;

    if (a->link == LINK_WELCOMED)
        wake_ms = earlier(wake_ms, ping_due_ms(a));
    if (a->link == LINK_WELCOMED || a->link == LINK_HELLO)
        wake_ms = earlier(wake_ms, patience_ms(a));
    if (a->lease_ms > 0 && !a->fenced && !a->opt.keep && a->running > 0)
        wake_ms = earlier(wake_ms, lease_part(a, 8));
    return wake_ms;
}

/* Life and looks. */

static struct mu_str own_str(struct mu_agent *a, struct mu_str s)
{
    return (struct mu_str){ mu_arena_strdup(&a->own, s.at, s.size), s.size };
}

static void own_options(struct mu_agent *a, const struct mu_agent_options *opt)
{
    struct mu_amount *res = mu_arena_alloc(&a->own, (opt->resources_count + 1) * sizeof *res);
    struct mu_str *labels = mu_arena_alloc(&a->own, (opt->labels_count + 1) * sizeof *labels);

    a->opt = *opt;
    a->opt.name = own_str(a, mu_str_of(opt->name)).at;
    a->opt.version = own_str(a, mu_str_of(opt->version)).at;
    a->opt.limits = own_str(a, mu_str_of(opt->limits)).at;
    a->opt.boot = own_str(a, mu_str_of(opt->boot)).at;
    for (uint32_t i = 0; i < opt->resources_count; i++)
        res[i] = (struct mu_amount){ own_str(a, opt->resources[i].name), opt->resources[i].amount };
    for (uint32_t i = 0; i < opt->labels_count; i++)
        labels[i] = own_str(a, opt->labels[i]);
    a->opt.resources = res;
    a->opt.labels = labels;
}

struct mu_agent *mu_agent_new(const struct mu_agent_options *opt, const struct mu_agent_out *out)
{
    struct mu_agent *a = calloc(1, sizeof *a);

    MU_ASSERT(a != NULL);
    a->out = *out;
    own_options(a, opt);
    memcpy(a->cluster, opt->cluster, sizeof a->cluster);
    a->epoch = opt->epoch;
    a->next_id = opt->next_id > 0 ? opt->next_id : 1;
    MU_ASSERT(opt->resources_count <= MU_ROOM_NAMED_MAX);
    a->room.total = (struct mu_room_total){ .of = { opt->cpu_milli, opt->mem_bytes, opt->gpu_milli }, .named = a->opt.resources,
        .named_count = opt->resources_count, .running_max = opt->running_max, .ahead_max = opt->ahead_max };
    mu_specs_init(&a->specs);
    mu_list_init(&a->queued);
    mu_list_init(&a->live);
    mu_list_init(&a->fresh);
    mu_list_init(&a->ended);
    mu_list_init(&a->sent);
    return a;
}

void mu_agent_free(struct mu_agent *a)
{
    if (a == NULL)
        return;
    struct mu_list *const lists[] = { &a->queued, &a->live, &a->fresh, &a->ended, &a->sent };

    for (size_t i = 0; i < MU_COUNT(lists); i++)
        MU_LIST_EACH_SAFE(it, lists[i]) {
            struct mu_agent_attempt *t = MU_CONTAINER(it, struct mu_agent_attempt, link);

            mu_heap_remove(&a->due, &t->due);
            mu_agent_table_drop(&a->table, t);
        }
    mu_specs_fini(&a->specs);
    mu_agent_table_fini(&a->table);
    mu_heap_fini(&a->due);
    mu_buf_fini(&a->frame);
    mu_arena_fini(&a->own);
    mu_arena_fini(&a->scratch);
    free(a);
}

uint32_t mu_agent_attempts(const struct mu_agent *a) { return mu_agent_table_count(&a->table); }
uint32_t mu_agent_running(const struct mu_agent *a) { return a->running; }
bool mu_agent_welcomed(const struct mu_agent *a) { return a->link == LINK_WELCOMED; }
uint64_t mu_agent_epoch(const struct mu_agent *a) { return a->epoch; }

bool mu_agent_find(const struct mu_agent *a, uint64_t job, uint32_t ordinal, uint32_t attempt, uint64_t *out_id)
{
    const struct mu_agent_attempt *t = mu_agent_table_find(&a->table, job, ordinal, attempt);

    if (t == NULL)
        return false;
    *out_id = t->id;
    return true;
}

const struct mu_agent_exit *mu_agent_end(const struct mu_agent *a, uint64_t job, uint32_t ordinal, uint32_t attempt, bool *out_known)
{
    const struct mu_agent_attempt *t = mu_agent_table_find(&a->table, job, ordinal, attempt);

    *out_known = t != NULL;
    return t != NULL && t->phase == MU_ATTEMPT_ENDED ? &t->exit : NULL;
}

void mu_agent_check(const struct mu_agent *a)
{
    const struct { const struct mu_list *list; unsigned phases; } rows[] = {
        { &a->queued, 1u << MU_ATTEMPT_QUEUED }, { &a->live, 1u << MU_ATTEMPT_SPAWNING | 1u << MU_ATTEMPT_RUNNING }, { &a->fresh, 1u << MU_ATTEMPT_RUNNING },
        { &a->ended, 1u << MU_ATTEMPT_ENDED }, { &a->sent, 1u << MU_ATTEMPT_ENDED },
    };
    uint32_t count = 0, running = 0, spawned = 0;

    for (size_t i = 0; i < MU_COUNT(rows); i++)
        MU_LIST_EACH(it, (struct mu_list *)rows[i].list) {
            const struct mu_agent_attempt *t = MU_CONTAINER(it, struct mu_agent_attempt, link);

            MU_ASSERT(rows[i].phases & 1u << t->phase);
            MU_ASSERT(mu_agent_table_by_id(&a->table, t->id) == t);
            MU_ASSERT(mu_agent_table_find(&a->table, t->job, t->ordinal, t->attempt) == t);
            MU_ASSERT(t->phase != MU_ATTEMPT_QUEUED || (t->spec != NULL && t->line != NULL && !t->spawned));
            MU_ASSERT(t->phase != MU_ATTEMPT_ENDED || t->spec == NULL);
            MU_ASSERT(t->phase != MU_ATTEMPT_ENDED || !mu_heap_has(&t->due));
            MU_ASSERT(t->phase == MU_ATTEMPT_ENDED || t->stop == MU_END_EXIT || mu_heap_has(&t->due));
            count++;
            running += t->phase != MU_ATTEMPT_ENDED;
            spawned += t->phase != MU_ATTEMPT_ENDED && t->spawned;
        }
    MU_ASSERT(count == mu_agent_table_count(&a->table));
    MU_ASSERT(running == a->running && spawned == a->room.rooms + a->room.ahead);
    mu_room_check(&a->room);
}
