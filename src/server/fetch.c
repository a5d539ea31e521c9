/* server/fetch.c -- see fetch.h. */
#include "server/fetch.h"

#include "server/server.h"

static void send_msg(struct mu_fetch *f, enum mu_msg_type type, const void *msg)
{
    struct mu_buf b = { 0 };

    mu_frame_put(&b, type, mu_ctl_epoch(f->sv->ctl), msg);
    mu_peer_send(f->sv, f->peer, b.at, b.size);
    mu_buf_fini(&b);
}

static void ask(struct mu_fetch *f)
{
    struct mu_msg_output_get get = { .job = f->job, .ordinal = f->ordinal, .attempt = f->attempt, .stream = f->stream,
                                     .offset = f->offset, .follow = f->follow };

    f->left = f->window ? f->window : MU_FETCH_WINDOW;
    f->req = ++f->sv->fetch_last;
    get.req = f->req;
    get.limit = f->left;
    mu_map_put_ptr(&f->sv->fetches, f->req, f);
    send_msg(f, MU_MSG_OUTPUT_GET, &get);
}

/* The window under way is of no interest any more. */
static void unask(struct mu_fetch *f, bool tell)
{
    if (f->req == 0)
        return;
    mu_map_remove(&f->sv->fetches, f->req);
    if (tell && f->peer != NULL)
        send_msg(f, MU_MSG_OUTPUT_STOP, &(struct mu_msg_output_stop){ .req = f->req });
    f->req = 0;
}

void mu_fetch_start(struct mu_server *sv, struct mu_fetch *f)
{
    f->sv = sv;
    f->active = true;
    f->paused = false;
    f->req = 0;
    f->peer = NULL;
    f->until_ms = mu_loop_now_ms(sv->loop) + MU_FETCH_AWAY_MS;
    mu_list_init(&f->link);
    mu_list_add_tail(&sv->fetch_orphans, &f->link);
    mu_server_again(sv);
}

void mu_fetch_stop(struct mu_fetch *f)
{
    if (!f->active)
        return;
    unask(f, true);
    mu_list_remove(&f->link);
    f->active = false;
}

void mu_fetch_resume(struct mu_fetch *f)
{
    if (!f->active || !f->paused)
        return;
    f->paused = false;
    if (f->req == 0 && f->peer != NULL)
        ask(f);
}

static void fail(struct mu_fetch *f, enum mu_rc rc, const char *text)
{
    struct mu_err err;

    mu_fetch_stop(f);
    mu_fail(&err, rc, "%s", text);
    f->ops->fail(f, &err);
}

void mu_fetch_msg(struct mu_server *sv, const struct mu_msg_output_data *d)
{
    struct mu_fetch *f = mu_map_get_ptr(&sv->fetches, d->req);
    struct mu_str data = d->data;
    bool full;

    if (f == NULL)
        return;
    if (d->error.size > 0) {
        char text[MU_ERR_TEXT];
        snprintf(text, sizeof text, MU_STR_FMT, MU_STR_ARG(d->error));
        fail(f, MU_NOTFOUND, text);
        return;
    }
    if (d->offset < f->offset && d->offset + data.size > f->offset) { /* shown before */
        data.at += f->offset - d->offset;
        data.size -= (uint32_t)(f->offset - d->offset);
    } else if (data.size > 0 && d->offset + data.size <= f->offset) {
        data.size = 0;
    }
    if (data.size > 0)
        f->offset = d->offset + d->data.size;
    else if (d->gap > 0)
        f->offset = d->offset > f->offset ? d->offset : f->offset;
    full = d->data.size >= f->left;
    f->left -= full ? f->left : d->data.size;
    if (full || d->end)
        unask(f, full && !d->end);
    if (data.size > 0 || d->gap > 0)
        f->paused = !f->ops->data(f, data, d->gap);
    if (d->end) {
        mu_fetch_stop(f);
        f->ops->end(f);
    } else if (f->req == 0 && !f->paused) {
        ask(f);
    }
}

void mu_fetch_orphan(struct mu_server *sv, struct mu_list *fetches)
{
    while (!mu_list_is_empty(fetches)) {
        struct mu_fetch *f = MU_CONTAINER(fetches->next, struct mu_fetch, link);
        unask(f, false);
        f->peer = NULL;
        f->until_ms = mu_loop_now_ms(sv->loop) + MU_FETCH_AWAY_MS;
        mu_list_remove(&f->link);
        mu_list_add_tail(&sv->fetch_orphans, &f->link);
    }
}

static void orphan_turn(struct mu_server *sv, struct mu_fetch *f)
{
    const struct mu_node *node = mu_view_node(mu_ctl_core(sv->ctl), f->node);
    void *peer = mu_ctl_node_peer(sv->ctl, f->node);
    char text[MU_ERR_TEXT];

    if (peer != NULL) {
        mu_list_remove(&f->link);
        mu_list_add_tail(mu_peer_fetches(peer), &f->link);
        f->peer = peer;
        if (!f->paused)
            ask(f);
        return;
    }
    if (node != NULL && node->state != MU_NODE_DOWN && mu_loop_now_ms(sv->loop) < f->until_ms)
        return;
    snprintf(text, sizeof text, "node %s, which has the output, is %s", node ? node->name : "?",
             node && node->state == MU_NODE_DOWN ? "down" : "away");
    fail(f, node && node->state == MU_NODE_DOWN ? MU_CLOSED : MU_TIMEOUT, text);
}

void mu_fetches_turn(struct mu_server *sv)
{
    mu_list_move(&sv->fetch_looking, &sv->fetch_orphans); /* callbacks may stop any, and start new ones */
    while (!mu_list_is_empty(&sv->fetch_looking)) {
        struct mu_fetch *f = MU_CONTAINER(sv->fetch_looking.next, struct mu_fetch, link);
        mu_list_remove(&f->link);
        mu_list_add_tail(&sv->fetch_orphans, &f->link);
        orphan_turn(sv, f);
    }
}
