/* What only a store with faults on demand can show: lost, late and doubled packets, takeover, ghosts, damage. */
#include "unit/unit.h"

#include "base/rng.h"
#include "journal/memory/memory.h"
#include "journal/peer.h"

#include <stdlib.h>

struct world {
    struct host host;
    struct mu_memory *memory;
    struct mu_journal_options opt;
    uint64_t *digests;
    struct peer_fenced *fenced;
};

static void world_init(struct world *w, uint64_t seed)
{
    host_init(&w->host, false);
    w->memory = mu_memory_new(&w->host.calls, &(struct mu_memory_settings){ .seed = seed });
    w->opt = (struct mu_journal_options){ .memory = w->memory, .advertise = "a:1" };
    w->digests = calloc(PEER_SEQ_MAX, sizeof *w->digests);
    w->fenced = calloc(1, sizeof *w->fenced);
    MU_ASSERT(w->digests != NULL && w->fenced != NULL);
}

static void world_fini(struct world *w)
{
    mu_memory_free(w->memory);
    host_fini(&w->host);
    free(w->digests);
    free(w->fenced);
}

static void join(struct world *w, struct peer *p)
{
    peer_init(p, &w->host, w->digests);
    p->fenced = w->fenced;
    assert_int_equal(peer_open(p, "memory:x", &w->opt), MU_OK);
}

static void one_leads_and_the_other_follows(void **state)
{
    struct world w;
    struct peer a, b;

    (void)state;
    world_init(&w, 1);
    join(&w, &a);
    join(&w, &b);
    assert_true(peer_lead(&a, 1000));
    assert_true(peer_fill(&a, 100, 50, 1000));
    assert_int_equal(a.ends[MU_JOURNAL_OK], 100);
    assert_true(peer_reach(&b, 100, 1000));
    assert_int_equal(b.state.digest, a.state.digest);
    mu_journal_campaign(b.j);
    host_run(&w.host, 10000);
    assert_false(b.leading); /* the lease is renewed */
    assert_string_equal(b.hint, "a:1");
    mu_journal_resign(a.j);
    host_run(&w.host, 1000);
    assert_true(b.leading);
    assert_int_equal(a.losses, 1);
    assert_int_equal(a.why, MU_JOURNAL_CLOSED);
    peer_close(&a);
    peer_close(&b);
    world_fini(&w);
}


/* -- chaos: several peers under random faults; then heal, and demand progress and agreement -- */

enum { PEERS = 4, STEPS = 400 };

struct chaos {
    struct world w;
    struct mu_rng rng;
    struct peer peers[PEERS];
    bool up[PEERS];
};

/* What the runs met, so that a change that makes them harmless is seen. */
static struct {
    uint64_t ends[MU_JOURNAL_ENDS], loads, stored, leads, losses;
} met;

static void count_met(const struct peer *p)
{
    for (unsigned i = 0; i < MU_JOURNAL_ENDS; i++)
        met.ends[i] += p->ends[i];
    met.loads += p->loads;
    met.stored += p->stored;
    met.leads += p->leads;
    met.losses += p->losses;
}

static struct mu_memory_faults some_faults(struct mu_rng *rng)
{
    struct mu_memory_faults f = { .delay_max_ms = mu_rng_below(rng, 3) == 0 ? mu_rng_below(rng, 400) : 3,
                                  .late_max_ms = mu_rng_below(rng, 8000) };

    f.overtake = mu_rng_below(rng, 3) == 0;
    if (mu_rng_below(rng, 2) == 0)
        return f;
    f.lose_request = mu_rng_below(rng, 200);
    f.lose_reply = mu_rng_below(rng, 200);
    f.twice_request = mu_rng_below(rng, 300);
    f.twice_reply = mu_rng_below(rng, 300);
    f.cut_request = mu_rng_below(rng, 10) == 0;
    f.cut_reply = mu_rng_below(rng, 10) == 0;
    return f;
}

static void chaos_join(struct chaos *c, unsigned i)
{
    join(&c->w, &c->peers[i]);
    c->up[i] = true;
    c->peers[i].pad = mu_rng_below(&c->rng, 3) << 20;
    mu_journal_campaign(c->peers[i].j);
}

static void chaos_append(struct chaos *c, unsigned i)
{
    uint8_t bytes[64];
    uint64_t a = mu_rng_next(&c->rng);

    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, &a, sizeof a);
    if (c->peers[i].leading)
        peer_append(&c->peers[i], bytes, mu_rng_below(&c->rng, sizeof bytes));
}

