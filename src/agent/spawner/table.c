/* agent/spawner/table.c -- see table.h. Chained hashes over plain pages. */
#include "table.h"

#include <sys/mman.h>
#include <unistd.h>

enum { BUCKETS_FIRST = 512 };

static void *pages(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        _exit(1);
    return p;
}

static uint32_t slot_of(uint64_t key, uint32_t mask)
{
    return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
}

static void buckets_make(struct table *t, uint32_t buckets)
{
    t->by_id = pages(2 * (size_t)buckets * sizeof *t->by_id);
    t->by_pid = t->by_id + buckets;
    t->mask = buckets - 1;
}

static void link_id(struct table *t, struct task *task)
{
    struct task **head = &t->by_id[slot_of(task->pub.id, t->mask)];

    task->next_id = *head;
    *head = task;
}

static void link_pid(struct table *t, struct task *task)
{
    struct task **head = &t->by_pid[slot_of(task->pub.pid, t->mask)];

    task->next_pid = *head;
    *head = task;
}

static void grow(struct table *t)
{
    struct task **old = t->by_id, **old_pid = t->by_pid;
    uint32_t buckets = t->mask + 1;

    buckets_make(t, 4 * buckets);
    for (uint32_t i = 0; i < buckets; i++) {
        for (struct task *task = old[i], *next; task != NULL; task = next) {
            next = task->next_id;
            link_id(t, task);
        }
        for (struct task *task = old_pid[i], *next; task != NULL; task = next) {
            next = task->next_pid;
            link_pid(t, task);
        }
    }
    munmap(old, 2 * (size_t)buckets * sizeof(struct task *));
}

void table_init(struct table *t)
{
    *t = (struct table){ .all = pages(MU_SP_TASKS_MAX * sizeof(struct task)) };
    buckets_make(t, BUCKETS_FIRST);
}

struct task *table_take(struct table *t, uint64_t id)
{
    struct task *task = t->free;

    if (task != NULL)
        t->free = task->next_id;
    else if (t->used_max < MU_SP_TASKS_MAX)
        task = &t->all[t->used_max++];
    else
        return NULL;
    if (++t->count > 2 * t->mask)
        grow(t);
    memset(task, 0, sizeof *task);
    task->pub.id = id;
    mu_list_init(&task->link);
    mu_list_init(&task->due);
    link_id(t, task);
    return task;
}

void table_drop(struct table *t, struct task *task)
{
    struct task **at = &t->by_id[slot_of(task->pub.id, t->mask)];

    table_pid_gone(t, task);
    while (*at != task)
        at = &(*at)->next_id;
    *at = task->next_id;
    mu_list_remove(&task->link);
    mu_list_remove(&task->due);
    task->pub.id = 0;
    task->next_id = t->free;
    t->free = task;
    t->count--;
}

struct task *table_find(const struct table *t, uint64_t id)
{
    struct task *task = t->by_id[slot_of(id, t->mask)];

    while (task != NULL && task->pub.id != id)
        task = task->next_id;
    return task;
}

void table_pid(struct table *t, struct task *task, uint32_t pid)
{
    task->pub.pid = pid;
    link_pid(t, task);
}

struct task *table_find_pid(const struct table *t, uint32_t pid)
{
    struct task *task = t->by_pid[slot_of(pid, t->mask)];

    while (task != NULL && task->pub.pid != pid)
        task = task->next_pid;
    return task;
}

void table_pid_gone(struct table *t, struct task *task)
{
    struct task **at = &t->by_pid[slot_of(task->pub.pid, t->mask)];

    while (*at != NULL && *at != task)
        at = &(*at)->next_pid;
    if (*at == task)
        *at = task->next_pid;
}
