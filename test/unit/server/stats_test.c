/* Statistics: a window holds what fell into it, the total holds everything, old slots are forgotten only by windows. */
#include "server/stats.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void windows_hold_what_fell_into_them(void **state)
{
    static const struct { const char *what; uint64_t window_ms, count, covers_ms; } cases[] = {
        { "the slot under way and one before", 1, 1, 15000 },
        { "a minute", 60000, 2, 65000 },
        { "five minutes", 300000, 3, 305000 },
        { "more than is kept", 86400000, 3, 895000 },
    };
    static struct mu_stats s;
    static struct mu_stats_slot slot;
    uint64_t now = 1000 * 1000 + 5000, covers;

    (void)state;
    mu_stats_init(&s, 0);
    mu_stats_stage(&s, now - 900000 - 10000, MU_STAGE_RUN, 1); /* too old for any window by now */
    mu_stats_stage(&s, now - 200000, MU_STAGE_RUN, 10);
    mu_stats_stage(&s, now - 50000, MU_STAGE_RUN, 100);
    mu_stats_stage(&s, now, MU_STAGE_RUN, 1000);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_stats_window(&s, now, cases[i].window_ms, &slot, &covers);
        if (slot.stage[MU_STAGE_RUN].count != cases[i].count || covers != cases[i].covers_ms)
            fail_msg("%s: %llu values, %llu ms", cases[i].what, (unsigned long long)slot.stage[MU_STAGE_RUN].count,
                     (unsigned long long)covers);
    }
    mu_stats_total(&s, &slot);
    assert_int_equal(slot.stage[MU_STAGE_RUN].count, 4);
    assert_int_equal(slot.stage[MU_STAGE_RUN].sum, 1111);
    mu_stats_fini(&s);
}

static void a_young_server_covers_its_life_only(void **state)
{
    static struct mu_stats s;
    static struct mu_stats_slot slot;
    uint64_t covers;

    (void)state;
    mu_stats_init(&s, 123456);
    mu_stats_ended(&s, 123900, MU_TASK_SUCCEEDED, 7);
    mu_stats_ended(&s, 123900, MU_TASK_FAILED, 1);
    mu_stats_window(&s, 124456, 60000, &slot, &covers);
    assert_int_equal(covers, 1000);
    assert_int_equal(slot.ended, 8);
    assert_int_equal(s.ended[MU_TASK_SUCCEEDED], 7);
    mu_stats_fini(&s);
}

static void nothing_is_lost_when_slots_come_round(void **state)
{
    static struct mu_stats s;
    static struct mu_stats_slot slot;

    (void)state;
    mu_stats_init(&s, 0);
    for (uint64_t i = 0; i < 1000; i++) {
        mu_stats_append(&s, i * 7000, 5);
        mu_stats_stage(&s, i * 7000, MU_STAGE_ACCEPT, i);
    }
    mu_stats_total(&s, &slot);
    assert_int_equal(slot.append.count, 1000);
    assert_int_equal(slot.append.sum, 5000);
    assert_int_equal(slot.stage[MU_STAGE_ACCEPT].sum, 499500);
    mu_stats_fini(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_hold_what_fell_into_them),
        cmocka_unit_test(a_young_server_covers_its_life_only),
        cmocka_unit_test(nothing_is_lost_when_slots_come_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
