/* Snapshot in: pick the newest manifest, fetch chunks two ahead, hand over what matches its hash, check the whole.
 * A snapshot that is damaged is passed over for an older one if nothing between them was trimmed. */
#include "journal/handle.h"

#include <string.h>

static void seals_start(struct mu_journal *j)
{
    j->load.out++;
    mu_journal_start(j, &j->load.seals);
}

/* All answers that are due are in: begin again, or go on reading. */
static void load_over(struct mu_journal *j, uint64_t delay_ms)
{
    if (j->load.begun)
        j->user.load_end(j->user.arg, false);
    j->load.begun = false;
    j->load.failed = false;
    if (!j->dead)
        mu_jtimer_start(&j->load.again, delay_ms);
}

static void refuse(struct mu_journal *j, uint64_t snap, const struct mu_err *why)
{
    j->load.why = *why;
    if (j->load.bad_count < MU_LOADS_BAD_MAX)
        j->load.bad[j->load.bad_count++] = snap;
}

static bool is_bad(const struct mu_journal *j, uint64_t snap)
{
    for (unsigned i = 0; i < j->load.bad_count; i++)
        if (j->load.bad[i] == snap)
            return true;
    return j->load.bad_count == MU_LOADS_BAD_MAX;
}

static bool manifest_take(struct mu_journal *j, struct mu_manifest *m, const struct mu_engine_item *item)
{
    struct mu_err err;

    if (is_bad(j, item->key))
        return false;
    if (item->key == j->load.gone) {
        mu_fail(&err, MU_CORRUPT, "a chunk of the snapshot is missing");
        refuse(j, item->key, &err);
        return false;
    }
    if (mu_manifest_open(j->hasher, m, item->at, item->size, &err) == MU_OK) {
        if (m->snap == item->key && memcmp(m->cluster, j->cluster, MU_CLUSTER_BYTES) == 0)
            return m->upto + 1 >= j->next;
        mu_fail(&err, MU_CORRUPT, "a manifest belongs to another snapshot or cluster");
    }
    refuse(j, item->key, &err);
    return false;
}

static void get_more(struct mu_journal *j)
{
    struct mu_load *l = &j->load;

    for (unsigned i = 0; i < MU_LOADS_MAX && l->asked < l->m.chunks; i++) {
        if (l->slots[i].out)
            continue;
        l->slots[i].out = true;
        l->slots[i].call.snap = l->m.snap;
        l->slots[i].call.index = l->asked++;
        l->out++;
        mu_journal_start(j, &l->slots[i].call);
    }
}

static void load_done(struct mu_journal *j)
{
    struct mu_load *l = &j->load;
    uint8_t digest[MU_HASH_BYTES];
    struct mu_err err;

    mu_hasher_end(l->digest, digest);
    if (l->bytes != l->m.bytes || memcmp(digest, l->m.digest, MU_HASH_BYTES) != 0) {
        mu_fail(&err, MU_CORRUPT, "a snapshot does not match its manifest");
        refuse(j, l->m.snap, &err);
        load_over(j, 0);
        return;
    }
    l->active = l->begun = l->hole = false;
    j->next = l->m.upto + 1;
    j->floor = l->m.upto > 1 ? l->m.upto : 1;
    j->last_epoch = l->m.epoch;
    j->last_size = j->limits.record_max; /* not known */
    memcpy(j->chain, l->m.chain, MU_HASH_BYTES);
    j->user.load_end(j->user.arg, true);
    mu_follow_read(j);
}

static void load_begin(struct mu_journal *j)
{
    struct mu_load *l = &j->load;

    l->begun = true;
    l->asked = l->taken = l->bytes = 0;
    mu_hasher_begin(l->digest);
    j->user.load_begin(j->user.arg, l->m.upto, l->m.bytes);
    if (j->dead)
        return;
    if (l->m.chunks == 0)
        load_done(j);
    else
        get_more(j);
}

/* No snapshot: the records must do. */
static void load_none(struct mu_journal *j)
{
    struct mu_load *l = &j->load;

    if (l->hole) {
        mu_journal_fail(j, l->why.rc != MU_OK ? l->why.rc : MU_CORRUPT,
                        l->why.rc != MU_OK ? l->why.text : "records are missing and no snapshot replaces them");
        return;
    }
    l->active = false;
    mu_follow_read(j);
}

