/* Who leads, when, and what becomes of appends whose answers are lost or late. */
#include "journal/conformance.h"

#include <stdlib.h>

enum { CANDIDATES = 5 };

static unsigned count_leading(const struct peer *peers)
{
    unsigned n = 0;

    for (unsigned i = 0; i < CANDIDATES; i++)
        n += peers[i].leading;
    return n;
}

static struct peer *the_leader(struct peer *peers)
{
    for (unsigned i = 0; i < CANDIDATES; i++)
        if (peers[i].leading)
            return &peers[i];
    return NULL;
}

static bool somebody_leads(void *arg)
{
    return count_leading(arg) > 0;
}

void c4_of_five_candidates_one_leads_at_a_time(void **state)
{
    struct rig r;
    struct peer peers[CANDIDATES];
    uint64_t epoch = 0;

    rig_init(&r, *state);
    for (unsigned i = 0; i < CANDIDATES; i++) {
        rig_join(&r, &peers[i]);
        mu_journal_campaign(peers[i].j);
        mu_journal_campaign(peers[i].j); /* twice is harmless */
    }
    for (int round = 0; round < 10; round++) {
        assert_true(host_until(&r.host, somebody_leads, peers, RIG_LIMIT_MS));
        struct peer *p = the_leader(peers);
        assert_true(p->epoch > epoch); /* over all handles: one lead an epoch */
        epoch = p->epoch;
        assert_true(peer_fill(p, 20, 50, RIG_LIMIT_MS));
        assert_int_equal(count_leading(peers), 1);
        mu_journal_resign(p->j);
        host_run(&r.host, 100);
        mu_journal_campaign(p->j);
    }
    host_run(&r.host, 1000);
    for (unsigned i = 0; i < CANDIDATES; i++) {
        assert_int_equal(peers[i].state.digest, peers[0].state.digest);
        assert_int_equal(peers[i].tail, 200);
    }
    for (unsigned i = 0; i < CANDIDATES; i++)
        peer_close(&peers[i]);
    rig_fini(&r);
}

void c4_a_lead_is_taken_while_the_old_lease_lives(void **state)
{
    struct rig r;
    struct peer a, b;

    rig_init(&r, *state);
    rig_lead(&r, &a);
    rig_join(&r, &b);
    mu_journal_campaign(b.j);
    host_run(&r.host, 20000);
    assert_true(a.leading && !b.leading); /* the lease keeps it */
    mu_journal_hurry(b.j);
    for (int i = 0; i < 5; i++)
        peer_append(&a, "abc", 3);
    host_run(&r.host, 1000);
    assert_true(b.leading && !a.leading && b.epoch > a.epoch);
    assert_int_equal(a.ends[MU_JOURNAL_OK] + a.ends[MU_JOURNAL_FENCED], 5);
    assert_true(peer_fill(&b, 5, 10, RIG_LIMIT_MS));
    assert_true(peer_reach(&a, b.tail, RIG_LIMIT_MS));
    assert_int_equal(a.state.digest, b.state.digest);
    peer_close(&a);
    peer_close(&b);
    rig_fini(&r);
}

/* b takes the token, but before it hears of that, c takes the next one and writes. */
void c4_a_lead_taken_over_before_it_began(void **state)
{
    for (uint32_t after_ms = 0; after_ms < 1500; after_ms += 12) {
        struct rig r;
        struct peer a, b, c;
        rig_init_seeded(&r, *state, after_ms);
        rig_lead(&r, &a);
        assert_true(peer_fill(&a, 3, 10, RIG_LIMIT_MS));
        rig_join(&r, &b);
        rig_join(&r, &c);
        host_run(&r.host, 100);
        mu_memory_faults_set(b.j, &(struct mu_memory_faults){ .delay_min_ms = 100, .delay_max_ms = 450, .overtake = true });
        mu_journal_resign(a.j);
        mu_journal_campaign(b.j);
        host_run(&r.host, 300 + after_ms);
        mu_journal_campaign(c.j);
        mu_journal_hurry(c.j);
        host_run(&r.host, 1);
        mu_journal_hurry(c.j);
        assert_true(peer_lead(&c, RIG_LIMIT_MS));
        assert_true(peer_fill(&c, 3, 10, RIG_LIMIT_MS));
        host_run(&r.host, 3000);
        mu_memory_faults_set(b.j, &(struct mu_memory_faults){ 0 });
        assert_true(!b.leading && c.leading && !b.fatal);
        assert_true(peer_reach(&b, 6, RIG_LIMIT_MS));
        peer_close(&a);
        peer_close(&b);
        peer_close(&c);
        rig_fini(&r);
    }
}

