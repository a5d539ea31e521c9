#include "base/log.h"

#include "base/assert.h"
#include "base/units.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

enum { LINE = 1024 };

static const char *const names[] = { "error", "warn", "info", "debug" };
static enum mu_log_level max_level = MU_LOG_INFO;
static uint64_t (*wall_clock)(void);

void mu_log_level_set(enum mu_log_level level)
{
    MU_ASSERT(level < MU_COUNT(names));
    max_level = level;
}

void mu_log_clock(uint64_t (*wall_ms)(void))
{
    wall_clock = wall_ms;
}

void mu_log(enum mu_log_level level, const char *room, const char *fmt, ...)
{
    char line[LINE], when[MU_TEXT_UNITS] = "";
    size_t size;
    va_list ap;

    if (level > max_level)
        return;
    if (wall_clock)
        mu_time_text(when, wall_clock());
    snprintf(line, sizeof line - 1, "%s%s%s %s: ", when, when[0] ? " " : "", names[level], room);
    size = strlen(line);
    va_start(ap, fmt);
    vsnprintf(line + size, sizeof line - 1 - size, fmt, ap);
    va_end(ap);
    size = strlen(line);
    for (size_t i = 0; i < size; i++) /* what a peer sent must not make lines of its own */
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    line[size++] = '\n';
    while (write(STDERR_FILENO, line, size) < 0 && errno == EINTR)
        continue;
}
