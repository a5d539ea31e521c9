/* test/unit/sched/tree_test.c -- the tournament tree against a plain array. */
#include "unit/unit.h"

#include "sched/tree.h"

#include "base/rng.h"

enum { PLACES_MAX = 5000 };

struct model {
    uint32_t score[PLACES_MAX];
    uint32_t places;
};

static uint32_t model_best(const struct model *m)
{
    uint32_t best = 0;

    for (uint32_t i = 0; i < m->places; i++)
        best = m->score[i] > best ? m->score[i] : best;
    return best;
}

/* The k-th place with the highest score, counted from `from` and around; MU_TREE_NONE past the last. */
static uint32_t model_kth(const struct model *m, uint32_t k, uint32_t from)
{
    uint32_t best = model_best(m);

    for (uint32_t i = 0; best != 0 && i < m->places; i++) {
        uint32_t at = (from + i) % m->places;

        if (m->score[at] == best && k-- == 0)
            return at;
    }
    return MU_TREE_NONE;
}

static uint32_t model_ties(const struct model *m)
{
    uint32_t best = model_best(m), n = 0;

    for (uint32_t i = 0; best != 0 && i < m->places; i++)
        n += m->score[i] == best;
    return n;
}

static uint32_t model_second(const struct model *m, uint32_t not)
{
    uint32_t best = 0;

    for (uint32_t i = 0; i < m->places; i++)
        best = i != not && m->score[i] > best ? m->score[i] : best;
    return best;
}

static void compare(const struct mu_tree *t, const struct model *m, struct mu_rng *rng, bool counted)
{
    uint32_t from = mu_rng_below(rng, m->places), first = model_kth(m, 0, 0);

    assert_int_equal(mu_tree_best(t), model_best(m));
    assert_int_equal(mu_tree_first(t), first);
    assert_int_equal(mu_tree_after(t, from), model_kth(m, 0, (from + 1) % m->places));
    if (first == MU_TREE_NONE)
        return;
    uint32_t second = mu_tree_runner_up(t, first);
    assert_int_equal(second == MU_TREE_NONE ? 0 : m->score[second], model_second(m, first));
    assert_int_not_equal(second, first);
    if (counted) {
        uint32_t ties = model_ties(m), k = mu_rng_below(rng, ties);

        assert_int_equal(mu_tree_ties(t), ties);
        assert_int_equal(mu_tree_kth(t, k), model_kth(m, k, 0));
    }
}

/* Few different scores make many ties; many make few. */
static void random_changes(uint32_t places, uint32_t scores, bool counted, uint32_t changes)
{
    static struct model m;
    struct mu_tree t;
    struct mu_rng rng;

    memset(&m, 0, sizeof m);
    m.places = places;
    mu_rng_seed(&rng, places * 31 + scores);
    mu_tree_init(&t, places, counted);
    for (uint32_t i = 0; i < places; i++)
        m.score[i] = t.level[0][i] = mu_rng_below(&rng, 3) ? 0 : 1 + mu_rng_below(&rng, scores);
    mu_tree_build(&t);
    for (uint32_t i = 0; i < changes; i++) {
        uint32_t at = mu_rng_below(&rng, places), score = mu_rng_below(&rng, 2) ? 0 : 1 + mu_rng_below(&rng, scores);

        compare(&t, &m, &rng, counted);
        m.score[at] = score;
        mu_tree_set(&t, at, score);
    }
    compare(&t, &m, &rng, counted);
    mu_tree_fini(&t);
}

static void it_equals_a_plain_scan(void **state)
{
    static const uint32_t places[] = { 1, 2, 15, 16, 17, 255, 256, 257, 300, 4096, 4097, PLACES_MAX };
    static const uint32_t scores[] = { 1, 3, 1000000 };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(places); i++)
        for (size_t j = 0; j < MU_COUNT(scores); j++)
            for (int counted = 0; counted < 2; counted++)
                random_changes(places[i], scores[j], counted, places[i] > 1000 ? 100 : 400);
}

static void nothing_is_none(void **state)
{
    struct mu_tree t;

    (void)state;
    mu_tree_init(&t, 40, true);
    assert_int_equal(mu_tree_first(&t), MU_TREE_NONE);
    assert_int_equal(mu_tree_after(&t, 7), MU_TREE_NONE);
    mu_tree_set(&t, 7, 5);
    assert_int_equal(mu_tree_first(&t), 7);
    assert_int_equal(mu_tree_after(&t, 7), 7);
    assert_int_equal(mu_tree_runner_up(&t, 7), MU_TREE_NONE);
    mu_tree_set(&t, 7, 0);
    assert_int_equal(mu_tree_best(&t), 0);
    mu_tree_fini(&t);
    assert_true(mu_tree_is_empty(&t));
}

static void ties_are_chosen_uniformly(void **state)
{
    enum { PLACES = 300, DRAWS = 30000 };
    uint32_t hits[PLACES] = { 0 };
    struct mu_tree t;
    struct mu_rng rng;

    (void)state;
    mu_rng_seed(&rng, 1);
    mu_tree_init(&t, PLACES, true);
    for (uint32_t i = 0; i < PLACES; i += 3)
        mu_tree_set(&t, i, 9);
    for (int i = 0; i < DRAWS; i++)
        hits[mu_tree_kth(&t, mu_rng_below(&rng, mu_tree_ties(&t)))]++;
    for (uint32_t i = 0; i < PLACES; i++)
        if (i % 3 ? hits[i] != 0 : hits[i] < 200 || hits[i] > 400) /* 300 expected, sd 17 */
            fail_msg("place %u was drawn %u times", i, hits[i]);
    mu_tree_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_equals_a_plain_scan),
        cmocka_unit_test(nothing_is_none),
        cmocka_unit_test(ties_are_chosen_uniformly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
