/* base/log.h -- one line a happening on stderr: level, room, text. Shells only.
 *
 * What       levels error warn info debug; set once at start.
 * Ownership  none.   Time  shells give a clock through mu_log_clock (may stay unset).
 * Threads    a line is one write(2).   Failure  a lost log line is not an error.   Limits  1 KiB a line.
 */
#ifndef MU_BASE_LOG_H
#define MU_BASE_LOG_H

#include <stdint.h>

enum mu_log_level { MU_LOG_ERROR, MU_LOG_WARN, MU_LOG_INFO, MU_LOG_DEBUG };

void mu_log_level_set(enum mu_log_level level);
void mu_log_clock(uint64_t (*wall_ms)(void));
__attribute__((format(printf, 3, 4)))
void mu_log(enum mu_log_level level, const char *room, const char *fmt, ...);

#endif
