#include "unit/unit.h"

#include "base/json.h"

static void expect(struct mu_buf *b, const char *want)
{
    mu_buf_addc(b, '\0');
    assert_string_equal(b->at, want);
    mu_buf_fini(b);
}

static void commas_stand_between_values_only(void **state)
{
    struct mu_buf b = { 0 };

    (void)state;
    mu_json_open(&b, '{');
    mu_json_ku64(&b, "id", 42);
    mu_json_kopen(&b, "empty", '[');
    mu_json_close(&b, '[');
    mu_json_kopen(&b, "list", '[');
    mu_json_u64(&b, 1);
    mu_json_text(&b, "two");
    mu_json_open(&b, '{');
    mu_json_close(&b, '{');
    mu_json_null(&b);
    mu_json_close(&b, '[');
    mu_json_knull(&b, "none");
    mu_json_ktext(&b, "text", "");
    mu_json_close(&b, '{');
    expect(&b, "{\"id\":42,\"empty\":[],\"list\":[1,\"two\",{},null],\"none\":null,\"text\":\"\"}");

    mu_json_u64(&b, 1);
    mu_buf_addc(&b, '\n');
    mu_json_u64(&b, 2);
    mu_buf_addz(&b, "\ndata: ");
    mu_json_u64(&b, 3);
    expect(&b, "1\n2\ndata: 3");
}

static void numbers_and_times(void **state)
{
    struct mu_buf b = { 0 };

    (void)state;
    mu_json_open(&b, '[');
    mu_json_u64(&b, UINT64_MAX);
    mu_json_s64(&b, INT64_MIN);
    mu_json_s64(&b, 7);
    mu_json_bool(&b, true);
    mu_json_bool(&b, false);
    mu_json_real(&b, 0.5);
    mu_json_real(&b, -1.0 / 3);
    mu_json_real(&b, 1e300 * 1e300);
    mu_json_fixed(&b, 1500, 3);
    mu_json_fixed(&b, 1005, 3);
    mu_json_fixed(&b, 2000000, 6);
    mu_json_fixed(&b, 7, 6);
    mu_json_time(&b, 0);
    mu_json_time(&b, UINT64_C(1795377600123));
    mu_json_close(&b, '[');
    expect(&b, "[18446744073709551615,-9223372036854775808,7,true,false,0.5,-0.333333,null,1.5,1.005,2,0.000007,null,"
               "\"2026-11-22T20:00:00.123Z\"]");
}

static void strings_are_escaped_and_always_text(void **state)
{
    static const struct { struct mu_str in; const char *want; } cases[] = {
        { MU_STR_LIT(""), "\"\"" },
        { MU_STR_LIT("plain"), "\"plain\"" },
        { MU_STR_LIT("\"\\/"), "\"\\\"\\\\/\"" },
        { MU_STR_LIT("\b\t\n\f\r\x01\x1f\x7f"), "\"\\b\\t\\n\\f\\r\\u0001\\u001f\\u007f\"" },
        { MU_STR_LIT("a\0b"), "\"a\\u0000b\"" },
        { MU_STR_LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { MU_STR_LIT("\xff-\xc3-\xe2\x82"), "\"\xef\xbf\xbd-\xef\xbf\xbd-\xef\xbf\xbd\xef\xbf\xbd\"" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_buf b = { 0 };
        mu_json_str(&b, cases[i].in);
        expect(&b, cases[i].want);
    }
}

/* The UTF-8 form of a code point, by the definition; 0 for what has none. */
static uint32_t encode(uint32_t point, uint8_t *out)
{
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    uint32_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (uint32_t i = size - 1; i > 0; i--, point >>= 6)
        out[i] = (uint8_t)(0x80 | (point & 0x3f));
    out[0] = (uint8_t)(0xf00 >> size | point);
    return size;
}

/* Exactly the forms of the code points are taken: counted over all sequences of three bytes, and of four up to
 * U+FFFFF. */
static void utf8_is_what_the_definition_says(void **state)
{
    uint8_t bytes[4];
    uint64_t taken[5] = { 0 };

    (void)state;
    for (uint32_t point = 0; point <= 0x11ffff; point++) {
        uint32_t size = encode(point, bytes);
        if (size == 0)
            continue;
        assert_int_equal(mu_utf8_len((struct mu_str){ (char *)bytes, size }), size);
        assert_int_equal(mu_utf8_len((struct mu_str){ (char *)bytes, size - 1 }), 0);
    }
    for (uint32_t n = 0; n < 1u << 24; n++) {
        uint32_t size;
        bytes[0] = (uint8_t)(n >> 16), bytes[1] = (uint8_t)(n >> 8), bytes[2] = (uint8_t)n;
        size = mu_utf8_len((struct mu_str){ (char *)bytes, 3 });
        taken[size]++;
    }
    assert_int_equal(taken[1], 128u << 16);
    assert_int_equal(taken[2], (0x800u - 0x80) << 8);
    assert_int_equal(taken[3], 0x10000 - 0x800 - 0x800);
    assert_int_equal(taken[4], 0);
    for (uint32_t n = 0; n < 1u << 26; n++) { /* first byte 0xf0 to 0xf3, any three others */
        bytes[0] = (uint8_t)(0xf0 + (n >> 24)), bytes[1] = (uint8_t)(n >> 16), bytes[2] = (uint8_t)(n >> 8), bytes[3] = (uint8_t)n;
        taken[4] += mu_utf8_len((struct mu_str){ (char *)bytes, 4 }) == 4;
    }
    assert_int_equal(taken[4], 0x100000 - 0x10000);
    assert_true(mu_utf8_valid(MU_STR_LIT("caf\xc3\xa9")));
    assert_false(mu_utf8_valid(MU_STR_LIT("caf\xc3")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_values_only),
        cmocka_unit_test(numbers_and_times),
        cmocka_unit_test(strings_are_escaped_and_always_text),
        cmocka_unit_test(utf8_is_what_the_definition_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
