/* Jobs and tasks as people see them: indices, groups, ends, and what is null when it is not known. */
#include "server/record.h"

#include "base/assert.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct mu_job_group groups[] = {
    { .name = MU_STR_LIT("a"), .first = 0, .tasks = 3, .array_first = 10, .array_step = 5, .is_array = true },
    { .name = MU_STR_LIT("b"), .first = 3, .tasks = 1 },
    { .name = MU_STR_LIT("c"), .first = 4, .tasks = 2, .array_step = 1, .is_array = true },
};

static void indices_and_ordinals(void **state)
{
    static const struct { uint32_t groups, tasks; uint64_t index; bool found; uint32_t ordinal; const char *group; } cases[] = {
        { 1, 3, 10, true, 0, "a" }, { 1, 3, 20, true, 2, "a" }, { 1, 3, 25, false, 0, "" }, { 1, 3, 12, false, 0, "" },
        { 1, 3, 9, false, 0, "" }, { 1, 3, UINT64_MAX, false, 0, "" },
        { 3, 6, 0, true, 0, "a" }, { 3, 6, 3, true, 3, "b" }, { 3, 6, 5, true, 5, "c" }, { 3, 6, 6, false, 0, "" },
    };
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_job_record job = { .tasks = cases[i].tasks, .groups = groups, .groups_count = cases[i].groups };
        uint32_t ordinal = 99;
        bool found = mu_record_ordinal(&job, cases[i].index, &ordinal);
        if (found != cases[i].found || (found && (ordinal != cases[i].ordinal || mu_record_index(&job, ordinal) != cases[i].index ||
                                                  !mu_str_is(mu_record_group(&job, ordinal), cases[i].group))))
            fail_msg("case %zu: found %d, ordinal %u", i, found, ordinal);
    }
}

static void ends_say_what_there_is_to_say(void **state)
{
    static const struct { enum mu_end how; uint32_t code; bool brief; const char *want; } cases[] = {
        { MU_END_EXIT, 0, true, "{\"exit_code\":0" },
        { MU_END_EXIT, 7, false, "{\"exit_code\":7,\"signal\":null" },
        { MU_END_SIGNAL, 9, true, "{\"signal\":9,\"reason\":\"signal\"" },
        { MU_END_SIGNAL, 9, false, "{\"exit_code\":null,\"signal\":9" },
        { MU_END_TIMEOUT, 15, true, "{\"reason\":\"timeout\"" },
        { MU_END_NOSTART, 2, true, "{\"reason\":\"no-start\",\"error\":\"No such file or directory\",\"errno\":2" },
    };
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_buf b = { 0 };
        mu_json_open(&b, '{');
        mu_show_end(&b, cases[i].how, cases[i].code, cases[i].brief);
        mu_buf_addc(&b, '\0');
        assert_string_equal((char *)b.at, cases[i].want);
        mu_buf_fini(&b);
    }
}

static void shown(struct mu_buf *b, const struct mu_task_show *t, const char *want)
{
    mu_buf_clear(b);
    mu_show_task(b, t, 5000);
    mu_buf_addc(b, '\0');
    assert_string_equal((char *)b->at, want);
}

static void a_task_in_all_its_ages(void **state)
{
    struct mu_result_row end = { .job = 4, .ordinal = 2, .attempt = 2, .how = MU_END_SIGNAL, .code = 9, .submitted_ms = 1000,
        .placed_ms = 2000, .started_ms = 2500, .ended_ms = 4000, .run_us = 1500000, .user_us = 1, .rss_bytes = 4096, .out_bytes = 5 };
    struct mu_task_show t = { .job = 4, .index = 7, .state = MU_TASK_READY, .submitted_ms = 1000 };
    struct mu_buf b = { 0 };

    (void)state;
    shown(&b, &t, "{\"job\":4,\"index\":7,\"task\":\"4.7\",\"group\":null,\"state\":\"waiting\",\"reason\":\"resources\",\"attempt\":0,"
          "\"node\":null,\"exit_code\":null,\"signal\":null,\"submitted\":\"1970-01-01T00:00:01.000Z\",\"placed\":null,\"started\":null,"
          "\"ended\":null,\"wait_s\":4,\"run_s\":null,\"user_s\":null,\"sys_s\":null,\"max_rss\":null,\"stdout_bytes\":null,\"stderr_bytes\":null}");
    t = (struct mu_task_show){ .job = 4, .index = 7, .group = MU_STR_LIT("g"), .state = MU_TASK_FAILED, .attempt = 2, .node = "n\"1",
                               .submitted_ms = 1000, .placed_ms = 2000, .started_ms = 2500, .end = &end };
    shown(&b, &t, "{\"job\":4,\"index\":7,\"task\":\"4.7\",\"group\":\"g\",\"state\":\"failed\",\"reason\":\"signal\",\"attempt\":2,"
          "\"node\":\"n\\\"1\",\"exit_code\":null,\"signal\":9,\"submitted\":\"1970-01-01T00:00:01.000Z\",\"placed\":\"1970-01-01T00:00:02.000Z\","
          "\"started\":\"1970-01-01T00:00:02.500Z\",\"ended\":\"1970-01-01T00:00:04.000Z\",\"wait_s\":1,\"run_s\":1.5,\"user_s\":0.000001,"
          "\"sys_s\":0,\"max_rss\":4096,\"stdout_bytes\":5,\"stderr_bytes\":0}");
    t.state = MU_TASK_BACKOFF;
    mu_buf_clear(&b);
    mu_show_task(&b, &t, 5000);
    mu_buf_addc(&b, '\0');
    assert_non_null(strstr((char *)b.at, "\"reason\":\"backoff\""));
    assert_non_null(strstr((char *)b.at, "\"ended\":null"));
    mu_buf_fini(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(indices_and_ordinals),
        cmocka_unit_test(ends_say_what_there_is_to_say),
        cmocka_unit_test(a_task_in_all_its_ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
