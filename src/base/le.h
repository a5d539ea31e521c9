/* base/le.h -- little-endian numbers at any address, on any machine.
 *
 * What       loads and stores of 16, 32 and 64 bits for fixed headers.
 * Ownership, Time, Threads, Failure, Limits: none.
 */
#ifndef MU_BASE_LE_H
#define MU_BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t mu_le16_get(const void *at)
{
    uint16_t n;
    memcpy(&n, at, sizeof n);
    return le16toh(n);
}
static inline uint32_t mu_le32_get(const void *at)
{
    uint32_t n;
    memcpy(&n, at, sizeof n);
    return le32toh(n);
}
static inline uint64_t mu_le64_get(const void *at)
{
    uint64_t n;
    memcpy(&n, at, sizeof n);
    return le64toh(n);
}
static inline void mu_le16_put(void *at, uint16_t n)
{
    n = htole16(n);
    memcpy(at, &n, sizeof n);
}
static inline void mu_le32_put(void *at, uint32_t n)
{
    n = htole32(n);
    memcpy(at, &n, sizeof n);
}
static inline void mu_le64_put(void *at, uint64_t n)
{
    n = htole64(n);
    memcpy(at, &n, sizeof n);
}

#endif
