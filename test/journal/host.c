#include "journal/host.h"

#include <stdlib.h>

struct post {
    struct mu_list link;
    void (*fn)(void *p);
    void *p;
    uint64_t due_ns; /* timers */
};

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t boot_ns(void *arg)
{
    struct host *h = arg;

    return (h->real ? clock_ns() : h->now_ns) + h->jump_ns;
}

static struct post *post_new(void (*fn)(void *p), void *p)
{
    struct post *post = calloc(1, sizeof *post);

    MU_ASSERT(post != NULL);
    post->fn = fn;
    post->p = p;
    return post;
}

static void post(void *arg, void (*fn)(void *p), void *p)
{
    struct host *h = arg;
    struct post *it = post_new(fn, p);

    pthread_mutex_lock(&h->lock);
    mu_list_add_tail(&h->posts, &it->link);
    pthread_cond_signal(&h->posted);
    pthread_mutex_unlock(&h->lock);
}

static void *after(void *arg, uint64_t delay_ms, void (*fn)(void *p), void *p)
{
    struct host *h = arg;
    struct post *it = post_new(fn, p);
    struct mu_list *at = h->timers.prev;

    it->due_ns = (h->real ? clock_ns() : h->now_ns) + delay_ms * 1000000;
    while (at != &h->timers && MU_CONTAINER(at, struct post, link)->due_ns > it->due_ns)
        at = at->prev;
    mu_list_add_head(at, &it->link);
    return it;
}

static void cancel(void *arg, void *timer)
{
    struct post *it = timer;

    (void)arg;
    mu_list_remove(&it->link);
    free(it);
}

static void random_bytes(void *arg, void *bytes, size_t size)
{
    struct host *h = arg;

    for (size_t i = 0; i < size; i++) {
        h->random = h->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(h->random >> 56);
    }
}

void host_init(struct host *h, bool real)
{
    static const struct mu_journal_host calls = { .boot_ns = boot_ns, .post = post, .after = after, .cancel = cancel,
                                                  .random = random_bytes };
    pthread_condattr_t attr;

    *h = (struct host){ .calls = calls, .real = real, .now_ns = 1000000000, .random = real ? clock_ns() : 1 };
    h->calls.arg = h;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->posted, &attr);
    pthread_condattr_destroy(&attr);
    mu_list_init(&h->posts);
    mu_list_init(&h->timers);
}

static void forget(struct mu_list *list)
{
    MU_LIST_EACH_SAFE(it, list)
        free(MU_CONTAINER(it, struct post, link));
}

void host_fini(struct host *h)
{
    forget(&h->posts);
    forget(&h->timers);
    pthread_cond_destroy(&h->posted);
    pthread_mutex_destroy(&h->lock);
}

/* The next post, or NULL when none came for wait_ns (none at all with a clock of our own). */
static struct post *take_post(struct host *h, uint64_t wait_ns)
{
    struct post *it = NULL;
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    wait_ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(wait_ns / 1000000000);
    until.tv_nsec = (long)(wait_ns % 1000000000);
    pthread_mutex_lock(&h->lock);
    while (h->real && mu_list_is_empty(&h->posts) && rc == 0)
        rc = pthread_cond_timedwait(&h->posted, &h->lock, &until);
    if (!mu_list_is_empty(&h->posts)) {
        it = MU_CONTAINER(h->posts.next, struct post, link);
        mu_list_remove(&it->link);
    }
    pthread_mutex_unlock(&h->lock);
    return it;
}

bool host_turn(struct host *h, uint64_t limit_ms)
{
    uint64_t limit_ns = limit_ms * 1000000, now = h->real ? clock_ns() : h->now_ns;
    struct post *timer = mu_list_is_empty(&h->timers) ? NULL : MU_CONTAINER(h->timers.next, struct post, link);
    uint64_t wait_ns = timer == NULL || timer->due_ns > now + limit_ns ? limit_ns
                       : timer->due_ns > now                           ? timer->due_ns - now
                                                                       : 0;
    struct post *it = take_post(h, wait_ns);

    if (it == NULL && timer != NULL && timer->due_ns <= now + wait_ns) {
        it = timer;
        mu_list_remove(&it->link);
        if (!h->real && it->due_ns > h->now_ns)
            h->now_ns = it->due_ns;
    }
    if (it == NULL) {
        if (!h->real)
            h->now_ns += limit_ns;
        return false;
    }
    it->fn(it->p);
    free(it);
    return true;
}

bool host_until(struct host *h, bool (*is)(void *arg), void *arg, uint64_t limit_ms)
{
    uint64_t end = boot_ns(h) - h->jump_ns + limit_ms * 1000000, now;

    while (!is(arg)) {
        now = boot_ns(h) - h->jump_ns;
        if (now >= end)
            return false;
        host_turn(h, (end - now) / 1000000 + 1);
    }
    return true;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

void host_run(struct host *h, uint64_t for_ms)
{
    host_until(h, never, NULL, for_ms);
}
