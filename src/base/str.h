/* base/str.h -- a counted string that owns nothing, and a growable byte buffer.
 *
 * What       struct mu_str: pointer + length, not NUL-terminated. struct mu_buf: bytes that grow.
 * Ownership  a mu_str borrows; a mu_buf owns its bytes until mu_buf_fini.
 * Time, Threads  none.
 * Failure    a mu_buf that cannot grow aborts: out of memory is fatal for buffers (their size is
 *            bounded by their callers).
 * Limits     4 GiB a string.
 */
#ifndef MU_BASE_STR_H
#define MU_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mu_str {
    const char *at;
    uint32_t size;
};

#define MU_STR_FMT "%.*s"
#define MU_STR_ARG(s) (int)(s).size, (s).at
#define MU_STR_LIT(lit) ((struct mu_str){ "" lit, sizeof(lit) - 1 })

static inline struct mu_str mu_str_of(const char *z)
{
    return (struct mu_str){ z, z ? (uint32_t)strlen(z) : 0 };
}
static inline bool mu_str_eq(struct mu_str a, struct mu_str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}
static inline bool mu_str_is(struct mu_str a, const char *z)
{
    return mu_str_eq(a, mu_str_of(z));
}
/* Heap copy with a NUL behind it; the caller frees. */
char *mu_str_dup(struct mu_str s);
/* Split at the first sep: returns the part before, *rest is what follows (empty at the end). */
struct mu_str mu_str_cut(struct mu_str s, char sep, struct mu_str *rest);
/* Whole-string decimal; false on sign, junk, overflow or emptiness. */
bool mu_str_u64(struct mu_str s, uint64_t *out);

struct mu_buf {
    uint8_t *at;
    size_t size, cap;
};

void mu_buf_fini(struct mu_buf *b);
void mu_buf_grow(struct mu_buf *b, size_t n); /* behind mu_buf_room */
/* Room for n more bytes; returns where they go; does not change size. */
static inline uint8_t *mu_buf_room(struct mu_buf *b, size_t n)
{
    if (b->cap - b->size < n)
        mu_buf_grow(b, n);
    return b->at + b->size;
}
void mu_buf_add(struct mu_buf *b, const void *bytes, size_t n);
void mu_buf_addz(struct mu_buf *b, const char *z);
void mu_buf_addc(struct mu_buf *b, char c);
__attribute__((format(printf, 2, 3)))
void mu_buf_printf(struct mu_buf *b, const char *fmt, ...);
void mu_buf_vprintf(struct mu_buf *b, const char *fmt, va_list ap);
/* Decimal without printf's cost. */
void mu_buf_u64(struct mu_buf *b, uint64_t n);
/* Drop the first n bytes. */
void mu_buf_drop(struct mu_buf *b, size_t n);
static inline void mu_buf_clear(struct mu_buf *b) { b->size = 0; }
static inline struct mu_str mu_buf_str(const struct mu_buf *b)
{
    return (struct mu_str){ (const char *)b->at, (uint32_t)b->size };
}

#endif
