/* test/unit/core/heap.h -- how many bytes are allocated now, asked of malloc or of the sanitizer that stands in for it. */
#ifndef MU_TEST_CORE_HEAP_H
#define MU_TEST_CORE_HEAP_H

#include <malloc.h>
#include <stddef.h>

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static inline size_t heap_bytes(void)
{
    struct mallinfo2 m;

    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

#endif
