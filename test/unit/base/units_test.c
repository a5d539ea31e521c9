#include "unit/unit.h"

#include "base/rng.h"
#include "base/units.h"

#define KIB UINT64_C(1024)
#define REFUSED UINT64_MAX

typedef bool parse_fn(struct mu_str, uint64_t *);
struct parse_case {
    const char *text;
    uint64_t want;
};

static void check(parse_fn *parse, const struct parse_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t got = REFUSED;
        bool ok = parse(mu_str_of(cases[i].text), &got);
        if (ok != (cases[i].want != REFUSED) || got != cases[i].want) /* a refusal leaves got alone */
            fail_msg("\"%s\": want %llu, got %llu", cases[i].text, (unsigned long long)cases[i].want,
                     (unsigned long long)got);
    }
}

static void sizes(void **state)
{
    static const struct parse_case cases[] = {
        { "0", 0 }, { "1", 1 }, { "512B", 512 }, { "4K", 4 * KIB }, { "4k", 4 * KIB }, { "4KiB", 4 * KIB },
        { "4Ki", 4 * KIB }, { "4KB", 4000 }, { "512MiB", 512 * KIB * KIB }, { "4G", 4 * KIB * KIB * KIB },
        { "1.5G", 3 * KIB * KIB * KIB / 2 }, { "2TB", UINT64_C(2000000000000) }, { "15E", 15 * KIB * KIB * KIB * KIB * KIB * KIB },
        { "18446744073709551614", UINT64_MAX - 1 }, { "16E", REFUSED }, { "99999999999999999999", REFUSED },
        { "", REFUSED }, { "M", REFUSED }, { "-1", REFUSED }, { "1 M", REFUSED }, { "1Q", REFUSED }, { "1MiBs", REFUSED },
        { "1Mb", REFUSED }, { "1.5", REFUSED }, { "1.", REFUSED }, { ".5G", REFUSED }, { "1.2345G", REFUSED }, { "1e3", REFUSED },
    };
    (void)state;
    check(mu_parse_size, cases, MU_COUNT(cases));
}

static void durations(void **state)
{
    static const struct parse_case cases[] = {
        { "0", 0 }, { "90", 90000 }, { "90s", 90000 }, { "5m", 300000 }, { "2h", 7200000 }, { "1h30m", 5400000 },
        { "250ms", 250 }, { "1s250ms", 1250 }, { "1.5h", 5400000 }, { "0.25s", 250 }, { "1d", 86400000 },
        { "1w2d", 9 * UINT64_C(86400000) }, { "1.5", 1500 }, { "1h30", REFUSED }, { "30m1h", REFUSED }, { "1m1m", REFUSED },
        { "", REFUSED }, { "s", REFUSED }, { "-5s", REFUSED }, { "5x", REFUSED }, { "5 s", REFUSED }, { "1.5ms", REFUSED },
        { "99999999999999999999s", REFUSED }, { "18446744073709552s", REFUSED },
    };
    (void)state;
    check(mu_parse_duration, cases, MU_COUNT(cases));
}

static void thousandths(void **state)
{
    static const struct parse_case cases[] = {
        { "1", 1000 }, { "1.5", 1500 }, { "0.25", 250 }, { "0.001", 1 }, { "64", 64000 }, { "0", 0 },
        { "0.0001", REFUSED }, { "1.", REFUSED }, { ".5", REFUSED }, { "", REFUSED }, { "-1", REFUSED }, { "1c", REFUSED },
        { "18446744073709552", REFUSED }, { "1,5", REFUSED },
    };
    (void)state;
    check(mu_parse_milli, cases, MU_COUNT(cases));
}

