/* Genesis, then read what is there, then wait for more: the path of every record that this handle did not append. */
#include "journal/handle.h"

#include <string.h>

enum { GENESIS_TRIES = 10 };

void mu_follow_commit(struct mu_journal *j, uint64_t epoch, const uint8_t *hash, const void *payload, size_t size)
{
    uint64_t seq = j->next++;

    j->last_size = size;
    memcpy(j->chain, hash, MU_HASH_BYTES);
    j->last_epoch = epoch;
    j->user.on_commit(j->user.arg, seq, epoch, payload, size);
}

static const char *why_not_next(const struct mu_journal *j, const struct mu_record *r)
{
    if (r->seq != j->next)
        return "a record stands at another number than its own";
    if (memcmp(r->cluster, j->cluster, MU_CLUSTER_BYTES) != 0)
        return "a record belongs to another cluster";
    if (memcmp(r->prev, j->chain, MU_HASH_BYTES) != 0)
        return "the chain is broken: a record does not follow the one before";
    return r->epoch < j->last_epoch ? "a record has an older epoch than the one before" : NULL;
}

static bool open_record(struct mu_journal *j, struct mu_record *r, const struct mu_engine_item *item)
{
    struct mu_err err;
    enum mu_rc rc = mu_record_open(j->hasher, r, item->at, item->size, &err);

    if (rc == MU_OK)
        return true;
    char text[MU_ERR_TEXT];
    snprintf(text, sizeof text, "at %llu: %s", (unsigned long long)item->key, err.text);
    mu_journal_fail(j, rc, text);
    return false;
}

static bool replay(struct mu_journal *j, const struct mu_engine_item *item)
{
    struct mu_record r;
    const char *wrong;

    if (!open_record(j, &r, item))
        return false;
    wrong = why_not_next(j, &r);
    if (wrong != NULL) {
        char text[MU_ERR_TEXT];
        snprintf(text, sizeof text, "at %llu: %s", (unsigned long long)item->key, wrong);
        mu_journal_fail(j, MU_CORRUPT, text);
        return false;
    }
    mu_follow_commit(j, r.epoch, r.hash, r.payload, r.size);
    return !j->dead;
}

/* The record we ended at must still be there as it was, or the store went back. */
static bool is_still_there(struct mu_journal *j, const struct mu_engine_item *item)
{
    struct mu_record r;

    if (!open_record(j, &r, item))
        return false;
    if (memcmp(r.hash, j->chain, MU_HASH_BYTES) == 0)
        return true;
    mu_journal_fail(j, MU_CORRUPT, "a record that was read before is another one now");
    return false;
}

/* False: the handle is dead, or *hole says that records were trimmed that we have not seen. */
static bool replay_all(struct mu_journal *j, const struct mu_engine_answer *a, bool *hole)
{
    *hole = false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct mu_engine_item *item = &a->items[i];
        if (item->key > j->next) {
            *hole = true;
            return false;
        }
        MU_ASSERT(item->key + 1 >= j->next);
        if (!(item->key == j->next ? replay(j, item) : is_still_there(j, item)))
            return false;
    }
    return true;
}

static void at_end(struct mu_journal *j, bool for_lead)
{
    if (!j->caught_up) {
        j->caught_up = true;
        if (j->user.on_caught_up != NULL)
            j->user.on_caught_up(j->user.arg, j->next - 1);
    }
    if (j->role == MU_ROLE_CATCHUP && !for_lead) {
        mu_follow_read(j);
        return;
    }
    mu_lead_at_end(j);
    if (j->dead || j->waiting || mu_lead_holds(j))
        return;
    j->waiting = true;
    j->wait.seq = j->next;
    mu_journal_start(j, &j->wait);
}

static void on_read(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;
    bool for_lead = j->read_for_lead, hole;
    uint64_t before = j->next;

    j->reading = false;
    if (mu_journal_failed(j, a) || mu_lead_holds(j))
        return;
    if (a->end != MU_ENGINE_OK)
        mu_jtimer_start(&j->read_again, mu_journal_backoff_ms(j));
    else if (a->count == 0) /* the newest record is never trimmed */
        mu_journal_fail(j, MU_CORRUPT, "the store lost records that were read before");
    else if (!replay_all(j, a, &hole)) {
        if (hole)
            mu_load_start(j, true);
    } else if (j->next > before)
        mu_follow_read(j);
    else
        at_end(j, for_lead);
}

/* Reads begin at the last record seen, to see that it is still there; a read that brings nothing else is the end. So the
 * limit leaves room for more than that one. */
