/* The set of task states against a plain array of them. */
#include "unit/unit.h"

#include "core/taskset.h"

#include "base/rng.h"

#include "heap.h"

#include <string.h>

enum { TASKS_MAX = 5000 };

struct model {
    struct mu_taskset set;
    uint8_t state[TASKS_MAX];
    uint32_t tasks;
    struct mu_rng rng;
};

static void same(const struct model *m)
{
    uint32_t count[MU_TASK_STATES] = { 0 };

    assert_int_equal(m->set.tasks, m->tasks);
    for (uint32_t i = 0; i < m->tasks; i++) {
        assert_int_equal(mu_taskset_get(&m->set, i), m->state[i]);
        count[m->state[i]]++;
    }
    for (uint32_t s = 0; s < MU_TASK_STATES; s++)
        assert_int_equal(mu_taskset_count(&m->set, (enum mu_task_state)s), count[s]);
    if (m->tasks)
        assert_null(mu_taskset_flaw(&m->set));
}

static void same_next(struct model *m)
{
    enum mu_task_state s = (enum mu_task_state)mu_rng_below(&m->rng, MU_TASK_STATES);
    uint32_t from = mu_rng_below(&m->rng, m->tasks + 10), want = UINT32_MAX;

    for (uint32_t i = m->tasks; i > from; i--) {
        if (m->state[i - 1] == s)
            want = i - 1;
    }
    assert_int_equal(mu_taskset_next(&m->set, s, from), want);
}

static void same_run(struct model *m)
{
    uint32_t from = mu_rng_below(&m->rng, m->tasks), end = from + 1 + mu_rng_below(&m->rng, m->tasks - from), want = from;
    enum mu_task_state s;

    while (want < end && m->state[want] == m->state[from])
        want++;
    assert_int_equal(mu_taskset_run(&m->set, from, end, &s), want - from);
    assert_int_equal(s, m->state[from]);
}

static void change(struct model *m)
{
    enum mu_task_state s = (enum mu_task_state)mu_rng_below(&m->rng, MU_TASK_STATES);
    uint32_t first = mu_rng_below(&m->rng, m->tasks), kind = mu_rng_below(&m->rng, 20);
    uint32_t count = kind < 12 ? 1 : 1 + mu_rng_below(&m->rng, m->tasks - first);

    if (kind == 19 && m->tasks < TASKS_MAX) {
        count = 1 + mu_rng_below(&m->rng, TASKS_MAX - m->tasks < 1500 ? TASKS_MAX - m->tasks : 1500);
        mu_taskset_grow(&m->set, count, s);
        first = m->tasks;
        m->tasks += count;
    } else if (count == 1) {
        mu_taskset_set(&m->set, first, s);
    } else {
        mu_taskset_set_run(&m->set, first, count, s);
    }
    memset(m->state + first, (int)s, count);
}

static void it_is_an_array(void **state)
{
    static const uint32_t sizes[] = { 1, 2, 3, 1023, 1024, 1025, 2048, 3000 };
    static struct model m;

    (void)state;
    for (uint32_t round = 0; round < 3 * MU_COUNT(sizes); round++) {
        m.tasks = sizes[round % MU_COUNT(sizes)];
        memset(m.state, MU_TASK_READY, sizeof m.state);
        mu_rng_seed(&m.rng, round + 1);
        mu_taskset_init(&m.set, m.tasks, MU_TASK_READY);
        for (uint32_t step = 0; step < 300; step++) {
            change(&m);
            same_next(&m);
            same_run(&m);
            if (step % 20 == 0)
                same(&m);
        }
        same(&m);
        mu_taskset_fini(&m.set);
    }
}

/* A frontier that moves through a million tasks costs a few pages; before and after there is none. */
static void it_costs_its_frontier(void **state)
{
    enum { TASKS = 1000000, LIVE = 3000 };
    struct mu_taskset set;
    size_t before = heap_bytes(), most = 0;

    (void)state;
    mu_taskset_init(&set, TASKS, MU_TASK_READY);
    for (uint32_t i = 0; i < TASKS + LIVE; i++) {
        if (i < TASKS)
            mu_taskset_set(&set, i, MU_TASK_RUNNING);
        if (i >= LIVE)
            mu_taskset_set(&set, i - LIVE, MU_TASK_SUCCEEDED);
        if (i % 10000 == 0 && heap_bytes() - before > most)
            most = heap_bytes() - before;
    }
    assert_in_range(most, 1, 45000);
    assert_in_range(heap_bytes() - before, 1, 40000);
    assert_null(mu_taskset_flaw(&set));
    mu_taskset_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_an_array),
        cmocka_unit_test(it_costs_its_frontier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
