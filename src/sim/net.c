/* Connections as in-order queues of segments with an arrival time each. */
#include "sim/net.h"

#include "base/assert.h"

enum { CONNECT_TIMEOUT_US = 1000000 };

/* Bytes, or with last set: the end. */
struct segment {
    struct mu_list link;
    uint64_t at_us;
    bool last;
    size_t size;
    uint8_t bytes[];
};

struct attempt {
    struct mu_net *net;
    uint32_t node;
    void *user;
};

void mu_net_init(struct mu_net *net, struct mu_world *w)
{
    *net = (struct mu_net){ .world = w, .delay_us = { 50, 500 } };
    mu_list_init(&net->conns);
}

static struct mu_conn *conn_of(struct mu_list *link)
{
    return MU_CONTAINER(link, struct mu_conn, link);
}

static struct segment *segment_of(struct mu_list *link)
{
    return MU_CONTAINER(link, struct segment, link);
}

static void way_drop(struct mu_conn *c, enum mu_side to)
{
    while (!mu_list_is_empty(&c->way[to])) {
        struct segment *s = segment_of(c->way[to].next);
        mu_list_remove(&s->link);
        free(s);
    }
    mu_world_cancel(c->net->world, c->delivery[to]);
    c->delivery[to] = NULL;
}

static void conn_free(struct mu_conn *c)
{
    for (int s = 0; s < MU_SIDES; s++) {
        way_drop(c, s);
        mu_buf_fini(&c->in[s]);
    }
    mu_list_remove(&c->link);
    free(c);
}

void mu_net_fini(struct mu_net *net)
{
    while (!mu_list_is_empty(&net->conns))
        conn_free(conn_of(net->conns.next));
}

static uint64_t delay(struct mu_net *net)
{
    return mu_world_between(net->world, net->delay_us[0], net->delay_us[1]);
}

static void deliver_node(void *arg);
static void deliver_server(void *arg);

/* Nothing arrives at that side for now. */
static bool is_held(const struct mu_conn *c, enum mu_side to)
{
    return c->net->cut[c->node][to] || (to == MU_SIDE_SERVER ? c->net->server_stopped : c->net->stopped[c->node]);
}

static void delivery_arm(struct mu_conn *c, enum mu_side to)
{
    uint64_t at_us, now_us = c->net->world->now_us;

    if (c->delivery[to] || mu_list_is_empty(&c->way[to]) || is_held(c, to))
        return;
    at_us = segment_of(c->way[to].next)->at_us;
    c->delivery[to] = mu_world_after(c->net->world, at_us > now_us ? at_us - now_us : 0,
                                     to == MU_SIDE_NODE ? deliver_node : deliver_server, c);
}

static void conn_reap(struct mu_conn *c)
{
    if (!c->open[0] && !c->open[1])
        conn_free(c);
}

static void deliver(struct mu_conn *c, enum mu_side to)
{
    struct segment *s = segment_of(c->way[to].next);
    bool last = s->last;

    c->delivery[to] = NULL;
    if (is_held(c, to))
        return; /* taken up again when it heals */
    mu_list_remove(&s->link);
    if (c->open[to] && !last)
        mu_buf_add(&c->in[to], s->bytes, s->size);
    free(s);
    delivery_arm(c, to);
    if (!c->open[to])
        return;
    if (to == MU_SIDE_SERVER && !c->accepted) {
        c->accepted = true;
        c->net->accepted(c->net->arg, c);
    }
    if (!last) {
        c->net->data(c->net->arg, to, c);
        return;
    }
    c->open[to] = false;
    c->net->closed(c->net->arg, to, c);
    conn_reap(c);
}

static void deliver_node(void *arg) { deliver(arg, MU_SIDE_NODE); }
static void deliver_server(void *arg) { deliver(arg, MU_SIDE_SERVER); }

static void way_put(struct mu_conn *c, enum mu_side to, const void *bytes, size_t size, bool last)
{
    struct segment *s = calloc(1, sizeof *s + size);
    uint64_t at_us = c->net->world->now_us + delay(c->net);

    MU_ASSERT(s != NULL);
    s->at_us = at_us > c->arrives_us[to] ? at_us : c->arrives_us[to];
    c->arrives_us[to] = s->at_us;
    s->last = last;
    s->size = size;
    if (size > 0)
        memcpy(s->bytes, bytes, size);
    mu_list_add_tail(&c->way[to], &s->link);
    delivery_arm(c, to);
}

