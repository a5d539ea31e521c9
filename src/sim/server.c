/* The control server's shell: the shipped ctl over the memory journal; it can die, be stopped and start again. */
#include "sim/cluster.h"

enum { TURN_MAX_US = 200, RESTART_MAX_MS = 4000 };

/* One agent's connection as the server's shell keeps it. */
struct peer {
    struct mu_server_sim *server;
    struct mu_conn *conn;
    struct mu_ctl_agent *agent;
    bool drop;
};

struct mu_ctl_now mu_server_now(const struct mu_server_sim *s)
{
    return (struct mu_ctl_now){ .wall_ms = mu_clock_wall_ms(&s->clock), .boot_ms = mu_clock_boot_ms(&s->clock) };
}

static struct mu_world *world_of(struct mu_server_sim *s)
{
    return &s->cluster->world;
}

/* ---- the journal's host: timers that wait while the process is stopped ---- */

struct host_call {
    struct mu_server_sim *server;
    void (*fn)(void *p);
    void *p;
    struct mu_timer *timer; /* NULL once it fired */
    bool cancelled;
};

static void host_run(void *arg)
{
    struct host_call *h = arg;
    struct host_call call = *h;

    free(h);
    if (!call.cancelled)
        call.fn(call.p);
}

static void host_fire(void *arg)
{
    struct host_call *h = arg;

    h->timer = NULL;
    mu_proc_run(&h->server->proc, host_run, h);
}

static void *host_after(void *arg, uint64_t delay_ms, void (*fn)(void *p), void *p)
{
    struct mu_server_sim *s = arg;
    struct host_call *h = calloc(1, sizeof *h);

    MU_ASSERT(h != NULL);
    *h = (struct host_call){ .server = s, .fn = fn, .p = p };
    h->timer = mu_world_give(world_of(s), delay_ms * 1000, host_fire, h);
    return h;
}

static void host_post(void *arg, void (*fn)(void *p), void *p)
{
    (void)host_after(arg, 0, fn, p);
}

static void host_cancel(void *arg, void *timer)
{
    struct mu_server_sim *s = arg;
    struct host_call *h = timer;

    if (h == NULL)
        return;
    h->cancelled = true;
    if (h->timer) {
        mu_world_cancel(world_of(s), h->timer);
        free(h);
    }
}

static uint64_t host_boot_ns(void *arg)
{
    const struct mu_server_sim *s = arg;
    return mu_clock_boot_ms(&s->clock) * 1000000;
}

static void host_random(void *arg, void *bytes, size_t size)
{
    struct mu_server_sim *s = arg;

    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)mu_world_below(world_of(s), 256);
}

/* ---- what ctl wants done ---- */

static void journal_done(void *arg, uint64_t seq, enum mu_journal_end end)
{
    struct mu_server_sim *s = arg;

    if (end != MU_JOURNAL_OK)
        mu_world_note(world_of(s), mu_journal_end_text(end), seq, 0, 0, 0);
    mu_ctl_on_done(s->ctl, mu_server_now(s), seq, (int)end);
    mu_server_turn_soon(s);
}

static bool out_append(void *arg, uint64_t epoch, uint64_t seq, const void *bytes, size_t size)
{
    struct mu_server_sim *s = arg;
    enum mu_journal_end end = mu_journal_append(s->journal, epoch, seq, bytes, size, journal_done, s);

    mu_world_note(world_of(s), end == MU_JOURNAL_OK ? "append" : "append refused", seq, size, end, 0);
    if (end == MU_JOURNAL_TOO_BIG)
        mu_world_fail(world_of(s), "an entry of %zu bytes is too big for the journal", size);
    return end == MU_JOURNAL_OK;
}

static void out_send(void *arg, void *peer, const void *bytes, size_t size)
{
    struct peer *p = peer;

    (void)arg;
    mu_net_send(p->conn, MU_SIDE_SERVER, bytes, size);
}