/* An answer to a read that was asked before the token was taken comes after it, and knows nothing of the old leader's
 * last record. The delays are tried so that every order of the three happens. */
void c6_a_lead_begins_after_all_before_it_was_read(void **state)
{
    for (uint32_t offset_ms = 0; offset_ms < 1200; offset_ms += 25) {
        struct rig r;
        struct peer a, b;
        rig_init(&r, *state);
        rig_lead(&r, &a);
        assert_true(peer_fill(&a, 3, 10, RIG_LIMIT_MS));
        rig_join(&r, &b);
        assert_true(peer_reach(&b, 3, RIG_LIMIT_MS));
        mu_memory_faults_set(b.j, &(struct mu_memory_faults){ .delay_min_ms = 400, .delay_max_ms = 400, .overtake = true });
        mu_journal_campaign(b.j);
        host_run(&r.host, 5000 + offset_ms);
        assert_true(peer_fill(&a, 1, 10, RIG_LIMIT_MS)); /* b hears of it, and asks for it */
        host_run(&r.host, 820);
        assert_true(peer_fill(&a, 1, 10, RIG_LIMIT_MS)); /* this one comes behind the read */
        mu_journal_resign(a.j);
        mu_memory_faults_set(b.j, &(struct mu_memory_faults){ .overtake = true });
        assert_true(peer_lead(&b, RIG_LIMIT_MS)); /* asserts next_seq */
        assert_int_equal(b.next, 6);
        assert_true(peer_fill(&b, 3, 10, RIG_LIMIT_MS));
        peer_close(&a);
        peer_close(&b);
        rig_fini(&r);
    }
}

void c7_an_append_that_arrives_after_the_takeover_is_fenced(void **state)
{
    struct rig r;
    struct peer a, b;

    rig_init(&r, *state);
    rig_lead(&r, &a);
    assert_true(peer_fill(&a, 3, 10, RIG_LIMIT_MS));
    rig_join(&r, &b);
    mu_journal_campaign(b.j);
    host_run(&r.host, 100);
    /* a's packets take longer than its lease, b's do not */
    mu_memory_faults_set(a.j, &(struct mu_memory_faults){ .delay_min_ms = 5000, .delay_max_ms = 5000 });
    peer_append(&a, "late", 4);
    host_run(&r.host, 4500);
    assert_true(b.leading);
    assert_true(peer_fill(&b, 3, 10, RIG_LIMIT_MS));
    host_run(&r.host, 5000); /* now it has arrived */
    mu_memory_faults_set(a.j, &(struct mu_memory_faults){ 0 });
    host_run(&r.host, 20000);
    assert_int_equal(b.tail, 6);
    assert_false(a.leading);
    assert_int_equal(a.ends[MU_JOURNAL_OK], 3);
    assert_true(peer_reach(&a, 6, RIG_LIMIT_MS));
    peer_close(&a);
    peer_close(&b);
    rig_fini(&r);
}

/* Request or reply of the k-th append is lost: all are durable, once, in the same epoch. */
void c9_a_lost_request_or_reply_changes_nothing(void **state)
{
    for (unsigned k = 0; k < 8; k++)
        for (int reply = 0; reply < 2; reply++) {
            struct rig r;
            struct peer p;
            rig_init(&r, *state);
            rig_lead(&r, &p);
            for (unsigned i = 0; i < 8; i++) {
                mu_memory_faults_set(p.j, &(struct mu_memory_faults){ .cut_request = !reply && i == k });
                assert_int_equal(peer_append(&p, "0123456789", i), MU_JOURNAL_OK);
            }
            mu_memory_faults_set(p.j, &(struct mu_memory_faults){ .cut_reply = reply });
            for (unsigned i = 0; i <= k; i++) /* packets travel in order: this is the k-th */
                host_turn(&r.host, 1);
            mu_memory_faults_set(p.j, &(struct mu_memory_faults){ 0 });
            assert_true(peer_quiet(&p, RIG_LIMIT_MS));
            assert_int_equal(p.ends[MU_JOURNAL_OK], 8);
            assert_true(p.leading && p.leads == 1 && p.tail == 8);
            rig_check_replay(&r, &p);
            peer_close(&p);
            rig_fini(&r);
        }
}

