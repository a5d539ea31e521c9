#include "journal/peer.h"

#include "base/hash.h"
#include "journal/memory/memory.h"

#include <stdlib.h>
#include <string.h>

struct image {
    struct peer_state state;
    uint64_t at, size;
};

/* The first bytes of what peer_fill writes: no two records alike, and each tells where it belongs. */
static uint64_t mark_of(uint64_t seq, uint64_t epoch)
{
    return seq * 0x9e3779b97f4a7c15u + epoch;
}

static void on_commit(void *arg, uint64_t seq, uint64_t epoch, const void *bytes, size_t size)
{
    struct peer *p = arg;
    uint64_t digest = mu_hash(bytes, size, epoch);

    MU_ASSERT(!p->fatal && !p->closing);
    MU_ASSERT(seq == p->tail + 1);       /* order: no gap, no repeat */
    MU_ASSERT(epoch >= p->tail_epoch);   /* agreement: epochs never fall */
    p->tail = seq;
    p->tail_epoch = epoch;
    p->state.count++;
    p->state.digest = mu_hash_mix(p->state.digest, digest);
    p->commits++;
    if (p->filled && size >= sizeof digest) {
        uint64_t mark;
        memcpy(&mark, bytes, sizeof mark);
        MU_ASSERT(mark == mark_of(seq, epoch));
    }
    for (uint32_t i = 0; p->fenced != NULL && i < p->fenced->count; i++)
        MU_ASSERT(p->fenced->digests[i] != mu_hash_mix(digest, seq)); /* fenced is for ever */
    if (p->digests == NULL)
        return;
    MU_ASSERT(seq < PEER_SEQ_MAX);
    MU_ASSERT(p->digests[seq] == 0 || p->digests[seq] == digest); /* agreement: what was read never changes */
    p->digests[seq] = digest;
}

static void on_lead(void *arg, uint64_t epoch, uint64_t next_seq)
{
    struct peer *p = arg;

    MU_ASSERT(!p->leading && p->caught_up && p->open == 0);
    MU_ASSERT(next_seq == p->tail + 1);                      /* leadership: all before was committed to us */
    MU_ASSERT(epoch > p->epoch && epoch > p->tail_epoch);
    p->leading = true;
    p->bad_end = false;
    p->epoch = epoch;
    p->next = next_seq;
    p->leads++;
}

static void on_lost(void *arg, uint64_t epoch, enum mu_journal_end why)
{
    struct peer *p = arg;

    MU_ASSERT(p->leading && epoch == p->epoch && p->open == 0); /* after the last done() */
    p->leading = false;
    p->losses++;
    p->why = why;
}

static void on_hint(void *arg, const char *leader_addr, uint64_t epoch)
{
    struct peer *p = arg;

    (void)epoch;
    snprintf(p->hint, sizeof p->hint, "%s", leader_addr);
}

static void on_fatal(void *arg, enum mu_journal_end why, const struct mu_err *err)
{
    struct peer *p = arg;

    MU_ASSERT(!p->fatal);
    p->fatal = true;
    p->why = why;
    p->err = *err;
}

static void on_caught_up(void *arg, uint64_t seq)
{
    struct peer *p = arg;

    MU_ASSERT(!p->caught_up && seq == p->tail);
    p->caught_up = true;
}

static void load_begin(void *arg, uint64_t upto, uint64_t bytes)
{
    struct peer *p = arg;

    p->load_left = bytes;
    p->load_at = 0;
    p->loading = (struct peer_state){ 0 };
    p->tail = upto;
    p->tail_epoch = 0;
}

static uint8_t pad_byte(uint64_t at)
{
    return (uint8_t)(at * 131 + (at >> 20));
}

/* An image is the state, then bytes of a known pattern. */
static bool load_chunk(void *arg, const void *bytes, size_t size)
{
    struct peer *p = arg;
    const uint8_t *at = bytes;

    if (size > p->load_left)
        return false;
    for (size_t i = 0; i < size; i++, p->load_at++)
        if (p->load_at < sizeof p->loading)
            ((uint8_t *)&p->loading)[p->load_at] = at[i];
        else if ((p->load_at % 4096 == 0 || p->load_at < 8192) && at[i] != pad_byte(p->load_at))
            return false;
    p->load_left -= size;
    return true;
}