static void out_drop(void *arg, void *peer)
{
    (void)arg;
    ((struct peer *)peer)->drop = true;
}

static void out_reply(void *arg, void *token, const struct mu_ctl_reply *reply)
{
    struct mu_server_sim *s = arg;

    if (s->proc.alive) /* a dead server says nothing */
        mu_client_reply(token, reply);
}

static void out_effect(void *arg, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    struct mu_server_sim *s = arg;
    mu_oracle_effect(s->cluster->oracle, seq, time_ms, fx);
}

static void out_agent_msg(void *arg, void *peer, const struct mu_msg *msg)
{
    (void)arg, (void)peer, (void)msg;
}

static void ctl_make(struct mu_server_sim *s)
{
    struct mu_ctl_out out = { .arg = s, .append = out_append, .send = out_send, .drop = out_drop, .reply = out_reply,
                              .effect = out_effect, .agent_msg = out_agent_msg };
    struct mu_ctl_options opt = mu_ctl_options_default;
    struct mu_journal_limits limits;

    if (s->ctl)
        return;
    mu_journal_limits_get(s->journal, &limits);
    opt.server_name = "s0";
    opt.server_url = "http://s0";
    memcpy(opt.cluster, mu_journal_cluster_id(s->journal), sizeof opt.cluster);
    opt.seed = s->cluster->opt.seed;
    opt.lease_ms = s->cluster->lease_ms;
    opt.lease_margin_ms = s->cluster->margin_ms;
    opt.record_max = s->cluster->record_max;
    opt.inflight_max = s->cluster->inflight_max;
    opt.core_limits = s->cluster->limits;
    s->ctl = mu_ctl_new(&opt, &out);
    mu_oracle_begin(s->cluster->oracle, 0);
}

/* ---- turns ---- */

static void drops_close(struct mu_server_sim *s)
{
    MU_LIST_EACH_SAFE(it, &s->cluster->net.conns) {
        struct mu_conn *conn = MU_CONTAINER(it, struct mu_conn, link);
        struct peer *p = conn->user[MU_SIDE_SERVER];

        if (p == NULL || !p->drop)
            continue;
        mu_ctl_agent_close(s->ctl, mu_server_now(s), p->agent);
        free(p);
        mu_net_close(conn, MU_SIDE_SERVER);
    }
}

struct turn {
    struct mu_server_sim *server;
    uint64_t life;
};

static void turn_now(void *arg);

static void turn_run(void *arg)
{
    struct turn *t = arg;
    mu_proc_run(&t->server->proc, turn_now, t);
}

static void turn_after(struct mu_server_sim *s, uint64_t delay_us, struct mu_timer **out_timer)
{
    struct turn *t = malloc(sizeof *t);
    struct mu_timer *timer;

    MU_ASSERT(t != NULL);
    *t = (struct turn){ s, s->life };
    timer = mu_world_give(world_of(s), delay_us, turn_run, t);
    if (out_timer)
        *out_timer = timer;
}

static void wakes(void *arg)
{
    struct mu_server_sim *s = arg;

    s->wake = NULL;
    mu_server_turn_soon(s);
}

static void turn_now(void *arg)
{
    struct turn *t = arg;
    struct mu_server_sim *s = t->server;
    bool mine = t->life == s->life;
    uint64_t wake_ms;

    free(t);
    if (!mine || s->ctl == NULL)
        return;
    s->turning = false;
    mu_ctl_turn(s->ctl, mu_server_now(s));
    mu_ctl_check(s->ctl);
    drops_close(s);
    mu_world_cancel(world_of(s), s->wake);
    wake_ms = mu_ctl_wake_ms(s->ctl, mu_server_now(s));
    s->wake = wake_ms == UINT64_MAX ? NULL
                                    : mu_world_after(world_of(s), mu_clock_until_us(&s->clock, wake_ms), wakes, s);
}

void mu_server_turn_soon(struct mu_server_sim *s)
{
    if (s->turning || s->ctl == NULL)
        return;
    s->turning = true;
    turn_after(s, mu_world_between(world_of(s), 0, TURN_MAX_US), NULL);
}

