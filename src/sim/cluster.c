/* A run: the seed chooses a cluster and its faults; chaos, then healing, then rest, then one more start. */
#include "sim/cluster.h"

enum {
    HEAL_MAX_MS = 3600 * 1000, /* all that was submitted has to end in this time once nothing fails any more */
    QUIET_LOOK_MS = 200,
    EVENTS_MAX = 5 * 1000 * 1000,
};

/* ---- faults ---- */

static struct mu_node_sim *some_node(struct mu_cluster *c)
{
    return &c->nodes[mu_world_below(&c->world, c->nodes_count)];
}

/* Something that is undone later. */
struct undo {
    struct mu_cluster *cluster;
    struct mu_node_sim *node;
    void (*fn)(struct undo *u);
    enum mu_side side;
};

static void undo_fire(void *arg)
{
    struct undo *u = arg;

    u->fn(u);
    free(u);
}

static void undo_after(struct mu_cluster *c, uint64_t delay_ms, struct undo u)
{
    struct undo *copy = malloc(sizeof *copy);

    MU_ASSERT(copy != NULL);
    *copy = u;
    copy->cluster = c;
    mu_world_give(&c->world, delay_ms * 1000, undo_fire, copy);
}

/* Mostly short, sometimes beyond the lease. */
static uint64_t outage_ms(struct mu_cluster *c)
{
    uint64_t lease_ms = c->lease_ms;

    return mu_world_chance(&c->world, 500) ? mu_world_between(&c->world, 1, lease_ms / 2)
                                           : mu_world_between(&c->world, lease_ms / 2, 4 * lease_ms);
}

static void undo_pause_server(struct undo *u) { mu_server_pause(&u->cluster->server, false); }
static void undo_pause_agent(struct undo *u) { mu_node_agent_pause(u->node, false); }
static void undo_agent(struct undo *u) { mu_node_agent_start(u->node); }
static void undo_cut(struct undo *u) { mu_net_cut(&u->cluster->net, u->node->index, u->side, false); }

static void disk_set(struct mu_cluster *c, struct mu_memory_faults disk)
{
    c->disk = disk;
    if (c->server.journal)
        mu_memory_faults_set(c->server.journal, &c->disk);
}

static void undo_disk(struct undo *u) { disk_set(u->cluster, (struct mu_memory_faults){ 0 }); }
static void undo_full(struct undo *u) { mu_memory_quota_set(u->cluster->memory, "sim", 0); }

static void fault_server_crash(struct mu_cluster *c)
{
    mu_server_crash(&c->server);
}

static void fault_server_pause(struct mu_cluster *c)
{
    mu_server_pause(&c->server, true);
    undo_after(c, outage_ms(c), (struct undo){ .fn = undo_pause_server });
}

static void fault_snapshot(struct mu_cluster *c)
{
    mu_server_snapshot(&c->server);
}

static void fault_disk_slow(struct mu_cluster *c)
{
    disk_set(c, (struct mu_memory_faults){ .delay_min_ms = 1, .delay_max_ms = (uint32_t)mu_world_between(&c->world, 1, 200) });
    undo_after(c, outage_ms(c), (struct undo){ .fn = undo_disk });
}

/* Answers that get lost or come twice: the outcome of appends is not known. */
static void fault_disk_flaky(struct mu_cluster *c)
{
    disk_set(c, (struct mu_memory_faults){ .delay_max_ms = 20, .lose_request = 50, .lose_reply = 50, .twice_request = 50,
                                           .twice_reply = 50, .late_max_ms = 3000 });
    undo_after(c, outage_ms(c), (struct undo){ .fn = undo_disk });
}

static void fault_disk_full(struct mu_cluster *c)
{
    mu_memory_quota_set(c->memory, "sim", mu_memory_used(c->memory, "sim") + mu_world_below(&c->world, 2000) + 1);
    undo_after(c, outage_ms(c), (struct undo){ .fn = undo_full });
}

static void fault_agent_crash(struct mu_cluster *c)
{
    struct mu_node_sim *n = some_node(c);

    mu_node_agent_crash(n);
    undo_after(c, outage_ms(c), (struct undo){ .node = n, .fn = undo_agent });
}

static void fault_agent_pause(struct mu_cluster *c)
{
    struct mu_node_sim *n = some_node(c);

    mu_node_agent_pause(n, true);
    undo_after(c, outage_ms(c), (struct undo){ .node = n, .fn = undo_pause_agent });
}

