/* Snapshot out: chunks, manifest, read all of it back, then trim. One stage at a time, one call out at a time, so that
 * appends pass between. */
#include "journal/handle.h"

#include <stdlib.h>
#include <string.h>

enum { SNAPS_BITS = 24 }; /* of a number: which snapshot of this handle; above it the epoch */

static void save_step(struct mu_journal *j);

static void image_close(struct mu_journal *j, bool stored)
{
    struct mu_save *s = &j->save;

    if (s->image_open)
        j->user.save_close(j->user.arg, s->image, stored);
    s->image_open = false;
    s->image = NULL;
}

static void buf_free(struct mu_save *s)
{
    if (s->out)
        return; /* the engine may still read it */
    free(s->buf);
    s->buf = NULL;
}

void mu_save_stop(struct mu_journal *j)
{
    struct mu_save *s = &j->save;

    mu_jtimer_stop(&s->again);
    s->stage = MU_SAVE_IDLE;
    buf_free(s);
    image_close(j, false);
}

static void call_start(struct mu_journal *j, enum mu_engine_verb verb)
{
    struct mu_save *s = &j->save;

    s->call.verb = verb;
    s->call.token = j->token;
    s->call.snap = s->m.snap;
    s->out = true;
    mu_journal_start(j, &s->call);
}

static void save_begin(struct mu_journal *j)
{
    struct mu_save *s = &j->save;
    uint64_t upto = 0, bytes = 0;

    if ((s->count + 1) >> SNAPS_BITS != 0 || !j->user.save_open(j->user.arg, &upto, &bytes, &s->image)) {
        s->stage = MU_SAVE_IDLE;
        return;
    }
    MU_ASSERT(upto == j->next - 1 || (upto < j->next && upto >= j->floor));
    s->image_open = true;
    s->m = (struct mu_manifest){ .upto = upto, .epoch = j->last_epoch };
    s->m.snap = j->epoch << SNAPS_BITS | ++s->count; /* grows, and is never used again */
    memcpy(s->m.cluster, j->cluster, MU_CLUSTER_BYTES);
    memcpy(s->m.chain, j->chain, MU_HASH_BYTES);
    if (s->buf == NULL)
        s->buf = malloc(j->limits.chunk_max);
    MU_ASSERT(s->buf != NULL);
    s->tries = 0;
    s->verified = 0;
    mu_hasher_begin(s->digest);
    s->stage = upto == j->next - 1 ? MU_SAVE_PUT : MU_SAVE_ANCHOR;
    save_step(j);
}

/* The image is older than what was committed meanwhile: its record says where in the chain it belongs. */
static void take_anchor(struct mu_journal *j, const struct mu_engine_answer *a)
{
    struct mu_save *s = &j->save;
    struct mu_record r;

    if (a->count == 0 || a->items[0].key != s->m.upto) {
        mu_save_stop(j); /* an earlier leader trimmed it: a newer snapshot is there already */
        return;
    }
    if (mu_record_open(j->hasher, &r, a->items[0].at, a->items[0].size, NULL) != MU_OK) {
        mu_journal_fail(j, MU_CORRUPT, "the record that a snapshot ends with is damaged");
        return;
    }
    s->m.epoch = r.epoch;
    memcpy(s->m.chain, r.hash, MU_HASH_BYTES);
    s->stage = MU_SAVE_PUT;
}

static void put_next(struct mu_journal *j)
{
    struct mu_save *s = &j->save;
    struct mu_chunk c = { .snap = s->m.snap, .index = s->m.chunks };
    size_t got = j->user.save_read(j->user.arg, s->image, s->buf + MU_CHUNK_HEAD, j->limits.chunk_max - MU_CHUNK_EXTRA);

    if (got == 0) {
        mu_hasher_end(s->digest, s->m.digest);
        mu_manifest_seal(j->hasher, &s->m, s->seal);
        s->stage = MU_SAVE_SEAL;
        save_step(j);
        return;
    }
    c.size = (uint32_t)got;
    memcpy(c.cluster, j->cluster, MU_CLUSTER_BYTES);
    mu_chunk_seal(j->hasher, &c, s->buf);
    mu_hasher_add(s->digest, c.hash, MU_HASH_BYTES);
    s->m.bytes += got;
    s->m.chunks++;
    s->call.index = c.index;
    s->call.bytes = s->buf;
    s->call.size = got + MU_CHUNK_EXTRA;
    call_start(j, MU_ENGINE_PUT);
}

static void save_step(struct mu_journal *j)
{
    struct mu_save *s = &j->save;

    if (s->out)
        return;
    switch (s->stage) {
    case MU_SAVE_IDLE:
        break;
    case MU_SAVE_WANTED:
        save_begin(j);
        break;
    case MU_SAVE_ANCHOR:
        s->call.seq = s->m.upto;
        s->call.limit = 1;
        s->call.bytes = NULL; /* of the snapshot before, and gone */
        s->call.size = 0;
        call_start(j, MU_ENGINE_READ);
        break;
    case MU_SAVE_PUT:
        put_next(j);
        break;
    case MU_SAVE_SEAL:
        s->call.bytes = s->seal;
        s->call.size = sizeof s->seal;
        call_start(j, MU_ENGINE_SEAL);
        break;
    case MU_SAVE_FIND:
        call_start(j, MU_ENGINE_SEALS);
        break;
    case MU_SAVE_VERIFY:
        s->call.index = s->verified;
        call_start(j, MU_ENGINE_GET);
        break;
    case MU_SAVE_TRIM:
        s->call.below = s->m.upto;
        s->call.older = s->m.snap;
        s->call.drop = 0;
        call_start(j, MU_ENGINE_TRIM);
        break;
    case MU_SAVE_CLEAN:
        s->call.below = 0;
        s->call.older = 0;
        s->call.drop = s->m.snap;
        call_start(j, MU_ENGINE_TRIM);
        break;
    }
}

