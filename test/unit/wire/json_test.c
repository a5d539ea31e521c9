/* wire/json: what is loaded, and how errors name the field at fault. */
#include "wire/json.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void documents_are_strict(void **state)
{
    static const struct { const char *text; bool good; } cases[] = {
        { "{}", true }, { "[]", true }, { "{\"a\":{\"b\":[1,2.5,\"x\",null,true]}}", true },
        { "", false }, { "{", false }, { "{} x", false }, { "{\"a\":1,\"a\":2}", false }, { "{\"a\":01}", false },
        { "{\"a\":NaN}", false }, { "{'a':1}", false }, { "{\"a\":\"\xff\"}", false }, { "{\"a\":\"\\u0000\"}", false },
        { "{\"a\":\"\\ud800\"}", false }, { "{\"a\":1,}", false }, { "{\"a\":99999999999999999999}", false },
        { "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", true },
        { "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", false },
        { "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[\"]", true },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct json_t *root = NULL;
        struct mu_err err = { 0 };
        enum mu_rc rc = mu_json_load(&root, mu_str_of(cases[i].text), &err);
        if ((rc == MU_OK) != cases[i].good)
            fail_msg("%s: %d %s", cases[i].text, rc, err.text);
        mu_json_free(root);
    }
}

/* Reads the shape below; what of it fails is in err. */
static enum mu_rc read_shape(const char *text, struct mu_err *err)
{
    struct json_t *root = NULL;
    struct mu_json_in in, res, task;
    struct mu_str s;
    uint64_t n, ms;
    int64_t signed_n;
    double real;
    bool yes;
    size_t count = 0;
    enum mu_rc rc = mu_json_load(&root, mu_str_of(text), err);

    if (rc != MU_OK)
        return rc;
    if (mu_json_in_root(&in, root, err) == MU_OK) {
        if (!mu_json_in_str(&in, "name", &s))
            mu_json_in_want(&in, "name");
        mu_json_in_u64(&in, "limit", 100, &n);
        mu_json_in_s64(&in, "priority", &signed_n);
        mu_json_in_real(&in, "share", &real);
        mu_json_in_bool(&in, "hold", &yes);
        mu_json_in_duration(&in, "timeout", &ms);
        mu_json_in_time(&in, "deadline", &ms);
        if (mu_json_in_obj(&in, "resources", &res)) {
            mu_json_in_u64(&res, "cpus", UINT64_MAX, &n);
            mu_json_in_end(&res);
        }
        mu_json_in_array(&in, "tasks", 3, &count);
        for (size_t i = 0; i < count; i++) {
            if (!mu_json_in_at(&in, "tasks", i, &task))
                break;
            mu_json_in_str(&task, "command", &s);
            if (mu_json_in_obj(&task, "resources", &res)) {
                if (mu_json_in_u64(&res, "cpus", UINT64_MAX, &n) && n > 64)
                    mu_json_in_refuse(&res, "cpus", "is more than %d", 64);
                mu_json_in_end(&res);
            }
            mu_json_in_end(&task);
        }
        mu_json_in_str_at(&in, "words", 0, &s);
    }
    rc = mu_json_in_end(&in);
    mu_json_free(root);
    return rc;
}

static void errors_name_the_field(void **state)
{
    static const struct { const char *text, *field; /* NULL: good */ const char *says; } cases[] = {
        { "{\"name\":\"x\"}", NULL, NULL },
        { "{\"name\":\"x\",\"limit\":null,\"hold\":null}", NULL, NULL },
        { "{\"name\":\"x\",\"limit\":100,\"priority\":-5,\"share\":2,\"hold\":true,\"timeout\":\"5m\"}", NULL, NULL },
        { "{\"name\":\"x\",\"timeout\":1.5,\"deadline\":\"2026-11-22T20:00:00Z\"}", NULL, NULL },
        { "{\"name\":\"x\",\"tasks\":[{\"command\":\"a\"},{\"resources\":{\"cpus\":2}}],\"words\":[\"w\"]}", NULL, NULL },
        { "[]", "", "must be an object" },
        { "{}", "name", "is required" },
        { "{\"name\":3}", "name", "must be a string, not a number" },
        { "{\"name\":\"x\",\"limit\":101}", "limit", "between 0 and 100" },
        { "{\"name\":\"x\",\"limit\":-1}", "limit", "between 0 and 100" },
        { "{\"name\":\"x\",\"limit\":1.5}", "limit", "whole number" },
        { "{\"name\":\"x\",\"limit\":\"5\"}", "limit", "whole number" },
        { "{\"name\":\"x\",\"share\":\"5\"}", "share", "must be a number" },
        { "{\"name\":\"x\",\"hold\":1}", "hold", "true or false" },
        { "{\"name\":\"x\",\"timeout\":\"5 parsecs\"}", "timeout", "duration" },
        { "{\"name\":\"x\",\"timeout\":-1}", "timeout", "duration" },
        { "{\"name\":\"x\",\"deadline\":\"tomorrow\"}", "deadline", "must be a time" },
        { "{\"name\":\"x\",\"resources\":[]}", "resources", "must be an object, not an array" },
        { "{\"name\":\"x\",\"resources\":{\"cpu\":1}}", "resources.cpu", "did you mean \"cpus\"" },
        { "{\"name\":\"x\",\"tasks\":{}}", "tasks", "must be an array" },
        { "{\"name\":\"x\",\"tasks\":[{},{},{},{}]}", "tasks", "4 elements, at most 3" },
        { "{\"name\":\"x\",\"tasks\":[{},7]}", "tasks[1]", "must be an object" },
        { "{\"name\":\"x\",\"tasks\":[{},{},{\"resources\":{\"cpus\":65}}]}", "tasks[2].resources.cpus", "more than 64" },
        { "{\"name\":\"x\",\"words\":[5]}", "words[0]", "must be a string" },
        { "{\"name\":\"x\",\"frobnicate\":1}", "frobnicate", "not a known key" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = { 0 };
        enum mu_rc rc = read_shape(cases[i].text, &err);
        if ((rc == MU_OK) != (cases[i].field == NULL))
            fail_msg("%s: %d %s", cases[i].text, rc, err.text);
        if (rc == MU_OK)
            continue;
        assert_string_equal(err.field, cases[i].field);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

static void pairs_come_in_order(void **state)
{
    static const char *const want[] = { "b=1", "a=2" };
    struct json_t *root = NULL;
    struct mu_json_in in;
    struct mu_str k, v;
    struct mu_err err;
    char text[16];
    size_t n = 0;

    (void)state;
    assert_int_equal(mu_json_load(&root, MU_STR_LIT("{\"b\":\"1\",\"a\":\"2\",\"c\":3}"), NULL), MU_OK);
    mu_json_in_root(&in, root, &err);
    while (mu_json_in_pair(&in, &k, &v)) {
        assert_true(n < MU_COUNT(want));
        snprintf(text, sizeof text, "%.*s=%.*s", MU_STR_ARG(k), MU_STR_ARG(v));
        assert_string_equal(text, want[n++]);
    }
    assert_int_equal(n, 2);
    assert_int_equal(in.rc, MU_INVALID);
    assert_string_equal(err.field, "c");
    mu_json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_strict),
        cmocka_unit_test(errors_name_the_field),
        cmocka_unit_test(pairs_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
