/* Four bits a task. A page with one state only keeps that state and no bits. */
#include "core/taskset.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = MU_TASKSET_PAGE, WORDS = PAGE / 16, NONE = 0xff };
#define ONES UINT64_C(0x1111111111111111)

struct page {
    uint64_t *bits;                  /* NULL: all tasks are `same` */
    uint16_t count[MU_TASK_STATES];
    uint8_t same;                    /* NONE while bits is set */
};
struct mu_taskset_pages {
    uint32_t count[MU_TASK_STATES];
    uint32_t lowest[MU_TASK_STATES]; /* no page below has that state */
    uint32_t pages, cap;
    struct page at[];
};

static void *checked(void *memory)
{
    MU_ASSERT(memory != NULL);
    return memory;
}

static uint32_t page_tasks(const struct mu_taskset *s, uint32_t page)
{
    uint32_t rest = s->tasks - page * PAGE;

    return rest < PAGE ? rest : PAGE;
}

static enum mu_task_state bits_get(const uint64_t *bits, uint32_t i)
{
    return (enum mu_task_state)(bits[i / 16] >> i % 16 * 4 & 15);
}

static void bits_set(uint64_t *bits, uint32_t i, enum mu_task_state to)
{
    uint32_t shift = i % 16 * 4;

    bits[i / 16] = (bits[i / 16] & ~(UINT64_C(15) << shift)) | (uint64_t)to << shift;
}

/* First i in [from, end) whose state is (want) or is not (!want) the one given; end if none. */
static uint32_t bits_seek(const uint64_t *bits, enum mu_task_state state, bool want, uint32_t from, uint32_t end)
{
    for (uint32_t w = from / 16; w < (end + 15) / 16; w++) {
        uint64_t diff = bits[w] ^ ONES * (uint64_t)state;
        uint64_t differs = (diff | diff >> 1 | diff >> 2 | diff >> 3) & ONES;
        uint64_t hits = want ? differs ^ ONES : differs;
        if (w == from / 16)
            hits &= ~UINT64_C(0) << from % 16 * 4;
        if (hits) {
            uint32_t i = w * 16 + (uint32_t)__builtin_ctzll(hits) / 4;
            return i < end ? i : end;
        }
    }
    return end;
}

static void page_split(struct page *p)
{
    p->bits = checked(malloc(WORDS * sizeof p->bits[0]));
    for (uint32_t w = 0; w < WORDS; w++)
        p->bits[w] = ONES * p->same;
    p->same = NONE;
}

static void page_join(struct page *p, enum mu_task_state state)
{
    free(p->bits);
    p->bits = NULL;
    p->same = (uint8_t)state;
}

/* Keep the hint true: state has appeared in this page, or has left it. */
static void lowest_update(struct mu_taskset_pages *all, enum mu_task_state state, uint32_t page)
{
    if (all->at[page].count[state]) {
        if (page < all->lowest[state])
            all->lowest[state] = page;
        return;
    }
    while (all->lowest[state] == page && page < all->pages && all->at[page].count[state] == 0)
        all->lowest[state] = ++page;
}

static void recount(struct mu_taskset_pages *all, uint32_t page, enum mu_task_state from, enum mu_task_state to,
                    uint32_t count)
{
    struct page *p = &all->at[page];

    p->count[from] = (uint16_t)(p->count[from] - count);
    p->count[to] = (uint16_t)(p->count[to] + count);
    all->count[from] -= count;
    all->count[to] += count;
    lowest_update(all, to, page);
    if (p->count[from] == 0)
        lowest_update(all, from, page);
}

static void pages_room(struct mu_taskset *s, uint32_t pages)
{
    struct mu_taskset_pages *all = s->pages;
    uint32_t cap = pages;

    if (all && all->cap >= pages)
        return;
    if (all && cap < all->cap * 2)
        cap = all->cap * 2;
    s->pages = checked(realloc(all, sizeof *all + cap * sizeof all->at[0]));
    if (all == NULL) {
        memset(s->pages, 0, sizeof *all);
        memset(s->pages->lowest, 0xff, sizeof all->lowest); /* nowhere yet */
    }
    s->pages->cap = cap;
}

