/* base/units.h -- what people write: sizes, durations, cpu counts, times; and back.
 *
 * What       "512MiB" "4G" -> bytes; "90s" "5m" "2h" "1h30m" "250ms" -> ms; "1.5" -> 1500 thousandths;
 *            RFC 3339 <-> ms since 1970 UTC.
 * Ownership  outputs are the caller's.   Time  none is read.   Threads  none.
 * Failure    false: not of the form, negative, or overflow; outputs untouched.
 * Limits     sizes: K M G T = KiB MiB GiB TiB (binary, also spelled KiB, KB = 1000). A bare number is bytes,
 *            a bare duration seconds.
 */
#ifndef MU_BASE_UNITS_H
#define MU_BASE_UNITS_H

#include "base/str.h"

bool mu_parse_size(struct mu_str s, uint64_t *out_bytes);
bool mu_parse_duration(struct mu_str s, uint64_t *out_ms);
/* Thousandths with at most three decimals: "0.25" -> 250. */
bool mu_parse_milli(struct mu_str s, uint64_t *out_milli);
/* "2026-11-22T20:00:00Z", offsets and fractions allowed. */
bool mu_parse_time(struct mu_str s, uint64_t *out_ms);

enum { MU_TEXT_UNITS = 40 };
/* Short human forms into text (MU_TEXT_UNITS bytes); return text. */
char *mu_size_text(char *text, uint64_t bytes);
char *mu_duration_text(char *text, uint64_t ms);
char *mu_milli_text(char *text, uint64_t milli);
char *mu_time_text(char *text, uint64_t ms);

#endif
