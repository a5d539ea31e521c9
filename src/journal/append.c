/* Appends in flight: completion in order, and finding out what became of one whose answer was lost or negative. */
#include "journal/handle.h"

#include <stdlib.h>
#include <string.h>

/* What a read-back with quorum shows at the seq in question. */
enum seen { SEEN_OURS, SEEN_OTHER, SEEN_ABSENT, SEEN_TRIMMED, SEEN_KINDS };
enum verdict { VERDICT_OK, VERDICT_FENCED, VERDICT_UNKNOWN, VERDICT_AGAIN, VERDICT_FATAL };

/* Absent under our own token may still arrive, so the same bytes go again: harmless twice. Absent under another token
 * can never arrive. Trimmed: somebody's snapshot covers it, ours or not. */
static const uint8_t verdicts[2][SEEN_KINDS] = {
    /* the token is ours */ { [SEEN_OURS] = VERDICT_OK, [SEEN_OTHER] = VERDICT_FATAL, [SEEN_ABSENT] = VERDICT_AGAIN,
                              [SEEN_TRIMMED] = VERDICT_UNKNOWN },
    /* it is gone */ { [SEEN_OURS] = VERDICT_OK, [SEEN_OTHER] = VERDICT_FENCED, [SEEN_ABSENT] = VERDICT_FENCED,
                       [SEEN_TRIMMED] = VERDICT_UNKNOWN },
};

static void flush(struct mu_journal *j);

static struct mu_append *first(struct mu_journal *j)
{
    return mu_list_is_empty(&j->appends) ? NULL : MU_CONTAINER(j->appends.next, struct mu_append, link);
}

/* One is out of the order: tell, and free it unless the engine still has it. */
static void report(struct mu_append *a, enum mu_journal_end end)
{
    struct mu_journal *j = a->j;

    mu_list_remove(&a->link);
    a->reported = true;
    j->appends_open--;
    if (a->out)
        mu_list_add_tail(&j->strays, &a->link);
    a->done(a->arg, a->seq, end);
    if (!a->out)
        free(a);
}

static void resolve_stop(struct mu_journal *j)
{
    j->resolve.active = j->resolve.token_gone = false;
    mu_jtimer_stop(&j->resolve.again);
}

void mu_append_drain(struct mu_journal *j, enum mu_journal_end why)
{
    struct mu_append *a;

    resolve_stop(j);
    while ((a = first(j)) != NULL)
        report(a, why);
}

static void commit(struct mu_append *a)
{
    struct mu_journal *j = a->j;

    MU_ASSERT(a->seq == j->next);
    mu_follow_commit(j, j->epoch, a->hash, a->bytes + MU_RECORD_HEAD, a->size);
    report(a, MU_JOURNAL_OK);
}

/* The first append was refused for space. Nothing was lost and the epoch goes on, if all behind it were refused too. */
static void full(struct mu_journal *j)
{
    struct mu_append *a;

    MU_LIST_EACH(it, &j->appends) {
        a = MU_CONTAINER(it, struct mu_append, link);
        if (a->out)
            return; /* flush comes back with each answer */
        if (a->end != MU_ENGINE_FULL && a->end != MU_ENGINE_GAP) {
            mu_lead_lose(j, MU_JOURNAL_UNKNOWN); /* a copy of it may be on its way and fit later */
            return;
        }
    }
    j->append_next = j->next;
    memcpy(j->append_chain, j->chain, MU_HASH_BYTES);
    struct mu_list all;
    mu_list_init(&all);
    mu_list_move(&all, &j->appends); /* done() may append anew */
    while (!mu_list_is_empty(&all))
        report(MU_CONTAINER(all.next, struct mu_append, link), MU_JOURNAL_FULL);
}

static void resolve_call(struct mu_journal *j, enum mu_engine_verb verb)
{
    struct mu_resolve *r = &j->resolve;

    r->busy = true;
    r->call.verb = verb;
    r->call.token = j->token;
    r->call.seq = first(j)->seq;
    r->call.limit = 1;
    mu_journal_start(j, &r->call);
}

