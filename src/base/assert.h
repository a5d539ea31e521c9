/* base/assert.h -- assertions that stay on in release: a broken invariant stops the process.
 *
 * What       MU_ASSERT for bugs, never for input. MU_COUNT for arrays.
 * Ownership, Time, Threads, Limits: none.   Failure  prints file, line, expression; abort().
 */
#ifndef MU_BASE_ASSERT_H
#define MU_BASE_ASSERT_H

#include <stddef.h>

#define MU_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MU_ASSERT(expr) \
    (__builtin_expect(!!(expr), 1) ? (void)0 : mu_assert_failed(__FILE__, __LINE__, #expr))
#define MU_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

_Noreturn void mu_assert_failed(const char *file, int line, const char *expr);

#endif
