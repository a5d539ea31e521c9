/* balance: properties every policy must have, and the small rules by table. */
#include "balance/balance.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct mu_balance *group(const char *policy, uint32_t n, const double *weights)
{
    struct mu_balance *b = mu_balance_new(7);

    assert_int_equal(mu_balance_policy(b, mu_str_of(policy), NULL, 0, NULL), MU_OK);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(mu_balance_add(b, 0, weights != NULL ? weights[i] : 1, mu_hash_mix(i, 3)), i);
    return b;
}

/* Whatever happens: never a slot that is down, removed or tried; counts stay right; somebody is found if anybody is up. */
static void every_policy_keeps_the_rules(void **state)
{
    const char *name;
    (void)state;
    for (uint32_t p = 0; (name = mu_balance_policy_name(p, NULL)) != NULL; p++) {
        struct mu_balance *b = group(name, 6, NULL);
        struct mu_balance_pick out[64];
        bool up[64] = { true, true, true, true, true, true }, tried[64];
        uint32_t count = 0, slots = 6;
        struct mu_rng r;
        mu_rng_seed(&r, p);
        for (int step = 0; step < 20000; step++) {
            double now = step * 0.01;
            uint32_t what = mu_rng_below(&r, 20);
            if (what < 9 && count < 60) {
                bool any = false;
                for (uint32_t i = 0; i < slots; i++) {
                    tried[i] = mu_rng_below(&r, 4) == 0;
                    any = any || (up[i] && !tried[i]);
                }
                bool got = mu_balance_pick(b, now, mu_rng_next(&r), tried, &out[count]);
                if (got != any)
                    fail_msg("%s: step %d: picked %d though %d could be", name, step, got, any);
                if (got && (!up[out[count].slot] || tried[out[count].slot]))
                    fail_msg("%s: step %d: slot %u is not to be picked", name, step, out[count].slot);
                count += got;
            } else if (what < 17 && count > 0) {
                uint32_t i = mu_rng_below(&r, count);
                if (mu_rng_below(&r, 10) == 0)
                    mu_balance_drop(b, &out[i]);
                else
                    mu_balance_done(b, now, &out[i], mu_rng_below(&r, 5) == 0 ? MU_BALANCE_FAILED : MU_BALANCE_OK, (double)mu_rng_below(&r, 6) - 1);
                out[i] = out[--count];
            } else if (what == 17) {
                uint32_t i = mu_rng_below(&r, slots);
                up[i] = !up[i];
                mu_balance_up(b, i, up[i]);
            } else if (what == 18) {
                mu_balance_heard(b, now, mu_rng_below(&r, slots), mu_rng_below(&r, 9));
            } else if (slots < 12) {
                uint32_t i = mu_balance_add(b, now, 1 + mu_rng_below(&r, 3), mu_rng_next(&r));
                assert_int_equal(i, slots);
                up[slots++] = true;
            }
            mu_balance_check(b);
        }
        mu_balance_free(b);
    }
}

static void the_same_seed_gives_the_same_picks(void **state)
{
    const char *name;
    (void)state;
    for (uint32_t p = 0; (name = mu_balance_policy_name(p, NULL)) != NULL; p++) {
        struct mu_balance *a = group(name, 9, NULL), *b = group(name, 9, NULL);
        for (int i = 0; i < 500; i++) {
            struct mu_balance_pick x, y;
            assert_true(mu_balance_pick(a, i, (uint64_t)i, NULL, &x) && mu_balance_pick(b, i, (uint64_t)i, NULL, &y));
            assert_int_equal(x.slot, y.slot);
            if (i % 3) {
                mu_balance_done(a, i + 0.5, &x, MU_BALANCE_OK, -1);
                mu_balance_done(b, i + 0.5, &y, MU_BALANCE_OK, -1);
            }
        }
        mu_balance_free(a);
        mu_balance_free(b);
    }
}

static void weights_are_kept_over_a_cycle(void **state)
{
    static const double weights[] = { 1, 2, 5, 2 };
    struct mu_balance *b = group("weighted", 4, weights);
    int count[4] = { 0 };
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct mu_balance_pick pick;
        assert_true(mu_balance_pick(b, i, 0, NULL, &pick));
        count[pick.slot]++;
        mu_balance_done(b, i, &pick, MU_BALANCE_OK, -1);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(count[i], (int)(weights[i] * 10));
    mu_balance_free(b);
}

static void round_robin_takes_turns(void **state)
{
    struct mu_balance *b = group("round-robin", 5, NULL);
    struct mu_balance_pick pick, before;
    (void)state;
    assert_true(mu_balance_pick(b, 0, 0, NULL, &before));
    for (int i = 0; i < 50; i++) {
        assert_true(mu_balance_pick(b, 0, 0, NULL, &pick));
        assert_int_equal(pick.slot, (before.slot + 1) % 5);
        before = pick;
    }
    mu_balance_free(b);
}

