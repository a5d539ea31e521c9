/* base/json.c -- see json.h. */
#include "base/json.h"

#include "base/assert.h"
#include "base/units.h"

#include <math.h>

static void value_begin(struct mu_buf *b)
{
    static const bool opens[256] = { ['{'] = true, ['['] = true, [':'] = true, ['\n'] = true, [','] = true, [' '] = true };

    if (b->size > 0 && !opens[b->at[b->size - 1]])
        mu_buf_addc(b, ',');
}

void mu_json_open(struct mu_buf *b, char kind)
{
    value_begin(b);
    mu_buf_addc(b, kind);
}

void mu_json_close(struct mu_buf *b, char kind)
{
    MU_ASSERT(kind == '{' || kind == '[');
    mu_buf_addc(b, kind == '{' ? '}' : ']');
}

void mu_json_key(struct mu_buf *b, const char *key)
{
    value_begin(b);
    mu_buf_addc(b, '"');
    mu_buf_addz(b, key);
    mu_buf_add(b, "\":", 2);
}

uint32_t mu_utf8_len(struct mu_str s)
{
    const uint8_t *p = (const uint8_t *)s.at;
    uint32_t n;

    if (s.size == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.size < n)
        return 0;
    for (uint32_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool mu_utf8_valid(struct mu_str s)
{
    for (uint32_t n; s.size > 0; s.at += n, s.size -= n) {
        n = mu_utf8_len(s);
        if (n == 0)
            return false;
    }
    return true;
}

static void escape(struct mu_buf *b, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shortcut[32] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };

    mu_buf_addc(b, '\\');
    if (c == '"' || c == '\\')
        mu_buf_addc(b, (char)c);
    else if (c < sizeof shortcut && shortcut[c] != 0)
        mu_buf_addc(b, shortcut[c]);
    else
        mu_buf_add(b, (char[]){ 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 5);
}

void mu_json_str(struct mu_buf *b, struct mu_str s)
{
    value_begin(b);
    mu_buf_addc(b, '"');
    while (s.size > 0) {
        uint32_t plain = 0, n = 1;
        while (plain < s.size && (uint8_t)s.at[plain] >= 0x20 && (uint8_t)s.at[plain] < 0x7f && s.at[plain] != '"' &&
               s.at[plain] != '\\')
            plain++;
        mu_buf_add(b, s.at, plain);
        s.at += plain;
        s.size -= plain;
        if (s.size == 0)
            break;
        if ((uint8_t)s.at[0] < 0x80) {
            escape(b, (uint8_t)s.at[0]);
        } else {
            n = mu_utf8_len(s);
            mu_buf_add(b, n ? s.at : "\xef\xbf\xbd", n ? n : 3);
            n = n ? n : 1;
        }
        s.at += n;
        s.size -= n;
    }
    mu_buf_addc(b, '"');
}

void mu_json_text(struct mu_buf *b, const char *z)
{
    if (z == NULL)
        mu_json_null(b);
    else
        mu_json_str(b, mu_str_of(z));
}

void mu_json_u64(struct mu_buf *b, uint64_t n)
{
    value_begin(b);
    mu_buf_u64(b, n);
}

void mu_json_s64(struct mu_buf *b, int64_t n)
{
    value_begin(b);
    if (n < 0)
        mu_buf_addc(b, '-');
    mu_buf_u64(b, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

void mu_json_bool(struct mu_buf *b, bool v)
{
    value_begin(b);
    mu_buf_addz(b, v ? "true" : "false");
}

void mu_json_null(struct mu_buf *b)
{
    value_begin(b);
    mu_buf_add(b, "null", 4);
}

void mu_json_real(struct mu_buf *b, double v)
{
    if (!isfinite(v)) {
        mu_json_null(b);
        return;
    }
    value_begin(b);
    mu_buf_printf(b, "%.6g", v);
}

void mu_json_fixed(struct mu_buf *b, uint64_t n, unsigned decimals)
{
    uint64_t unit = 1, part;

    for (unsigned i = 0; i < decimals; i++)
        unit *= 10;
    part = n % unit;
    mu_json_u64(b, n / unit);
    if (part == 0)
        return;
    mu_buf_addc(b, '.');
    for (unit /= 10; part != 0; part %= unit, unit /= 10)
        mu_buf_addc(b, (char)('0' + part / unit));
}

void mu_json_time(struct mu_buf *b, uint64_t wall_ms)
{
    char text[MU_TEXT_UNITS];

    if (wall_ms == 0)
        mu_json_null(b);
    else
        mu_json_text(b, mu_time_text(text, wall_ms));
}

void mu_json_kstr(struct mu_buf *b, const char *key, struct mu_str s)
{
    mu_json_key(b, key);
    mu_json_str(b, s);
}

void mu_json_ktext(struct mu_buf *b, const char *key, const char *z)
{
    mu_json_key(b, key);
    mu_json_text(b, z);
}

void mu_json_ku64(struct mu_buf *b, const char *key, uint64_t n)
{
    mu_json_key(b, key);
    mu_json_u64(b, n);
}

void mu_json_ks64(struct mu_buf *b, const char *key, int64_t n)
{
    mu_json_key(b, key);
    mu_json_s64(b, n);
}

void mu_json_kbool(struct mu_buf *b, const char *key, bool v)
{
    mu_json_key(b, key);
    mu_json_bool(b, v);
}

void mu_json_knull(struct mu_buf *b, const char *key)
{
    mu_json_key(b, key);
    mu_json_null(b);
}

void mu_json_kreal(struct mu_buf *b, const char *key, double v)
{
    mu_json_key(b, key);
    mu_json_real(b, v);
}

void mu_json_kfixed(struct mu_buf *b, const char *key, uint64_t n, unsigned decimals)
{
    mu_json_key(b, key);
    mu_json_fixed(b, n, decimals);
}

void mu_json_ktime(struct mu_buf *b, const char *key, uint64_t wall_ms)
{
    mu_json_key(b, key);
    mu_json_time(b, wall_ms);
}

void mu_json_kopen(struct mu_buf *b, const char *key, char kind)
{
    mu_json_key(b, key);
    mu_json_open(b, kind);
}
