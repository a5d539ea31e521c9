#include "unit/unit.h"

#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

static uint64_t fixed_clock(void)
{
    return UINT64_C(1795377600123);
}

/* What mu_log writes while stderr is a pipe. */
static void expect_log(const char *text, const char *want)
{
    char got[2048];
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t size;

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    dup2(ends[1], STDERR_FILENO);
    mu_log(MU_LOG_WARN, "test", "%s", text);
    dup2(saved, STDERR_FILENO);
    size = read(ends[0], got, sizeof got - 1);
    got[size > 0 ? size : 0] = '\0';
    close(ends[0]);
    close(ends[1]);
    close(saved);
    assert_string_equal(got, want);
}

static void a_happening_is_one_line(void **state)
{
    (void)state;
    expect_log("plain", "warn test: plain\n");
    expect_log("two\nlines \x1b[31m", "warn test: two lines  [31m\n");
    mu_log_clock(fixed_clock);
    expect_log("timed", "2026-11-22T20:00:00.123Z warn test: timed\n");
    mu_log_clock(NULL);
    mu_log_level_set(MU_LOG_ERROR);
    expect_log("too quiet", "");
    mu_log_level_set(MU_LOG_INFO);
}

static void a_long_line_is_cut(void **state)
{
    char text[3000], want[1025];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    memset(want, 'x', sizeof want);
    memcpy(want, "warn test: ", 11);
    memcpy(want + 1022, "\n", 2);
    expect_log(text, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_happening_is_one_line),
        cmocka_unit_test(a_long_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
