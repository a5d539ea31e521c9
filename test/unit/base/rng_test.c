#include "unit/unit.h"

#include "base/rng.h"

static void the_same_seed_gives_the_same_numbers(void **state)
{
    struct mu_rng a, b, c;

    (void)state;
    mu_rng_seed(&a, 7);
    mu_rng_seed(&b, 7);
    mu_rng_seed(&c, 8);
    for (int i = 0; i < 100; i++) {
        uint64_t n = mu_rng_next(&a);
        assert_int_equal(n, mu_rng_next(&b));
        assert_true(n != mu_rng_next(&c));
    }
}

/* First outputs of xoshiro256** from the state { 1, 2, 3, 4 }, as its authors' description gives by hand. */
static void follows_its_description(void **state)
{
    static const uint64_t want[] = { 11520, 0, 1509978240, 1215971899390074240 };
    struct mu_rng rng = { { 1, 2, 3, 4 } };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(want); i++)
        assert_int_equal(mu_rng_next(&rng), want[i]);
}

static void below_is_uniform_and_bounded(void **state)
{
    static const uint32_t limits[] = { 1, 2, 3, 7, 10, 16 };
    struct mu_rng rng;

    (void)state;
    mu_rng_seed(&rng, 9);
    for (size_t i = 0; i < MU_COUNT(limits); i++) {
        unsigned seen[16] = { 0 }, draws = 20000 * limits[i];
        for (unsigned k = 0; k < draws; k++) {
            uint32_t n = mu_rng_below(&rng, limits[i]);
            assert_true(n < limits[i]);
            seen[n]++;
        }
        for (uint32_t n = 0; n < limits[i]; n++)
            assert_in_range(seen[n], 19000, 21000); /* seven standard deviations */
    }
}

/* With n just above 2^31 a plain remainder would give the lower half twice as often. */
static void below_has_no_modulo_bias(void **state)
{
    uint32_t n = (1u << 31) + (1u << 30);
    unsigned low = 0;
    struct mu_rng rng;

    (void)state;
    mu_rng_seed(&rng, 10);
    for (int i = 0; i < 30000; i++)
        low += mu_rng_below(&rng, n) < n / 3;
    assert_in_range(low, 9400, 10600);
}

static void unit_is_below_one(void **state)
{
    struct mu_rng rng;
    double sum = 0;

    (void)state;
    mu_rng_seed(&rng, 11);
    for (int i = 0; i < 100000; i++) {
        double u = mu_rng_unit(&rng);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(sum > 49000 && sum < 51000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(follows_its_description),
        cmocka_unit_test(below_is_uniform_and_bounded),
        cmocka_unit_test(below_has_no_modulo_bias),
        cmocka_unit_test(unit_is_below_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
