/* base/base64.c -- see base64.h. */
#include "base/base64.h"

void mu_base64_put(struct mu_buf *b, const void *bytes, size_t size, bool url)
{
    static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const uint8_t *at = bytes, *end = at + size;

    for (; at < end; at += 3) {
        uint32_t n = end - at < 3 ? (uint32_t)(end - at) : 3;
        uint32_t bits = (uint32_t)at[0] << 16 | (n > 1 ? (uint32_t)at[1] << 8 : 0) | (n > 2 ? at[2] : 0);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t digit = bits >> (18 - 6 * i) & 63;
            if (i <= n)
                mu_buf_addc(b, digit < 62 ? common[digit] : digit == 62 ? (url ? '-' : '+') : (url ? '_' : '/'));
            else if (!url)
                mu_buf_addc(b, '=');
        }
    }
}