static void fault_spawner_die(struct mu_cluster *c)
{
    mu_node_spawner_die(some_node(c));
}

static void fault_node_reboot(struct mu_cluster *c)
{
    struct mu_node_sim *n = some_node(c);

    mu_node_reboot(n);
    undo_after(c, outage_ms(c), (struct undo){ .node = n, .fn = undo_agent });
}

static void undo_left(struct undo *u)
{
    mu_node_reboot(u->node);
    undo_after(u->cluster, outage_ms(u->cluster), (struct undo){ .node = u->node, .fn = undo_agent });
}

static void fault_node_leave(struct mu_cluster *c)
{
    struct mu_node_sim *n = some_node(c);
    uint64_t grace_ms = mu_world_between(&c->world, 10, 3000);

    mu_node_leave(n, grace_ms);
    undo_after(c, grace_ms + mu_world_between(&c->world, 1, 1000), (struct undo){ .node = n, .fn = undo_left });
}

static void fault_reset(struct mu_cluster *c)
{
    struct mu_conn *conn = mu_net_conn_of(&c->net, some_node(c)->index);

    if (conn)
        mu_net_reset(conn);
}

static void cut(struct mu_cluster *c, struct mu_node_sim *n, enum mu_side side, uint64_t ms)
{
    mu_net_cut(&c->net, n->index, side, true);
    undo_after(c, ms, (struct undo){ .node = n, .fn = undo_cut, .side = side });
}

/* Some nodes at once. */
static void fault_cut(struct mu_cluster *c)
{
    uint64_t ms = outage_ms(c);

    for (uint32_t i = 0; i < c->nodes_count; i++)
        if (mu_world_chance(&c->world, 500)) {
            cut(c, &c->nodes[i], MU_SIDE_NODE, ms);
            cut(c, &c->nodes[i], MU_SIDE_SERVER, ms);
        }
}

static void fault_cut_one_way(struct mu_cluster *c)
{
    cut(c, some_node(c), mu_world_chance(&c->world, 500) ? MU_SIDE_NODE : MU_SIDE_SERVER, outage_ms(c));
}

static void fault_clock_step(struct mu_cluster *c)
{
    int64_t step_ms = (int64_t)mu_world_between(&c->world, 0, 7200 * 1000) - 3600 * 1000;

    c->server.clock.wall_step_ms = step_ms;
    mu_world_note(&c->world, "date -s", (uint64_t)step_ms, 0, 0, 0);
}

static const struct {
    const char *name;
    void (*strike)(struct mu_cluster *c);
    size_t mean_at;         /* in struct mu_sim_faults */
    uint32_t low_ms, high_ms; /* mean pause between two, of a seed that knows it */
} faults[] = {
#define X(name) { #name, fault_##name, offsetof(struct mu_sim_faults, name), 1000, 15000 },
    MU_SIM_FAULT_MAP(X)
#undef X
};

static uint32_t *mean_of(struct mu_cluster *c, size_t i)
{
    return (uint32_t *)(void *)((char *)&c->faults + faults[i].mean_at);
}

struct strike {
    struct mu_cluster *cluster;
    size_t fault;
};

static void strike_later(struct mu_cluster *c, size_t fault);

static void strikes(void *arg)
{
    struct strike *s = arg;
    struct mu_cluster *c = s->cluster;
    size_t fault = s->fault;

    free(s);
    if (c->healing)
        return;
    mu_world_note(&c->world, faults[fault].name, 0, 0, 0, 0);
    c->struck++;
    faults[fault].strike(c);
    strike_later(c, fault);
}

static void strike_later(struct mu_cluster *c, size_t fault)
{
    struct strike *s = malloc(sizeof *s);

    MU_ASSERT(s != NULL);
    *s = (struct strike){ c, fault };
    mu_world_give(&c->world, mu_world_between(&c->world, 1, 2 * (uint64_t)*mean_of(c, fault)) * 1000, strikes, s);
}

/* Each seed knows some kinds only: few at once find more than all at once. */
static void faults_choose(struct mu_cluster *c)
{
    uint32_t known = (uint32_t)mu_world_between(&c->world, 50, 700);

    for (size_t i = 0; i < MU_COUNT(faults); i++) {
        if (!mu_world_chance(&c->world, known))
            continue;
        *mean_of(c, i) = (uint32_t)mu_world_between(&c->world, faults[i].low_ms, faults[i].high_ms);
        strike_later(c, i);
    }
}

/* ---- the memory journal's own host: its packets travel by the world's time ---- */