/* ---- the journal's news ---- */

static void on_commit(void *arg, uint64_t seq, uint64_t epoch, const void *bytes, size_t size)
{
    struct mu_server_sim *s = arg;

    ctl_make(s);
    mu_oracle_entry(s->cluster->oracle, seq, epoch, bytes, size);
    mu_ctl_on_commit(s->ctl, mu_server_now(s), seq, epoch, bytes, size);
    mu_oracle_applied(s->cluster->oracle, s->ctl);
    mu_server_turn_soon(s);
}

static void on_lead(void *arg, uint64_t epoch, uint64_t next_seq)
{
    struct mu_server_sim *s = arg;

    ctl_make(s);
    mu_world_note(world_of(s), "leads", epoch, next_seq, 0, 0);
    mu_oracle_leads(s->cluster->oracle, epoch, next_seq);
    mu_ctl_on_lead(s->ctl, mu_server_now(s), epoch, next_seq);
    mu_server_turn_soon(s);
}

static void on_lost(void *arg, uint64_t epoch, enum mu_journal_end why)
{
    struct mu_server_sim *s = arg;

    mu_world_note(world_of(s), "lost the lead", epoch, why, 0, 0);
    mu_ctl_on_lost(s->ctl, mu_server_now(s));
    mu_server_turn_soon(s);
}

static void on_hint(void *arg, const char *leader_addr, uint64_t epoch)
{
    (void)arg, (void)leader_addr, (void)epoch;
}

static void die_of_journal(void *arg)
{
    mu_server_crash(arg);
}

static void on_fatal(void *arg, enum mu_journal_end why, const struct mu_err *err)
{
    struct mu_server_sim *s = arg;

    (void)err;
    mu_world_note(world_of(s), "journal is fatal", why, 0, 0, 0);
    mu_world_after(world_of(s), 0, die_of_journal, s); /* never from inside a callback */
}

static void on_caught_up(void *arg, uint64_t seq)
{
    struct mu_server_sim *s = arg;

    ctl_make(s);
    mu_world_note(world_of(s), "caught up", seq, 0, 0, 0);
}

static void load_begin(void *arg, uint64_t upto, uint64_t bytes)
{
    struct mu_server_sim *s = arg;

    (void)bytes;
    ctl_make(s);
    mu_buf_clear(&s->load);
    s->load_upto = upto;
}

static bool load_chunk(void *arg, const void *bytes, size_t size)
{
    struct mu_server_sim *s = arg;

    mu_buf_add(&s->load, bytes, size);
    return true;
}

static void load_end(void *arg, bool good)
{
    struct mu_server_sim *s = arg;
    struct mu_err err;

    if (!good)
        return;
    mu_world_note(world_of(s), "loads a snapshot", s->load_upto, s->load.size, 0, 0);
    if (mu_ctl_load(s->ctl, s->load_upto, s->load.at, s->load.size, &err) != MU_OK)
        mu_world_fail(world_of(s), "a snapshot cannot be loaded: %s", err.text);
    mu_oracle_begin(s->cluster->oracle, s->load_upto);
    mu_oracle_applied(s->cluster->oracle, s->ctl);
}

/* Taken at some moment, offered to the journal later: entries go on meanwhile. */
struct mu_image {
    struct mu_buf bytes;
    uint64_t upto;
    size_t read;
};

static void image_free(struct mu_image *i)
{
    if (i)
        mu_buf_fini(&i->bytes);
    free(i);
}

static bool save_open(void *arg, uint64_t *upto, uint64_t *bytes, void **out_image)
{
    struct mu_server_sim *s = arg;

    if (s->image == NULL)
        return false;
    *upto = s->image->upto;
    *bytes = s->image->bytes.size;
    *out_image = s->image;
    return true;
}

