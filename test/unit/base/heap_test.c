#include "unit/unit.h"

#include "base/heap.h"
#include "base/rng.h"

enum { LINKS = 500 };

static int by_key_then_tie(const void *a, const void *b)
{
    const struct mu_heap_link *l = a, *m = b;

    if (l->key != m->key)
        return l->key < m->key ? -1 : 1;
    return (l->tie > m->tie) - (l->tie < m->tie);
}

static void comes_out_as_a_sort_would(void **state)
{
    struct mu_heap_link links[LINKS], sorted[LINKS];
    struct mu_heap heap = { 0 };
    struct mu_rng rng;

    (void)state;
    mu_rng_seed(&rng, 2);
    memset(links, 0, sizeof links);
    for (unsigned i = 0; i < LINKS; i++)
        mu_heap_add(&heap, &links[i], mu_rng_below(&rng, 50), i); /* many equal keys: ties decide */
    memcpy(sorted, links, sizeof links);
    qsort(sorted, LINKS, sizeof sorted[0], by_key_then_tie);
    for (unsigned i = 0; i < LINKS; i++) {
        struct mu_heap_link *min = mu_heap_min(&heap);
        assert_int_equal(min->tie, sorted[i].tie);
        mu_heap_remove(&heap, min);
        assert_false(mu_heap_has(min));
    }
    assert_null(mu_heap_min(&heap));
    mu_heap_fini(&heap);
}

static void random_adds_moves_and_removes_keep_the_least_on_top(void **state)
{
    struct mu_heap_link links[64];
    struct mu_heap heap = { 0 };
    struct mu_rng rng;

    (void)state;
    mu_rng_seed(&rng, 3);
    memset(links, 0, sizeof links);
    for (int step = 0; step < 20000; step++) {
        unsigned i = mu_rng_below(&rng, 64);
        struct mu_heap_link *least = NULL;
        if (mu_heap_has(&links[i]) && mu_rng_below(&rng, 2))
            mu_heap_move(&heap, &links[i], mu_rng_below(&rng, 20), i);
        else if (mu_heap_has(&links[i]))
            mu_heap_remove(&heap, &links[i]);
        else
            mu_heap_add(&heap, &links[i], mu_rng_below(&rng, 20), i);
        mu_heap_remove(&heap, &(struct mu_heap_link){ 0 }); /* in no heap: a no-op */
        for (unsigned k = 0; k < 64; k++)
            if (mu_heap_has(&links[k]) && (least == NULL || by_key_then_tie(&links[k], least) < 0))
                least = &links[k];
        assert_ptr_equal(mu_heap_min(&heap), least);
    }
    mu_heap_fini(&heap);
    for (unsigned k = 0; k < 64; k++)
        assert_false(mu_heap_has(&links[k]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_as_a_sort_would),
        cmocka_unit_test(random_adds_moves_and_removes_keep_the_least_on_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