static uint64_t disk_boot_ns(void *arg)
{
    return ((struct mu_cluster *)arg)->world.now_us * 1000;
}

static void *disk_after(void *arg, uint64_t delay_ms, void (*fn)(void *p), void *p)
{
    struct mu_world *w = &((struct mu_cluster *)arg)->world;
    return mu_world_after(w, delay_ms * 1000 + mu_world_between(w, 20, 600), fn, p);
}

static void disk_post(void *arg, void (*fn)(void *p), void *p)
{
    mu_world_after(&((struct mu_cluster *)arg)->world, 0, fn, p);
}

static void disk_cancel(void *arg, void *timer)
{
    mu_world_cancel(&((struct mu_cluster *)arg)->world, timer);
}

static void disk_random(void *arg, void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)mu_world_below(&((struct mu_cluster *)arg)->world, 256);
}

/* ---- network callbacks ---- */

static void net_data(void *arg, enum mu_side side, struct mu_conn *conn)
{
    struct mu_cluster *c = arg;

    if (side == MU_SIDE_SERVER)
        mu_server_data(&c->server, conn);
    else if (c->nodes[conn->node].conn == conn)
        mu_node_data(&c->nodes[conn->node], conn);
}

static void net_closed(void *arg, enum mu_side side, struct mu_conn *conn)
{
    struct mu_cluster *c = arg;

    if (side == MU_SIDE_SERVER)
        mu_server_closed(&c->server, conn);
    else
        mu_node_closed(&c->nodes[conn->node], conn);
}

/* ---- a run ---- */

static void cluster_size(struct mu_cluster *c)
{
    struct mu_world *w = &c->world;

    c->lease_ms = mu_world_between(w, 1, 5) * 1000;
    c->margin_ms = c->lease_ms / 20;
    c->record_max = mu_world_chance(w, 300) ? MU_EVENT_BYTES_MAX + 4096 : 1 << 20;
    c->inflight_max = (unsigned)mu_world_between(w, 1, 4);
    c->think_max_ms = mu_world_between(w, 200, 6000);
    c->net.delay_us[1] = mu_world_chance(w, 300) ? 20000 : 500;
    c->limits = mu_core_limits_default;
    if (mu_world_chance(w, 150)) { /* jobs are soon forgotten */
        c->limits.ended_jobs_max = mu_world_between(w, 1, 10);
        c->limits.ended_ms = mu_world_between(w, 1000, 20000);
    }
    if (mu_world_chance(w, 100)) /* too much is refused for a while */
        c->limits.tasks_waiting_max = mu_world_between(w, 250, 400);
    c->nodes_count = (uint32_t)mu_world_between(w, 1, 6);
    c->clients_count = (uint32_t)mu_world_between(w, 1, MU_SIM_CLIENTS_MAX - 1);
    if (c->opt.chaos_ms == 0)
        c->opt.chaos_ms = mu_world_between(w, 5, 30) * 1000;
}

static void cluster_begin(struct mu_cluster *c, const struct mu_sim_options *opt)
{
    struct mu_memory_settings settings = { .seed = opt->seed };

    c->opt = *opt;
    mu_world_init(&c->world, opt->seed);
    c->world.trace = opt->trace;
    c->world.trace_arg = opt->trace_arg;
    mu_list_init(&c->calls);
    mu_net_init(&c->net, &c->world);
    c->net.arg = c;
    c->net.accepts = mu_server_accepts;
    c->net.accepted = mu_server_accepted;
    c->net.connected = mu_node_connected;
    c->net.data = net_data;
    c->net.closed = net_closed;
    cluster_size(c);
    c->memory_host = (struct mu_journal_host){ .arg = c, .boot_ns = disk_boot_ns, .post = disk_post, .after = disk_after,
                                               .cancel = disk_cancel, .random = disk_random };
    c->memory = mu_memory_new(&c->memory_host, &settings);
    c->oracle = mu_oracle_new(c);
    mu_server_init(c);
    mu_server_start(&c->server);
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        mu_node_init(c, i);
        mu_node_agent_start(&c->nodes[i]);
    }
    for (uint32_t i = 0; i < c->clients_count; i++)
        mu_client_init(c, i);
    faults_choose(c);
}

static void run_until(struct mu_cluster *c, uint64_t ms)
{
    while (!c->world.failed && c->world.now_us < ms * 1000 && c->world.events < EVENTS_MAX)
        if (!mu_world_step(&c->world))
            break;
    if (c->world.events >= EVENTS_MAX)
        mu_world_fail(&c->world, "more events than a run can have: something spins");
}

