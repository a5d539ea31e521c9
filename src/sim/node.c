/* A machine of the pool: agent process around the shipped agent.c, a modelled spawner that outlives it, and processes
 * whose starts and ends the oracle sees at true time. */
#include "sim/cluster.h"

#include "base/hash.h"

#include <signal.h>

enum {
    SOCKET_MAX_US = 500,        /* one way between agent and spawner */
    CONNECT_AGAIN_MS = 300,
    START_MAX_US = 3000,        /* fork and exec */
    DIE_MAX_US = 20000,         /* from a signal to the exit */
};

/* ---- clocks ---- */

uint64_t mu_clock_boot_ms(const struct mu_clock *c)
{
    int64_t up_us = (int64_t)(c->world->now_us - c->booted_us);

    return 1000 + (uint64_t)(up_us + up_us * c->ppm / 1000000) / 1000;
}

uint64_t mu_clock_wall_ms(const struct mu_clock *c)
{
    return (uint64_t)((int64_t)UINT64_C(1790000000000) + (int64_t)(c->world->now_us / 1000) + c->wall_step_ms);
}

uint64_t mu_clock_until_us(const struct mu_clock *c, uint64_t boot_ms)
{
    uint64_t now_ms = mu_clock_boot_ms(c);

    return boot_ms > now_ms ? (boot_ms - now_ms) * 1000 * 1000000 / (uint64_t)(1000000 + c->ppm) + 1 : 0;
}

static uint64_t now_ms(const struct mu_node_sim *n)
{
    return mu_clock_boot_ms(&n->clock);
}

static struct mu_world *world_of(struct mu_node_sim *n)
{
    return &n->cluster->world;
}

static void note(struct mu_node_sim *n, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    mu_world_note(world_of(n), what, n->index, a, b, c);
}

/* ---- between agent and spawner: two queues in order ---- */

struct letter {
    struct mu_node_sim *node;
    uint64_t life; /* of the receiver when it was sent */
    void (*fn)(struct mu_node_sim *n, struct letter *l);
    uint64_t id;
    int signal;
    enum mu_end why;
    struct mu_task_proc *proc; /* to the spawner: a new one */
    struct mu_agent_exit exit;
    uint32_t count;
    struct mu_agent_task tasks[];
};

static struct letter *letter_new(struct mu_node_sim *n, void (*fn)(struct mu_node_sim *, struct letter *), uint32_t count)
{
    struct letter *l = calloc(1, sizeof *l + count * (sizeof l->tasks[0] + sizeof l->exit));

    MU_ASSERT(l != NULL);
    l->node = n;
    l->fn = fn;
    l->count = count;
    return l;
}

static uint64_t arrival_delay(struct mu_node_sim *n, uint64_t *last_us)
{
    uint64_t now_us = world_of(n)->now_us, at_us = now_us + mu_world_between(world_of(n), 5, SOCKET_MAX_US);

    *last_us = at_us > *last_us ? at_us : *last_us;
    return *last_us - now_us;
}

static void spawner_reads(void *arg)
{
    struct letter *l = arg;

    if (l->node->spawner_alive && l->node->spawner_life == l->life)
        l->fn(l->node, l);
    else
        free(l->proc);
    free(l);
}

static void to_spawner(struct mu_node_sim *n, struct letter *l)
{
    l->life = n->talks_to;
    mu_world_give(world_of(n), arrival_delay(n, &n->to_spawner_us), spawner_reads, l);
}

static void turn_soon(struct mu_node_sim *n);

static void agent_reads(void *arg)
{
    struct letter *l = arg;
    struct mu_node_sim *n = l->node;

    if (n->agent_life == l->life) {
        l->fn(n, l);
        turn_soon(n);
    }
    free(l);
}

static void agent_gets(void *arg)
{
    struct letter *l = arg;
    mu_proc_run(&l->node->agent_proc, agent_reads, l);
}

static void to_agent(struct mu_node_sim *n, struct letter *l)
{
    if (n->spawner_hears == 0) {
        free(l);
        return;
    }
    l->life = n->spawner_hears;
    mu_world_give(world_of(n), arrival_delay(n, &n->to_agent_us), agent_gets, l);
}

/* ---- spawner ---- */

static struct mu_task_proc *proc_find(struct mu_node_sim *n, uint64_t id)
{
    MU_LIST_EACH(it, &n->procs) {
        struct mu_task_proc *p = MU_CONTAINER(it, struct mu_task_proc, link);
        if (p->id == id)
            return p;
    }
    return NULL;
}

