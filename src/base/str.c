#include "base/str.h"

#include "base/assert.h"

char *mu_str_dup(struct mu_str s)
{
    char *copy = malloc((size_t)s.size + 1);

    MU_ASSERT(copy != NULL);
    if (s.size)
        memcpy(copy, s.at, s.size);
    copy[s.size] = '\0';
    return copy;
}

struct mu_str mu_str_cut(struct mu_str s, char sep, struct mu_str *rest)
{
    const char *at = s.size ? memchr(s.at, sep, s.size) : NULL;
    uint32_t size = at ? (uint32_t)(at - s.at) : s.size;

    *rest = at ? (struct mu_str){ at + 1, s.size - size - 1 } : (struct mu_str){ s.at + s.size, 0 };
    return (struct mu_str){ s.at, size };
}

bool mu_str_u64(struct mu_str s, uint64_t *out)
{
    uint64_t n = 0;

    if (s.size == 0)
        return false;
    for (uint32_t i = 0; i < s.size; i++) {
        unsigned digit = (unsigned)(s.at[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
            return false;
    }
    *out = n;
    return true;
}

void mu_buf_fini(struct mu_buf *b)
{
    free(b->at);
    *b = (struct mu_buf){ 0 };
}

void mu_buf_grow(struct mu_buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap * 2 : 128;

    while (cap - b->size < n)
        cap *= 2;
    b->at = realloc(b->at, cap);
    MU_ASSERT(b->at != NULL);
    b->cap = cap;
}

void mu_buf_add(struct mu_buf *b, const void *bytes, size_t n)
{
    if (n)
        memcpy(mu_buf_room(b, n), bytes, n);
    b->size += n;
}

void mu_buf_addz(struct mu_buf *b, const char *z)
{
    mu_buf_add(b, z, strlen(z));
}

void mu_buf_addc(struct mu_buf *b, char c)
{
    *mu_buf_room(b, 1) = (uint8_t)c;
    b->size++;
}

void mu_buf_vprintf(struct mu_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    mu_buf_room(b, 64);
    n = vsnprintf((char *)b->at + b->size, b->cap - b->size, fmt, ap);
    MU_ASSERT(n >= 0);
    if ((size_t)n >= b->cap - b->size) {
        mu_buf_room(b, (size_t)n + 1);
        vsnprintf((char *)b->at + b->size, b->cap - b->size, fmt, again);
    }
    va_end(again);
    b->size += (size_t)n;
}

void mu_buf_printf(struct mu_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    mu_buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void mu_buf_u64(struct mu_buf *b, uint64_t n)
{
    char digits[20], *at = digits + sizeof digits;

    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    mu_buf_add(b, at, (size_t)(digits + sizeof digits - at));
}

void mu_buf_drop(struct mu_buf *b, size_t n)
{
    MU_ASSERT(n <= b->size);
    b->size -= n;
    if (b->size && n)
        memmove(b->at, b->at + n, b->size);
}
