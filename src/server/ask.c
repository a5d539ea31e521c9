/* server/ask.c -- requests to ctl and their answers, and followers of the tape: what waits for the end of a turn. */
#include "server/server.h"

void mu_ask_init(struct mu_ask *ask, struct mu_server *sv, void (*done)(struct mu_ask *ask))
{
    *ask = (struct mu_ask){ .sv = sv, .done = done };
    mu_list_init(&ask->link);
}

void mu_ask_submit(struct mu_ask *ask, const struct mu_job_spec *spec)
{
    ask->open = true;
    mu_ctl_submit(ask->sv->ctl, mu_server_now(ask->sv), spec, ask);
}

void mu_ask_event(struct mu_ask *ask, const struct mu_event *ev)
{
    ask->open = true;
    mu_ctl_request(ask->sv->ctl, mu_server_now(ask->sv), ev, ask);
}

void mu_ask_cancel(struct mu_ask *ask)
{
    if (ask->open)
        mu_ctl_forget(ask->sv->ctl, ask);
    ask->open = false;
    if (ask->link.next != NULL)
        mu_list_remove(&ask->link);
}

void mu_ask_reply(void *arg, void *token, const struct mu_ctl_reply *reply)
{
    struct mu_server *sv = arg;
    struct mu_ask *ask = token;

    ask->open = false;
    ask->reply = *reply;
    ask->err = (struct mu_err){ .rc = reply->rc };
    if (reply->rc != MU_OK)
        mu_fail_at(&ask->err, reply->rc, reply->field ? reply->field : "", "%s", reply->text ? reply->text : mu_rc_text(reply->rc));
    ask->reply.field = ask->err.field;
    ask->reply.text = ask->err.text;
    mu_list_add_tail(&sv->asks_ready, &ask->link);
}

bool mu_asks_turn(struct mu_server *sv)
{
    bool any = false;

    while (!mu_list_is_empty(&sv->asks_ready)) {
        struct mu_ask *ask = MU_CONTAINER(sv->asks_ready.next, struct mu_ask, link);
        mu_list_remove(&ask->link);
        ask->done(ask); /* may free it, and any other */
        any = true;
    }
    return any;
}

void mu_follower_add(struct mu_server *sv, struct mu_follower *f)
{
    f->woken = true;
    mu_list_add_tail(&sv->followers, &f->link);
    mu_server_again(sv);
}

void mu_follower_remove(struct mu_follower *f)
{
    mu_list_remove(&f->link);
}

void mu_followers_turn(struct mu_server *sv)
{
    mu_list_move(&sv->followers_moving, &sv->followers); /* a follower may end any other while it moves */
    while (!mu_list_is_empty(&sv->followers_moving)) {
        struct mu_follower *f = MU_CONTAINER(sv->followers_moving.next, struct mu_follower, link);
        mu_list_remove(&f->link);
        mu_list_add_tail(&sv->followers, &f->link);
        if (f->woken || f->position != mu_tape_end(&sv->tape)) {
            f->woken = false;
            f->move(f);
        }
    }
}
