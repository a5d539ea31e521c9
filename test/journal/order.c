/* Order, completion, conditions: what every append must do. */
#include "journal/conformance.h"

#include <stdlib.h>
#include <string.h>

void c1_reopened_it_is_the_same(void **state)
{
    struct rig r;
    struct peer p, q;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    assert_int_equal(p.next, 1);
    assert_true(peer_fill(&p, 1, 5, RIG_LIMIT_MS));
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_lead(&r, &q);
    assert_int_equal(q.next, 2);
    assert_true(q.epoch > p.epoch);
    peer_close(&q);
    rig_fini(&r);
}

void c2_many_of_every_size(void **state)
{
    static const struct { uint64_t count; size_t size; } cases[] = {
        { 3000, 0 }, { 3000, 1 }, { 3000, 100 }, { 1000, 4000 }, { 1000, 4096 }, { 100, 65536 }, { 8, 1 << 20 },
    };
    struct rig r;
    struct peer p;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        assert_true(peer_fill(&p, cases[i].count, cases[i].size, RIG_LIMIT_MS));
    assert_int_equal(p.ends[MU_JOURNAL_OK], p.tail);
    assert_int_equal(p.commits, p.tail);
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_fini(&r);
}

void c3_the_largest_fits_and_one_more_byte_does_not(void **state)
{
    struct mu_journal_limits limits;
    struct rig r;
    struct peer p;
    uint8_t *bytes;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    mu_journal_limits_get(p.j, &limits);
    bytes = calloc(1, limits.record_max + 1);
    assert_non_null(bytes);
    assert_int_equal(peer_append(&p, bytes, limits.record_max + 1), MU_JOURNAL_TOO_BIG);
    for (unsigned i = 0; i < limits.inflight_max; i++)
        assert_int_equal(peer_append(&p, bytes, limits.record_max), MU_JOURNAL_OK);
    assert_int_equal(peer_append(&p, bytes, 1), MU_JOURNAL_BUSY);
    assert_true(peer_quiet(&p, RIG_LIMIT_MS));
    assert_int_equal(p.ends[MU_JOURNAL_OK], limits.inflight_max);
    peer_close(&p);
    rig_check_replay(&r, &p);
    free(bytes);
    rig_fini(&r);
}

static void never_done(void *arg, uint64_t seq, enum mu_journal_end end)
{
    (void)arg, (void)seq, (void)end;
    fail();
}

