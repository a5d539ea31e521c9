/* Tokens: how they look, how they are compared, where they come from. */
#include "server/auth.h"

#include "base/assert.h"
#include "io/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <unistd.h>

static void bytes_become_text(void **state)
{
    char text[MU_TOKEN_MADE + 1];
    uint8_t bytes[32];

    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    mu_token_text(text, bytes);
    assert_string_equal(text, "__________________________________________8");
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    mu_token_text(text, bytes);
    assert_string_equal(text, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    assert_true(mu_token_is_valid(mu_str_of(text)));
}

static void equal_is_equal_to_the_last_byte(void **state)
{
    static const struct { const char *a, *b; bool want; } cases[] = {
        { "secret", "secret", true }, { "secret", "secreT", false }, { "Secret", "secret", false },
        { "secret", "secre", false }, { "secret", "secrets", false }, { "", "", true }, { "a", "", false }, { "", "a", false },
        { "abab", "ab", false },
    };
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        if (mu_token_equal(mu_str_of(cases[i].a), mu_str_of(cases[i].b)) != cases[i].want)
            fail_msg("\"%s\" and \"%s\"", cases[i].a, cases[i].b);
}

static void tokens_have_a_form(void **state)
{
    static const struct { const char *token; bool want; } cases[] = {
        { "0123456789abcdef", true }, { "0123456789abcde", false }, { "0123456789 abcdef", false }, { "0123456789abcdef\x7f", false },
        { "0123456789abcde\xc3\xa4", false }, { "!#$%&'()*+,-./:;", true },
    };
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        if (mu_token_is_valid(mu_str_of(cases[i].token)) != cases[i].want)
            fail_msg("\"%s\"", cases[i].token);
}

struct world {
    char dir[64], data[96], user[96], extra[96];
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    snprintf(w->dir, sizeof w->dir, "/tmp/muster-auth-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->data, sizeof w->data, "%s/token", w->dir);
    snprintf(w->user, sizeof w->user, "%s/config/muster/token", w->dir);
    snprintf(w->extra, sizeof w->extra, "%s/given", w->dir);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    assert_int_equal(mu_dir_remove(w->dir, NULL), MU_OK);
    free(w);
    return 0;
}

static void put(const char *path, const char *text)
{
    assert_int_equal(mu_file_write(path, text, strlen(text), 0600, NULL), MU_OK);
}

static bool opens(const struct mu_auth_options *opt, const char *header)
{
    struct mu_auth *a = NULL;
    struct mu_err err;
    bool yes;

    if (mu_auth_open(&a, opt, &err) != MU_OK)
        fail_msg("%s", err.text);
    yes = mu_auth_check(a, mu_str_of(header));
    mu_auth_close(a);
    return yes;
}

static void a_secret_is_made_once_for_data_and_user(void **state)
{
    struct world *w = *state;
    struct mu_auth_options opt = { .data_file = w->data, .user_file = w->user };
    struct mu_buf one = { 0 }, two = { 0 };

    assert_false(opens(&opt, "Bearer 0123456789abcdef"));
    assert_int_equal(mu_file_read(w->data, 100, &one, NULL), MU_OK);
    assert_int_equal(mu_file_read(w->user, 100, &two, NULL), MU_OK);
    assert_true(mu_str_eq(mu_buf_str(&one), mu_buf_str(&two)));
    char header[80];
    snprintf(header, sizeof header, "bearer %.43s", (char *)one.at); /* the scheme's case does not matter */
    assert_true(opens(&opt, header));
    snprintf(header, sizeof header, "Bearer  %.43s", (char *)one.at);
    assert_false(opens(&opt, header));
    assert_int_equal(unlink(w->user), 0);
    snprintf(header, sizeof header, "Bearer %.43s", (char *)one.at);
    assert_true(opens(&opt, header)); /* and the user's file is there again */
    mu_buf_clear(&two);
    assert_int_equal(mu_file_read(w->user, 100, &two, NULL), MU_OK);
    assert_true(mu_str_eq(mu_buf_str(&one), mu_buf_str(&two)));
    mu_buf_fini(&one);
    mu_buf_fini(&two);
}

static void a_given_secret_is_the_only_one(void **state)
{
    struct world *w = *state;
    struct mu_auth_options opt = { .given = "given-by-the-environment", .data_file = w->data, .user_file = w->user };

    put(w->data, "the-one-in-the-data-folder\n");
    put(w->extra, "the-one-in-a-file-given\r\n");
    assert_true(opens(&opt, "Bearer given-by-the-environment"));
    assert_false(opens(&opt, "Bearer the-one-in-the-data-folder"));
    opt.file = w->extra;
    assert_true(opens(&opt, "Bearer the-one-in-a-file-given"));
    assert_false(opens(&opt, "Bearer given-by-the-environment"));
}

static void a_changed_file_is_noticed(void **state)
{
    struct world *w = *state;
    struct mu_auth *a = NULL;

    put(w->extra, "the-first-secret-of-all\n");
    assert_int_equal(mu_auth_open(&a, &(struct mu_auth_options){ .file = w->extra }, NULL), MU_OK);
    put(w->extra, "the-second-secret-of-all\n");
    assert_true(mu_auth_check(a, MU_STR_LIT("Bearer the-second-secret-of-all")));
    assert_false(mu_auth_check(a, MU_STR_LIT("Bearer the-first-secret-of-all")));
    put(w->extra, "short\n"); /* a mistake: the old one stays */
    assert_false(mu_auth_check(a, MU_STR_LIT("Bearer short")));
    assert_true(mu_auth_check(a, MU_STR_LIT("Bearer the-second-secret-of-all")));
    mu_auth_close(a);
}

static void bad_files_are_refused(void **state)
{
    struct world *w = *state;
    struct mu_auth *a = NULL;
    struct mu_err err;

    assert_int_equal(mu_auth_open(&a, &(struct mu_auth_options){ .file = "/no/such/file" }, &err), MU_NOTFOUND);
    put(w->extra, "two words are no token\n");
    assert_int_equal(mu_auth_open(&a, &(struct mu_auth_options){ .file = w->extra }, &err), MU_INVALID);
    assert_non_null(strstr(err.text, w->extra));
    assert_int_equal(mu_auth_open(&a, &(struct mu_auth_options){ .given = "" }, &err), MU_INVALID);
    assert_null(a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_text),
        cmocka_unit_test(equal_is_equal_to_the_last_byte),
        cmocka_unit_test(tokens_have_a_form),
        cmocka_unit_test_setup_teardown(a_secret_is_made_once_for_data_and_user, setup, teardown),
        cmocka_unit_test_setup_teardown(a_given_secret_is_the_only_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_file_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_files_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