/* Cut off for longer than its lease, the leader says so; then the record is there in one run and not in the other. */
void c29_unknown_is_told_and_the_truth_comes_later(void **state)
{
    for (int durable = 0; durable < 2; durable++) {
        struct rig r;
        struct peer p;
        rig_init(&r, *state);
        rig_lead(&r, &p);
        mu_memory_faults_set(p.j, &(struct mu_memory_faults){ .cut_request = !durable, .cut_reply = durable });
        assert_int_equal(peer_append(&p, "x", 1), MU_JOURNAL_OK);
        host_run(&r.host, 10000);
        assert_int_equal(p.ends[MU_JOURNAL_UNKNOWN], 1);
        assert_true(!p.leading && p.losses == 1 && p.why == MU_JOURNAL_UNKNOWN && p.tail == 0);
        mu_memory_faults_set(p.j, &(struct mu_memory_faults){ 0 });
        assert_true(peer_lead(&p, RIG_LIMIT_MS));
        assert_int_equal(p.tail, durable); /* it comes as if from somebody else */
        assert_true(peer_fill(&p, 1, 1, RIG_LIMIT_MS));
        assert_int_equal(p.tail, durable + 1);
        rig_check_replay(&r, &p);
        peer_close(&p);
        rig_fini(&r);
    }
}

/* A copy of the first request is still under way when the second is refused for space: it may fit later. */
void c13_full_is_never_said_of_what_may_still_arrive(void **state)
{
    for (uint32_t late_ms = 200; late_ms < 6000; late_ms += 200)
        for (int ahead = 0; ahead < 2; ahead++) { /* another one, refused for space, is ahead of it */
            struct rig r;
            struct peer p;
            struct peer_fenced *fenced = calloc(1, sizeof *fenced);
            assert_non_null(fenced);
            rig_init_seeded(&r, *state, late_ms);
            rig_lead(&r, &p);
            p.fenced = fenced;
            assert_true(peer_fill(&p, 3, 10, RIG_LIMIT_MS));
            mu_memory_quota_set(r.memory, "x", 1);
            if (ahead)
                assert_int_equal(peer_append(&p, "ahead", 5), MU_JOURNAL_OK);
            mu_memory_faults_set(p.j, &(struct mu_memory_faults){ .lose_request = 1000, .twice_request = 1000,
                                                                  .late_max_ms = late_ms });
            assert_int_equal(peer_append(&p, "late", 4), MU_JOURNAL_OK);
            mu_memory_faults_set(p.j, &(struct mu_memory_faults){ 0 });
            host_run(&r.host, 1600);
            mu_memory_quota_set(r.memory, "x", 0);
            host_run(&r.host, 100);
            if (p.leading && p.open == 0)
                peer_append(&p, "next", 4);
            host_run(&r.host, 20000);
            assert_true(p.open == 0 && !p.fatal);
            if (!p.leading)
                assert_true(peer_lead(&p, RIG_LIMIT_MS));
            assert_true(peer_fill(&p, 3, 10, RIG_LIMIT_MS));
            rig_check_replay(&r, &p);
            peer_close(&p);
            rig_fini(&r);
            free(fenced);
        }
}