/* Leave nothing half behind: it would take the space that a full store needs. */
static void give_up(struct mu_journal *j)
{
    image_close(j, false);
    j->save.tries = 0;
    j->save.stage = MU_SAVE_CLEAN;
    save_step(j);
}

static bool find_seal(const struct mu_save *s, const struct mu_engine_answer *a)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (a->items[i].key == s->m.snap)
            return a->items[i].size == sizeof s->seal && memcmp(a->items[i].at, s->seal, sizeof s->seal) == 0;
    return false;
}

static bool verify_chunk(struct mu_journal *j, const struct mu_engine_answer *a)
{
    struct mu_save *s = &j->save;
    struct mu_chunk c;

    if (a->count != 1 || mu_chunk_open(j->hasher, &c, a->items[0].at, a->items[0].size, NULL) != MU_OK ||
        c.snap != s->m.snap || c.index != s->verified)
        return false;
    mu_hasher_add(s->digest, c.hash, MU_HASH_BYTES);
    s->verified++;
    return true;
}

static bool digest_is_good(struct mu_save *s)
{
    uint8_t digest[MU_HASH_BYTES];

    mu_hasher_end(s->digest, digest);
    return memcmp(digest, s->m.digest, MU_HASH_BYTES) == 0;
}

static void verify_begin(struct mu_save *s)
{
    s->verified = 0;
    mu_hasher_begin(s->digest);
    s->stage = MU_SAVE_VERIFY;
}

/* One stage's call came back good: false if what was read back is not what was written. */
static bool advance(struct mu_journal *j, const struct mu_engine_answer *a)
{
    struct mu_save *s = &j->save;

    switch (s->stage) {
    case MU_SAVE_ANCHOR:
        take_anchor(j, a);
        return true;
    case MU_SAVE_SEAL:
        s->stage = MU_SAVE_FIND;
        return true;
    case MU_SAVE_FIND:
        if (!find_seal(s, a))
            return false;
        verify_begin(s);
        break;
    case MU_SAVE_VERIFY:
        if (!verify_chunk(j, a))
            return false;
        break;
    case MU_SAVE_TRIM:
        if (a->end == MU_ENGINE_MORE)
            return true;
        j->floor = s->m.upto > j->floor ? s->m.upto : j->floor;
        image_close(j, true);
        mu_save_stop(j);
        return true;
    case MU_SAVE_CLEAN:
        if (a->end == MU_ENGINE_OK)
            mu_save_stop(j);
        return true;
    default:
        return true;
    }
    if (s->verified < s->m.chunks)
        return true;
    s->stage = MU_SAVE_TRIM;
    return digest_is_good(s);
}

static void on_save(void *arg, const struct mu_engine_answer *a)
{
    struct mu_journal *j = arg;
    struct mu_save *s = &j->save;

    s->out = false;
    if (mu_journal_failed(j, a))
        return;
    if (s->stage == MU_SAVE_IDLE || s->stage == MU_SAVE_WANTED || s->call.token != j->token) {
        if (s->stage == MU_SAVE_IDLE)
            buf_free(s);
        save_step(j); /* this was an answer to a snapshot that was stopped */
    } else if (a->end == MU_ENGINE_OK || a->end == MU_ENGINE_MORE) {
        s->tries = 0;
        if (!advance(j, a))
            mu_journal_fail(j, MU_CORRUPT, "a snapshot that was just stored reads back differently");
        else if (!j->dead)
            save_step(j);
    } else if (a->end == MU_ENGINE_TOKEN) {
        mu_save_stop(j);
        mu_lead_token_gone(j);
    } else if (a->end == MU_ENGINE_UNKNOWN && ++s->tries < MU_SAVE_TRIES) {
        mu_jtimer_start(&s->again, mu_journal_backoff_ms(j));
    } else if (s->stage == MU_SAVE_PUT || s->stage == MU_SAVE_SEAL) {
        give_up(j);
    } else
        mu_save_stop(j); /* stored, but not proven or not trimmed: nothing is lost, the next one cleans up */
}

static void save_again(struct mu_journal *j)
{
    struct mu_save *s = &j->save;

    if (s->stage == MU_SAVE_PUT)
        call_start(j, MU_ENGINE_PUT); /* the same chunk once more */
    else
        save_step(j);
}

void mu_save_init(struct mu_journal *j)
{
    j->save.digest = mu_hasher_new();
    j->save.call = (struct mu_engine_call){ .done = on_save, .arg = j };
    j->save.again = (struct mu_jtimer){ .j = j, .fn = save_again };
}

void mu_journal_snapshot(struct mu_journal *j)
{
    if (j->dead || j->role != MU_ROLE_LEADER || j->save.stage != MU_SAVE_IDLE || j->user.save_open == NULL)
        return;
    j->save.stage = MU_SAVE_WANTED;
    mu_jtimer_start(&j->save.again, 0);
}