void mu_follow_read(struct mu_journal *j)
{
    if (j->dead || j->reading || j->load.active || mu_lead_holds(j))
        return;
    mu_jtimer_stop(&j->read_again);
    j->reading = true;
    j->read_for_lead = j->role == MU_ROLE_CATCHUP;
    j->read.seq = j->next - 1;
    j->read.limit = MU_READ_BYTES + j->last_size + MU_RECORD_EXTRA;
    mu_journal_start(j, &j->read);
}

static void on_wait(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;

    j->waiting = false;
    if (mu_journal_failed(j, a) || mu_lead_holds(j))
        return;
    if (a->end == MU_ENGINE_OK)
        mu_follow_read(j);
    else
        mu_jtimer_start(&j->read_again, mu_journal_backoff_ms(j));
}

static void genesis_read(struct mu_journal *j);

static void genesis_make(struct mu_journal *j)
{
    struct mu_genesis g = { .epoch_base = 0, .made_by = MU_CHAIN_VERSION };
    struct mu_record r = { .size = MU_GENESIS_BYTES };
    uint8_t *bytes;

    mu_buf_clear(&j->genesis_bytes);
    bytes = mu_buf_room(&j->genesis_bytes, MU_RECORD_EXTRA + MU_GENESIS_BYTES);
    j->host.random(j->host.arg, r.cluster, sizeof r.cluster);
    j->host.random(j->host.arg, r.nonce, sizeof r.nonce);
    mu_genesis_put(&g, bytes + MU_RECORD_HEAD);
    mu_record_seal(j->hasher, &r, bytes);
    j->genesis.verb = MU_ENGINE_APPEND;
    j->genesis.seq = 0;
    j->genesis.bytes = bytes;
    j->genesis.size = MU_RECORD_EXTRA + MU_GENESIS_BYTES;
    mu_journal_start(j, &j->genesis);
}

static void genesis_take(struct mu_journal *j, const struct mu_engine_item *item)
{
    struct mu_record r;
    struct mu_genesis g;

    if (!open_record(j, &r, item))
        return;
    if (item->key != 0 || r.seq != 0 || !mu_genesis_get(&g, r.payload, r.size)) {
        mu_journal_fail(j, MU_CORRUPT, "the first record is not a genesis");
        return;
    }
    memcpy(j->cluster, r.cluster, MU_CLUSTER_BYTES);
    memcpy(j->chain, r.hash, MU_HASH_BYTES);
    j->epoch_base = g.epoch_base;
    j->started = true;
    if (j->user.on_open != NULL)
        j->user.on_open(j->user.arg, j->cluster);
    if (!j->dead)
        mu_load_start(j, false);
}

static void on_genesis(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;

    if (mu_journal_failed(j, a))
        return;
    if (j->genesis.verb == MU_ENGINE_READ && a->end == MU_ENGINE_OK && a->count > 0)
        genesis_take(j, &a->items[0]);
    else if (j->genesis.verb == MU_ENGINE_READ && a->end == MU_ENGINE_OK && j->opt.read_only)
        mu_journal_fail(j, MU_NOTFOUND, "there is no journal here");
    else if (j->genesis.verb == MU_ENGINE_READ && a->end == MU_ENGINE_OK)
        genesis_make(j);
    else if (a->end == MU_ENGINE_FULL && ++j->genesis_tries == GENESIS_TRIES)
        mu_journal_fail(j, MU_FULL, "no space to found a journal");
    else if (a->end == MU_ENGINE_OK || a->end == MU_ENGINE_TAKEN)
        genesis_read(j); /* whoever was first: that one is it */
    else
        mu_jtimer_start(&j->read_again, mu_journal_backoff_ms(j));
}

static void genesis_read(struct mu_journal *j)
{
    j->genesis.verb = MU_ENGINE_READ;
    j->genesis.seq = 0;
    j->genesis.limit = 1;
    mu_journal_start(j, &j->genesis);
}

static void read_again(struct mu_journal *j)
{
    if (j->started)
        mu_follow_read(j);
    else
        genesis_read(j);
}

void mu_follow_init(struct mu_journal *j)
{
    j->genesis = (struct mu_engine_call){ .done = on_genesis, .arg = j };
    j->read = (struct mu_engine_call){ .verb = MU_ENGINE_READ, .done = on_read, .arg = j };
    j->wait = (struct mu_engine_call){ .verb = MU_ENGINE_WAIT, .done = on_wait, .arg = j };
    j->read_again = (struct mu_jtimer){ .j = j, .fn = read_again };
}

void mu_follow_open(struct mu_journal *j)
{
    genesis_read(j);
}