void c23_resign_under_load_loses_nothing(void **state)
{
    struct rig r;
    struct peer p;
    uint64_t epoch;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    epoch = p.epoch;
    for (int i = 0; i < 8; i++)
        assert_int_equal(peer_append(&p, "abc", 3), MU_JOURNAL_OK);
    mu_journal_resign(p.j);
    host_run(&r.host, 500);
    assert_true(!p.leading && p.losses == 1 && p.why == MU_JOURNAL_CLOSED);
    assert_int_equal(p.ends[MU_JOURNAL_OK], 8);
    assert_int_equal(peer_append(&p, "abc", 3), MU_JOURNAL_FENCED);
    assert_true(peer_lead(&p, RIG_LIMIT_MS));
    assert_true(p.epoch > epoch);
    assert_true(peer_fill(&p, 3, 3, RIG_LIMIT_MS));
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_fini(&r);
}

void c26_clocks_that_jump_change_nothing(void **state)
{
    struct rig r;
    struct peer p;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    for (int i = 0; i < 4; i++) {
        uint64_t now = r.host.calls.boot_ns(&r.host);
        uint64_t until = mu_journal_valid_until(p.j);
        assert_true(until == UINT64_MAX || (until > now && until <= now + 3000000000));
        r.host.jump_ns += 3600000000000; /* the machine slept for an hour */
        now = r.host.calls.boot_ns(&r.host);
        until = mu_journal_valid_until(p.j);
        assert_true(until == UINT64_MAX || until < now); /* honest: nobody renewed meanwhile */
        peer_append(&p, "abc", 3);
        host_run(&r.host, r.row->files ? 100 : 20000);
        if (!p.leading)
            assert_true(peer_lead(&p, RIG_LIMIT_MS));
    }
    assert_true(peer_fill(&p, 10, 10, RIG_LIMIT_MS));
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_fini(&r);
}

void c26_validity_counts_from_the_sending(void **state)
{
    struct rig r;
    struct peer p;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    mu_memory_faults_set(p.j, &(struct mu_memory_faults){ .delay_min_ms = 300, .delay_max_ms = 300 });
    host_run(&r.host, 5000);
    for (int i = 0; i < 200; i++) { /* lease 3 s, a tenth kept back, 600 ms on the way */
        uint64_t now = r.host.calls.boot_ns(&r.host), until = mu_journal_valid_until(p.j);
        assert_true(until > now && until <= now + (2700 - 600) * UINT64_C(1000000));
        host_run(&r.host, 37);
    }
    peer_close(&p);
    rig_fini(&r);
}

void c34_confirm_never_says_yes_on_the_losing_side(void **state)
{
    struct rig r;
    struct peer a, b;

    rig_init(&r, *state);
    rig_lead(&r, &a);
    rig_join(&r, &b);
    peer_confirm(&a);
    peer_confirm(&b);
    host_run(&r.host, 10);
    assert_int_equal(a.confirms[MU_JOURNAL_OK], 1);
    assert_int_equal(b.confirms[MU_JOURNAL_FENCED], 1);
    mu_journal_campaign(b.j);
    host_run(&r.host, 100);
    mu_memory_faults_set(a.j, &(struct mu_memory_faults){ .cut_reply = true });
    mu_journal_hurry(b.j);
    host_run(&r.host, 100);
    assert_true(b.leading);
    peer_confirm(&a);
    peer_confirm(&b);
    host_run(&r.host, 3000);
    assert_int_equal(a.confirms[MU_JOURNAL_OK], 1);
    assert_int_equal(b.confirms[MU_JOURNAL_OK], 1);
    mu_memory_faults_set(a.j, &(struct mu_memory_faults){ 0 });
    peer_confirm(&a);
    host_run(&r.host, 20000);
    assert_int_equal(a.confirms[MU_JOURNAL_OK], 1);
    assert_false(a.leading);
    peer_close(&a);
    peer_close(&b);
    rig_fini(&r);
}

void c15_a_broken_store_is_fatal(void **state)
{
    struct rig r;
    struct peer p;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    assert_true(peer_fill(&p, 3, 3, RIG_LIMIT_MS));
    mu_memory_break(p.j);
    peer_append(&p, "abc", 3);
    assert_true(peer_fails(&p, RIG_LIMIT_MS));
    assert_int_equal(p.err.rc, MU_IO);
    assert_int_equal(peer_append(&p, "x", 1), MU_JOURNAL_CLOSED);
    host_run(&r.host, 10000);
    assert_int_equal(p.ends[MU_JOURNAL_OK], 3);
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_fini(&r);
}
