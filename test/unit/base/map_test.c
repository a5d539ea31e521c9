#include "unit/unit.h"

#include "base/map.h"
#include "base/rng.h"

enum { KEYS = 300 };

/* Keys of the kinds the house uses: small ids, job << 24 | ordinal, pointers. */
static uint64_t key_of(unsigned i)
{
    return i % 3 == 0 ? i : i % 3 == 1 ? (uint64_t)i << 24 | 7 : UINT64_C(0x7f0000000000) + i * 64;
}

static void check_against(const struct mu_map *map, const uint64_t *model, unsigned count)
{
    struct mu_map_slot slot;
    unsigned seen = 0;

    assert_int_equal(map->count, count);
    for (unsigned i = 0; i < KEYS; i++) {
        uint64_t *value = mu_map_find(map, key_of(i));
        assert_int_equal(value != NULL, model[i] != 0);
        if (value)
            assert_int_equal(*value, model[i]);
    }
    for (uint32_t at = 0; (at = mu_map_next(map, at, &slot)) != 0; seen++)
        assert_ptr_equal(mu_map_find(map, slot.key), &map->slots[at - 1].value);
    assert_int_equal(seen, count);
}

static void behaves_as_an_array_would(void **state)
{
    uint64_t model[KEYS] = { 0 };
    struct mu_map map = { 0 };
    struct mu_rng rng;
    unsigned count = 0;

    (void)state;
    mu_rng_seed(&rng, 6);
    for (unsigned step = 0; step < 30000; step++) {
        unsigned i = mu_rng_below(&rng, KEYS), shrink = step / 5000 % 2;
        if (mu_rng_below(&rng, 4) <= shrink * 2) {
            assert_int_equal(mu_map_remove(&map, key_of(i)), model[i] != 0);
            count -= model[i] != 0;
            model[i] = 0;
        } else {
            count += model[i] == 0;
            model[i] = step + 1;
            mu_map_put(&map, key_of(i), model[i]);
        }
        if (step % 100 == 0)
            check_against(&map, model, count);
    }
    check_against(&map, model, count);
    mu_map_clear(&map);
    memset(model, 0, sizeof model);
    check_against(&map, model, 0);
    mu_map_fini(&map);
}

static void an_empty_map_answers(void **state)
{
    struct mu_map map = { 0 };
    struct mu_map_slot slot;

    (void)state;
    assert_null(mu_map_find(&map, 0));
    assert_false(mu_map_remove(&map, 0));
    assert_int_equal(mu_map_next(&map, 0, &slot), 0);
    mu_map_clear(&map);
    assert_null(mu_map_get_ptr(&map, 1));
    mu_map_put_ptr(&map, 1, &slot);
    assert_ptr_equal(mu_map_get_ptr(&map, 1), &slot);
    mu_map_fini(&map);
}

/* Steps from home to slot: long searches would mean that a kind of key is spread badly. */
static void searches_stay_short(void **state)
{
    static const struct { const char *what; uint64_t base, step; } kinds[] = {
        { "small ids", 1, 1 }, { "tasks of one job", 42 << 24, 1 }, { "first tasks", 1 << 24, 1 << 24 },
        { "pointers", UINT64_C(0x7f1234560010), 96 }, { "pages", UINT64_C(0x7f0000000000), 4096 },
    };

    (void)state;
    for (size_t k = 0; k < MU_COUNT(kinds); k++) {
        struct mu_map map = { 0 };
        uint64_t run = 0, longest = 0;
        for (uint64_t i = 0; i < 100000; i++)
            mu_map_put(&map, kinds[k].base + i * kinds[k].step, i);
        for (uint32_t i = 0; i <= map.mask; i++) {
            run = map.used[i] ? run + 1 : 0;
            longest = run > longest ? run : longest;
        }
        if (longest > 400)
            fail_msg("%s: %llu slots in a row are taken", kinds[k].what, (unsigned long long)longest);
        mu_map_fini(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_an_array_would),
        cmocka_unit_test(an_empty_map_answers),
        cmocka_unit_test(searches_stay_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