static void agent_hears_started(struct mu_node_sim *n, struct letter *l)
{
    mu_agent_on_started(n->agent, now_ms(n), l->id);
}

static void agent_hears_exit(struct mu_node_sim *n, struct letter *l)
{
    mu_agent_on_exit(n->agent, now_ms(n), &l->exit);
}

static void proc_over(struct mu_task_proc *p, enum mu_end how, uint32_t code)
{
    struct mu_node_sim *n = p->node;
    struct letter *l;

    mu_world_cancel(world_of(n), p->next);
    p->next = NULL;
    p->ended = true;
    p->exit = (struct mu_agent_exit){ .id = p->id, .how = how, .code = code };
    p->exit.run_us = p->running ? world_of(n)->now_us - p->began_us : 0;
    if (p->running) {
        p->running = false;
        note(n, "process ends", p->job, p->ordinal, p->attempt);
        mu_oracle_ended(n->cluster->oracle, p);
    }
    l = letter_new(n, agent_hears_exit, 0);
    l->exit = p->exit;
    to_agent(n, l);
}

static void proc_done(void *arg)
{
    struct mu_task_proc *p = arg;

    p->next = NULL;
    proc_over(p, p->exit.how, p->exit.code);
}

static void proc_begins(void *arg)
{
    struct mu_task_proc *p = arg;
    struct mu_node_sim *n = p->node;
    struct letter *l = letter_new(n, agent_hears_started, 0);

    p->running = true;
    p->began_us = world_of(n)->now_us;
    p->next = mu_world_after(world_of(n), p->ends_us, proc_done, p);
    note(n, "process begins", p->job, p->ordinal, p->attempt);
    mu_oracle_started(n->cluster->oracle, p);
    l->id = p->id;
    to_agent(n, l);
}

static void spawner_spawns(struct mu_node_sim *n, struct letter *l)
{
    struct mu_task_proc *p = l->proc;

    MU_ASSERT(proc_find(n, p->id) == NULL);
    mu_list_add_tail(&n->procs, &p->link);
    n->next_id = p->id >= n->next_id ? p->id + 1 : n->next_id;
    if (now_ms(n) >= n->dead_ms) {
        proc_over(p, MU_END_NODE_LOST, 0);
        return;
    }
    p->next = mu_world_after(world_of(n), mu_world_between(world_of(n), 100, START_MAX_US), proc_begins, p);
}

/* Its end comes a moment after the signal, unless its own comes first. */
static void proc_signal(struct mu_task_proc *p, int sig, enum mu_end how)
{
    uint64_t soon_us = mu_world_between(world_of(p->node), 10, DIE_MAX_US);

    if (p->ended || (sig == SIGTERM && p->stubborn))
        return;
    if (p->next != NULL && p->running && p->next->link.key <= world_of(p->node)->now_us + soon_us)
        return;
    mu_world_cancel(world_of(p->node), p->next);
    p->exit.how = how;
    p->exit.code = (uint32_t)sig;
    p->next = mu_world_after(world_of(p->node), soon_us, proc_done, p);
}

static void spawner_kills(struct mu_node_sim *n, struct letter *l)
{
    struct mu_task_proc *p = proc_find(n, l->id);

    if (p == NULL || p->ended)
        return;
    if (p->stop_why == MU_END_EXIT) { /* later signals follow from the first */
        mu_oracle_killed(n->cluster->oracle, p, l->why);
        p->stop_why = l->why;
    }
    proc_signal(p, l->signal, MU_END_SIGNAL);
}

static void proc_forget(struct mu_task_proc *p)
{
    mu_world_cancel(world_of(p->node), p->next);
    mu_list_remove(&p->link);
    free(p);
}

static void spawner_forgets(struct mu_node_sim *n, struct letter *l)
{
    struct mu_task_proc *p = proc_find(n, l->id);

    if (p != NULL && p->ended)
        proc_forget(p);
}

static void dead_man(void *arg)
{
    struct mu_node_sim *n = arg;

    n->dead = NULL;
    note(n, "spawner fences", n->dead_ms, 0, 0);
    MU_LIST_EACH_SAFE(it, &n->procs) {
        struct mu_task_proc *p = MU_CONTAINER(it, struct mu_task_proc, link);
        if (!p->ended)
            proc_over(p, MU_END_NODE_LOST, 0);
    }
}