static void times(void **state)
{
    static const struct parse_case cases[] = {
        { "1970-01-01T00:00:00Z", 0 }, { "2026-11-22T20:00:00Z", UINT64_C(1795377600000) },
        { "2026-11-22t20:00:00.5z", UINT64_C(1795377600500) }, { "2026-11-22 21:30:00.123456+01:30", UINT64_C(1795377600123) },
        { "2026-11-22T15:00:00-05:00", UINT64_C(1795377600000) }, { "2024-02-29T00:00:00Z", UINT64_C(1709164800000) },
        { "2000-02-29T12:00:00Z", UINT64_C(951825600000) }, { "2016-12-31T23:59:60Z", UINT64_C(1483228800000) },
        { "9999-12-31T23:59:59.999Z", UINT64_C(253402300799999) }, { "1970-01-01T01:00:00+01:00", 0 },
        { "1969-12-31T23:59:59Z", REFUSED }, { "1970-01-01T00:00:00+00:01", REFUSED }, { "2023-02-29T00:00:00Z", REFUSED },
        { "2100-02-29T00:00:00Z", REFUSED }, { "2026-13-01T00:00:00Z", REFUSED }, { "2026-00-01T00:00:00Z", REFUSED },
        { "2026-04-31T00:00:00Z", REFUSED }, { "2026-01-00T00:00:00Z", REFUSED }, { "2026-01-01T24:00:00Z", REFUSED },
        { "2026-01-01T00:60:00Z", REFUSED }, { "2026-01-01T00:00:61Z", REFUSED }, { "2026-01-01T00:00:00", REFUSED },
        { "2026-01-01T00:00Z", REFUSED }, { "2026-01-01", REFUSED }, { "26-01-01T00:00:00Z", REFUSED }, { "", REFUSED },
        { "2026-01-01T00:00:00.Z", REFUSED }, { "2026-01-01T00:00:00+24:00", REFUSED }, { "2026-01-01T00:00:00+0100", REFUSED },
        { "2026-01-01T00:00:00Zx", REFUSED }, { "9999-12-31T23:59:59-00:01", REFUSED },
    };
    (void)state;
    check(mu_parse_time, cases, MU_COUNT(cases));
}

static void texts(void **state)
{
    static const struct { char *(*text)(char *, uint64_t); uint64_t value; const char *want; } cases[] = {
        { mu_size_text, 0, "0B" }, { mu_size_text, 1023, "1023B" }, { mu_size_text, 1024, "1KiB" },
        { mu_size_text, 1536, "1.5KiB" }, { mu_size_text, 512 * KIB * KIB, "512MiB" }, { mu_size_text, KIB * KIB - 1, "1023.9KiB" },
        { mu_size_text, UINT64_MAX, "15.9EiB" },
        { mu_duration_text, 0, "0ms" }, { mu_duration_text, 999, "999ms" }, { mu_duration_text, 1500, "1.5s" },
        { mu_duration_text, 59999, "59.999s" }, { mu_duration_text, 60000, "1m" }, { mu_duration_text, 5400000, "1h30m" },
        { mu_duration_text, 5460999, "1h31m" }, { mu_duration_text, 9 * UINT64_C(86400000) + 3600000, "9d1h" },
        { mu_milli_text, 0, "0" }, { mu_milli_text, 1, "0.001" }, { mu_milli_text, 250, "0.25" }, { mu_milli_text, 1500, "1.5" },
        { mu_milli_text, 64000, "64" }, { mu_milli_text, UINT64_MAX, "18446744073709551.615" },
        { mu_time_text, 0, "1970-01-01T00:00:00.000Z" }, { mu_time_text, UINT64_C(1795377600123), "2026-11-22T20:00:00.123Z" },
        { mu_time_text, UINT64_C(951825600000), "2000-02-29T12:00:00.000Z" },
        { mu_time_text, UINT64_MAX, "9999-12-31T23:59:59.999Z" }, /* later than the last day that can be written */
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        char got[MU_TEXT_UNITS];
        assert_string_equal(cases[i].text(got, cases[i].value), cases[i].want);
    }
}

static void every_day_of_eight_thousand_years_comes_back(void **state)
{
    char text[MU_TEXT_UNITS], last[MU_TEXT_UNITS] = "";
    uint64_t ms, back;

    (void)state;
    for (uint64_t day = 0; day < 2932897; day++) {
        ms = day * 86400000 + day % 86400000;
        mu_time_text(text, ms);
        if (strcmp(last, text) >= 0 || !mu_parse_time(mu_str_of(text), &back) || back != ms) /* text sorts as time does */
            fail_msg("day %llu: \"%s\" after \"%s\"", (unsigned long long)day, text, last);
        memcpy(last, text, sizeof last);
    }
}

static void what_is_printed_can_be_read(void **state)
{
    char text[MU_TEXT_UNITS];
    struct mu_rng rng;
    uint64_t back;

    (void)state;
    mu_rng_seed(&rng, 13);
    for (int i = 0; i < 100000; i++) {
        uint64_t n = mu_rng_next(&rng) >> mu_rng_below(&rng, 64);
        assert_true(mu_parse_milli(mu_str_of(mu_milli_text(text, n)), &back));
        assert_int_equal(back, n);
        assert_true(mu_parse_size(mu_str_of(mu_size_text(text, n)), &back));
        assert_true(back <= n && n - back <= n / 10); /* short, hence cut: by less than a tenth of the unit */
        assert_true(mu_parse_duration(mu_str_of(mu_duration_text(text, n)), &back));
        assert_true(back <= n && n - back <= n / 24);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(thousandths),
        cmocka_unit_test(times),
        cmocka_unit_test(texts),
        cmocka_unit_test(every_day_of_eight_thousand_years_comes_back),
        cmocka_unit_test(what_is_printed_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