static void resolve_next(struct mu_journal *j)
{
    struct mu_resolve *r = &j->resolve;

    if (!r->active || r->busy || first(j) == NULL)
        return;
    if (mu_journal_now_ns(j) >= r->give_up_ns)
        mu_lead_lose(j, MU_JOURNAL_UNKNOWN);
    else /* first whether the token is ours, then what is there: the other way round a record could come between */
        resolve_call(j, r->token_gone ? MU_ENGINE_READ : MU_ENGINE_CONFIRM);
}

static void resolve_start(struct mu_journal *j, bool token_gone)
{
    struct mu_resolve *r = &j->resolve;
    uint64_t ms = j->lease_ms != 0 ? j->lease_ms : MU_LEASE_ASSUMED_MS;

    if (!r->active)
        r->give_up_ns = mu_journal_now_ns(j) + ms * 1000000;
    r->active = true;
    r->token_gone = r->token_gone || token_gone;
    if (r->again.armed == NULL)
        resolve_next(j);
}

void mu_append_resolve_gone(struct mu_journal *j)
{
    if (first(j) == NULL)
        mu_lead_lose(j, MU_JOURNAL_FENCED);
    else
        resolve_start(j, true);
}

/* Complete from the front what is settled; the first that is not good stops the rest and is looked into. */
static void flush(struct mu_journal *j)
{
    struct mu_append *a = NULL;

    while (!j->dead && (a = first(j)) != NULL && a->known && a->end == MU_ENGINE_OK) {
        if (!j->resolve.token_gone)
            resolve_stop(j);
        commit(a);
    }
    if (j->dead)
        return;
    if (a == NULL && j->resolve.token_gone)
        mu_lead_lose(j, MU_JOURNAL_FENCED);
    else if (a != NULL && a->known && a->end == MU_ENGINE_FULL && a->sends == 1 && !j->resolve.token_gone)
        full(j);
    else if (a != NULL && a->known)
        resolve_start(j, a->end == MU_ENGINE_TOKEN);
    mu_lead_maybe_leave(j);
}

static void send(struct mu_append *a)
{
    a->known = false;
    a->out = true;
    a->sends++;
    mu_journal_start(a->j, &a->call);
}

static void on_append(void *arg, const struct mu_engine_answer *answer)
{
    struct mu_append *a = arg;
    struct mu_journal *j = a->j;

    a->out = false;
    if (!a->known || a->end != MU_ENGINE_OK) /* what was read back stays so, whatever this answer says */
        a->end = answer->end;
    a->known = true;
    if (a->reported) {
        mu_list_remove(&a->link);
        free(a);
    }
    if (!mu_journal_failed(j, answer))
        flush(j);
}

static enum seen look(struct mu_journal *j, const struct mu_append *a, const struct mu_engine_answer *answer)
{
    struct mu_record r;

    if (answer->count == 0)
        return SEEN_ABSENT;
    if (answer->items[0].key != a->seq)
        return SEEN_TRIMMED;
    if (mu_record_open(j->hasher, &r, answer->items[0].at, answer->items[0].size, NULL) == MU_OK &&
        memcmp(r.hash, a->hash, MU_HASH_BYTES) == 0)
        return SEEN_OURS;
    return SEEN_OTHER;
}

static void judge(struct mu_journal *j, enum seen seen)
{
    struct mu_append *a = first(j);

    switch ((enum verdict)verdicts[j->resolve.token_gone][seen]) {
    case VERDICT_OK:
        a->end = MU_ENGINE_OK;
        a->known = true;
        flush(j);
        break;
    case VERDICT_FENCED:
        mu_lead_lose(j, MU_JOURNAL_FENCED);
        break;
    case VERDICT_UNKNOWN:
        mu_lead_lose(j, MU_JOURNAL_UNKNOWN);
        break;
    case VERDICT_AGAIN:
        if (!a->out)
            send(a);
        mu_jtimer_start(&j->resolve.again, mu_journal_backoff_ms(j));
        break;
    case VERDICT_FATAL:
        mu_journal_fail(j, MU_CORRUPT, "somebody else writes records under our own token");
        break;
    }
}