static void spawner_leases(struct mu_node_sim *n, struct letter *l)
{
    n->dead_ms = l->id;
    mu_world_cancel(world_of(n), n->dead);
    n->dead = n->dead_ms == UINT64_MAX ? NULL : mu_world_after(world_of(n), mu_clock_until_us(&n->clock, n->dead_ms), dead_man, n);
}

static void agent_hears_list(struct mu_node_sim *n, struct letter *l);

static void spawner_lists(struct mu_node_sim *n, struct letter *l)
{
    uint32_t count = 0, i = 0;
    struct letter *list;
    struct mu_agent_exit *exits;

    n->spawner_hears = l->id;
    MU_LIST_EACH(it, &n->procs)
        count++;
    list = letter_new(n, agent_hears_list, count);
    exits = (struct mu_agent_exit *)(list->tasks + count);
    list->id = n->next_id;
    MU_LIST_EACH(it, &n->procs) {
        struct mu_task_proc *p = MU_CONTAINER(it, struct mu_task_proc, link);
        uint64_t ago_ms = p->running ? (world_of(n)->now_us - p->began_us) / 1000 : 0;

        exits[i] = p->exit;
        list->tasks[i] = (struct mu_agent_task){
            .id = p->id, .job = p->job, .ordinal = p->ordinal, .attempt = p->attempt, .grace_ms = p->grace_ms,
            .started_ago_ms = ago_ms, .stop = p->stop_why, .exit = p->ended ? &exits[i] : NULL,
            .timeout_left_ms = p->timeout_ms == 0 ? 0 : p->timeout_ms > ago_ms ? p->timeout_ms - ago_ms : 1,
        };
        i++;
    }
    to_agent(n, list);
}

static void spawner_start(struct mu_node_sim *n)
{
    n->spawner_alive = true;
    n->spawner_life++;
    n->spawner_hears = 0;
    n->next_id = 1;
    n->dead_ms = UINT64_MAX;
    snprintf(n->boot, sizeof n->boot, "boot-%u-%llu", n->index, (unsigned long long)n->spawner_life);
}

/* With it go its tasks. */
static void spawner_end(struct mu_node_sim *n)
{
    n->spawner_alive = false;
    n->spawner_hears = 0;
    mu_world_cancel(world_of(n), n->dead);
    n->dead = NULL;
    while (!mu_list_is_empty(&n->procs)) {
        struct mu_task_proc *p = MU_CONTAINER(n->procs.next, struct mu_task_proc, link);
        if (p->running) {
            p->running = false;
            p->ended = true;
            p->exit = (struct mu_agent_exit){ .how = MU_END_NODE_LOST };
            mu_oracle_ended(n->cluster->oracle, p);
        }
        proc_forget(p);
    }
}

/* ---- what the agent wants done ---- */

static void out_send(void *arg, const void *bytes, size_t size)
{
    struct mu_node_sim *n = arg;

    if (n->conn)
        mu_net_send(n->conn, MU_SIDE_NODE, bytes, size);
}

/* What the command says a task does: "t DURATION_MS FAIL_OF_1000 STUBBORN [INDEX]". */
static void proc_plan(struct mu_task_proc *p, const struct mu_agent_spawn *s)
{
    char text[96];
    unsigned long long duration_ms = 0, fail = 0, stubborn = 0, index = UINT64_MAX;
    struct mu_world *w = world_of(p->node);
    uint64_t dice = mu_hash_mix(mu_hash_mix(p->node->cluster->opt.seed, mu_task_key(p->job, p->ordinal)), p->attempt);

    if (s->line.size > 0)
        snprintf(text, sizeof text, MU_STR_FMT, MU_STR_ARG(s->line));
    else
        snprintf(text, sizeof text, MU_STR_FMT, MU_STR_ARG(s->spec->argv.at[0]));
    if (sscanf(text, "t %llu %llu %llu %llu", &duration_ms, &fail, &stubborn, &index) < 3)
        mu_world_fail(w, "task %llu.%u was given the command \"%s\"", (unsigned long long)p->job, p->ordinal, text);
    if (s->line.size > 0 && index != p->ordinal)
        mu_world_fail(w, "task %llu.%u was given the line of task %llu", (unsigned long long)p->job, p->ordinal, index);
    p->stubborn = stubborn != 0;
    p->exit.how = MU_END_EXIT;
    p->exit.code = dice % 1000 < fail ? 1 : 0;
    p->ends_us = duration_ms * 1000 * (50 + (dice >> 20) % 100) / 100 + 1;
}

