#include "unit/unit.h"

#include "base/hist.h"
#include "base/rng.h"

enum { VALUES = 5000 };

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint64_t draw(struct mu_rng *rng)
{
    return mu_rng_next(rng) >> (1 + mu_rng_below(rng, 63)); /* all magnitudes up to 2^63 */
}

static void a_quantile_is_within_a_sixteenth(void **state)
{
    static struct mu_hist hist;
    static uint64_t values[VALUES];
    struct mu_rng rng;

    (void)state;
    mu_rng_seed(&rng, 4);
    for (unsigned i = 0; i < VALUES; i++)
        mu_hist_add(&hist, values[i] = draw(&rng));
    qsort(values, VALUES, sizeof values[0], by_value);
    for (unsigned percent = 0; percent <= 100; percent++) {
        uint64_t got = mu_hist_quantile(&hist, percent / 100.0);
        uint64_t want = values[percent == 0 ? 0 : (percent * VALUES + 99) / 100 - 1];
        assert_true(got >= want);
        assert_true(got - want <= want / 16);
    }
    assert_int_equal(mu_hist_quantile(&hist, 1), values[VALUES - 1]);
    assert_int_equal(hist.max, values[VALUES - 1]);
}

static void small_values_are_exact(void **state)
{
    struct mu_hist hist = { 0 };

    (void)state;
    assert_int_equal(mu_hist_quantile(&hist, 0.5), 0);
    assert_true(mu_hist_mean(&hist) == 0);
    for (uint64_t n = 0; n <= 20; n++)
        mu_hist_add(&hist, n);
    for (uint64_t n = 0; n <= 20; n++)
        assert_int_equal(mu_hist_quantile(&hist, (double)(n + 1) / 21), n);
    assert_true(mu_hist_mean(&hist) == 10);
    assert_int_equal(mu_hist_below(&hist, 7), 8);
    assert_int_equal(mu_hist_below(&hist, 1000), 21);
}

static void merging_is_adding(void **state)
{
    static struct mu_hist all, parts[3], merged;
    struct mu_rng rng;

    (void)state;
    mu_rng_seed(&rng, 5);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t value = draw(&rng) >> 20;
        mu_hist_add(&all, value);
        mu_hist_add(&parts[i % 3], value);
    }
    for (unsigned i = 0; i < 3; i++)
        mu_hist_merge(&merged, &parts[i]);
    assert_memory_equal(&merged, &all, sizeof all);
}

static void the_largest_value_has_a_place(void **state)
{
    struct mu_hist hist = { 0 };

    (void)state;
    mu_hist_add(&hist, UINT64_MAX);
    assert_int_equal(hist.bucket[MU_HIST_BUCKETS - 1], 1);
    assert_int_equal(mu_hist_quantile(&hist, 0.5), UINT64_MAX);
    assert_int_equal(mu_hist_below(&hist, UINT64_MAX - 1), 0);
    assert_int_equal(mu_hist_below(&hist, UINT64_MAX), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quantile_is_within_a_sixteenth),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(the_largest_value_has_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
