#include "unit/unit.h"

#include "base/err.h"

static void every_code_has_words(void **state)
{
    static const struct { enum mu_rc rc; const char *code; } cases[] = {
        { MU_OK, "ok" },
#define X(name, num, code, text) { MU_##name, code },
        MU_RC_MAP(X)
#undef X
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        assert_string_equal(mu_rc_code(cases[i].rc), cases[i].code);
        assert_true(strlen(mu_rc_text(cases[i].rc)) > 0);
        assert_int_equal(cases[i].rc, -(int)i); /* no number left out, so none is reused by accident */
    }
}

static void a_sentence_names_the_field(void **state)
{
    struct mu_err err;

    (void)state;
    assert_int_equal(mu_fail_at(&err, MU_INVALID, "--cpus", "\"%s\" is not a number", "x"), MU_INVALID);
    assert_int_equal(err.rc, MU_INVALID);
    assert_string_equal(err.field, "--cpus");
    assert_string_equal(err.text, "\"x\" is not a number");
    assert_int_equal(mu_fail(&err, MU_BUSY, "full"), MU_BUSY);
    assert_string_equal(err.field, "");
    assert_int_equal(mu_fail(NULL, MU_IO, "nobody listens"), MU_IO);
}

static void long_sentences_are_cut_and_may_quote_the_last(void **state)
{
    struct mu_err err;
    char longer[400];

    (void)state;
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    mu_fail_at(&err, MU_IO, longer, "%s", longer);
    assert_int_equal(strlen(err.text), MU_ERR_TEXT - 1);
    assert_int_equal(strlen(err.field), MU_ERR_FIELD - 1);
    mu_fail(&err, MU_IO, "disk gone");
    mu_fail(&err, MU_IO, "journal: %s", err.text);
    assert_string_equal(err.text, "journal: disk gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_words),
        cmocka_unit_test(a_sentence_names_the_field),
        cmocka_unit_test(long_sentences_are_cut_and_may_quote_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
