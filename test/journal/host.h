/* The surroundings of a journal in a test: one queue, timers, and a clock that is real or moves only by itself. */
#ifndef MU_TEST_JOURNAL_HOST_H
#define MU_TEST_JOURNAL_HOST_H

#include "base/list.h"
#include "journal/journal.h"

#include <pthread.h>

struct host {
    struct mu_journal_host calls;
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct mu_list posts, timers; /* timers: by due time, then by age */
    uint64_t now_ns, jump_ns, random;
    bool real;
};

/* real false: time jumps to the next timer when nothing else is to do. */
void host_init(struct host *h, bool real);
/* What is still queued is forgotten. */
void host_fini(struct host *h);
/* Do one thing that is due; wait for it with a real clock. False: nothing came for limit_ms. */
bool host_turn(struct host *h, uint64_t limit_ms);
/* Turn until is(arg); false after limit_ms of the host's time. */
bool host_until(struct host *h, bool (*is)(void *arg), void *arg, uint64_t limit_ms);
/* Turn for that long. */
void host_run(struct host *h, uint64_t for_ms);

#endif