static void least_load_evens_out(void **state)
{
    struct mu_balance *b = group("least-load", 7, NULL);
    int count[7] = { 0 };
    (void)state;
    for (int i = 0; i < 70; i++) {
        struct mu_balance_pick pick;
        assert_true(mu_balance_pick(b, 0, 0, NULL, &pick));
        count[pick.slot]++;
    }
    for (int i = 0; i < 7; i++)
        assert_int_equal(count[i], 10);
    mu_balance_free(b);
}

static void hash_keeps_a_key_and_moves_few(void **state)
{
    struct mu_balance *b = group("hash", 10, NULL);
    uint32_t home[1000], moved = 0;
    struct mu_balance_pick pick;
    (void)state;
    for (uint32_t k = 0; k < 1000; k++) {
        assert_true(mu_balance_pick(b, 0, mu_hash_mix(k, 1), NULL, &pick));
        home[k] = pick.slot;
        mu_balance_done(b, 0, &pick, MU_BALANCE_OK, -1);
    }
    mu_balance_remove(b, 4);
    for (uint32_t k = 0; k < 1000; k++) {
        assert_true(mu_balance_pick(b, 0, mu_hash_mix(k, 1), NULL, &pick));
        assert_int_not_equal(pick.slot, 4);
        moved += home[k] != 4 && pick.slot != home[k];
        mu_balance_done(b, 0, &pick, MU_BALANCE_OK, -1);
    }
    assert_int_equal(moved, 0);
    mu_balance_free(b);
}

/* Bounded load: nobody gets more than bound x its share, even when all ask for one key. */
static void hash_bounds_the_load(void **state)
{
    struct mu_balance *b = group("hash", 10, NULL);
    struct mu_balance_seen seen;
    struct mu_balance_pick pick;
    (void)state;
    for (int i = 0; i < 200; i++)
        assert_true(mu_balance_pick(b, 0, 42, NULL, &pick));
    for (uint32_t s = 0; s < 10; s++) {
        mu_balance_see(b, 0, s, &seen);
        assert_true(seen.outstanding <= 26); /* ceil(1.25 x 201 / 10) */
    }
    mu_balance_free(b);
}

static void failing_instance_is_ejected_and_tried_again(void **state)
{
    struct mu_balance *b = group("auto", 4, NULL);
    struct mu_balance_pick pick;
    uint32_t bad = 0, late = 0;
    (void)state;
    for (int i = 0; i < 4000; i++) { /* one at a time; slot 2 fails at once, the others take a second */
        double now = i;
        assert_true(mu_balance_pick(b, now, 0, NULL, &pick));
        bad += pick.slot == 2;
        late += pick.slot == 2 && i >= 2000;
        mu_balance_done(b, now + (pick.slot == 2 ? 0.001 : 1), &pick, pick.slot == 2 ? MU_BALANCE_FAILED : MU_BALANCE_OK, -1);
    }
    assert_true(bad > 0 && bad < 40 && late < 10);
    for (int i = 4000; i < 40000; i++) { /* it is well again: it gets work again */
        assert_true(mu_balance_pick(b, i, 0, NULL, &pick));
        mu_balance_done(b, i + 1, &pick, MU_BALANCE_OK, -1);
        bad = pick.slot == 2 ? (uint32_t)i : bad;
    }
    assert_true(bad > 39900);
    mu_balance_check(b);
    mu_balance_free(b);
}

static void a_new_instance_is_not_flooded(void **state)
{
    struct mu_balance *b = group("auto", 4, NULL);
    struct mu_balance_pick pick;
    struct mu_balance_seen seen;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_true(mu_balance_pick(b, i, 0, NULL, &pick));
        mu_balance_done(b, i + 1, &pick, MU_BALANCE_OK, -1);
    }
    mu_balance_add(b, 1000, 1, 99);
    for (int i = 0; i < 50; i++)
        assert_true(mu_balance_pick(b, 1000, 0, NULL, &pick));
    mu_balance_see(b, 1000, 4, &seen);
    assert_in_range(seen.outstanding, 8, 12); /* no history means the group's mean, not zero */
    mu_balance_free(b);
}

static void bad_parameters_change_nothing(void **state)
{
    struct mu_balance *b = group("p2c", 2, NULL);
    struct mu_str word = MU_STR_LIT("exponent=9");
    struct mu_err err = { 0 };
    (void)state;
    assert_int_equal(mu_balance_policy(b, MU_STR_LIT("auto"), &word, 1, &err), MU_INVALID);
    assert_non_null(strstr(err.text, "exponent=9"));
    assert_int_equal(mu_balance_policy(b, MU_STR_LIT("nonsense"), NULL, 0, &err), MU_INVALID);
    assert_string_equal(mu_balance_policy_now(b), "p2c");
    mu_balance_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_policy_keeps_the_rules), cmocka_unit_test(the_same_seed_gives_the_same_picks),
        cmocka_unit_test(weights_are_kept_over_a_cycle), cmocka_unit_test(round_robin_takes_turns),
        cmocka_unit_test(least_load_evens_out), cmocka_unit_test(hash_keeps_a_key_and_moves_few),
        cmocka_unit_test(hash_bounds_the_load), cmocka_unit_test(failing_instance_is_ejected_and_tried_again),
        cmocka_unit_test(a_new_instance_is_not_flooded), cmocka_unit_test(bad_parameters_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
