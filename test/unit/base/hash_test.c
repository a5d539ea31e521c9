#include "unit/unit.h"

#include "base/hash.h"

static void values_never_change(void **state)
{
    static const struct { const char *text; uint64_t seed, want; } cases[] = {
        { "", 0, UINT64_C(0x4af2fed86faf3ebf) },
        { "a", 0, UINT64_C(0x0ca5054d9606a74e) },
        { "a", 1, UINT64_C(0x6831d95b39b46e8f) },
        { "12345678", 0, UINT64_C(0x8cd440718fc7d429) },
        { "123456789abcdef0", 0, UINT64_C(0x900f5804ed57c245) },
        { "a longer text than three words of eight", 7, UINT64_C(0x0d7128dca18f2185) },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        assert_int_equal(mu_hash(cases[i].text, strlen(cases[i].text), cases[i].seed), cases[i].want);
    assert_int_equal(mu_hash_mix(1, 2), UINT64_C(0xe6411feb10cf0181));
}

/* Flipping any bit of the input changes about half of the bits of the result. */
static void every_bit_counts(void **state)
{
    uint8_t text[40];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 37);
    for (size_t size = 1; size <= sizeof text; size++) {
        uint64_t plain = mu_hash(text, size, 0);
        for (size_t bit = 0; bit < size * 8; bit++) {
            text[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_in_range(__builtin_popcountll(plain ^ mu_hash(text, size, 0)), 10, 54);
            text[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_true(plain != mu_hash(text, size - 1, 0));
        assert_true(plain != mu_hash(text, size, 1));
    }
}

static void mixing_keeps_order_and_both_numbers(void **state)
{
    (void)state;
    assert_true(mu_hash_mix(1, 2) != mu_hash_mix(2, 1));
    for (int bit = 0; bit < 64; bit++) {
        uint64_t plain = mu_hash_mix(5, 9), one = UINT64_C(1) << bit;
        assert_in_range(__builtin_popcountll(plain ^ mu_hash_mix(5 ^ one, 9)), 10, 54);
        assert_in_range(__builtin_popcountll(plain ^ mu_hash_mix(5, 9 ^ one)), 10, 54);
    }
}

static void text_does_not_need_alignment(void **state)
{
    uint8_t text[64] = { 0 };

    (void)state;
    for (size_t at = 0; at < 8; at++) {
        memcpy(text + at, "the same twenty bytes", 21);
        assert_int_equal(mu_hash(text + at, 21, 3), mu_hash("the same twenty bytes", 21, 3));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_never_change),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(mixing_keeps_order_and_both_numbers),
        cmocka_unit_test(text_does_not_need_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
