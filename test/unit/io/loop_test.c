/* io/loop: the order of turns, timers and posts; handles that may go at any moment. */
#include "rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

struct trail {
    struct mu_loop *loop;
    char text[256];
    bool done;
};

static void say(struct trail *t, const char *word)
{
    size_t n = strlen(t->text);

    snprintf(t->text + n, sizeof t->text - n, "%s ", word);
}

struct note {
    struct trail *trail;
    const char *word;
    bool last;
};

static void on_note(void *arg)
{
    struct note *n = arg;

    say(n->trail, n->word);
    n->trail->done = n->trail->done || n->last;
}

static void timers_run_in_order(void **state)
{
    struct trail t = { .loop = rig_loop(state) };
    struct note notes[] = { { &t, "a" }, { &t, "b" }, { &t, "c" }, { &t, "never" }, { &t, "end", true } };
    static const uint64_t ms[] = { 5, 2, 5, 1, 6 };
    struct mu_timer *timers[MU_COUNT(notes)];

    for (size_t i = 0; i < MU_COUNT(notes); i++) {
        timers[i] = mu_timer_new(t.loop, on_note, &notes[i]);
        mu_timer_start(timers[i], ms[i]);
    }
    mu_timer_stop(timers[3]);
    assert_false(mu_timer_is_set(timers[3]));
    rig_until(t.loop, rig_is_set, &t.done);
    assert_string_equal(t.text, "b a c end ");
    for (size_t i = 0; i < MU_COUNT(notes); i++)
        mu_timer_free(timers[i]);
    mu_timer_free(NULL);
}

static void after_runs_once_and_can_be_cancelled(void **state)
{
    struct trail t = { .loop = rig_loop(state) };
    struct note one = { &t, "one" }, never = { &t, "never" }, end = { &t, "end", true };
    void *cancelled;

    mu_loop_after(t.loop, 1, on_note, &one);
    cancelled = mu_loop_after(t.loop, 1, on_note, &never);
    mu_loop_after(t.loop, 2, on_note, &end);
    mu_loop_cancel(t.loop, cancelled);
    mu_loop_cancel(t.loop, NULL);
    rig_until(t.loop, rig_is_set, &t.done);
    assert_string_equal(t.text, "one end ");
}

enum { POSTERS = 4, POSTS = 5000 };
struct counted {
    uint32_t thread, n;
    uint32_t *last; /* of each thread */
    uint32_t *total;
    bool *ordered;
};
struct poster {
    struct mu_loop *loop;
    struct counted *posts;
};

static void on_counted(void *arg)
{
    struct counted *c = arg;

    *c->ordered = *c->ordered && c->n == c->last[c->thread] + 1;
    c->last[c->thread] = c->n;
    ++*c->total;
}

static void *post_all(void *arg)
{
    struct poster *p = arg;

    for (uint32_t i = 0; i < POSTS; i++)
        mu_loop_post(p->loop, on_counted, &p->posts[i]);
    return NULL;
}

static bool all_posted(void *total)
{
    return *(uint32_t *)total == POSTERS * POSTS;
}

static void posts_of_a_thread_keep_their_order(void **state)
{
    struct counted *posts = calloc(POSTERS * POSTS, sizeof *posts);
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    uint32_t last[POSTERS] = { 0 }, total = 0;
    bool ordered = true;

    assert_non_null(posts);
    for (uint32_t i = 0; i < POSTERS * POSTS; i++)
        posts[i] = (struct counted){ i / POSTS, i % POSTS + 1, last, &total, &ordered };
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ rig_loop(state), posts + i * POSTS };
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    rig_until(rig_loop(state), all_posted, &total);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(ordered);
    free(posts);
}

static void post_again(void *arg)
{
    struct note *n = arg;

    on_note(n);
    mu_loop_post(n->trail->loop, on_note, n + 1);
}