static void on_resolve(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;
    struct mu_resolve *r = &j->resolve;

    r->busy = false;
    if (mu_journal_failed(j, a) || !r->active || first(j) == NULL)
        return;
    if (r->call.token != j->token || (r->call.verb == MU_ENGINE_READ && r->call.seq != first(j)->seq)) {
        resolve_next(j); /* an answer to an older question */
    } else if (r->call.verb == MU_ENGINE_CONFIRM && a->end == MU_ENGINE_TOKEN) {
        r->token_gone = true;
        resolve_call(j, MU_ENGINE_READ);
    } else if (a->end != MU_ENGINE_OK) {
        mu_jtimer_start(&r->again, mu_journal_backoff_ms(j));
    } else if (r->call.verb == MU_ENGINE_CONFIRM) {
        resolve_call(j, MU_ENGINE_READ);
    } else
        judge(j, look(j, first(j), a));
}

static void resolve_again(struct mu_journal *j)
{
    resolve_next(j);
}

void mu_append_init(struct mu_journal *j)
{
    mu_list_init(&j->appends);
    mu_list_init(&j->strays);
    j->resolve.call = (struct mu_engine_call){ .done = on_resolve, .arg = j };
    j->resolve.again = (struct mu_jtimer){ .j = j, .fn = resolve_again };
}

static void free_list(struct mu_list *list)
{
    MU_LIST_EACH_SAFE(it, list)
        free(MU_CONTAINER(it, struct mu_append, link));
    mu_list_init(list);
}

void mu_append_free_all(struct mu_journal *j)
{
    free_list(&j->appends);
    free_list(&j->strays);
}

static struct mu_append *append_new(struct mu_journal *j, const void *bytes, size_t size)
{
    struct mu_append *a = malloc(sizeof *a + size + MU_RECORD_EXTRA);
    struct mu_record r = { .epoch = j->epoch, .seq = j->append_next, .size = (uint32_t)size };

    MU_ASSERT(a != NULL);
    *a = (struct mu_append){ .j = j, .seq = r.seq, .size = size };
    memcpy(r.cluster, j->cluster, sizeof r.cluster);
    j->nonce[1]++;
    memcpy(r.nonce, j->nonce, sizeof r.nonce);
    memcpy(r.prev, j->append_chain, sizeof r.prev);
    if (size != 0)
        memcpy(a->bytes + MU_RECORD_HEAD, bytes, size);
    mu_record_seal(j->hasher, &r, a->bytes);
    memcpy(a->hash, r.hash, sizeof a->hash);
    a->call = (struct mu_engine_call){ .verb = MU_ENGINE_APPEND, .token = j->token, .seq = r.seq, .bytes = a->bytes,
                                       .size = size + MU_RECORD_EXTRA, .done = on_append, .arg = a };
    return a;
}

enum mu_journal_end mu_journal_append(struct mu_journal *j, uint64_t epoch, uint64_t seq, const void *bytes, size_t size,
                                      mu_journal_done_fn *done, void *arg)
{
    struct mu_append *a;

    MU_ASSERT(done != NULL && (size == 0 || bytes != NULL));
    if (j->dead)
        return MU_JOURNAL_CLOSED;
    if (j->role != MU_ROLE_LEADER || epoch != j->epoch || seq != j->append_next)
        return MU_JOURNAL_FENCED;
    if (size > j->limits.record_max)
        return MU_JOURNAL_TOO_BIG;
    if (j->appends_open >= j->limits.inflight_max || j->resolve.active)
        return MU_JOURNAL_BUSY;
    a = append_new(j, bytes, size);
    a->done = done;
    a->arg = arg;
    mu_list_add_tail(&j->appends, &a->link);
    j->appends_open++;
    j->append_next++;
    memcpy(j->append_chain, a->hash, MU_HASH_BYTES);
    send(a);
    return MU_JOURNAL_OK;
}
