/* wire/jobspec: the tables are the specification of what a job may say. */
#include "wire/jobspec.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct asked {
    struct mu_arena arena;
    struct mu_job_spec spec;
    struct mu_err err;
    enum mu_rc rc;
};

static void ask(struct asked *a, const char *json)
{
    memset(a, 0, sizeof *a);
    a->rc = mu_jobspec_json(mu_str_of(json), MU_STR_LIT("ann"), &a->spec, &a->arena, &a->err);
}

static void bad_specs_name_their_field(void **state)
{
    static const struct { const char *json, *field; } cases[] = {
        { "", "" },
        { "[]", "" },
        { "{\"command\":[\"a\"]} x", "" },
        { "{\"command\":[\"a\"],\"command\":[\"b\"]}", "" },
        { "{}", "command" },
        { "{\"comand\":[\"a\"]}", "comand" },
        { "{\"command\":[]}", "command" },
        { "{\"command\":\"a b\"}", "command" },
        { "{\"command\":[\"a\",{}]}", "command[1]" },
        { "{\"command\":[\"\"]}", "command" },
        { "{\"command\":[\"a\"],\"script\":\"b\"}", "command" },
        { "{\"command\":[\"a\"],\"array\":\"9-1\"}", "array" },
        { "{\"command\":[\"a\"],\"array\":\"0-999999999999\"}", "array" },
        { "{\"command\":[\"a\"],\"array\":\"0-9:0\"}", "array" },
        { "{\"command\":[\"a\"],\"name\":\"x\\u0007y\"}", "name" },
        { "{\"command\":[\"a\"],\"name\":\"\"}", "name" },
        { "{\"command\":[\"a\"],\"retries\":-1}", "retries" },
        { "{\"command\":[\"a\"],\"retries\":\"many\"}", "retries" },
        { "{\"command\":[\"a\"],\"timeout\":\"soon\"}", "timeout" },
        { "{\"command\":[\"a\"],\"resources\":{\"cpus\":\"-1\"}}", "resources.cpus" },
        { "{\"command\":[\"a\"],\"resources\":{\"mem\":\"lots\"}}", "resources.mem" },
        { "{\"command\":[\"a\"],\"resources\":{\"lic\":1.5}}", "resources.lic" },
        { "{\"command\":[\"a\"],\"priority\":1.5}", "priority" },
        { "{\"command\":[\"a\"],\"hold\":\"yes\"}", "hold" },
        { "{\"command\":[\"a\"],\"deadline\":\"tomorrow\"}", "deadline" },
        { "{\"command\":[\"a\"],\"env\":{\"A=B\":\"c\"}}", "env" },
        { "{\"command\":[\"a\"],\"after\":[\"b\"]}", "after[0]" },
        { "{\"command\":[\"a\"],\"after\":[0]}", "after[0]" },
        { "{\"command\":[\"a\"],\"each_node\":true,\"array\":\"0-1\"}", "each_node" },
        { "{\"command\":[\"a\"],\"abort_after\":\"0%\"}", "abort_after" },
        { "{\"command\":[\"a\"],\"abort_after\":\"101%\"}", "abort_after" },
        { "{\"command\":[\"a\"],\"max_parallel\":2,\"max-parallel\":3}", "max-parallel" },
        { "{\"tasks\":[]}", "tasks" },
        { "{\"tasks\":[{\"command\":[\"a\"]}],\"retries\":1}", "retries" },
        { "{\"tasks\":[{\"command\":[\"a\"]},7]}", "tasks[1]" },
        { "{\"tasks\":[{\"name\":\"x\",\"command\":[\"a\"]},{\"name\":\"x\",\"command\":[\"a\"]}]}", "tasks[1].name" },
        { "{\"tasks\":[{\"command\":[\"a\"]},{\"command\":[\"a\"],\"resources\":{\"cpus\":\"x\"}}]}", "tasks[1].resources.cpus" },
        { "{\"lines\":[\"a\\nb\"]}", "lines" },
        { "{\"lines\":[\"a\"],\"array\":\"0-1\"}", "array" },
        { "{\"command\":[\"a\\u0000b\"]}", "" },
    };
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct asked a;
        ask(&a, cases[i].json);
        if (a.rc != MU_INVALID || strcmp(a.err.field, cases[i].field) != 0 || a.err.text[0] == '\0')
            fail_msg("%s: rc %d, field \"%s\" (want \"%s\"), \"%s\"", cases[i].json, a.rc, a.err.field, cases[i].field, a.err.text);
        mu_arena_fini(&a.arena);
    }
}