static size_t save_read(void *arg, void *image, void *buf, size_t cap)
{
    struct mu_image *i = image;
    size_t n = i->bytes.size - i->read < cap ? i->bytes.size - i->read : cap;

    (void)arg;
    memcpy(buf, i->bytes.at + i->read, n);
    i->read += n;
    return n;
}

static void save_close(void *arg, void *image, bool stored)
{
    struct mu_server_sim *s = arg;
    struct mu_image *i = image;

    mu_world_note(world_of(s), stored ? "snapshot stored" : "snapshot failed", i->upto, i->bytes.size, 0, 0);
    image_free(i);
    s->image = NULL;
}

/* ---- connections ---- */

bool mu_server_accepts(void *cluster)
{
    const struct mu_server_sim *s = &((struct mu_cluster *)cluster)->server;
    return s->proc.alive && s->ctl != NULL;
}

void mu_server_accepted(void *cluster, struct mu_conn *conn)
{
    struct mu_server_sim *s = &((struct mu_cluster *)cluster)->server;
    struct peer *p = calloc(1, sizeof *p);

    MU_ASSERT(p != NULL && s->ctl != NULL);
    p->server = s;
    p->conn = conn;
    p->agent = mu_ctl_agent_open(s->ctl, mu_server_now(s), p, "sim");
    conn->user[MU_SIDE_SERVER] = p;
}

void mu_server_data(struct mu_server_sim *s, struct mu_conn *conn)
{
    struct peer *p = conn->user[MU_SIDE_SERVER];
    struct mu_buf *in = &conn->in[MU_SIDE_SERVER];
    size_t at = 0, used;
    struct mu_err err;

    for (;;) {
        struct mu_msg msg;
        enum mu_rc rc;

        mu_arena_reset(&s->arena);
        rc = mu_frame_take(in->at + at, in->size - at, &used, &msg, &s->arena, &err);
        if (rc == MU_AGAIN)
            break;
        if (rc != MU_OK || !mu_ctl_agent_msg(s->ctl, mu_server_now(s), p->agent, &msg, &err)) {
            mu_world_fail(world_of(s), "the server does not understand node %u: %s", conn->node, err.text);
            return;
        }
        mu_world_note(world_of(s), mu_msg_name(msg.type), conn->node, msg.epoch, used, 1);
        at += used;
    }
    mu_buf_drop(in, at);
    mu_server_turn_soon(s);
}

void mu_server_closed(struct mu_server_sim *s, struct mu_conn *conn)
{
    struct peer *p = conn->user[MU_SIDE_SERVER];

    conn->user[MU_SIDE_SERVER] = NULL;
    mu_ctl_agent_close(s->ctl, mu_server_now(s), p->agent);
    free(p);
    mu_server_turn_soon(s);
}

static void peers_free(struct mu_server_sim *s)
{
    MU_LIST_EACH(it, &s->cluster->net.conns) {
        struct mu_conn *conn = MU_CONTAINER(it, struct mu_conn, link);
        free(conn->user[MU_SIDE_SERVER]);
        conn->user[MU_SIDE_SERVER] = NULL;
    }
}

/* ---- life ---- */

void mu_server_init(struct mu_cluster *c)
{
    struct mu_server_sim *s = &c->server;

    s->cluster = c;
    s->clock = (struct mu_clock){ .world = &c->world, .ppm = (int64_t)mu_world_below(&c->world, 10000) - 5000 };
    s->host = (struct mu_journal_host){ .arg = s, .boot_ns = host_boot_ns, .post = host_post, .after = host_after,
                                        .cancel = host_cancel, .random = host_random };
}

