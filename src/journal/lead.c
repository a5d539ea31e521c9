/* Campaign, catch up, hold, lose. Safety is in the token that each append carries; what is here decides only when. */
#include "journal/handle.h"

#include <stdlib.h>

bool mu_lead_holds(const struct mu_journal *j)
{
    return j->role == MU_ROLE_LEADER || (j->role == MU_ROLE_RESIGNING && j->led);
}

static void try_lead(struct mu_journal *j)
{
    uint64_t now = mu_journal_now_ns(j);

    if (!j->wish || j->role != MU_ROLE_FOLLOWER || j->lead_out || j->leave_out || !j->caught_up || j->load.active)
        return;
    if (now < j->lead_not_before) {
        mu_jtimer_start(&j->lead_again, (j->lead_not_before - now) / 1000000 + 1);
        return;
    }
    j->role = MU_ROLE_CANDIDATE;
    j->lead_out = true;
    mu_journal_start(j, &j->lead);
}

static void renew_start(struct mu_journal *j)
{
    if (j->renew_out || j->lease_ms == 0)
        return;
    j->renew_out = true;
    j->renew_sent = mu_journal_now_ns(j);
    j->renew.token = j->token;
    mu_journal_start(j, &j->renew);
}

/* Counted from when the renewal was sent: the engine's clock started later. A tenth is kept for clocks that differ. */
static void lease_granted(struct mu_journal *j, uint64_t lease_ms)
{
    j->lease_ms = lease_ms;
    j->valid_until = lease_ms == 0 ? UINT64_MAX : j->renew_sent + lease_ms * 900000;
    if (lease_ms != 0)
        mu_jtimer_start(&j->renew_again, lease_ms / 3 + 1);
}

static void role_end(struct mu_journal *j)
{
    j->role = MU_ROLE_FOLLOWER;
    j->token = 0;
    j->valid_until = 0;
    j->led = false;
    mu_jtimer_stop(&j->renew_again);
}

static void on_lead_answer(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;

    j->lead_out = false;
    if (mu_journal_failed(j, a))
        return;
    MU_ASSERT(j->role == MU_ROLE_CANDIDATE || j->role == MU_ROLE_RESIGNING);
    if (a->end != MU_ENGINE_OK) {
        if (j->role == MU_ROLE_CANDIDATE || !j->leave_out)
            role_end(j);
        mu_jtimer_start(&j->lead_again, mu_journal_backoff_ms(j));
        return;
    }
    j->token = a->token;
    j->epoch = j->epoch_base + a->token;
    j->lease_ms = a->lease_ms;
    j->valid_until = a->lease_ms == 0 ? UINT64_MAX : 0; /* known with the first renewal */
    if (j->role == MU_ROLE_RESIGNING) {
        mu_lead_maybe_leave(j);
        return;
    }
    if (j->epoch <= j->last_epoch) {
        mu_journal_fail(j, MU_CORRUPT, "the store was put back: its next epoch is not above the last one recorded");
        return;
    }
    j->role = MU_ROLE_CATCHUP;
    renew_start(j);
    mu_follow_read(j); /* if a read is out: its end will start another, see at_end */
}

void mu_lead_at_end(struct mu_journal *j)
{
    if (j->role == MU_ROLE_FOLLOWER) {
        try_lead(j);
        return;
    }
    if (j->role != MU_ROLE_CATCHUP || j->valid_until == 0)
        return; /* without a renewal yet its answer starts another read */
    if (j->last_epoch >= j->epoch) {
        mu_lead_token_gone(j); /* another took the lead after us and wrote already */
        return;
    }
    j->role = MU_ROLE_LEADER;
    j->led = true;
    j->append_next = j->next;
    memcpy(j->append_chain, j->chain, MU_HASH_BYTES);
    j->user.on_lead(j->user.arg, j->epoch, j->next);
}

