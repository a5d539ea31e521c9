/* sim/net.h -- connections between nodes and the server: late, cut, one-way, torn, half-open.
 *
 * What       byte streams in order, as TCP gives them: what was sent comes, or the connection ends.
 * Ownership  the net owns connections; a side forgets its pointer in its closed callback or when it closes.
 * Time       delays by chance from the world.
 * Threads    none.
 * Failure    a cut holds bytes back until it is healed; a reset loses what is on the way.
 * Limits     MU_NET_NODES_MAX nodes, one server.
 */
#ifndef MU_SIM_NET_H
#define MU_SIM_NET_H

#include "base/str.h"
#include "sim/world.h"

enum { MU_NET_NODES_MAX = 16 };
enum mu_side { MU_SIDE_NODE, MU_SIDE_SERVER, MU_SIDES };

struct mu_conn {
    struct mu_list link;
    struct mu_net *net;
    uint32_t node;
    uint64_t id;
    void *user[MU_SIDES];             /* the side's own; NULL once it closed */
    bool open[MU_SIDES];              /* as that side believes */
    bool accepted;                    /* the server has seen it */
    uint64_t arrives_us[MU_SIDES];    /* the last byte on its way to that side */
    struct mu_list way[MU_SIDES];     /* segments on their way to that side, in order */
    struct mu_timer *delivery[MU_SIDES];
    struct mu_buf in[MU_SIDES];       /* bytes that side has and has not read */
};

struct mu_net {
    struct mu_world *world;
    uint64_t delay_us[2];             /* least and most */
    bool cut[MU_NET_NODES_MAX][MU_SIDES]; /* nothing arrives at that side */
    bool stopped[MU_NET_NODES_MAX], server_stopped; /* the process there does not read */
    struct mu_list conns;
    uint64_t ids;
    void *arg;
    bool (*accepts)(void *arg);       /* does the server listen? */
    void (*accepted)(void *arg, struct mu_conn *c); /* right before the first data() or closed() */
    void (*connected)(void *arg, uint32_t node, struct mu_conn *c, void *user); /* c NULL: it failed */
    void (*data)(void *arg, enum mu_side side, struct mu_conn *c); /* c->in[side] grew */
    void (*closed)(void *arg, enum mu_side side, struct mu_conn *c);
};

void mu_net_init(struct mu_net *net, struct mu_world *w);
void mu_net_fini(struct mu_net *net);
/* Answered later by connected(); user is handed through. */
void mu_net_connect(struct mu_net *net, uint32_t node, void *user);
void mu_net_send(struct mu_conn *c, enum mu_side from, const void *bytes, size_t size);
/* That side has done with it: no more callbacks to it; the other hears of it behind the bytes on the way. */
void mu_net_close(struct mu_conn *c, enum mu_side from);
/* Torn: what is on the way is lost, both sides hear of it. */
void mu_net_reset(struct mu_conn *c);
/* The oldest connection of this node; NULL none. */
struct mu_conn *mu_net_conn_of(struct mu_net *net, uint32_t node);
void mu_net_cut(struct mu_net *net, uint32_t node, enum mu_side to, bool cut);
/* The process at one end is stopped or goes on; node counts for MU_SIDE_NODE only. */
void mu_net_stop(struct mu_net *net, enum mu_side side, uint32_t node, bool stopped);
/* The process at one end is gone: its connections end. */
void mu_net_die(struct mu_net *net, enum mu_side side, uint32_t node);

#endif