static void a_flat_job_is_one_group(void **state)
{
    struct asked a;
    const struct mu_group_spec *g;
    (void)state;
    ask(&a, "{\"name\":\"n\",\"priority\":-3,\"command\":[\"/bin/echo\",1,\"x\"],\"array\":\"5-9:2\",\"resources\":{\"cpus\":0.5,\"mem\":\"1K\",\"lic\":2},"
            "\"retries\":2,\"timeout\":\"1m\",\"env\":{\"A\":\"b=c\"},\"after\":[7,\"8\"],\"after-any\":9,\"abort_after\":\"5%\"}");
    g = a.spec.groups;
    assert_int_equal(a.rc, MU_OK);
    assert_int_equal(a.spec.groups_count, 1);
    assert_int_equal(a.spec.priority, -3);
    assert_true(mu_str_is(a.spec.user, "ann"));
    assert_int_equal(g->argv.count, 3);
    assert_true(mu_str_is(g->argv.at[1], "1"));
    assert_int_equal(g->array_first, 5);
    assert_int_equal(g->array_step, 2);
    assert_int_equal(g->tasks, 3);
    assert_int_equal(g->cpu_milli, 500);
    assert_int_equal(g->mem_bytes, 1024);
    assert_int_equal(g->resources_count, 1);
    assert_int_equal(g->resources[0].amount, 2);
    assert_int_equal(g->timeout_ms, 60000);
    assert_int_equal(g->grace_ms, 10000);
    assert_true(mu_str_is(g->env.at[0], "A=b=c"));
    assert_int_equal(g->after_count, 3);
    assert_int_equal(g->after[1].job, 8);
    assert_int_equal(g->after[2].kind, MU_DEP_ANY);
    assert_int_equal(g->abort_after_milli, 50);
    mu_arena_fini(&a.arena);
}

static void names_become_groups(void **state)
{
    struct asked a;
    (void)state;
    ask(&a, "{\"tasks\":[{\"name\":\"merge\",\"command\":[\"m\"],\"after\":[\"extract\"]},{\"name\":\"extract\",\"lines\":\"a\\nb b\\nc\"}]}");
    assert_int_equal(a.rc, MU_OK);
    assert_int_equal(a.spec.groups[0].after[0].job, 0);
    assert_int_equal(a.spec.groups[0].after[0].group, 1);
    assert_int_equal(a.spec.groups[1].tasks, 3);
    assert_true(mu_str_is(a.spec.groups[1].lines, "a\nb b\nc\n"));
    mu_arena_fini(&a.arena);
}

static void the_digest_ignores_order_and_key(void **state)
{
    struct asked a, b, c;
    (void)state;
    ask(&a, "{\"key\":\"k\",\"name\":\"n\",\"command\":[\"a\"]}");
    ask(&b, "{\"command\":[\"a\"],\"name\":\"n\",\"key\":\"other\"}");
    ask(&c, "{\"command\":[\"b\"],\"name\":\"n\",\"key\":\"k\"}");
    assert_true(a.spec.digest == b.spec.digest && a.spec.digest != 0);
    assert_true(a.spec.digest != c.spec.digest);
    mu_arena_fini(&a.arena);
    mu_arena_fini(&b.arena);
    mu_arena_fini(&c.arena);
}

static void yaml_says_where(void **state)
{
    static const struct { const char *yaml, *want; } cases[] = {
        { "a: 1\nb: [x, \"y\", true, ~]\n", "{\"a\":1,\"b\":[\"x\",\"y\",true,null]}" },
        { "{\"a\": {\"b\": [1, 2]}}", "{\"a\":{\"b\":[1,2]}}" },
        { "[1.10, 007, 0.5, -3, 1e3, 12345678901234567890]", "[\"1.10\",\"007\",0.5,-3,\"1e3\",\"12345678901234567890\"]" },
        { "script: |\n  one\n  two\n", "{\"script\":\"one\\ntwo\\n\"}" },
        { "a: 1\na: 2\n", "line 2, column 1: the key \"a\" stands twice" },
        { "a: &x 1\nb: *x\n", "line 1, column 4: anchors are not allowed" },
        { "a: !!str 1\n", "line 1, column 4: tags are not allowed" },
        { "a: [1, 2\n", "line 2, column 1" },
        { "", "line 1, column 1: the document is empty" },
        { "a: 1\n---\nb: 2\n", "line 2, column 1: only one document is allowed" },
        { "? [a]\n: b\n", "line 1, column 3: a key must be a word" },
    };
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_buf out = { 0 };
        struct mu_err err = { 0 };
        enum mu_rc rc = mu_yaml_to_json(mu_str_of(cases[i].yaml), &out, &err);
        mu_buf_addc(&out, '\0');
        const char *got = rc == MU_OK ? (char *)out.at : err.text;
        if (strncmp(got, cases[i].want, strlen(cases[i].want)) != 0)
            fail_msg("%s\nwant %s\ngot  %s", cases[i].yaml, cases[i].want, got);
        mu_buf_fini(&out);
    }
}

static void a_field_is_found_in_the_text(void **state)
{
    static const char yaml[] = "name: n\ntasks:\n  - name: a\n    command: [x]\n  - name: b\n    resources:\n      mem: lots\n    command: [y, z]\n";
    static const struct { const char *field; uint32_t line, column; } cases[] = {
        { "name", 1, 1 }, { "tasks[1].resources.mem", 7, 7 }, { "tasks[0].command", 4, 5 }, { "tasks[1].command[1]", 8, 18 },
    };
    uint32_t line, column;
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        line = column = 0;
        assert_true(mu_yaml_locate(mu_str_of(yaml), cases[i].field, &line, &column));
        if (line != cases[i].line || column != cases[i].column)
            fail_msg("%s: %u:%u", cases[i].field, line, column);
    }
    assert_false(mu_yaml_locate(mu_str_of(yaml), "tasks[2]", &line, &column));
    assert_false(mu_yaml_locate(mu_str_of(yaml), "tasks[0].nothing", &line, &column));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_specs_name_their_field), cmocka_unit_test(a_flat_job_is_one_group),
        cmocka_unit_test(names_become_groups), cmocka_unit_test(the_digest_ignores_order_and_key),
        cmocka_unit_test(yaml_says_where), cmocka_unit_test(a_field_is_found_in_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