/* What the handle itself refuses, before anything reaches the engine. */
void c12_a_wrong_epoch_or_seq_is_refused_at_once(void **state)
{
    struct rig r;
    struct peer p;

    rig_init(&r, *state);
    rig_join(&r, &p);
    assert_int_equal(mu_journal_append(p.j, 1, 1, "x", 1, never_done, NULL), MU_JOURNAL_FENCED); /* not the leader */
    assert_true(peer_lead(&p, RIG_LIMIT_MS));
    assert_true(peer_fill(&p, 3, 10, RIG_LIMIT_MS));
    static const struct { const char *what; int64_t epoch, seq; } cases[] = {
        { "an older epoch", -1, 0 }, { "a newer epoch", 1, 0 }, { "a gap", 0, 1 }, { "a duplicate", 0, -1 },
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        if (mu_journal_append(p.j, p.epoch + (uint64_t)cases[i].epoch, p.next + (uint64_t)cases[i].seq, "x", 1, never_done,
                              NULL) != MU_JOURNAL_FENCED)
            fail_msg("%s was taken", cases[i].what);
    assert_true(peer_fill(&p, 1, 10, RIG_LIMIT_MS));
    peer_close(&p);
    rig_fini(&r);
}

static struct mu_engine_call append_call(uint64_t token, uint64_t seq)
{
    return (struct mu_engine_call){ .verb = MU_ENGINE_APPEND, .token = token, .seq = seq,
                                    .bytes = (const uint8_t *)"0123456789abcdef0123456789abcdef", .size = 32 };
}

/* Each of the three conditions alone refuses, in the engine. */
void c12_the_engine_refuses_by_each_condition_alone(void **state)
{
    struct rig r;
    struct raw raw;
    uint64_t token;

    rig_init(&r, *state);
    raw_open(&raw, &r);
    assert_int_equal(raw_do(&raw, append_call(0, 0)), MU_ENGINE_OK);
    assert_int_equal(raw_do(&raw, append_call(0, 0)), MU_ENGINE_TAKEN);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_LEAD }), MU_ENGINE_OK);
    token = raw.answer.token;
    assert_int_equal(raw_do(&raw, append_call(token, 1)), MU_ENGINE_OK);
    assert_int_equal(raw_do(&raw, append_call(token - 1, 2)), MU_ENGINE_TOKEN); /* only the token is wrong */
    assert_int_equal(raw_do(&raw, append_call(token + 1, 2)), MU_ENGINE_TOKEN);
    assert_int_equal(raw_do(&raw, append_call(token, 1)), MU_ENGINE_TAKEN);     /* only there already */
    assert_int_equal(raw_do(&raw, append_call(token, 3)), MU_ENGINE_GAP);       /* only no predecessor */
    assert_int_equal(raw_do(&raw, append_call(token, 2)), MU_ENGINE_OK);
    for (enum mu_engine_verb verb = MU_ENGINE_PUT; verb <= MU_ENGINE_TRIM; verb++)
        if (verb == MU_ENGINE_PUT || verb == MU_ENGINE_SEAL || verb == MU_ENGINE_TRIM)
            assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = verb, .token = token - 1, .snap = 7, .below = 2,
                                                                   .bytes = (const uint8_t *)"x", .size = 1 }),
                             MU_ENGINE_TOKEN);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_CONFIRM, .token = token }), MU_ENGINE_OK);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_CONFIRM, .token = token - 1 }),
                     MU_ENGINE_TOKEN);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_READ, .seq = 1, .limit = 1 << 20 }),
                     MU_ENGINE_OK);
    assert_int_equal(raw.answer.count, 2);
    raw_close(&raw);
    rig_fini(&r);
}

/* The bytes of an append arrive once more: at once, and after the record was trimmed. */
void c10_a_late_copy_is_never_taken(void **state)
{
    struct rig r;
    struct raw raw;
    uint64_t token;

    rig_init(&r, *state);
    raw_open(&raw, &r);
    assert_int_equal(raw_do(&raw, append_call(0, 0)), MU_ENGINE_OK);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_LEAD }), MU_ENGINE_OK);
    token = raw.answer.token;
    for (uint64_t seq = 1; seq <= 9; seq++) {
        assert_int_equal(raw_do(&raw, append_call(token, seq)), MU_ENGINE_OK);
        assert_int_equal(raw_do(&raw, append_call(token, seq)), MU_ENGINE_TAKEN);
    }
    while (raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_TRIM, .token = token, .below = 100 }) ==
           MU_ENGINE_MORE)
        ;
    for (uint64_t seq = 0; seq <= 9; seq++) /* the newest is still there, whatever was asked */
        assert_int_not_equal(raw_do(&raw, append_call(token, seq)), MU_ENGINE_OK);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_READ, .seq = 1, .limit = 1 << 20 }),
                     MU_ENGINE_OK);
    assert_int_equal(raw.answer.count, 1);
    assert_int_equal(raw.first_key, 9);
    assert_int_equal(raw_do(&raw, append_call(token, 10)), MU_ENGINE_OK);
    raw_close(&raw);
    rig_fini(&r);
}

void c30_close_completes_what_is_open(void **state)
{
    struct rig r;
    struct peer p;

    for (unsigned turns = 0; turns < 6; turns++) {
        rig_init(&r, *state);
        rig_lead(&r, &p);
        for (int i = 0; i < 5; i++)
            assert_int_equal(peer_append(&p, "hello", 5), MU_JOURNAL_OK);
        peer_confirm(&p);
        mu_journal_snapshot(p.j);
        for (unsigned i = 0; i < turns; i++)
            host_turn(&r.host, 1);
        peer_close(&p); /* asserts one done() each */
        uint64_t confirms = 0;
        for (int i = 0; i < MU_JOURNAL_ENDS; i++)
            confirms += p.confirms[i];
        assert_int_equal(confirms, 1);
        host_run(&r.host, 10);
        rig_fini(&r);
    }
}
