/* Snapshots out and in, and what is trimmed because of them. */
#include "journal/conformance.h"

#include <stdlib.h>

void c19_snapshots_of_every_size(void **state)
{
    static const uint64_t pads[] = { 0, 1, 1000, (1 << 20) - 200, 1 << 20, 100 << 20 };
    struct rig r;
    struct peer p;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    assert_true(peer_save(&p, RIG_LIMIT_MS)); /* of nothing: 0 bytes, upto 0 */
    for (size_t i = 0; i < MU_COUNT(pads); i++) {
        p.pad = pads[i];
        assert_true(peer_fill(&p, 10, 100, RIG_LIMIT_MS));
        assert_true(peer_save(&p, RIG_LIMIT_MS));
        assert_int_equal(mu_journal_floor(p.j), p.tail);
        assert_true(peer_fill(&p, 3, 100, RIG_LIMIT_MS));
        if (r.row->shared)
            rig_check_replay(&r, &p);
    }
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_fini(&r);
}

void c22_a_snapshot_holds_nothing_that_is_in_flight(void **state)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        struct rig r;
        struct peer p;
        rig_init(&r, *state);
        rig_lead(&r, &p);
        assert_true(peer_fill(&p, 5, 10, RIG_LIMIT_MS));
        p.pad = 3 << 20;
        for (int i = 0; i < 8; i++)
            assert_int_equal(peer_append(&p, "in flight", 9), MU_JOURNAL_OK);
        mu_journal_snapshot(p.j);
        for (unsigned i = 0; i < turns; i++)
            host_turn(&r.host, 1);
        for (int i = 0; i < 8; i++)
            peer_append(&p, "later", 5);
        assert_true(peer_quiet(&p, RIG_LIMIT_MS));
        host_run(&r.host, r.row->files ? 100 : 1000);
        if (r.row->shared)
            rig_check_replay(&r, &p);
        peer_close(&p);
        rig_check_replay(&r, &p);
        rig_fini(&r);
    }
}

/* The image may be older than what was committed while it was made. */
void c22_a_snapshot_of_an_earlier_moment(void **state)
{
    struct rig r;
    struct peer p;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    for (int i = 0; i < 3; i++) {
        assert_true(peer_fill(&p, 10, 10, RIG_LIMIT_MS));
        p.frozen_upto = p.tail;
        p.frozen = p.state;
        assert_true(peer_fill(&p, 10, 10, RIG_LIMIT_MS));
        assert_true(peer_save(&p, RIG_LIMIT_MS));
        assert_int_equal(mu_journal_floor(p.j), p.frozen_upto);
        p.frozen_upto = 0;
        peer_close(&p);
        rig_check_replay(&r, &p);
        rig_lead(&r, &p); /* another epoch, so that the image is of an older one */
        if (i == 1)
            assert_true(peer_save(&p, RIG_LIMIT_MS)); /* of now */
    }
    peer_close(&p);
    rig_fini(&r);
}

/* The leader dies after each turn of a snapshot: before and after every put, the manifest, the trim. */
void c19_cut_off_between_any_two_puts(void **state)
{
    bool stored = false;

    for (unsigned turns = 0; !stored; turns++) {
        struct rig r;
        struct peer p;
        rig_init(&r, *state);
        rig_lead(&r, &p);
        assert_true(peer_fill(&p, 20, 10, RIG_LIMIT_MS));
        assert_true(peer_save(&p, RIG_LIMIT_MS)); /* an older one */
        assert_true(peer_fill(&p, 20, 10, RIG_LIMIT_MS));
        p.pad = 3 << 20;
        mu_journal_snapshot(p.j);
        for (unsigned i = 0; i < turns && p.stored < 2; i++)
            host_turn(&r.host, 1);
        stored = p.stored == 2;
        peer_crash(&p);
        rig_check_replay(&r, &p);
        rig_lead(&r, &p);
        assert_int_equal(p.tail, 40);
        assert_true(peer_fill(&p, 3, 10, RIG_LIMIT_MS));
        assert_true(peer_save(&p, RIG_LIMIT_MS)); /* takes away what was left half done */
        rig_check_replay(&r, &p);
        assert_true(mu_memory_used(r.memory, "x") < 10000);
        peer_close(&p);
        rig_fini(&r);
        assert_true(turns < 500);
    }
}

