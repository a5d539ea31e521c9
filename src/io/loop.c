/* The loop: libuv's, with turns, posts from any thread, and handles that free themselves. */
#include "io/inside.h"

#include "base/assert.h"

#include <signal.h>
#include <sys/random.h>

enum { CLOSE_TURNS = 60 }; /* seconds given to work that is under way */

struct mu_timer {
    uv_timer_t uv;
    void (*fn)(void *arg);
    void *arg;
};
struct mu_signal {
    uv_signal_t uv;
    void (*fn)(void *arg, int signum);
    void *arg;
};
struct mu_watch {
    uv_poll_t uv;
    void (*fn)(void *arg, unsigned events);
    void *arg;
};
struct work {
    uv_work_t uv;
    void (*work)(void *p);
    void (*done)(void *p);
    void *p;
};

void *mu_io_alloc(size_t size)
{
    void *p = calloc(1, size);

    MU_ASSERT(p != NULL);
    return p;
}

static void free_handle(uv_handle_t *h)
{
    free(h->data);
}

static void end_turn(struct mu_loop *loop)
{
    loop->again_wanted = false;
    mu_streams_show(loop);
    MU_LIST_EACH_SAFE(it, &loop->hooks) {
        struct mu_hook *hook = MU_CONTAINER(it, struct mu_hook, link);
        hook->fn(hook->arg);
    }
    mu_streams_flush(loop);
    if (!mu_list_is_empty(&loop->dirty) || !mu_list_is_empty(&loop->shows))
        loop->again_wanted = true;
}

static void on_again(uv_idle_t *h)
{
    (void)h;
}

static void on_prepare(uv_prepare_t *h)
{
    struct mu_loop *loop = h->data;

    end_turn(loop);
    if (loop->again_wanted || loop->bound_passed)
        uv_idle_start(&loop->again, on_again);
    else
        uv_idle_stop(&loop->again);
}

static void run_posts(struct mu_loop *loop)
{
    struct mu_posts batch;

    pthread_mutex_lock(&loop->lock);
    batch = loop->posts;
    loop->posts = loop->running;
    loop->posts.count = 0;
    loop->running = (struct mu_posts){ 0 };
    pthread_mutex_unlock(&loop->lock);
    for (size_t i = 0; i < batch.count; i++)
        batch.at[i].fn(batch.at[i].p);
    free(loop->running.at);
    loop->running = batch;
}

static void on_wake(uv_async_t *h)
{
    run_posts(h->data);
}

static void on_bound(uv_timer_t *h)
{
    struct mu_loop *loop = h->data;

    loop->bound_passed = true; /* perhaps before the loop began to wait: it must not any more */
}

enum mu_rc mu_loop_open(struct mu_loop **out_loop, struct mu_err *err)
{
    struct mu_loop *loop = mu_io_alloc(sizeof *loop);
    int rc = uv_loop_init(&loop->uv);

    if (rc == 0) {
        rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
        if (rc != 0)
            uv_loop_close(&loop->uv);
    }
    if (rc != 0) {
        free(loop);
        return mu_fail(err, MU_IO, "no event loop: %s", uv_strerror(rc));
    }
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&loop->lock, NULL);
    mu_list_init(&loop->hooks);
    mu_list_init(&loop->shows);
    mu_list_init(&loop->dirty);
    mu_list_init(&loop->finishing);
    uv_prepare_init(&loop->uv, &loop->end_of_turn);
    uv_idle_init(&loop->uv, &loop->again);
    uv_timer_init(&loop->uv, &loop->bound);
    loop->wake.data = loop->end_of_turn.data = loop->bound.data = loop;
    uv_prepare_start(&loop->end_of_turn, on_prepare);
    *out_loop = loop;
    return MU_OK;
}

