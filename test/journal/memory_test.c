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
};

static void world_init(struct world *w, uint64_t seed)
{
    host_init(&w->host, false);
    w->memory = mu_memory_new(&w->host.calls, &(struct mu_memory_settings){ .seed = seed });
    w->opt = (struct mu_journal_options){ .memory = w->memory, .advertise = "a:1" };
    w->digests = calloc(PEER_SEQ_MAX, sizeof *w->digests);
    MU_ASSERT(w->digests != NULL);
}

static void world_fini(struct world *w)
{
    mu_memory_free(w->memory);
    host_fini(&w->host);
    free(w->digests);
}

static void join(struct world *w, struct peer *p)
{
    peer_init(p, &w->host, w->digests);
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_leads_and_the_other_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