static void on_seals(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;
    struct mu_manifest m;
    bool found = false;

    j->load.out--;
    if (mu_journal_failed(j, a))
        return;
    if (a->end != MU_ENGINE_OK) {
        mu_jtimer_start(&j->load.again, mu_journal_backoff_ms(j));
        return;
    }
    for (uint32_t i = 0; i < a->count; i++)
        if (manifest_take(j, &m, &a->items[i]) &&
            (!found || m.upto > j->load.m.upto || (m.upto == j->load.m.upto && m.snap > j->load.m.snap))) {
            j->load.m = m;
            found = true;
        }
    if (found)
        load_begin(j);
    else
        load_none(j);
}

static bool chunk_take(struct mu_journal *j, const struct mu_engine_item *item)
{
    struct mu_load *l = &j->load;
    struct mu_chunk c;
    struct mu_err err;
    enum mu_rc rc = mu_chunk_open(j->hasher, &c, item->at, item->size, &err);

    if (rc == MU_OK && (c.snap != l->m.snap || c.index != l->taken ||
                        memcmp(c.cluster, j->cluster, MU_CLUSTER_BYTES) != 0))
        rc = mu_fail(&err, MU_CORRUPT, "a chunk stands at another place than its own");
    if (rc != MU_OK) {
        refuse(j, l->m.snap, &err);
        return false;
    }
    mu_hasher_add(l->digest, c.hash, MU_HASH_BYTES);
    l->bytes += c.size;
    l->taken++;
    if (j->user.load_chunk(j->user.arg, c.payload, c.size))
        return true;
    mu_journal_fail(j, MU_CORRUPT, "the content of a snapshot, good by its hash, is not understood");
    return false;
}

static void on_chunk(void *arg, const struct mu_engine_answer *a)
{
    struct mu_load_slot *slot = arg;
    struct mu_journal *j = slot->j;
    struct mu_load *l = &j->load;
    bool in_turn = slot->call.index == l->taken;

    slot->out = false;
    l->out--;
    if (mu_journal_failed(j, a))
        return;
    if (!l->failed && a->end == MU_ENGINE_OK && a->count == 0) {
        l->failed = true;
        l->gone = l->m.snap;
    } else if (!l->failed && a->end == MU_ENGINE_OK && in_turn) {
        get_more(j); /* before hashing this one: the engine works meanwhile */
        l->failed = !chunk_take(j, &a->items[0]);
    } else if (slot->call.index >= l->taken && slot->call.index < l->asked)
        l->asked = slot->call.index; /* lost or out of turn: ask again */
    if (j->dead)
        return;
    if (l->failed) {
        if (l->out == 0)
            load_over(j, 0);
    } else if (l->taken == l->m.chunks) {
        if (l->out == 0)
            load_done(j);
    } else if (a->end != MU_ENGINE_OK)
        mu_jtimer_start(&l->again, mu_journal_backoff_ms(j));
    else
        get_more(j);
}

static void load_again(struct mu_journal *j)
{
    if (!j->load.active)
        return;
    if (!j->load.begun && j->load.out == 0)
        seals_start(j);
    else if (j->load.begun && !j->load.failed)
        get_more(j);
}

void mu_load_init(struct mu_journal *j)
{
    struct mu_load *l = &j->load;

    l->digest = mu_hasher_new();
    l->seals = (struct mu_engine_call){ .verb = MU_ENGINE_SEALS, .done = on_seals, .arg = j };
    for (unsigned i = 0; i < MU_LOADS_MAX; i++) {
        l->slots[i].j = j;
        l->slots[i].call = (struct mu_engine_call){ .verb = MU_ENGINE_GET, .done = on_chunk, .arg = &l->slots[i] };
    }
    l->again = (struct mu_jtimer){ .j = j, .fn = load_again };
}

void mu_load_start(struct mu_journal *j, bool hole)
{
    struct mu_load *l = &j->load;

    MU_ASSERT(!l->active && l->out == 0);
    l->active = true;
    l->hole = hole;
    l->gone = 0;
    seals_start(j);
}