static void a_post_may_post_and_a_hook_follows_the_batch(void **state)
{
    struct trail t = { .loop = rig_loop(state) };
    struct note notes[] = { { &t, "first" }, { &t, "second", true } }, hooked = { &t, "hook" };
    struct mu_hook hook = { .fn = on_note, .arg = &hooked };

    mu_loop_hook(t.loop, &hook);
    mu_loop_post(t.loop, post_again, &notes[0]);
    rig_until(t.loop, rig_is_set, &t.done);
    mu_loop_unhook(&hook);
    rig_has(t.text, "first hook");
    rig_has(t.text, "second hook");
    t.text[0] = '\0';
    rig_settle(t.loop);
    assert_string_equal(t.text, "");
}

struct again {
    struct mu_loop *loop;
    int left;
};

static void on_again(void *arg)
{
    struct again *a = arg;

    if (a->left > 0) {
        a->left--;
        mu_loop_again(a->loop);
    }
}

static bool none_left(void *arg)
{
    return ((struct again *)arg)->left == 0;
}

static void stop_now(void *arg)
{
    mu_loop_stop(arg);
}

static void a_hook_with_work_left_keeps_the_loop_awake(void **state)
{
    struct again a = { rig_loop(state), 1000 };
    struct mu_hook hook = { .fn = on_again, .arg = &a };

    mu_loop_hook(a.loop, &hook);
    rig_until(a.loop, none_left, &a); /* with sleeps between turns 1,000 of them would not end in time */
    mu_loop_unhook(&hook);
}

static void run_ends_with_stop(void **state)
{
    struct trail t = { .loop = rig_loop(state) };
    struct note hooked = { &t, "hook" };
    struct mu_hook hook = { .fn = on_note, .arg = &hooked };

    mu_loop_hook(t.loop, &hook);
    mu_loop_after(t.loop, 1, stop_now, t.loop);
    mu_loop_run(t.loop);
    mu_loop_unhook(&hook);
    rig_has(t.text, "hook");
}

struct job {
    pthread_t ran_on;
    bool done;
};

static void work(void *arg)
{
    ((struct job *)arg)->ran_on = pthread_self();
}

static void worked(void *arg)
{
    ((struct job *)arg)->done = true;
}

static void work_runs_elsewhere_and_ends_here(void **state)
{
    struct job job = { .ran_on = pthread_self() };

    mu_loop_work(rig_loop(state), work, worked, &job);
    rig_until(rig_loop(state), rig_is_set, &job.done);
    assert_false(pthread_equal(job.ran_on, pthread_self()));
}

static void on_signal(void *arg, int signum)
{
    *(bool *)arg = signum == SIGUSR1;
}

static void signals_come_on_the_loop(void **state)
{
    struct mu_signal *s = NULL;
    bool got = false;

    assert_int_equal(mu_signal_open(&s, rig_loop(state), SIGUSR1, on_signal, &got, NULL), MU_OK);
    raise(SIGUSR1);
    assert_false(got);
    rig_until(rig_loop(state), rig_is_set, &got);
    mu_signal_close(s);
}

struct watched {
    int fd;
    unsigned seen;
    bool readable;
};

static void on_watch(void *arg, unsigned events)
{
    struct watched *w = arg;

    w->seen++;
    w->readable = (events & MU_READABLE) != 0;
}

static void descriptors_are_watched_while_wanted(void **state)
{
    struct watched w = { 0 };
    struct mu_watch *watch = NULL;
    int fds[2];
    char c = 'x';

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(mu_watch_open(&watch, rig_loop(state), fds[0], MU_READABLE, on_watch, &w, NULL), MU_OK);
    rig_settle(rig_loop(state));
    assert_int_equal(w.seen, 0);
    assert_int_equal(write(fds[1], &c, 1), 1);
    rig_until(rig_loop(state), rig_is_set, &w.readable);
    mu_watch_events(watch, 0);
    w.seen = 0;
    rig_settle(rig_loop(state));
    assert_int_equal(w.seen, 0);
    mu_watch_close(watch);
    mu_watch_close(NULL);
    rig_settle(rig_loop(state));
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(timers_run_in_order),
        T(after_runs_once_and_can_be_cancelled),
        T(posts_of_a_thread_keep_their_order),
        T(a_post_may_post_and_a_hook_follows_the_batch),
        T(a_hook_with_work_left_keeps_the_loop_awake),
        T(run_ends_with_stop),
        T(work_runs_elsewhere_and_ends_here),
        T(signals_come_on_the_loop),
        T(descriptors_are_watched_while_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