void mu_lead_lose(struct mu_journal *j, enum mu_journal_end why)
{
    uint64_t epoch = j->epoch;
    bool led = j->led;

    mu_append_drain(j, why);
    mu_lead_end_confirms(j, why);
    mu_save_stop(j);
    role_end(j);
    j->lead_not_before = mu_journal_now_ns(j) + j->lease_ms * 1000000;
    if (led)
        j->user.on_lost(j->user.arg, epoch, why);
    if (!j->dead)
        mu_follow_read(j);
}

void mu_lead_token_gone(struct mu_journal *j)
{
    if (j->role == MU_ROLE_CATCHUP) {
        role_end(j);
        j->lead_not_before = mu_journal_now_ns(j) + j->lease_ms * 1000000;
        mu_follow_read(j);
    } else if (mu_lead_holds(j))
        mu_append_resolve_gone(j);
}

static void on_renew(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;

    j->renew_out = false;
    if (mu_journal_failed(j, a) || j->renew.token != j->token)
        return;
    if (j->role != MU_ROLE_CATCHUP && !mu_lead_holds(j))
        return;
    if (a->end == MU_ENGINE_OK) {
        lease_granted(j, a->lease_ms);
        if (j->role == MU_ROLE_CATCHUP)
            mu_follow_read(j);
    } else if (a->end == MU_ENGINE_TOKEN)
        mu_lead_token_gone(j);
    else
        mu_jtimer_start(&j->renew_again, MU_RETRY_MS);
}

static void renew_again(struct mu_journal *j)
{
    if (j->role != MU_ROLE_CATCHUP && !mu_lead_holds(j))
        return;
    renew_start(j);
    /* Silent for a lease beyond the lease: others lead by now, and nobody will tell us. */
    if (j->valid_until != 0 && mu_journal_now_ns(j) > j->valid_until + j->lease_ms * 1000000 && j->role == MU_ROLE_LEADER)
        mu_lead_lose(j, MU_JOURNAL_UNKNOWN);
}

static void on_leave(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;
    uint64_t epoch = j->epoch;
    bool led = j->led;

    j->leave_out = false;
    if (mu_journal_failed(j, a) || j->role != MU_ROLE_RESIGNING)
        return;
    if (j->lead_out)
        return; /* its answer follows, and comes back here if it is a lead after all */
    if (j->token != j->leave.token) {
        mu_lead_maybe_leave(j); /* the lead came while the attempt was being ended */
        return;
    }
    role_end(j);
    if (led)
        j->user.on_lost(j->user.arg, epoch, MU_JOURNAL_CLOSED);
    if (!j->dead)
        mu_follow_read(j);
}

void mu_lead_maybe_leave(struct mu_journal *j)
{
    if (j->role != MU_ROLE_RESIGNING || j->leave_out || !mu_list_is_empty(&j->appends))
        return;
    mu_save_stop(j);
    j->leave_out = true;
    j->leave.token = j->lead_out ? 0 : j->token;
    mu_journal_start(j, &j->leave);
}

static void confirms_done(struct mu_journal *j, struct mu_list *list, enum mu_journal_end end)
{
    MU_LIST_EACH_SAFE(it, list) {
        struct mu_confirm *c = MU_CONTAINER(it, struct mu_confirm, link);
        mu_list_remove(it);
        c->done(c->arg, j->next - 1, end);
        free(c);
    }
}

/* One call confirms all that was asked before it started. */
static void confirms_start(struct mu_journal *j)
{
    if (j->confirm_out || mu_list_is_empty(&j->confirms))
        return;
    if (!mu_lead_holds(j)) {
        mu_lead_end_confirms(j, MU_JOURNAL_FENCED);
        return;
    }
    mu_list_move(&j->confirms_out, &j->confirms);
    j->confirm_out = true;
    j->confirm.token = j->token;
    mu_journal_start(j, &j->confirm);
}

