/* base/json.h -- an appending JSON writer for hot output; commas take care of themselves.
 *
 * What       values and keys appended to a mu_buf; a comma is put where the byte before asks for one.
 * Ownership  the buffer is the caller's.
 * Time, Threads  none.
 * Failure    none: bytes that are not UTF-8 become U+FFFD, a number that is not finite becomes null.
 * Limits     none: the caller closes what it opens; a value after other text wants '\n' or ' ' before it.
 */
#ifndef MU_BASE_JSON_H
#define MU_BASE_JSON_H

#include "base/str.h"

/* kind is '{' or '['. */
void mu_json_open(struct mu_buf *b, char kind);
void mu_json_close(struct mu_buf *b, char kind);
/* key must need no escaping. The next value belongs to it. */
void mu_json_key(struct mu_buf *b, const char *key);

void mu_json_str(struct mu_buf *b, struct mu_str s);
void mu_json_text(struct mu_buf *b, const char *z); /* NULL: null */
void mu_json_u64(struct mu_buf *b, uint64_t n);
void mu_json_s64(struct mu_buf *b, int64_t n);
void mu_json_bool(struct mu_buf *b, bool v);
void mu_json_null(struct mu_buf *b);
void mu_json_real(struct mu_buf *b, double v);          /* six significant decimals at most */
void mu_json_fixed(struct mu_buf *b, uint64_t n, unsigned decimals); /* n / 10^decimals, zeros at the end cut off */
void mu_json_time(struct mu_buf *b, uint64_t wall_ms);  /* RFC 3339; 0: null */

/* key and value at once. */
void mu_json_kstr(struct mu_buf *b, const char *key, struct mu_str s);
void mu_json_ktext(struct mu_buf *b, const char *key, const char *z);
void mu_json_ku64(struct mu_buf *b, const char *key, uint64_t n);
void mu_json_ks64(struct mu_buf *b, const char *key, int64_t n);
void mu_json_kbool(struct mu_buf *b, const char *key, bool v);
void mu_json_knull(struct mu_buf *b, const char *key);
void mu_json_kreal(struct mu_buf *b, const char *key, double v);
void mu_json_kfixed(struct mu_buf *b, const char *key, uint64_t n, unsigned decimals);
void mu_json_ktime(struct mu_buf *b, const char *key, uint64_t wall_ms);
/* Open a container as the value of key. */
void mu_json_kopen(struct mu_buf *b, const char *key, char kind);

/* Length of the valid UTF-8 sequence at the front of s, 0 if it is none (overlong, surrogate, cut off). */
uint32_t mu_utf8_len(struct mu_str s);
bool mu_utf8_valid(struct mu_str s);

#endif
