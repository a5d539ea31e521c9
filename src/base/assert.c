#include "base/assert.h"

_Noreturn void mu_assert_failed(const char *file, int line, const char *expr)
{
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expr);
    abort();
}
