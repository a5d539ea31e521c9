/* sim/world.h -- one seed, one clock, one queue of what happens next.
 *
 * What       virtual time, chance, timers, processes that may be dead or stopped, notes of what happened.
 * Ownership  the world owns its timers. What is handed to mu_proc_run is one malloc block: the callee frees it, the
 *            world does when the process is dead.
 * Time       microseconds from 0. Equal times happen in the order they were asked for.
 * Threads    none.
 * Failure    mu_world_fail keeps the first reason; the run stops after the present event.
 * Limits     none.
 */
#ifndef MU_SIM_WORLD_H
#define MU_SIM_WORLD_H

#include "base/heap.h"
#include "base/list.h"
#include "base/rng.h"
#include "sim/sim.h"

#include <stdbool.h>
#include <stdint.h>

enum { MU_WORLD_WHY = 400 };

typedef void mu_world_fn(void *arg);
struct mu_timer {
    struct mu_heap_link link;
    mu_world_fn *fn;
    void *arg;
    bool given;
};

struct mu_world {
    uint64_t now_us, tie, events;
    struct mu_rng rng;
    struct mu_heap timers;
    uint64_t hash; /* of all notes */
    void (*trace)(void *arg, const struct mu_note *note); /* NULL: none */
    void *trace_arg;
    bool failed;
    char why[MU_WORLD_WHY];
};

void mu_world_init(struct mu_world *w, uint64_t seed);
void mu_world_fini(struct mu_world *w);
/* Run fn(arg) once, delay from now. The timer is gone when fn is called. */
struct mu_timer *mu_world_after(struct mu_world *w, uint64_t delay_us, mu_world_fn *fn, void *arg);
/* The same; arg is one malloc block that fn frees, or the world when it ends before. */
struct mu_timer *mu_world_give(struct mu_world *w, uint64_t delay_us, mu_world_fn *fn, void *arg);
/* Accepts NULL. What was given is the caller's again. */
void mu_world_cancel(struct mu_world *w, struct mu_timer *t);
/* The next thing happens; false: nothing is left. */
bool mu_world_step(struct mu_world *w);

uint64_t mu_world_below(struct mu_world *w, uint64_t n); /* n > 0 */
uint64_t mu_world_between(struct mu_world *w, uint64_t low, uint64_t high); /* both included */
bool mu_world_chance(struct mu_world *w, uint32_t of_1000);

void mu_world_note(struct mu_world *w, const char *what, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
__attribute__((format(printf, 2, 3)))
void mu_world_fail(struct mu_world *w, const char *fmt, ...);

/* A process of the modelled machines. */
struct mu_proc {
    struct mu_world *world;
    bool alive, paused;
    struct mu_list inbox; /* what came while it was stopped */
};
void mu_proc_start(struct mu_proc *p, struct mu_world *w);
/* Give fn(arg) to the process: now, when it goes on, or never. */
void mu_proc_run(struct mu_proc *p, mu_world_fn *fn, void *arg);
void mu_proc_kill(struct mu_proc *p);
void mu_proc_pause(struct mu_proc *p);
void mu_proc_resume(struct mu_proc *p);

#endif