void mu_loop_close(struct mu_loop *loop)
{
    if (loop == NULL)
        return;
    for (unsigned i = 0; loop->uv.active_reqs.count > 0 && i < CLOSE_TURNS; i++)
        mu_loop_turn(loop, 1000);
    do
        run_posts(loop);
    while (loop->posts.count > 0);
    end_turn(loop);
    while (!mu_list_is_empty(&loop->finishing))
        mu_stream_close(MU_CONTAINER(loop->finishing.next, struct mu_stream, finish));
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->end_of_turn, NULL);
    uv_close((uv_handle_t *)&loop->again, NULL);
    uv_close((uv_handle_t *)&loop->bound, NULL);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    MU_ASSERT(uv_loop_close(&loop->uv) == 0); /* a handle was not freed before its loop */
    pthread_mutex_destroy(&loop->lock);
    free(loop->posts.at);
    free(loop->running.at);
    free(loop);
}

void mu_loop_run(struct mu_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    end_turn(loop);
}

void mu_loop_stop(struct mu_loop *loop)
{
    uv_stop(&loop->uv);
}

void mu_loop_turn(struct mu_loop *loop, uint64_t wait_ms)
{
    loop->bound_passed = false;
    uv_update_time(&loop->uv);
    if (wait_ms > 0)
        uv_timer_start(&loop->bound, on_bound, wait_ms, 0);
    uv_run(&loop->uv, wait_ms > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    uv_timer_stop(&loop->bound);
    loop->bound_passed = false;
    end_turn(loop);
}

void mu_loop_again(struct mu_loop *loop)
{
    loop->again_wanted = true;
}

void mu_loop_hook(struct mu_loop *loop, struct mu_hook *hook)
{
    mu_list_add_tail(&loop->hooks, &hook->link);
}

void mu_loop_unhook(struct mu_hook *hook)
{
    mu_list_remove(&hook->link);
}

uint64_t mu_loop_now_ms(const struct mu_loop *loop)
{
    return uv_now(&loop->uv);
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t mu_boot_ns(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}

uint64_t mu_wall_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

void mu_random(void *bytes, size_t size)
{
    for (size_t n = 0; n < size;) {
        ssize_t got = getrandom((char *)bytes + n, size - n, 0);
        n += got > 0 ? (size_t)got : 0;
    }
}

static void on_timer(uv_timer_t *h)
{
    struct mu_timer *t = h->data;

    t->fn(t->arg);
}

struct mu_timer *mu_timer_new(struct mu_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct mu_timer *t = mu_io_alloc(sizeof *t);

    t->fn = fn;
    t->arg = arg;
    uv_timer_init(&loop->uv, &t->uv);
    t->uv.data = t;
    return t;
}

void mu_timer_start(struct mu_timer *t, uint64_t delay_ms)
{
    uv_timer_start(&t->uv, on_timer, delay_ms, 0);
}

void mu_timer_stop(struct mu_timer *t)
{
    uv_timer_stop(&t->uv);
}

bool mu_timer_is_set(const struct mu_timer *t)
{
    return uv_is_active((const uv_handle_t *)&t->uv);
}

void mu_timer_free(struct mu_timer *t)
{
    if (t != NULL)
        uv_close((uv_handle_t *)&t->uv, free_handle);
}

void mu_loop_post(void *arg, void (*fn)(void *p), void *p)
{
    struct mu_loop *loop = arg;
    bool first;

    pthread_mutex_lock(&loop->lock);
    first = loop->posts.count == 0;
    if (loop->posts.count == loop->posts.cap) {
        loop->posts.cap = loop->posts.cap ? loop->posts.cap * 2 : 64;
        loop->posts.at = realloc(loop->posts.at, loop->posts.cap * sizeof *loop->posts.at);
        MU_ASSERT(loop->posts.at != NULL);
    }
    loop->posts.at[loop->posts.count++] = (struct mu_post){ fn, p };
    pthread_mutex_unlock(&loop->lock);
    if (first)
        uv_async_send(&loop->wake);
}

static void on_once(uv_timer_t *h)
{
    struct mu_timer once = *(struct mu_timer *)h->data;

    mu_timer_free(h->data);
    once.fn(once.arg);
}

void *mu_loop_after(void *loop, uint64_t delay_ms, void (*fn)(void *p), void *p)
{
    struct mu_timer *t = mu_timer_new(loop, fn, p);

    uv_timer_start(&t->uv, on_once, delay_ms, 0);
    return t;
}

void mu_loop_cancel(void *loop, void *timer)
{
    (void)loop;
    mu_timer_free(timer);
}

uint64_t mu_loop_boot_ns(void *loop)
{
    (void)loop;
    return mu_boot_ns();
}

void mu_loop_random(void *loop, void *bytes, size_t size)
{
    (void)loop;
    mu_random(bytes, size);
}

static void on_work(uv_work_t *req)
{
    struct work *w = MU_CONTAINER(req, struct work, uv);

    w->work(w->p);
}

static void on_worked(uv_work_t *req, int status)
{
    struct work *w = MU_CONTAINER(req, struct work, uv);

    (void)status;
    w->done(w->p);
    free(w);
}

void mu_loop_work(struct mu_loop *loop, void (*work)(void *p), void (*done)(void *p), void *p)
{
    struct work *w = mu_io_alloc(sizeof *w);

    w->work = work;
    w->done = done;
    w->p = p;
    MU_ASSERT(uv_queue_work(&loop->uv, &w->uv, on_work, on_worked) == 0);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct mu_signal *s = h->data;

    s->fn(s->arg, signum);
}

enum mu_rc mu_signal_open(struct mu_signal **out_signal, struct mu_loop *loop, int signum,
                          void (*fn)(void *arg, int signum), void *arg, struct mu_err *err)
{
    struct mu_signal *s = mu_io_alloc(sizeof *s);
    int rc;

    s->fn = fn;
    s->arg = arg;
    uv_signal_init(&loop->uv, &s->uv);
    s->uv.data = s;
    rc = uv_signal_start(&s->uv, on_signal, signum);
    if (rc != 0) {
        mu_signal_close(s);
        return mu_fail(err, MU_IO, "signal %d: %s", signum, uv_strerror(rc));
    }
    *out_signal = s;
    return MU_OK;
}

void mu_signal_close(struct mu_signal *s)
{
    if (s != NULL)
        uv_close((uv_handle_t *)&s->uv, free_handle);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct mu_watch *w = h->data;

    /* An error of the descriptor shows itself to whoever reads or writes next. */
    if (status < 0)
        w->fn(w->arg, MU_READABLE | MU_WRITABLE);
    else
        w->fn(w->arg, (events & UV_READABLE ? MU_READABLE : 0u) | (events & UV_WRITABLE ? MU_WRITABLE : 0u));
}

enum mu_rc mu_watch_open(struct mu_watch **out_watch, struct mu_loop *loop, int fd, unsigned events,
                         void (*fn)(void *arg, unsigned events), void *arg, struct mu_err *err)
{
    struct mu_watch *w = mu_io_alloc(sizeof *w);
    int rc = uv_poll_init(&loop->uv, &w->uv, fd);

    if (rc != 0) {
        free(w);
        return mu_fail(err, MU_IO, "cannot watch descriptor %d: %s", fd, uv_strerror(rc));
    }
    w->fn = fn;
    w->arg = arg;
    w->uv.data = w;
    mu_watch_events(w, events);
    *out_watch = w;
    return MU_OK;
}

void mu_watch_events(struct mu_watch *w, unsigned events)
{
    if (events == 0)
        uv_poll_stop(&w->uv);
    else
        uv_poll_start(&w->uv, (events & MU_READABLE ? UV_READABLE : 0) | (events & MU_WRITABLE ? UV_WRITABLE : 0),
                      on_poll);
}

void mu_watch_close(struct mu_watch *w)
{
    if (w != NULL)
        uv_close((uv_handle_t *)&w->uv, free_handle);
}
