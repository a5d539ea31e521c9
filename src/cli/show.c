/* cli/show.c -- tables and the progress bar; see cli.h. */
#include "cli/cli.h"

#include "base/assert.h"
#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void table_push(struct mu_table *t, char *cell)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->cells = realloc(t->cells, t->cap * sizeof *t->cells);
        MU_ASSERT(t->cells != NULL);
    }
    t->cells[t->count++] = cell;
}

void mu_table_open(struct mu_table *t, const char *const *heads, uint32_t columns)
{
    memset(t, 0, sizeof *t);
    t->columns = columns;
    for (uint32_t i = 0; i < columns; i++)
        table_push(t, strdup(heads[i]));
}

void mu_table_add(struct mu_table *t, const char *fmt, ...)
{
    char *cell = NULL;
    va_list ap;

    va_start(ap, fmt);
    MU_ASSERT(vasprintf(&cell, fmt, ap) >= 0);
    va_end(ap);
    table_push(t, cell);
}

/* Columns of characters, not bytes: continuation bytes of UTF-8 take none. */
static int width_of(const char *s)
{
    int n = 0;

    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

void mu_table_print(struct mu_table *t)
{
    int width[32] = { 0 };

    MU_ASSERT(t->columns <= MU_COUNT(width) && t->count % t->columns == 0);
    for (uint32_t i = 0; i < t->count; i++)
        if (width_of(t->cells[i]) > width[i % t->columns])
            width[i % t->columns] = width_of(t->cells[i]);
    for (uint32_t i = 0; i < t->count; i++) {
        bool last = (i + 1) % t->columns == 0;
        printf("%s%*s", t->cells[i], last ? 0 : width[i % t->columns] - width_of(t->cells[i]) + 2, "");
        if (last)
            putchar('\n');
        free(t->cells[i]);
    }
    free(t->cells);
}

void mu_progress_open(struct mu_progress *p)
{
    struct winsize w = { 0 };

    memset(p, 0, sizeof *p);
    p->on = isatty(2);
    p->started_ms = mu_cli_now_ms();
    p->width = p->on && ioctl(2, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

void mu_progress_show(struct mu_progress *p, uint64_t done, uint64_t failed, uint64_t running, uint64_t total)
{
    uint64_t now = mu_cli_now_ms(), spent = now - p->started_ms;
    char text[160], rest[MU_TEXT_UNITS] = "";
    int bar, full;

    if (!p->on || (p->drawn_ms != 0 && now - p->drawn_ms < 100))
        return;
    p->drawn_ms = now;
    if (done > 0 && total > done && spent > 500)
        mu_duration_text(rest, spent * (total - done) / done);
    snprintf(text, sizeof text, " %llu/%llu  %llu running%s%.0llu%s  %.0f/s%s%s", (unsigned long long)done,
             (unsigned long long)total, (unsigned long long)running, failed ? "  " : "", (unsigned long long)failed,
             failed ? " failed" : "", spent > 0 ? (double)done * 1000.0 / (double)spent : 0.0, rest[0] ? "  left " : "", rest);
    bar = (int)p->width - (int)strlen(text) - 3;
    bar = bar > 40 ? 40 : bar < 5 ? 5 : bar;
    full = total > 0 ? (int)((uint64_t)bar * done / total) : 0;
    fputs("\r\033[K[", stderr);
    for (int i = 0; i < bar; i++)
        fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "]%s", text);
    fflush(stderr);
}

void mu_progress_clear(struct mu_progress *p)
{
    if (p->on && p->drawn_ms != 0)
        fputs("\r\033[K", stderr);
    p->drawn_ms = 0;
}

void mu_progress_close(struct mu_progress *p)
{
    mu_progress_clear(p);
    p->on = false;
}
