#include "unit/unit.h"

#include "base/rng.h"
#include "base/str.h"

static void numbers_are_whole_or_refused(void **state)
{
    static const struct { const char *text; bool ok; uint64_t want; } cases[] = {
        { "0", true, 0 }, { "42", true, 42 }, { "007", true, 7 }, { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 }, { "99999999999999999999", false, 0 }, { "", false, 0 },
        { "-1", false, 0 }, { "+1", false, 0 }, { " 1", false, 0 }, { "1 ", false, 0 }, { "0x1", false, 0 }, { "1/", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        uint64_t got = 99;
        if (mu_str_u64(mu_str_of(cases[i].text), &got) != cases[i].ok || got != (cases[i].ok ? cases[i].want : 99))
            fail_msg("\"%s\" gave %llu", cases[i].text, (unsigned long long)got);
    }
}

static void cutting_goes_through_all_parts(void **state)
{
    static const struct { const char *text, *want; } cases[] = {
        { "a,b,c", "[a][b][c]" }, { "a", "[a]" }, { ",a", "[][a]" }, { "a,", "[a]" }, { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_str rest = mu_str_of(cases[i].text);
        struct mu_buf got = { 0 };
        while (rest.size) {
            struct mu_str part = mu_str_cut(rest, ',', &rest);
            mu_buf_printf(&got, "[" MU_STR_FMT "]", MU_STR_ARG(part));
        }
        mu_buf_addc(&got, '\0');
        assert_string_equal((char *)got.at, cases[i].want);
        mu_buf_fini(&got);
    }
}

static void equality_minds_length_and_zero_bytes(void **state)
{
    (void)state;
    assert_true(mu_str_is(MU_STR_LIT("abc"), "abc"));
    assert_false(mu_str_is(MU_STR_LIT("abc"), "ab"));
    assert_false(mu_str_eq(MU_STR_LIT("a\0b"), MU_STR_LIT("a\0c")));
    assert_true(mu_str_eq((struct mu_str){ NULL, 0 }, MU_STR_LIT("")));
    assert_int_equal(mu_str_of(NULL).size, 0);
}

static void a_buffer_holds_what_was_added(void **state)
{
    struct mu_buf b = { 0 };
    struct mu_rng rng;
    static char model[400000];
    size_t size = 0;

    (void)state;
    mu_rng_seed(&rng, 12);
    for (int step = 0; step < 4000; step++) {
        char text[80];
        unsigned n = mu_rng_below(&rng, 60), drop;
        memset(text, 'a' + step % 26, n);
        text[n] = '\0';
        switch (mu_rng_below(&rng, 5)) {
        case 0: mu_buf_add(&b, text, n); break;
        case 1: mu_buf_addz(&b, text); break;
        case 2: mu_buf_printf(&b, "%s", text); break;
        case 3:
            mu_buf_u64(&b, (uint64_t)step << n);
            n = (unsigned)snprintf(text, sizeof text, "%llu", (unsigned long long)step << n);
            break;
        default:
            drop = mu_rng_below(&rng, 100);
            drop = drop < size ? drop : (unsigned)size;
            mu_buf_drop(&b, drop);
            memmove(model, model + drop, size -= drop);
            n = 0;
        }
        memcpy(model + size, text, n);
        size += n;
        assert_int_equal(b.size, size);
    }
    assert_memory_equal(b.at, model, size);
    mu_buf_clear(&b);
    assert_int_equal(mu_buf_str(&b).size, 0);
    mu_buf_fini(&b);
}

static void copies_end_in_a_nul(void **state)
{
    char *copy = mu_str_dup((struct mu_str){ "abcdef", 3 }), *empty = mu_str_dup((struct mu_str){ NULL, 0 });
    struct mu_buf b = { 0 };

    (void)state;
    assert_string_equal(copy, "abc");
    assert_string_equal(empty, "");
    free(copy);
    free(empty);
    mu_buf_printf(&b, "%300d", 7); /* longer than the room of a first try */
    assert_int_equal(b.size, 300);
    assert_int_equal(b.at[299], '7');
    mu_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_whole_or_refused),
        cmocka_unit_test(cutting_goes_through_all_parts),
        cmocka_unit_test(equality_minds_length_and_zero_bytes),
        cmocka_unit_test(a_buffer_holds_what_was_added),
        cmocka_unit_test(copies_end_in_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