static void out_spawn(void *arg, const struct mu_agent_spawn *s)
{
    struct mu_node_sim *n = arg;
    struct letter *l = letter_new(n, spawner_spawns, 0);
    struct mu_task_proc *p = calloc(1, sizeof *p);

    MU_ASSERT(p != NULL);
    mu_list_init(&p->link);
    p->node = n;
    p->id = s->id;
    p->job = s->job;
    p->ordinal = s->ordinal;
    p->attempt = s->attempt;
    p->timeout_ms = s->spec->timeout_ms;
    p->grace_ms = s->spec->grace_ms;
    p->cpu_milli = s->spec->cpu_milli;
    p->mem_bytes = s->spec->mem_bytes;
    proc_plan(p, s);
    l->proc = p;
    to_spawner(n, l);
}

static void out_kill(void *arg, uint64_t id, int sig, enum mu_end why)
{
    struct mu_node_sim *n = arg;
    struct letter *l = letter_new(n, spawner_kills, 0);

    note(n, "agent kills", id, (uint64_t)sig, (uint64_t)why);
    l->id = id;
    l->signal = sig;
    l->why = why;
    to_spawner(n, l);
}

static void out_forget(void *arg, uint64_t id)
{
    struct mu_node_sim *n = arg;
    struct letter *l = letter_new(n, spawner_forgets, 0);

    l->id = id;
    to_spawner(n, l);
}

static void out_identity(void *arg, const uint8_t cluster[16], uint64_t epoch)
{
    struct mu_node_sim *n = arg;

    memcpy(n->identity, cluster, sizeof n->identity);
    n->epoch = epoch;
}

static void out_lease(void *arg, uint64_t dead_ms)
{
    struct mu_node_sim *n = arg;
    struct letter *l = letter_new(n, spawner_leases, 0);

    l->id = dead_ms;
    to_spawner(n, l);
}

static void out_output(void *arg, const struct mu_msg *msg)
{
    (void)arg, (void)msg; /* files of a task's output are not modelled */
}

static void out_drop(void *arg, const char *why, bool final)
{
    struct mu_node_sim *n = arg;

    mu_world_note(world_of(n), "agent drops the connection", n->index, mu_hash(why, strlen(why), 0), final, 0);
    n->drop = true;
    if (final)
        mu_world_fail(world_of(n), "node %u was told to give up: %s", n->index, why);
}

/* ---- agent ---- */

static void agent_connect(void *arg);

static void connect_later(struct mu_node_sim *n)
{
    if (n->connecting || n->conn || n->agent == NULL)
        return;
    n->connecting = true;
    n->revive = mu_world_after(world_of(n), mu_world_between(world_of(n), 1, 2 * CONNECT_AGAIN_MS) * 1000, agent_connect, n);
}

static void agent_connect(void *arg)
{
    struct mu_node_sim *n = arg;

    n->revive = NULL;
    mu_net_connect(&n->cluster->net, n->index, (void *)(uintptr_t)n->agent_life);
}

static void agent_down(struct mu_node_sim *n)
{
    struct mu_conn *conn = n->conn;

    n->drop = false;
    if (conn == NULL)
        return;
    n->conn = NULL;
    mu_agent_on_down(n->agent, now_ms(n));
    mu_net_close(conn, MU_SIDE_NODE);
    connect_later(n);
}

static void agent_wakes(void *arg);

static void agent_turn(void *arg)
{
    struct mu_node_sim *n = arg;
    uint64_t wake_ms;

    if (n->agent == NULL)
        return;
    if (n->drop)
        agent_down(n);
    mu_agent_turn(n->agent, now_ms(n), &(struct mu_msg_ping){ .cpu_milli_used = 1 });
    if (n->drop)
        agent_down(n);
    mu_agent_check(n->agent);
    wake_ms = mu_agent_wake_ms(n->agent);
    mu_world_cancel(world_of(n), n->wake);
    n->wake = wake_ms == UINT64_MAX ? NULL : mu_world_after(world_of(n), mu_clock_until_us(&n->clock, wake_ms), agent_wakes, n);
}

struct turn {
    struct mu_node_sim *node;
    uint64_t life;
};