/* Work that a mu_journal_ call asked for, from the loop. */
static void on_kick(struct mu_journal *j)
{
    if (j->resign) {
        j->resign = false;
        if (j->role != MU_ROLE_FOLLOWER) {
            j->role = MU_ROLE_RESIGNING;
            mu_lead_maybe_leave(j);
        }
    }
    try_lead(j);
    confirms_start(j);
}

void mu_lead_end_confirms(struct mu_journal *j, enum mu_journal_end end)
{
    struct mu_list all;

    mu_list_init(&all);
    mu_list_move(&all, &j->confirms_out);
    mu_list_move(&all, &j->confirms);
    confirms_done(j, &all, end);
}

/* After a crash nobody is told. */
void mu_lead_free_all(struct mu_journal *j)
{
    mu_list_move(&j->confirms, &j->confirms_out);
    MU_LIST_EACH_SAFE(it, &j->confirms)
        free(MU_CONTAINER(it, struct mu_confirm, link));
    mu_list_init(&j->confirms);
}

static void on_confirm(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;
    bool ours = j->confirm.token == j->token && mu_lead_holds(j);
    struct mu_list out;

    j->confirm_out = false;
    if (mu_journal_failed(j, a))
        return;
    mu_list_init(&out);
    mu_list_move(&out, &j->confirms_out);
    confirms_done(j, &out, !ours || a->end == MU_ENGINE_TOKEN ? MU_JOURNAL_FENCED
                           : a->end == MU_ENGINE_OK           ? MU_JOURNAL_OK
                                                              : MU_JOURNAL_UNKNOWN);
    if (ours && a->end == MU_ENGINE_TOKEN)
        mu_lead_token_gone(j);
    if (!j->dead)
        confirms_start(j);
}

void mu_lead_init(struct mu_journal *j)
{
    mu_list_init(&j->confirms);
    mu_list_init(&j->confirms_out);
    j->lead = (struct mu_engine_call){ .verb = MU_ENGINE_LEAD, .done = on_lead_answer, .arg = j };
    j->renew = (struct mu_engine_call){ .verb = MU_ENGINE_RENEW, .done = on_renew, .arg = j };
    j->leave = (struct mu_engine_call){ .verb = MU_ENGINE_RESIGN, .done = on_leave, .arg = j };
    j->confirm = (struct mu_engine_call){ .verb = MU_ENGINE_CONFIRM, .done = on_confirm, .arg = j };
    j->lead_again = (struct mu_jtimer){ .j = j, .fn = try_lead };
    j->renew_again = (struct mu_jtimer){ .j = j, .fn = renew_again };
    j->kick = (struct mu_jtimer){ .j = j, .fn = on_kick };
}

void mu_journal_campaign(struct mu_journal *j)
{
    if (j->dead || j->opt.read_only || j->wish)
        return;
    j->wish = true;
    mu_jtimer_start(&j->kick, 0);
}

void mu_journal_hurry(struct mu_journal *j)
{
    if (j->dead || !j->wish)
        return;
    j->lead_not_before = 0;
    if (j->lead_out)
        j->engine->ops->hurry(j->engine);
    else
        mu_jtimer_start(&j->kick, 0);
}

void mu_journal_resign(struct mu_journal *j)
{
    if (j->dead || !j->wish)
        return;
    j->wish = false;
    j->resign = true;
    mu_jtimer_start(&j->kick, 0);
}

void mu_journal_confirm(struct mu_journal *j, mu_journal_done_fn *done, void *arg)
{
    struct mu_confirm *c = malloc(sizeof *c);

    MU_ASSERT(c != NULL && !j->dead);
    *c = (struct mu_confirm){ .done = done, .arg = arg };
    mu_list_add_tail(&j->confirms, &c->link);
    mu_jtimer_start(&j->kick, 0);
}

uint64_t mu_journal_valid_until(const struct mu_journal *j)
{
    return mu_lead_holds(j) ? j->valid_until : 0;
}