/* A bit flips in what was just stored: the snapshot counts for nothing, and nothing was trimmed for it. */
void c19_what_reads_back_differently_is_never_relied_on(void **state)
{
    static const enum mu_memory_part parts[] = { MU_MEMORY_CHUNK, MU_MEMORY_MANIFEST };

    for (size_t i = 0; i < MU_COUNT(parts); i++) {
        struct rig r;
        struct peer p;
        rig_init(&r, *state);
        rig_lead(&r, &p);
        assert_true(peer_fill(&p, 20, 10, RIG_LIMIT_MS));
        p.pad = 2 << 20;
        mu_journal_snapshot(p.j);
        while (!mu_memory_flip(r.memory, "x", parts[i], parts[i] == MU_MEMORY_CHUNK, 4321)) /* as soon as it is sealed */
            assert_true(host_turn(&r.host, 1000));
        assert_true(peer_fails(&p, RIG_LIMIT_MS));
        assert_int_equal(p.err.rc, MU_CORRUPT);
        peer_close(&p);
        assert_int_equal(p.stored, 0);
        rig_check_replay(&r, &p);
        rig_fini(&r);
    }
}

void c20_a_follower_below_the_floor_loads(void **state)
{
    struct rig r;
    struct peer a, b, c;
    uint64_t first, last;

    rig_init(&r, *state);
    rig_lead(&r, &a);
    rig_join(&r, &b);
    assert_true(peer_fill(&a, 100, 10, RIG_LIMIT_MS));
    assert_true(peer_reach(&b, 100, RIG_LIMIT_MS));
    mu_memory_faults_set(b.j, &(struct mu_memory_faults){ .cut_request = true, .cut_reply = true });
    assert_true(peer_fill(&a, 100, 10, RIG_LIMIT_MS));
    a.pad = 5 << 20;
    assert_true(peer_save(&a, RIG_LIMIT_MS));
    mu_memory_span(r.memory, "x", &first, &last);
    assert_true(first == 200 && last == 200); /* the newest record always stays */
    assert_true(peer_fill(&a, 10, 10, RIG_LIMIT_MS));
    rig_join(&r, &c); /* a newcomer */
    mu_memory_faults_set(b.j, &(struct mu_memory_faults){ 0 });
    assert_true(peer_reach(&b, 210, RIG_LIMIT_MS) && peer_reach(&c, 210, RIG_LIMIT_MS));
    assert_true(b.loads == 1 && c.loads == 1);
    assert_int_equal(b.state.digest, a.state.digest);
    assert_int_equal(c.state.digest, a.state.digest);
    assert_true(peer_fill(&a, 10, 10, RIG_LIMIT_MS)); /* and they follow on */
    assert_true(peer_reach(&b, 220, RIG_LIMIT_MS) && peer_reach(&c, 220, RIG_LIMIT_MS));
    peer_close(&a);
    peer_close(&b);
    peer_close(&c);
    rig_fini(&r);
}

/* With a snapshot now and then the store stays small, however long it runs. */
void c33_snapshots_keep_a_long_run_small(void **state)
{
    struct mu_journal_limits limits;
    struct rig r;
    struct peer p;
    uint64_t most = 0;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    p.pad = 1 << 20;
    for (int i = 0; i < 30; i++) {
        assert_true(peer_fill(&p, 64, 16384, RIG_LIMIT_MS)); /* 1 MiB */
        assert_true(peer_save(&p, RIG_LIMIT_MS));
        mu_journal_limits_get(p.j, &limits);
        most = limits.used > most ? limits.used : most;
    }
    assert_true(most > 0 && most < 24 << 20);
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_fini(&r);
}
