/* Which lines need a shell, and that the words of the others are those /bin/sh would make. */
#include "wire/shellwords.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct { const char *line, *want; } cases[] = { /* want: words in [], NULL: a shell */
    { "true", "[true]" },
    { "  /bin/ls\t-l   a  ", "[/bin/ls][-l][a]" },
    { "gzip -9 'a b' \"c d\" e\\ f", "[gzip][-9][a b][c d][e f]" },
    { "cp a''b \"\" ''", "[cp][ab][][]" },
    { "grep 'a|b' \"x;y\" '$HOME' \"it's\"", "[grep][a|b][x;y][$HOME][it's]" },
    { "awk '{print $1}' f#g", "[awk][{print $1}][f#g]" },
    { "env A=1 B=2 prog", "[env][A=1][B=2][prog]" },
    { "echo plain -n", "[echo][plain][-n]" },
    { "sed -e 's/a\\n/b/' f", "[sed][-e][s/a\\n/b/][f]" },
    { "tool \\$x \\\\ \\'", "[tool][$x][\\][']" },
    { "a,b:c@d%e+f-g_h.i/j", "[a,b:c@d%e+f-g_h.i/j]" },
    { "na\xc3\xafve \xff", "[na\xc3\xafve][\xff]" },
    { "", NULL },
    { "   ", NULL },
    { "# comment", NULL },
    { "a; b", NULL },
    { "a && b", NULL },
    { "a | b", NULL },
    { "a > b", NULL },
    { "a < b", NULL },
    { "a 2>&1", NULL },
    { "a &", NULL },
    { "(a)", NULL },
    { "{ a; }", NULL },
    { "ls *.c", NULL },
    { "ls a?c", NULL },
    { "ls [ab]", NULL },
    { "ls ~/x", NULL },
    { "echo $HOME", NULL },
    { "echo `date`", NULL },
    { "echo \"$HOME\"", NULL },
    { "echo \"a\\\"b\"", NULL },
    { "echo \"a!b\"", NULL },
    { "echo 'never closed", NULL },
    { "echo \"never closed", NULL },
    { "echo ends\\", NULL },
    { "a\nb", NULL },
    { "a \\\nb", NULL },
    { "a\rb", NULL },
    { "A=1 prog", NULL },
    { "A= prog", NULL },
    { "a^b", NULL },
    { "! true", NULL },
    { "cd /tmp", NULL },
    { "exit 3", NULL },
    { "if true", NULL },
    { ". file", NULL },
    { "test -f x", NULL },
    { "[ -f x ]", NULL },
    { "'cd' /tmp", NULL },
    { "pwd", NULL },
    { "kill 1", NULL },
    { "time ls", NULL },
    { "'' a", NULL },
    { "echo 'a\\tb'", NULL },
    { "echo a\\ b", NULL },
    { "printf '%s\\n' x", NULL },
};

static void lines_are_split_or_left_to_the_shell(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_arena arena = { 0 };
        char got[256] = "";
        uint32_t count = 99;
        char **words = mu_shellwords(mu_str_of(cases[i].line), &arena, &count);

        for (uint32_t w = 0; words != NULL && w < count; w++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "[%s]", words[w]);
        if ((words == NULL) != (cases[i].want == NULL) || (words != NULL && strcmp(got, cases[i].want) != 0))
            fail_msg("'%s': want %s, got %s", cases[i].line, cases[i].want ? cases[i].want : "a shell", words ? got : "a shell");
        if (words != NULL)
            assert_null(words[count]);
        mu_arena_fini(&arena);
    }
}

static void the_shell_agrees(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        char command[512], got[256] = "";
        FILE *p;

        if (cases[i].want == NULL)
            continue;
        snprintf(command, sizeof command, "set -- %s\nfor w; do printf '[%%s]' \"$w\"; done", cases[i].line);
        assert_int_equal(setenv("LINE", command, 1), 0);
        p = popen("exec /bin/sh -c \"$LINE\"", "r");
        assert_non_null(p);
        assert_true(fread(got, 1, sizeof got - 1, p) > 0);
        pclose(p);
        assert_string_equal(got, cases[i].want);
    }
}

static void limits_hold(void **state)
{
    struct mu_arena arena = { 0 }, small = { .limit = 16 };
    struct mu_buf b = { 0 };
    uint32_t count;

    (void)state;
    for (uint32_t i = 0; i < MU_SHELLWORDS_MAX; i++)
        mu_buf_addz(&b, i == 0 ? "x" : " x");
    assert_non_null(mu_shellwords(mu_buf_str(&b), &arena, &count));
    assert_int_equal(count, MU_SHELLWORDS_MAX);
    mu_buf_addz(&b, " x");
    assert_null(mu_shellwords(mu_buf_str(&b), &arena, &count));
    assert_null(mu_shellwords(mu_str_of("a line longer than the arena"), &small, &count));
    assert_null(mu_shellwords(MU_STR_LIT("a\0b"), &arena, &count));
    mu_buf_fini(&b);
    mu_arena_fini(&arena);
    mu_arena_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_split_or_left_to_the_shell),
        cmocka_unit_test(the_shell_agrees),
        cmocka_unit_test(limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