static void load_end(void *arg, bool good)
{
    struct peer *p = arg;

    p->loads += good;
    p->loads_bad += !good;
    MU_ASSERT(!good || p->load_left == 0);
    p->state = good ? p->loading : (struct peer_state){ 0 };
    p->tail = good ? p->tail : 0;
}

static bool save_open(void *arg, uint64_t *upto, uint64_t *bytes, void **image)
{
    struct peer *p = arg;
    struct image *im;

    if (p->mute)
        return false;
    im = calloc(1, sizeof *im);
    MU_ASSERT(im != NULL);
    im->state = p->frozen_upto != 0 ? p->frozen : p->state;
    im->size = p->pad == 0 && p->state.count == 0 ? 0 : sizeof im->state + p->pad;
    *upto = p->frozen_upto != 0 ? p->frozen_upto : p->tail;
    *bytes = im->size;
    *image = p->image = im;
    p->saves++;
    return true;
}

static size_t save_read(void *arg, void *image, void *buf, size_t cap)
{
    struct image *im = image;
    uint8_t *out = buf;
    size_t n = 0;

    (void)arg;
    for (; n < cap && im->at < im->size; n++, im->at++)
        out[n] = im->at < sizeof im->state ? ((uint8_t *)&im->state)[im->at] : pad_byte(im->at);
    return n;
}

static void save_close(void *arg, void *image, bool stored)
{
    struct peer *p = arg;

    p->stored += stored;
    p->refused += !stored;
    p->image = NULL;
    free(image);
}

void peer_init(struct peer *p, struct host *host, uint64_t *digests)
{
    *p = (struct peer){ .host = host, .digests = digests };
}

enum mu_rc peer_open(struct peer *p, const char *url, const struct mu_journal_options *opt)
{
    struct mu_journal_options o = *opt;
    struct mu_journal_user user = { .arg = p, .on_commit = on_commit, .on_lead = on_lead, .on_lost = on_lost,
                                    .on_hint = on_hint, .on_fatal = on_fatal, .on_caught_up = on_caught_up,
                                    .load_begin = load_begin, .load_chunk = load_chunk, .load_end = load_end,
                                    .save_open = save_open, .save_read = save_read, .save_close = save_close };

    o.host = &p->host->calls;
    return mu_journal_open(&p->j, url, &o, &user, &p->err);
}

void peer_close(struct peer *p)
{
    p->closing = true;
    mu_journal_close(p->j);
    p->j = NULL;
    MU_ASSERT(p->open == 0); /* completion: one done each */
    MU_ASSERT(p->saves == p->stored + p->refused);
}

void peer_crash(struct peer *p)
{
    p->closing = true;
    mu_memory_crash(p->j);
    p->j = NULL;
    free(p->image); /* the memory of a dead process */
}

static void on_done(void *arg, uint64_t seq, enum mu_journal_end end)
{
    struct peer *p = arg;

    MU_ASSERT(p->open > 0 && (seq == p->done_seq + 1 || p->done_seq == 0)); /* completion: in order */
    MU_ASSERT(end != MU_JOURNAL_OK || (!p->bad_end && p->tail == seq));      /* on_commit came first */
    p->bad_end = p->bad_end || (end != MU_JOURNAL_OK && end != MU_JOURNAL_FULL);
    p->done_seq = seq;
    p->open--;
    p->ends[end]++;
    p->last_end = end;
    if ((end == MU_JOURNAL_FENCED || end == MU_JOURNAL_FULL) && p->fenced != NULL) {
        MU_ASSERT(p->fenced->count < MU_COUNT(p->fenced->digests));
        p->fenced->digests[p->fenced->count++] = p->sent[seq % MU_COUNT(p->sent)];
    }
    if (end == MU_JOURNAL_OK && p->told != NULL)
        p->told(p, seq);
    if (end == MU_JOURNAL_FULL && p->open == 0) {
        p->next = p->tail + 1; /* seq stays free */
        p->done_seq = p->tail;
    }
}