void mu_server_start(struct mu_server_sim *s)
{
    static const struct mu_journal_user user = {
        .on_commit = on_commit, .on_lead = on_lead, .on_lost = on_lost, .on_hint = on_hint, .on_fatal = on_fatal,
        .on_caught_up = on_caught_up, .load_begin = load_begin, .load_chunk = load_chunk, .load_end = load_end,
        .save_open = save_open, .save_read = save_read, .save_close = save_close,
    };
    struct mu_journal_user mine = user;
    struct mu_journal_options opt = { .host = &s->host, .advertise = "s0", .memory = s->cluster->memory };
    struct mu_err err;

    if (s->proc.alive)
        return;
    mu_world_cancel(world_of(s), s->revive);
    s->revive = NULL;
    mu_proc_start(&s->proc, world_of(s));
    s->life++;
    s->turning = false;
    mine.arg = s;
    mu_world_note(world_of(s), "server starts", s->life, 0, 0, 0);
    if (mu_journal_open(&s->journal, "memory:sim", &opt, &mine, &err) != MU_OK) {
        mu_world_fail(world_of(s), "the journal cannot be opened: %s", err.text);
        return;
    }
    mu_memory_faults_set(s->journal, &s->cluster->disk);
    mu_journal_campaign(s->journal);
    mu_journal_hurry(s->journal);
}

static void revives(void *arg)
{
    struct mu_server_sim *s = arg;

    s->revive = NULL;
    mu_server_start(s);
}

void mu_server_crash(struct mu_server_sim *s)
{
    if (!s->proc.alive)
        return;
    mu_world_note(world_of(s), "server dies", s->life, 0, 0, 0);
    mu_server_pause(s, false);
    if (!s->proc.alive)
        return;
    mu_memory_crash(s->journal);
    s->journal = NULL;
    mu_proc_kill(&s->proc);
    peers_free(s);
    mu_net_die(&s->cluster->net, MU_SIDE_SERVER, 0);
    mu_world_cancel(world_of(s), s->wake);
    s->wake = NULL;
    mu_ctl_free(s->ctl);
    s->ctl = NULL;
    image_free(s->image);
    s->image = NULL;
    s->revive = mu_world_after(world_of(s), mu_world_between(world_of(s), 10, RESTART_MAX_MS) * 1000, revives, s);
}

void mu_server_pause(struct mu_server_sim *s, bool paused)
{
    if (!s->proc.alive || s->proc.paused == paused)
        return;
    mu_world_note(world_of(s), paused ? "server stops" : "server goes on", 0, 0, 0, 0);
    if (paused)
        mu_proc_pause(&s->proc);
    else
        mu_proc_resume(&s->proc);
    mu_net_stop(&s->cluster->net, MU_SIDE_SERVER, 0, paused);
}

struct offer {
    struct mu_server_sim *server;
    uint64_t life;
};

static void offer(void *arg)
{
    struct offer *o = arg;
    struct mu_server_sim *s = o->server;

    if (s->life == o->life && s->proc.alive && mu_ctl_leads(s->ctl)) {
        mu_journal_snapshot(s->journal);
    } else if (s->life == o->life) {
        image_free(s->image);
        s->image = NULL;
    }
    free(o);
}

static void offer_run(void *arg)
{
    struct offer *o = arg;
    mu_proc_run(&o->server->proc, offer, o);
}

void mu_server_snapshot(struct mu_server_sim *s)
{
    struct offer *o;

    if (!s->proc.alive || s->proc.paused || s->image || s->ctl == NULL || !mu_ctl_leads(s->ctl))
        return;
    s->image = calloc(1, sizeof *s->image);
    o = malloc(sizeof *o);
    MU_ASSERT(s->image != NULL && o != NULL);
    mu_ctl_save(s->ctl, &s->image->bytes);
    s->image->upto = mu_ctl_applied(s->ctl);
    *o = (struct offer){ s, s->life };
    mu_world_give(world_of(s), mu_world_chance(world_of(s), 500) ? 0 : mu_world_between(world_of(s), 0, 300) * 1000, offer_run, o);
}

void mu_server_fini(struct mu_server_sim *s)
{
    mu_server_crash(s);
    mu_world_cancel(world_of(s), s->revive);
    s->revive = NULL;
    mu_buf_fini(&s->load);
    mu_arena_fini(&s->arena);
}