static void turn_now(void *arg)
{
    struct turn *t = arg;

    if (t->node->agent_life == t->life) {
        t->node->turning = false;
        agent_turn(t->node);
    }
    free(t);
}

static void turn_run(void *arg)
{
    struct turn *t = arg;
    mu_proc_run(&t->node->agent_proc, turn_now, t);
}

/* What comes within a moment is one batch. */
static void turn_soon(struct mu_node_sim *n)
{
    struct turn *t;

    if (n->turning || n->agent == NULL)
        return;
    t = malloc(sizeof *t);
    MU_ASSERT(t != NULL);
    *t = (struct turn){ n, n->agent_life };
    n->turning = true;
    mu_world_give(world_of(n), mu_world_between(world_of(n), 0, 50), turn_run, t);
}

static void agent_wakes(void *arg)
{
    struct mu_node_sim *n = arg;

    n->wake = NULL;
    turn_soon(n);
}

static void agent_hears_list(struct mu_node_sim *n, struct letter *l)
{
    static const struct mu_agent_out out = {
        .send = out_send, .spawn = out_spawn, .kill = out_kill, .forget = out_forget, .identity = out_identity,
        .lease = out_lease, .output = out_output, .drop = out_drop,
    };
    struct mu_agent_out mine = out;
    struct mu_str label = mu_str_of(n->label);
    struct mu_agent_options opt = {
        .name = n->name, .version = "sim", .limits = "none", .boot = n->boot, .epoch = n->epoch,
        .cpu_milli = n->cpu_milli, .mem_bytes = n->mem_bytes, .labels = &label, .labels_count = 1, .keep = n->keep, .next_id = l->id,
    };

    MU_ASSERT(n->agent == NULL);
    mine.arg = n;
    memcpy(opt.cluster, n->identity, sizeof opt.cluster);
    n->agent = mu_agent_new(&opt, &mine);
    for (uint32_t i = 0; i < l->count; i++)
        mu_agent_adopt(n->agent, now_ms(n), &l->tasks[i]);
    mu_agent_listed(n->agent, now_ms(n));
    n->drop = false;
    connect_later(n);
}

static void spawner_greet(struct mu_node_sim *n)
{
    struct letter *l = letter_new(n, spawner_lists, 0);

    l->id = n->agent_life;
    n->talks_to = n->spawner_life;
    to_spawner(n, l);
}

void mu_node_agent_start(struct mu_node_sim *n)
{
    if (n->agent_proc.alive)
        return;
    mu_proc_start(&n->agent_proc, world_of(n));
    n->agent_life++;
    n->turning = n->connecting = n->leaving = false;
    note(n, "agent starts", n->agent_life, 0, 0);
    if (!n->spawner_alive)
        spawner_start(n);
    spawner_greet(n);
}

void mu_node_agent_crash(struct mu_node_sim *n)
{
    if (!n->agent_proc.alive)
        return;
    note(n, "agent dies", n->agent_life, 0, 0);
    mu_node_agent_pause(n, false);
    mu_proc_kill(&n->agent_proc);
    n->conn = NULL;
    mu_net_die(&n->cluster->net, MU_SIDE_NODE, n->index);
    mu_world_cancel(world_of(n), n->wake);
    mu_world_cancel(world_of(n), n->revive);
    n->wake = n->revive = NULL;
    mu_agent_free(n->agent);
    n->agent = NULL;
}

void mu_node_agent_pause(struct mu_node_sim *n, bool paused)
{
    if (!n->agent_proc.alive || n->agent_proc.paused == paused)
        return;
    note(n, paused ? "agent stops" : "agent goes on", 0, 0, 0);
    if (paused)
        mu_proc_pause(&n->agent_proc);
    else
        mu_proc_resume(&n->agent_proc);
    mu_net_stop(&n->cluster->net, MU_SIDE_NODE, n->index, paused);
    if (!paused)
        turn_soon(n);
}

/* The agent finds the socket closed, starts another spawner and says so. */
static void agent_hears_boot(struct mu_node_sim *n, struct letter *l)
{
    (void)l;
    if (n->agent == NULL) {
        spawner_greet(n); /* its first list is lost with the old one */
        return;
    }
    n->talks_to = n->spawner_life;
    n->spawner_hears = n->agent_life;
    mu_agent_on_boot(n->agent, now_ms(n), n->boot);
}

