/* server/peers.c -- agents: connections that carry frames between ctl and the nodes. */
#include "server/server.h"

#include "base/log.h"
#include "server/fetch.h"

enum {
    OUT_MAX = 256 * 1024 * 1024, /* bytes an agent may be behind before it is cut off */
    IDLE_MS = 60000,
};

struct peer {
    struct mu_list link; /* in peers, or peers_dropped */
    struct mu_server *sv;
    struct mu_stream *stream; /* NULL: gone */
    struct mu_ctl_agent *agent;
    struct mu_list fetches;
    struct mu_arena arena;
    bool dropped;
};

/* Gone for ctl and the fetches; memory goes at the end of the turn, when nothing on the stack knows it. */
static void peer_lost(struct peer *p)
{
    struct mu_ctl_agent *agent = p->agent;

    p->agent = NULL;
    p->stream = NULL;
    mu_fetch_orphan(p->sv, &p->fetches);
    mu_list_remove(&p->link);
    mu_list_add_tail(&p->sv->peers_dropped, &p->link);
    if (agent != NULL)
        mu_ctl_agent_close(p->sv->ctl, mu_server_now(p->sv), agent);
    mu_server_again(p->sv);
}

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    struct peer *p = arg;
    struct mu_err err = { 0 };
    size_t at = 0, used;

    while (p->stream != NULL && !p->dropped) {
        struct mu_msg msg;
        mu_arena_reset(&p->arena);
        enum mu_rc rc = mu_frame_take(bytes + at, size - at, &used, &msg, &p->arena, &err);
        if (rc == MU_AGAIN)
            return at;
        if (rc == MU_OK && mu_msg_sender(msg.type) != 'A')
            rc = mu_fail(&err, MU_INVALID, "a %s comes from servers only", mu_msg_name(msg.type));
        if (rc != MU_OK || !mu_ctl_agent_msg(p->sv->ctl, mu_server_now(p->sv), p->agent, &msg, &err)) {
            mu_log(MU_LOG_WARN, "server", "agent at %s: %s", mu_stream_peer(p->stream), err.text);
            mu_stream_close(p->stream);
            peer_lost(p);
            return size;
        }
        at += used;
    }
    return size;
}

static void on_close(void *arg, const struct mu_err *err)
{
    struct peer *p = arg;

    mu_log(MU_LOG_DEBUG, "server", "an agent's connection ended: %s", err ? err->text : "closed");
    peer_lost(p);
}

static const struct mu_stream_user agent_user = { .on_data = on_data, .on_close = on_close };

void mu_peers_init(struct mu_server *sv)
{
    mu_list_init(&sv->peers);
    mu_list_init(&sv->peers_dropped);
    mu_list_init(&sv->fetch_orphans);
    mu_list_init(&sv->fetch_looking);
}

struct mu_list *mu_peer_fetches(void *peer)
{
    return &((struct peer *)peer)->fetches;
}

void mu_peer_send(void *arg, void *peer, const void *bytes, size_t size)
{
    struct peer *p = peer;

    (void)arg;
    if (p->stream != NULL)
        mu_stream_write(p->stream, bytes, size);
}

void mu_peer_drop(void *arg, void *peer)
{
    struct mu_server *sv = arg;
    struct peer *p = peer;

    p->dropped = true;
    mu_server_again(sv);
}

void mu_peer_msg(void *arg, void *peer, const struct mu_msg *msg)
{
    (void)peer;
    if (msg->type == MU_MSG_OUTPUT_DATA)
        mu_fetch_msg(arg, &msg->output_data);
}

void mu_peer_open(struct mu_server *sv, struct mu_req *req)
{
    struct peer *p = calloc(1, sizeof *p);
    struct mu_stream_limits limits = { .in_max = MU_FRAME_HEAD + MU_FRAME_MAX, .out_max = OUT_MAX };

    MU_ASSERT(p != NULL);
    p->sv = sv;
    mu_list_init(&p->fetches);
    mu_list_add_tail(&sv->peers, &p->link);
    p->stream = mu_req_upgrade(req, "muster-agent");
    p->agent = mu_ctl_agent_open(sv->ctl, mu_server_now(sv), p, mu_stream_peer(p->stream));
    mu_stream_limit(p->stream, &limits);
    mu_stream_own(p->stream, &agent_user, p);
    mu_stream_idle(p->stream, IDLE_MS);
}

static void peer_free(struct peer *p)
{
    mu_list_remove(&p->link);
    mu_arena_fini(&p->arena);
    free(p);
}

void mu_peers_turn(struct mu_server *sv)
{
    MU_LIST_EACH_SAFE(it, &sv->peers) {
        struct peer *p = MU_CONTAINER(it, struct peer, link);
        if (p->dropped) {
            mu_stream_finish(p->stream);
            peer_lost(p);
        }
    }
    while (!mu_list_is_empty(&sv->peers_dropped))
        peer_free(MU_CONTAINER(sv->peers_dropped.next, struct peer, link));
    mu_fetches_turn(sv);
}

void mu_peers_close(struct mu_server *sv)
{
    while (!mu_list_is_empty(&sv->peers)) {
        struct peer *p = MU_CONTAINER(sv->peers.next, struct peer, link);
        mu_stream_close(p->stream);
        peer_lost(p);
    }
    mu_peers_turn(sv);
    mu_map_fini(&sv->fetches);
}
