#include "core/jobs.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 256 };

struct mu_jobs_page {
    uint64_t number; /* it holds ids [number * PAGE, (number + 1) * PAGE) */
    uint32_t used;
    struct mu_job *at[PAGE];
};

/* The first page with that number or a larger one. */
static uint32_t page_place(const struct mu_jobs *j, uint64_t number)
{
    uint64_t low = 0, high = j->pages_count;

    if (high && number >= j->pages[0]->number && number - j->pages[0]->number < high) {
        high = number - j->pages[0]->number; /* exactly there while no page before it is missing */
        if (j->pages[high]->number == number)
            return (uint32_t)high;
    }
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (j->pages[mid]->number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return (uint32_t)low;
}

void mu_jobs_fini(struct mu_jobs *j)
{
    for (uint32_t i = 0; i < j->pages_count; i++)
        free(j->pages[i]);
    free(j->pages);
    *j = (struct mu_jobs){ 0 };
}

struct mu_job *mu_jobs_find(const struct mu_jobs *j, uint64_t id)
{
    uint32_t place = page_place(j, id / PAGE);

    if (place == j->pages_count || j->pages[place]->number != id / PAGE)
        return NULL;
    return j->pages[place]->at[id % PAGE];
}

static struct mu_jobs_page *page_add(struct mu_jobs *j, uint64_t number)
{
    struct mu_jobs_page *page = calloc(1, sizeof *page);

    if (j->pages_count == j->pages_cap) {
        j->pages_cap = j->pages_cap ? j->pages_cap * 2 : 16;
        j->pages = realloc(j->pages, j->pages_cap * sizeof j->pages[0]);
    }
    MU_ASSERT(page != NULL && j->pages != NULL);
    page->number = number;
    j->pages[j->pages_count++] = page;
    return page;
}

void mu_jobs_add(struct mu_jobs *j, uint64_t id, struct mu_job *job)
{
    struct mu_jobs_page *page = j->pages_count ? j->pages[j->pages_count - 1] : NULL;

    MU_ASSERT(page == NULL || page->number <= id / PAGE);
    if (page == NULL || page->number != id / PAGE)
        page = page_add(j, id / PAGE);
    MU_ASSERT(page->at[id % PAGE] == NULL);
    page->at[id % PAGE] = job;
    page->used++;
    j->count++;
}

void mu_jobs_remove(struct mu_jobs *j, uint64_t id)
{
    uint32_t place = page_place(j, id / PAGE);
    struct mu_jobs_page *page = j->pages[place];

    MU_ASSERT(page->number == id / PAGE && page->at[id % PAGE] != NULL);
    page->at[id % PAGE] = NULL;
    j->count--;
    if (--page->used)
        return;
    free(page);
    j->pages_count--;
    memmove(j->pages + place, j->pages + place + 1, (j->pages_count - place) * sizeof j->pages[0]);
}

struct mu_job *mu_jobs_next(const struct mu_jobs *j, uint64_t after)
{
    uint64_t id = after + 1;

    if (id == 0)
        return NULL;
    for (uint32_t p = page_place(j, id / PAGE); p < j->pages_count; p++) {
        const struct mu_jobs_page *page = j->pages[p];
        for (uint32_t i = page->number == id / PAGE ? id % PAGE : 0; i < PAGE; i++) {
            if (page->at[i])
                return page->at[i];
        }
    }
    return NULL;
}

struct mu_job *mu_jobs_prev(const struct mu_jobs *j, uint64_t before)
{
    uint32_t p = page_place(j, before / PAGE);

    if (p < j->pages_count && j->pages[p]->number == before / PAGE)
        p++;
    for (; p > 0; p--) {
        const struct mu_jobs_page *page = j->pages[p - 1];
        for (uint32_t i = page->number == before / PAGE ? before % PAGE : PAGE; i > 0; i--) {
            if (page->at[i - 1])
                return page->at[i - 1];
        }
    }
    return NULL;
}