void mu_net_send(struct mu_conn *c, enum mu_side from, const void *bytes, size_t size)
{
    enum mu_side to = from == MU_SIDE_NODE ? MU_SIDE_SERVER : MU_SIDE_NODE;
    size_t first = size > 1 && mu_world_chance(c->net->world, 100) ? mu_world_between(c->net->world, 1, size - 1) : size;

    if (!c->open[from] || !c->open[to])
        return;
    way_put(c, to, bytes, first, false); /* now and then in two pieces: frames come torn */
    if (first < size)
        way_put(c, to, (const uint8_t *)bytes + first, size - first, false);
}

void mu_net_close(struct mu_conn *c, enum mu_side from)
{
    enum mu_side to = from == MU_SIDE_NODE ? MU_SIDE_SERVER : MU_SIDE_NODE;

    if (!c->open[from])
        return;
    c->open[from] = false;
    c->user[from] = NULL;
    if (c->open[to])
        way_put(c, to, NULL, 0, true);
    conn_reap(c);
}

void mu_net_reset(struct mu_conn *c)
{
    for (int to = 0; to < MU_SIDES; to++) {
        way_drop(c, to);
        if (c->open[to])
            way_put(c, to, NULL, 0, true);
    }
}

static void connect_refused(void *arg)
{
    struct attempt *a = arg;

    a->net->connected(a->net->arg, a->node, NULL, a->user);
    free(a);
}

static void connect_arrived(void *arg)
{
    struct attempt *a = arg;
    struct mu_net *net = a->net;
    struct mu_conn *c;

    if (!net->accepts(net->arg)) {
        mu_world_give(net->world, delay(net), connect_refused, a);
        return;
    }
    c = calloc(1, sizeof *c);
    MU_ASSERT(c != NULL);
    c->net = net;
    c->node = a->node;
    c->id = ++net->ids;
    c->user[MU_SIDE_NODE] = a->user;
    for (int s = 0; s < MU_SIDES; s++) {
        c->open[s] = true;
        mu_list_init(&c->way[s]);
    }
    mu_list_add_tail(&net->conns, &c->link);
    net->connected(net->arg, a->node, c, a->user);
    free(a);
}

void mu_net_connect(struct mu_net *net, uint32_t node, void *user)
{
    struct attempt *a = calloc(1, sizeof *a);

    MU_ASSERT(a != NULL && node < MU_NET_NODES_MAX);
    *a = (struct attempt){ net, node, user };
    if (net->cut[node][0] || net->cut[node][1])
        mu_world_give(net->world, CONNECT_TIMEOUT_US, connect_refused, a);
    else
        mu_world_give(net->world, delay(net), connect_arrived, a);
}

struct mu_conn *mu_net_conn_of(struct mu_net *net, uint32_t node)
{
    MU_LIST_EACH(it, &net->conns)
        if (conn_of(it)->node == node)
            return conn_of(it);
    return NULL;
}

static void arm_all(struct mu_net *net)
{
    MU_LIST_EACH(it, &net->conns)
        for (int to = 0; to < MU_SIDES; to++)
            delivery_arm(conn_of(it), to);
}

void mu_net_cut(struct mu_net *net, uint32_t node, enum mu_side to, bool cut)
{
    net->cut[node][to] = cut;
    arm_all(net);
}

void mu_net_stop(struct mu_net *net, enum mu_side side, uint32_t node, bool stopped)
{
    if (side == MU_SIDE_SERVER)
        net->server_stopped = stopped;
    else
        net->stopped[node] = stopped;
    arm_all(net);
}

void mu_net_die(struct mu_net *net, enum mu_side side, uint32_t node)
{
    MU_LIST_EACH_SAFE(it, &net->conns)
        if (side == MU_SIDE_SERVER || conn_of(it)->node == node)
            mu_net_close(conn_of(it), side);
}
