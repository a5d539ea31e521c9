/* Virtual time, chance and processes. */
#include "sim/world.h"

#include "base/assert.h"
#include "base/hash.h"

#include <stdarg.h>

struct call {
    struct mu_list link;
    mu_world_fn *fn;
    void *arg;
};

void mu_world_init(struct mu_world *w, uint64_t seed)
{
    *w = (struct mu_world){ 0 };
    mu_rng_seed(&w->rng, seed);
}

void mu_world_fini(struct mu_world *w)
{
    while (w->timers.count > 0) {
        struct mu_timer *t = MU_CONTAINER(mu_heap_min(&w->timers), struct mu_timer, link);
        if (t->given)
            free(t->arg);
        mu_world_cancel(w, t);
    }
    mu_heap_fini(&w->timers);
}

struct mu_timer *mu_world_after(struct mu_world *w, uint64_t delay_us, mu_world_fn *fn, void *arg)
{
    struct mu_timer *t = calloc(1, sizeof *t);

    MU_ASSERT(t != NULL);
    t->fn = fn;
    t->arg = arg;
    mu_heap_add(&w->timers, &t->link, w->now_us + delay_us, w->tie++);
    return t;
}

struct mu_timer *mu_world_give(struct mu_world *w, uint64_t delay_us, mu_world_fn *fn, void *arg)
{
    struct mu_timer *t = mu_world_after(w, delay_us, fn, arg);

    t->given = true;
    return t;
}

void mu_world_cancel(struct mu_world *w, struct mu_timer *t)
{
    if (t == NULL)
        return;
    mu_heap_remove(&w->timers, &t->link);
    free(t);
}

bool mu_world_step(struct mu_world *w)
{
    struct mu_heap_link *min = mu_heap_min(&w->timers);
    struct mu_timer t;

    if (min == NULL)
        return false;
    t = *MU_CONTAINER(min, struct mu_timer, link);
    MU_ASSERT(min->key >= w->now_us);
    w->now_us = min->key;
    w->events++;
    mu_world_cancel(w, MU_CONTAINER(min, struct mu_timer, link));
    t.fn(t.arg);
    return true;
}

uint64_t mu_world_below(struct mu_world *w, uint64_t n)
{
    MU_ASSERT(n > 0);
    return n <= UINT32_MAX ? mu_rng_below(&w->rng, (uint32_t)n) : mu_rng_next(&w->rng) % n;
}

uint64_t mu_world_between(struct mu_world *w, uint64_t low, uint64_t high)
{
    MU_ASSERT(low <= high);
    return low + mu_world_below(w, high - low + 1);
}

bool mu_world_chance(struct mu_world *w, uint32_t of_1000)
{
    return mu_rng_below(&w->rng, 1000) < of_1000;
}

void mu_world_note(struct mu_world *w, const char *what, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct mu_note note = { .at_us = w->now_us, .what = what, .n = { a, b, c, d } };

    w->hash = mu_hash_mix(w->hash, w->now_us);
    w->hash = mu_hash_mix(w->hash, strlen(what) << 8 | (unsigned char)what[0]);
    for (int i = 0; i < 4; i++)
        w->hash = mu_hash_mix(w->hash, note.n[i]);
    if (w->trace)
        w->trace(w->trace_arg, &note);
}

void mu_world_fail(struct mu_world *w, const char *fmt, ...)
{
    va_list ap;

    if (w->failed)
        return;
    w->failed = true;
    va_start(ap, fmt);
    vsnprintf(w->why, sizeof w->why, fmt, ap);
    va_end(ap);
}

/* ---- processes ---- */

static void inbox_drop(struct mu_proc *p)
{
    while (!mu_list_is_empty(&p->inbox)) {
        struct call *c = MU_CONTAINER(p->inbox.next, struct call, link);
        mu_list_remove(&c->link);
        free(c->arg);
        free(c);
    }
}

void mu_proc_start(struct mu_proc *p, struct mu_world *w)
{
    *p = (struct mu_proc){ .world = w, .alive = true };
    mu_list_init(&p->inbox);
}

void mu_proc_run(struct mu_proc *p, mu_world_fn *fn, void *arg)
{
    struct call *c;

    if (!p->alive) {
        free(arg);
        return;
    }
    if (!p->paused) {
        fn(arg);
        return;
    }
    c = calloc(1, sizeof *c);
    MU_ASSERT(c != NULL);
    c->fn = fn;
    c->arg = arg;
    mu_list_add_tail(&p->inbox, &c->link);
}

void mu_proc_kill(struct mu_proc *p)
{
    if (!p->alive)
        return;
    p->alive = p->paused = false;
    inbox_drop(p);
}

void mu_proc_pause(struct mu_proc *p)
{
    if (p->alive)
        p->paused = true;
}

void mu_proc_resume(struct mu_proc *p)
{
    if (!p->alive || !p->paused)
        return;
    p->paused = false;
    while (p->alive && !p->paused && !mu_list_is_empty(&p->inbox)) {
        struct call *c = MU_CONTAINER(p->inbox.next, struct call, link);
        mu_list_remove(&c->link);
        c->fn(c->arg);
        free(c);
    }
}
