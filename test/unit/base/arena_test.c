#include "unit/unit.h"

#include "base/arena.h"
#include "base/rng.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    struct mu_arena a = { 0 };
    struct mu_rng rng;
    uint8_t *at[400];
    size_t size[400];

    (void)state;
    mu_rng_seed(&rng, 1);
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 400; i++) {
            size[i] = mu_rng_below(&rng, i % 50 ? 300 : 100000);
            at[i] = mu_arena_alloc(&a, size[i]);
            assert_int_equal((uintptr_t)at[i] % 16, 0);
            for (size_t k = 0; k < size[i]; k++)
                assert_int_equal(at[i][k], 0);
            memset(at[i], (int)i % 255 + 1, size[i]);
        }
        for (unsigned i = 0; i < 400; i++)
            for (size_t k = 0; k < size[i]; k++)
                assert_int_equal(at[i][k], i % 255 + 1);
        mu_arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    mu_arena_fini(&a);
    assert_null(a.head);
}

static void a_limit_is_an_answer(void **state)
{
    struct mu_arena a = { .limit = 64 };

    (void)state;
    assert_null(mu_arena_alloc(&a, 65));
    assert_null(mu_arena_alloc(&a, SIZE_MAX));
    assert_non_null(mu_arena_alloc(&a, 33)); /* takes 48 */
    assert_null(mu_arena_alloc(&a, 17));
    assert_null(mu_arena_strdup(&a, "sixteen bytes...", 16));
    assert_string_equal(mu_arena_strdup(&a, "fits", 4), "fits");
    assert_null(mu_arena_alloc(&a, 0));
    mu_arena_reset(&a);
    assert_non_null(mu_arena_alloc(&a, 64));
    mu_arena_fini(&a);
}

static void without_a_limit_huge_sizes_are_refused(void **state)
{
    struct mu_arena a = { 0 };

    (void)state;
    assert_null(mu_arena_alloc(&a, SIZE_MAX));
    assert_string_equal(mu_arena_strdup(&a, NULL, 0), "");
    mu_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(a_limit_is_an_answer),
        cmocka_unit_test(without_a_limit_huge_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