static void heal(struct mu_cluster *c)
{
    mu_world_note(&c->world, "heal", 0, 0, 0, 0);
    c->healing = true;
    mu_memory_quota_set(c->memory, "sim", 0);
    disk_set(c, (struct mu_memory_faults){ 0 });
    mu_server_pause(&c->server, false);
    mu_server_start(&c->server);
    for (uint32_t i = 0; i < c->nodes_count; i++) {
        for (int side = 0; side < MU_SIDES; side++)
            mu_net_cut(&c->net, i, side, false);
        mu_node_heal(&c->nodes[i]);
    }
}

static bool is_quiet(struct mu_cluster *c)
{
    if (c->server.ctl == NULL || !mu_ctl_leads(c->server.ctl))
        return false;
    for (uint32_t i = 0; i < c->clients_count; i++)
        if (!mu_client_is_idle(&c->clients[i]))
            return false;
    return mu_oracle_is_quiet(c->oracle, c->server.ctl);
}

static void why_not_quiet(struct mu_cluster *c)
{
    uint64_t tasks[MU_TASK_STATES] = { 0 }, active = 0;

    if (c->server.ctl)
        mu_view_counts(mu_ctl_core(c->server.ctl), tasks, &active);
    mu_world_fail(&c->world,
                  "no rest %d s after healing: leads %d, jobs %llu, blocked %llu ready %llu backoff %llu starting %llu running %llu stopping %llu [L]",
                  HEAL_MAX_MS / 1000, c->server.ctl && mu_ctl_leads(c->server.ctl), (unsigned long long)active,
                  (unsigned long long)tasks[MU_TASK_BLOCKED], (unsigned long long)tasks[MU_TASK_READY],
                  (unsigned long long)tasks[MU_TASK_BACKOFF], (unsigned long long)tasks[MU_TASK_STARTING],
                  (unsigned long long)tasks[MU_TASK_RUNNING], (unsigned long long)tasks[MU_TASK_STOPPING]);
}

static void settle(struct mu_cluster *c)
{
    uint64_t now_ms = c->world.now_us / 1000, end_ms = now_ms + HEAL_MAX_MS;

    for (; now_ms < end_ms && !c->world.failed; now_ms += QUIET_LOOK_MS) {
        run_until(c, now_ms);
        if (is_quiet(c))
            break;
    }
    if (!c->world.failed && !is_quiet(c))
        why_not_quiet(c);
    run_until(c, c->world.now_us / 1000 + 2000); /* the last acknowledgements */
    if (c->world.failed)
        return;
    if (!is_quiet(c))
        why_not_quiet(c);
    mu_oracle_rest(c->oracle, c->server.ctl);
}

/* The state is in the journal and nowhere else. */
static void start_again(struct mu_cluster *c)
{
    mu_server_crash(&c->server);
    run_until(c, c->world.now_us / 1000 + 20000);
    if (!c->world.failed && (c->server.ctl == NULL || !mu_ctl_leads(c->server.ctl)))
        mu_world_fail(&c->world, "the server does not lead again after a last start");
}

static void cluster_end(struct mu_cluster *c)
{
    for (uint32_t i = 0; i < c->clients_count; i++)
        mu_client_fini(&c->clients[i]);
    mu_server_fini(&c->server);
    mu_calls_fini(c);
    for (uint32_t i = 0; i < c->nodes_count; i++)
        mu_node_fini(&c->nodes[i]);
    mu_net_fini(&c->net);
    mu_memory_free(c->memory);
    mu_oracle_free(c->oracle);
    mu_world_fini(&c->world);
}

void mu_sim_run(const struct mu_sim_options *opt, struct mu_sim_result *out)
{
    struct mu_cluster *c = calloc(1, sizeof *c);

    MU_ASSERT(c != NULL);
    cluster_begin(c, opt);
    run_until(c, c->opt.chaos_ms);
    heal(c);
    settle(c);
    if (!c->world.failed)
        start_again(c);
    *out = (struct mu_sim_result){ .ok = !c->world.failed, .hash = c->world.hash, .virtual_ms = c->world.now_us / 1000,
                                   .events = c->world.events, .faults = c->struck };
    snprintf(out->why, sizeof out->why, "%s", c->world.why);
    mu_oracle_count(c->oracle, out);
    for (uint32_t i = 0; i < c->clients_count; i++)
        out->unknown += c->clients[i].unknown;
    cluster_end(c);
    free(c);
}