void mu_node_spawner_die(struct mu_node_sim *n)
{
    struct letter *l;

    if (!n->spawner_alive)
        return;
    note(n, "spawner dies", n->spawner_life, 0, 0);
    spawner_end(n);
    if (!n->agent_proc.alive)
        return;
    spawner_start(n);
    l = letter_new(n, agent_hears_boot, 0);
    l->life = n->agent_life;
    mu_world_give(world_of(n), arrival_delay(n, &n->to_agent_us), agent_gets, l);
}

void mu_node_reboot(struct mu_node_sim *n)
{
    note(n, "node reboots", 0, 0, 0);
    mu_node_agent_crash(n);
    if (n->spawner_alive)
        spawner_end(n);
    n->clock.booted_us = world_of(n)->now_us;
}

/* It is being stopped in order; whoever asked ends it later. */
void mu_node_leave(struct mu_node_sim *n, uint64_t grace_ms)
{
    if (n->agent == NULL || n->agent_proc.paused)
        return;
    note(n, "node leaves", grace_ms, 0, 0);
    n->leaving = true;
    mu_agent_leave(n->agent, now_ms(n), grace_ms);
    turn_soon(n);
}

/* ---- connection ---- */

void mu_node_connected(void *cluster, uint32_t node, struct mu_conn *conn, void *user)
{
    struct mu_node_sim *n = &((struct mu_cluster *)cluster)->nodes[node];
    bool mine = n->agent && n->agent_life == (uint64_t)(uintptr_t)user;

    if (mine)
        n->connecting = false;
    if (conn && (!mine || n->agent_proc.paused || n->conn)) {
        mu_net_close(conn, MU_SIDE_NODE);
        conn = NULL;
    }
    if (!mine)
        return;
    if (conn == NULL) {
        connect_later(n);
        return;
    }
    conn->user[MU_SIDE_NODE] = n;
    n->conn = conn;
    n->drop = false;
    mu_agent_on_up(n->agent, now_ms(n));
    turn_soon(n);
}

void mu_node_data(struct mu_node_sim *n, struct mu_conn *conn)
{
    struct mu_buf *in = &conn->in[MU_SIDE_NODE];
    size_t at = 0, used;
    struct mu_err err;

    while (n->conn == conn && !n->drop) {
        struct mu_msg msg;
        enum mu_rc rc;

        mu_arena_reset(&n->arena);
        rc = mu_frame_take(in->at + at, in->size - at, &used, &msg, &n->arena, &err);
        if (rc == MU_AGAIN)
            break;
        if (rc != MU_OK || !mu_agent_msg(n->agent, now_ms(n), &msg, &err)) {
            mu_world_fail(world_of(n), "node %u does not understand the server: %s", n->index, err.text);
            return;
        }
        mu_world_note(world_of(n), mu_msg_name(msg.type), n->index, msg.epoch, used, 0);
        at += used;
    }
    if (n->conn == conn && !n->drop)
        mu_buf_drop(in, at);
    turn_soon(n);
}

void mu_node_closed(struct mu_node_sim *n, struct mu_conn *conn)
{
    if (n->conn != conn)
        return;
    n->conn = NULL;
    n->drop = false;
    mu_agent_on_down(n->agent, now_ms(n));
    connect_later(n);
    turn_soon(n);
}

/* ---- life ---- */

void mu_node_init(struct mu_cluster *c, uint32_t index)
{
    struct mu_node_sim *n = &c->nodes[index];
    struct mu_world *w = &c->world;

    n->cluster = c;
    n->index = index;
    n->cpu_milli = 1000 * mu_world_between(w, 1, 6);
    n->mem_bytes = mu_world_between(w, 2, 8) << 30;
    n->keep = mu_world_chance(w, 100);
    n->clock = (struct mu_clock){ .world = w, .ppm = (int64_t)mu_world_below(w, 10000) - 5000 };
    snprintf(n->name, sizeof n->name, "n%u", index);
    snprintf(n->label, sizeof n->label, "zone=%c", 'a' + (char)(index % 2));
    mu_list_init(&n->procs);
}

void mu_node_heal(struct mu_node_sim *n)
{
    mu_node_agent_pause(n, false);
    mu_node_agent_start(n);
}

void mu_node_fini(struct mu_node_sim *n)
{
    mu_node_agent_crash(n);
    if (n->spawner_alive)
        spawner_end(n);
    mu_arena_fini(&n->arena);
}
