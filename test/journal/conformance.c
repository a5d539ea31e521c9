/* One suite of promises, run for each backend. An argument picks the tests whose name contains it. */
#include "journal/conformance.h"

#include <string.h>

struct promise {
    const char *name;
    CMUnitTestFunction fn;
};

#define X(fn) { #fn, fn },
static const struct promise promises[] = { CONFORMANCE_MAP(X) };
#undef X

int main(int argc, char **argv)
{
    static char names[16 * MU_COUNT(promises)][96];
    static struct CMUnitTest tests[16 * MU_COUNT(promises)];
    size_t count = 0;

    MU_ASSERT(rig_row_count <= 16);
    for (size_t i = 0; i < rig_row_count; i++)
        for (size_t k = 0; k < MU_COUNT(promises); k++) {
            snprintf(names[count], sizeof names[count], "%s: %s", rig_rows[i].name, promises[k].name);
            if (argc > 1 && strstr(names[count], argv[1]) == NULL)
                continue;
            tests[count] = (struct CMUnitTest){ .name = names[count], .test_func = promises[k].fn,
                                                .initial_state = (void *)&rig_rows[i] };
            count++;
        }
    return _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
}