/* Tasks added at the end of one page, which may be new. */
static void page_grow(struct mu_taskset *s, uint32_t page, uint32_t count, enum mu_task_state state)
{
    struct mu_taskset_pages *all = s->pages;
    struct page *p = &all->at[page];
    uint32_t had = 0;

    if (page == all->pages) {
        *p = (struct page){ .same = (uint8_t)state };
        all->pages++;
    }
    for (uint32_t i = 0; i < MU_TASK_STATES; i++)
        had += p->count[i];
    if (p->bits == NULL && p->same != state)
        page_split(p);
    for (uint32_t i = had; p->bits && i < had + count; i++)
        bits_set(p->bits, i, state);
    p->count[state] = (uint16_t)(p->count[state] + count);
    all->count[state] += count;
    lowest_update(all, state, page);
}

void mu_taskset_init(struct mu_taskset *s, uint32_t tasks, enum mu_task_state state)
{
    *s = (struct mu_taskset){ 0 };
    mu_taskset_grow(s, tasks, state);
}

void mu_taskset_fini(struct mu_taskset *s)
{
    for (uint32_t i = 0; s->pages && i < s->pages->pages; i++)
        free(s->pages->at[i].bits);
    free(s->pages);
    *s = (struct mu_taskset){ 0 };
}

void mu_taskset_grow(struct mu_taskset *s, uint32_t more, enum mu_task_state state)
{
    uint32_t tasks = s->tasks + more, at = s->pages ? s->tasks : 0;

    MU_ASSERT(more <= MU_TASKS_PER_JOB_MAX && tasks <= MU_TASKS_PER_JOB_MAX);
    if (more == 0)
        return;
    if (tasks == 1) {
        s->tasks = 1;
        s->one = (uint8_t)state;
        return;
    }
    pages_room(s, (tasks + PAGE - 1) / PAGE);
    if (at == 0 && s->tasks == 1) {
        page_grow(s, 0, 1, (enum mu_task_state)s->one);
        at = 1;
    }
    s->tasks = tasks;
    while (at < tasks) {
        uint32_t count = PAGE - at % PAGE < tasks - at ? PAGE - at % PAGE : tasks - at;
        page_grow(s, at / PAGE, count, state);
        at += count;
    }
}

enum mu_task_state mu_taskset_get(const struct mu_taskset *s, uint32_t i)
{
    const struct page *p;

    MU_ASSERT(i < s->tasks);
    if (s->pages == NULL)
        return (enum mu_task_state)s->one;
    p = &s->pages->at[i / PAGE];
    return p->bits ? bits_get(p->bits, i % PAGE) : (enum mu_task_state)p->same;
}

void mu_taskset_set(struct mu_taskset *s, uint32_t i, enum mu_task_state to)
{
    enum mu_task_state from = mu_taskset_get(s, i);
    struct page *p;

    if (from == to)
        return;
    if (s->pages == NULL) {
        s->one = (uint8_t)to;
        return;
    }
    p = &s->pages->at[i / PAGE];
    if (p->bits == NULL)
        page_split(p);
    bits_set(p->bits, i % PAGE, to);
    recount(s->pages, i / PAGE, from, to, 1);
    if (p->count[to] == page_tasks(s, i / PAGE))
        page_join(p, to);
}

static void page_set_all(struct mu_taskset *s, uint32_t page, enum mu_task_state to)
{
    struct page *p = &s->pages->at[page];

    for (uint32_t from = 0; from < MU_TASK_STATES; from++) {
        if (from != (uint32_t)to && p->count[from])
            recount(s->pages, page, (enum mu_task_state)from, to, p->count[from]);
    }
    page_join(p, to);
}

