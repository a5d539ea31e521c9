/* One suite of promises, run for each backend. An argument picks the tests whose name contains it. */
#include "journal/child.h"
#include "journal/conformance.h"

#include <string.h>

struct promise {
    const char *name;
    CMUnitTestFunction fn;
    size_t needs; /* the place of the row's flag */
};

#define X(fn, needs) { #fn, fn, offsetof(struct row, needs) },
static const struct promise promises[] = { CONFORMANCE_MAP(X) };
#undef X

static bool applies(const struct promise *p, const struct row *row)
{
    return *(const bool *)((const char *)row + p->needs);
}

int main(int argc, char **argv)
{
    static char names[16 * MU_COUNT(promises)][96];
    static struct CMUnitTest tests[16 * MU_COUNT(promises)];
    size_t count = 0;

    if (argc > 2 && strcmp(argv[1], "--child") == 0)
        return child_main(argc - 2, argv + 2);
    MU_ASSERT(rig_row_count <= 16);
    for (size_t i = 0; i < rig_row_count; i++)
        for (size_t k = 0; k < MU_COUNT(promises); k++) {
            if (!applies(&promises[k], &rig_rows[i]))
                continue;
            snprintf(names[count], sizeof names[count], "%s: %s", rig_rows[i].name, promises[k].name);
            if (argc > 1 && strstr(names[count], argv[1]) == NULL)
                continue;
            tests[count] = (struct CMUnitTest){ .name = names[count], .test_func = promises[k].fn,
                                                .initial_state = (void *)&rig_rows[i] };
            count++;
        }
    return _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
}
