/* io/loop.h -- the one event loop of a process: timers, posts, signals, descriptors, turns.
 *
 * What       libuv wrapped once. A turn: every event that is ready is handled, then the turn hooks run in the order
 *            they were added, then all streams written to are flushed (one write each), then the loop sleeps.
 * Ownership  the loop owns its handles until they are freed; mu_loop_close frees none of the caller's: free them first.
 * Time       mu_loop_now_ms is monotonic and fixed within a batch; mu_boot_ns and mu_wall_ms read the clock anew.
 * Threads    one loop a thread. Only mu_loop_post may be called from other threads.
 * Failure    mu_loop_open may fail; the rest aborts when memory is out.
 * Limits     none of its own.
 *
 * A callback may free any handle, its own too. SIGPIPE is ignored from mu_loop_open on.
 */
#ifndef MU_IO_LOOP_H
#define MU_IO_LOOP_H

#include "base/err.h"
#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_loop;
struct mu_timer;
struct mu_signal;
struct mu_watch;

enum mu_rc mu_loop_open(struct mu_loop **out_loop, struct mu_err *err);
/* Runs what was posted and what is closing to its end, cuts off streams that are finishing, then frees. Accepts NULL.
 * Open handles of others: asserted. */
void mu_loop_close(struct mu_loop *loop);
/* Until mu_loop_stop. */
void mu_loop_run(struct mu_loop *loop);
/* The turn under way is finished first, hooks and flushes included. */
void mu_loop_stop(struct mu_loop *loop);
/* One turn: waits at most wait_ms for something to happen (0: not at all). For tests and tools. */
void mu_loop_turn(struct mu_loop *loop, uint64_t wait_ms);

/* -- clocks, readable anywhere -- */
uint64_t mu_loop_now_ms(const struct mu_loop *loop);
/* CLOCK_BOOTTIME: goes on during suspend. */
uint64_t mu_boot_ns(void);
static inline uint64_t mu_boot_ms(void) { return mu_boot_ns() / 1000000; }
/* CLOCK_REALTIME, ms since 1970. */
uint64_t mu_wall_ms(void);
/* Bytes from the system's generator, good for secrets. */
void mu_random(void *bytes, size_t size);

/* -- timers -- */
struct mu_timer *mu_timer_new(struct mu_loop *loop, void (*fn)(void *arg), void *arg);
/* Once after delay_ms; started again it is only moved. Due timers run in order of their time, then of their start. */
void mu_timer_start(struct mu_timer *t, uint64_t delay_ms);
void mu_timer_stop(struct mu_timer *t);
bool mu_timer_is_set(const struct mu_timer *t);
/* Accepts NULL; no callback after it. */
void mu_timer_free(struct mu_timer *t);

/* -- posts: fn(p) on the loop's thread, later; from any thread; in order per caller. All that has gathered runs in
 *    one batch. The rest of this block has the shapes of struct mu_journal_host: arg is the loop. -- */
void mu_loop_post(void *loop, void (*fn)(void *p), void *p);
/* fn(p) once after delay_ms. The handle is dead once fn has been entered or mu_loop_cancel returned. */
void *mu_loop_after(void *loop, uint64_t delay_ms, void (*fn)(void *p), void *p);
/* Accepts NULL. */
void mu_loop_cancel(void *loop, void *timer);
uint64_t mu_loop_boot_ns(void *loop);
void mu_loop_random(void *loop, void *bytes, size_t size);

/* work(p) on a pool thread, then done(p) on the loop. For what blocks: name lookup, reading the history. */
void mu_loop_work(struct mu_loop *loop, void (*work)(void *p), void (*done)(void *p), void *p);

/* -- turn hooks -- */
struct mu_hook { /* the caller's memory; fill fn and arg */
    struct mu_list link;
    void (*fn)(void *arg);
    void *arg;
};
/* fn runs once at the end of every turn, before the flush of streams and before the loop sleeps. */
void mu_loop_hook(struct mu_loop *loop, struct mu_hook *hook);
void mu_loop_unhook(struct mu_hook *hook);
/* Do not sleep before the next turn: for a hook that left work over. */
void mu_loop_again(struct mu_loop *loop);

/* -- signals -- */
enum mu_rc mu_signal_open(struct mu_signal **out_signal, struct mu_loop *loop, int signum,
                          void (*fn)(void *arg, int signum), void *arg, struct mu_err *err);
void mu_signal_close(struct mu_signal *s); /* accepts NULL */

/* -- descriptors that are not streams: inotify, pidfd, a socket that passes descriptors -- */
enum { MU_READABLE = 1, MU_WRITABLE = 2 };
/* fd stays the caller's: close it only after mu_watch_close. Level-triggered. events 0: none for now. */
enum mu_rc mu_watch_open(struct mu_watch **out_watch, struct mu_loop *loop, int fd, unsigned events,
                         void (*fn)(void *arg, unsigned events), void *arg, struct mu_err *err);
void mu_watch_events(struct mu_watch *w, unsigned events);
void mu_watch_close(struct mu_watch *w); /* accepts NULL */

#endif