static void chaos_step(struct chaos *c)
{
    unsigned i = mu_rng_below(&c->rng, PEERS), what = mu_rng_below(&c->rng, 100);
    struct peer *p = &c->peers[i];
    struct mu_memory_faults f = some_faults(&c->rng);

    if (!c->up[i]) {
        if (what < 30)
            chaos_join(c, i);
    } else if (what < 10)
        mu_memory_faults_set(p->j, &f);
    else if (what < 13) {
        count_met(p);
        peer_crash(p);
        c->up[i] = false;
    } else if (what < 15) {
        peer_close(p);
        count_met(p);
        c->up[i] = false;
    } else if (what < 18)
        mu_journal_snapshot(p->j);
    else if (what < 20)
        mu_journal_hurry(p->j);
    else if (what < 22) {
        mu_journal_resign(p->j);
        mu_journal_campaign(p->j);
    } else if (what < 25)
        mu_memory_quota_set(c->w.memory, "x", mu_memory_used(c->w.memory, "x") + mu_rng_below(&c->rng, 2000));
    else if (what < 35)
        mu_memory_quota_set(c->w.memory, "x", 0);
    else if (what < 40)
        peer_confirm(p);
    else
        for (unsigned n = mu_rng_below(&c->rng, 10); n > 0; n--)
            chaos_append(c, i);
    for (unsigned n = mu_rng_below(&c->rng, 30); n > 0; n--)
        host_turn(&c->w.host, mu_rng_below(&c->rng, 300));
    for (unsigned k = 0; k < PEERS; k++)
        if (c->up[k] && c->peers[k].fatal)
            fail_msg("peer %u: %s", k, c->peers[k].err.text);
}

static struct peer *chaos_leader(struct chaos *c)
{
    for (unsigned i = 0; i < PEERS; i++)
        if (c->peers[i].leading)
            return &c->peers[i];
    return NULL;
}

static bool has_leader(void *arg)
{
    return chaos_leader(arg) != NULL;
}

/* Ghosts of dead leaders end with their lease; then one leads, takes appends, and all come to the same state. */
static void chaos_heal(struct chaos *c)
{
    struct peer *lead;
    uint64_t tail;

    mu_memory_quota_set(c->w.memory, "x", 0);
    for (unsigned i = 0; i < PEERS; i++) {
        if (!c->up[i])
            chaos_join(c, i);
        mu_memory_faults_set(c->peers[i].j, &(struct mu_memory_faults){ 0 });
        mu_journal_campaign(c->peers[i].j);
    }
    host_run(&c->w.host, 20000); /* late packets, too */
    assert_true(host_until(&c->w.host, has_leader, c, 20000));
    lead = chaos_leader(c);
    assert_true(peer_fill(lead, 20, 30, 20000));
    tail = lead->tail;
    for (uint64_t seq = 1; seq < PEER_SEQ_MAX; seq++) /* nothing that anybody ever saw is gone */
        assert_true((c->w.digests[seq] != 0) == (seq <= tail));
    for (unsigned i = 0; i < PEERS; i++) {
        if (!peer_reach(&c->peers[i], tail, 20000))
            fail_msg("peer %u stays at %llu of %llu: %s", i, (unsigned long long)c->peers[i].tail, (unsigned long long)tail,
                     c->peers[i].err.text);
        assert_int_equal(c->peers[i].state.count, tail);
        assert_int_equal(c->peers[i].state.digest, lead->state.digest);
    }
}

static void chaos_run(uint64_t seed)
{
    struct chaos *c = calloc(1, sizeof *c);

    assert_non_null(c);
    world_init(&c->w, seed);
    mu_rng_seed(&c->rng, seed);
    for (unsigned i = 0; i < STEPS; i++)
        chaos_step(c);
    chaos_heal(c);
    for (unsigned i = 0; i < PEERS; i++) {
        peer_close(&c->peers[i]);
        count_met(&c->peers[i]);
    }
    world_fini(&c->w);
    free(c);
}

static uint64_t first_seed = 1, seeds = 60, seed_now;

static void say_seed(void)
{
    if (seed_now != 0)
        fprintf(stderr, "the last seed was %llu; OK %llu FENCED %llu UNKNOWN %llu FULL %llu CLOSED %llu loads %llu\n",
                (unsigned long long)seed_now, (unsigned long long)met.ends[MU_JOURNAL_OK],
                (unsigned long long)met.ends[MU_JOURNAL_FENCED], (unsigned long long)met.ends[MU_JOURNAL_UNKNOWN],
                (unsigned long long)met.ends[MU_JOURNAL_FULL], (unsigned long long)met.ends[MU_JOURNAL_CLOSED],
                (unsigned long long)met.loads);
}

static void under_faults_safe_then_healed(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
        seed_now = seed;
        chaos_run(seed);
    }
    for (unsigned end = 0; end < MU_JOURNAL_ENDS; end++)
        if (met.ends[end] < seeds / 20 && end != MU_JOURNAL_TOO_BIG && end != MU_JOURNAL_CORRUPT && end != MU_JOURNAL_BUSY)
            fail_msg("only %llu appends ended: %s", (unsigned long long)met.ends[end], mu_journal_end_text((enum mu_journal_end)end));
    assert_true(met.loads > seeds && met.stored > seeds && met.leads > seeds && met.losses > seeds);
}

/* Arguments: first seed, number of seeds. */
int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_leads_and_the_other_follows),
        cmocka_unit_test(under_faults_safe_then_healed),
    };
    atexit(say_seed);
    if (argc > 1)
        first_seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        seeds = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