enum mu_journal_end peer_append(struct peer *p, const void *bytes, size_t size)
{
    enum mu_journal_end end;

    if (p->open == 0)
        p->done_seq = p->next - 1;
    end = mu_journal_append(p->j, p->epoch, p->next, bytes, size, on_done, p);
    if (end == MU_JOURNAL_OK) {
        p->sent[p->next % MU_COUNT(p->sent)] = mu_hash_mix(mu_hash(bytes, size, p->epoch), p->next);
        p->open++;
        p->next++;
    }
    return end;
}

static bool is_quiet(void *arg)
{
    struct peer *p = arg;

    return p->open == 0 || p->fatal;
}

bool peer_fill(struct peer *p, uint64_t count, size_t size, uint64_t limit_ms)
{
    uint8_t *bytes = malloc(size + sizeof count);
    bool good = bytes != NULL;

    memset(bytes, (int)(size & 0xff), size + sizeof count);
    for (uint64_t i = 0; good && i < count;) {
        uint64_t mark = mark_of(p->next, p->epoch);
        memcpy(bytes, &mark, sizeof mark);
        switch (peer_append(p, bytes, size)) {
        case MU_JOURNAL_OK:
            i++;
            break;
        case MU_JOURNAL_BUSY:
            good = host_turn(p->host, limit_ms);
            break;
        default:
            good = false;
        }
    }
    free(bytes);
    return peer_quiet(p, limit_ms) && good && !p->fatal;
}

static bool is_leading(void *arg)
{
    return ((struct peer *)arg)->leading || ((struct peer *)arg)->fatal;
}

static bool is_caught_up(void *arg)
{
    return ((struct peer *)arg)->caught_up || ((struct peer *)arg)->fatal;
}

static bool is_fatal(void *arg)
{
    return ((struct peer *)arg)->fatal;
}

bool peer_lead(struct peer *p, uint64_t limit_ms)
{
    mu_journal_campaign(p->j);
    return host_until(p->host, is_leading, p, limit_ms) && p->leading;
}

bool peer_catch_up(struct peer *p, uint64_t limit_ms)
{
    return host_until(p->host, is_caught_up, p, limit_ms) && p->caught_up;
}

bool peer_quiet(struct peer *p, uint64_t limit_ms)
{
    return host_until(p->host, is_quiet, p, limit_ms);
}

bool peer_fails(struct peer *p, uint64_t limit_ms)
{
    return host_until(p->host, is_fatal, p, limit_ms);
}

bool peer_settles(struct peer *p, uint64_t limit_ms)
{
    return host_until(p->host, is_leading, p, limit_ms);
}

struct reach {
    struct peer *p;
    uint64_t seq;
};

static bool has_reached(void *arg)
{
    struct reach *r = arg;

    return r->p->tail >= r->seq || r->p->fatal;
}

bool peer_reach(struct peer *p, uint64_t seq, uint64_t limit_ms)
{
    struct reach r = { p, seq };

    return host_until(p->host, has_reached, &r, limit_ms) && !p->fatal;
}

static bool has_saved(void *arg)
{
    struct reach *r = arg;

    return r->p->stored + r->p->refused > r->seq || r->p->fatal;
}

bool peer_save(struct peer *p, uint64_t limit_ms)
{
    struct reach r = { p, p->stored + p->refused };
    uint64_t stored = p->stored;

    mu_journal_snapshot(p->j);
    return host_until(p->host, has_saved, &r, limit_ms) && p->stored > stored;
}

static void on_confirmed(void *arg, uint64_t seq, enum mu_journal_end end)
{
    struct peer *p = arg;

    MU_ASSERT(end != MU_JOURNAL_OK || (seq == p->tail && p->leading));
    p->confirms[end]++;
}

void peer_confirm(struct peer *p)
{
    mu_journal_confirm(p->j, on_confirmed, p);
}