void mu_taskset_set_run(struct mu_taskset *s, uint32_t first, uint32_t count, enum mu_task_state to)
{
    uint32_t end = first + count;

    MU_ASSERT(end >= first && end <= s->tasks);
    while (first < end) {
        if (s->pages && first % PAGE == 0 && end - first >= page_tasks(s, first / PAGE)) {
            page_set_all(s, first / PAGE, to);
            first += page_tasks(s, first / PAGE);
        } else {
            mu_taskset_set(s, first++, to);
        }
    }
}

uint32_t mu_taskset_count(const struct mu_taskset *s, enum mu_task_state state)
{
    if (s->pages == NULL)
        return s->tasks == 1 && s->one == state;
    return s->pages->count[state];
}

uint32_t mu_taskset_next(const struct mu_taskset *s, enum mu_task_state state, uint32_t from)
{
    const struct mu_taskset_pages *all = s->pages;
    uint32_t page = from / PAGE;

    if (all == NULL)
        return from == 0 && s->tasks == 1 && s->one == state ? 0 : UINT32_MAX;
    if (page < all->lowest[state]) {
        page = all->lowest[state];
        from = page * PAGE;
    }
    for (; page < all->pages; page++, from = page * PAGE) {
        const struct page *p = &all->at[page];
        uint32_t end = page_tasks(s, page), i = from - page * PAGE;
        if (p->count[state] == 0 || i >= end)
            continue;
        if (p->bits)
            i = bits_seek(p->bits, state, true, i, end);
        if (i < end)
            return page * PAGE + i;
    }
    return UINT32_MAX;
}

uint32_t mu_taskset_run(const struct mu_taskset *s, uint32_t from, uint32_t end, enum mu_task_state *out_state)
{
    enum mu_task_state state = mu_taskset_get(s, from);
    uint32_t at = from;

    MU_ASSERT(end <= s->tasks);
    *out_state = state;
    while (s->pages && at < end) {
        const struct page *p = &s->pages->at[at / PAGE];
        uint32_t base = at / PAGE * PAGE, stop = page_tasks(s, at / PAGE);
        if (p->bits) {
            uint32_t to = bits_seek(p->bits, state, false, at - base, stop);
            at = base + to;
            if (to < stop)
                break;
        } else if (p->same == state) {
            at = base + stop;
        } else {
            break;
        }
    }
    if (s->pages == NULL)
        return 1;
    return (at < end ? at : end) - from;
}

static const char *page_flaw(const struct mu_taskset *s, uint32_t page, uint32_t sum[MU_TASK_STATES])
{
    const struct page *p = &s->pages->at[page];
    uint16_t seen[MU_TASK_STATES] = { 0 };

    for (uint32_t i = 0; i < page_tasks(s, page); i++) {
        enum mu_task_state state = p->bits ? bits_get(p->bits, i) : (enum mu_task_state)p->same;
        if (state >= MU_TASK_STATES)
            return "a task has no state";
        seen[state]++;
    }
    if (memcmp(seen, p->count, sizeof seen) != 0)
        return "a page's counts are not those of its tasks";
    for (uint32_t i = 0; i < MU_TASK_STATES; i++) {
        sum[i] += seen[i];
        if (seen[i] && page < s->pages->lowest[i])
            return "a state is below its lowest page";
        if (p->bits && seen[i] == page_tasks(s, page))
            return "a page of one state has bits";
    }
    return NULL;
}

const char *mu_taskset_flaw(const struct mu_taskset *s)
{
    uint32_t sum[MU_TASK_STATES] = { 0 };
    const char *flaw = NULL;

    if (s->pages == NULL)
        return s->tasks > 1 ? "many tasks without pages" : s->one >= MU_TASK_STATES ? "a task has no state" : NULL;
    if (s->tasks < 2 || s->pages->pages != (s->tasks + PAGE - 1) / PAGE)
        return "the number of pages is not that of the tasks";
    for (uint32_t i = 0; i < s->pages->pages && flaw == NULL; i++)
        flaw = page_flaw(s, i, sum);
    if (flaw == NULL && memcmp(sum, s->pages->count, sizeof sum) != 0)
        flaw = "the counts are not those of the pages";
    return flaw;
}
