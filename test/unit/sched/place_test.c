/* test/unit/sched/place_test.c -- what each placement policy computes, by tables; parameters. */
#include "unit/unit.h"

#include "sched/place.h"


enum { NODES = 3, GIB = 1 << 30 };

struct node {
    uint32_t cpu, cpu_free; /* whole ones */
    uint32_t gib, gib_free;
    uint32_t gpus;
    uint32_t slow; /* in tenths */
};
struct task {
    uint32_t cpu, gib, gpus;
};

static struct mu_mirror mirror;
static struct mu_mnode nodes[NODES];
static uint64_t totals[NODES * MU_MIRROR_KINDS];

static void mirror_set(const struct node *at)
{
    memset(&mirror, 0, sizeof mirror);
    mirror.nodes = nodes;
    mirror.totals = totals;
    mirror.kinds = MU_MIRROR_KINDS;
    mirror.count = NODES;
    for (uint32_t n = 0; n < NODES; n++) {
        uint64_t total[MU_MIRROR_KINDS] = { at[n].cpu * 1000, (uint64_t)at[n].gib * GIB, at[n].gpus * 1000 };

        nodes[n] = (struct mu_mnode){
            .free = { at[n].cpu_free * 1000, (int64_t)at[n].gib_free * GIB, at[n].gpus * 1000 },
            .slow = at[n].slow ? at[n].slow * MU_SHARE_ONE / 10 : MU_SHARE_ONE,
            .usable = true,
            .has_gpu = at[n].gpus > 0,
        };
        for (uint32_t k = 0; k < MU_MIRROR_KINDS; k++) {
            totals[n * MU_MIRROR_KINDS + k] = total[k];
            nodes[n].inverse[k] = total[k] ? UINT64_MAX / total[k] : 0;
            if (total[k] > mirror.largest.amount[k]) {
                mirror.largest.amount[k] = total[k];
                mirror.largest_inverse[k] = UINT64_MAX / total[k];
            }
        }
    }
}

static struct mu_need need_of(struct task t)
{
    struct mu_res res = { { t.cpu * 1000, (uint64_t)t.gib * GIB, t.gpus * 1000 } };
    struct mu_need need;

    mu_need_init(&need, &res);
    return need;
}

/* The lowest id of the best, as MU_PICK_FIRST does; -1 if none has room. */
static int best_by(const char *policy, const struct node *at, struct task t)
{
    const struct mu_place_policy *p = mu_place_at(mu_place_find(mu_str_of(policy)));
    struct mu_need need = need_of(t);
    uint64_t param[MU_PARAMS_MAX];
    uint32_t best_score = 0;
    int best = -1;

    assert_non_null(p);
    assert_int_equal(mu_params_read(p->params, p->param_count, NULL, param, NULL), MU_OK);
    mirror_set(at);
    struct mu_place_view view = { &mirror, &need, param };
    for (uint32_t n = 0; n < NODES; n++) {
        uint32_t score = mu_place_fits(&mirror, n, &need) ? p->score(&view, n) : 0;

        assert_true(score <= MU_SCORE_MAX);
        assert_true(score > 0 || !mu_place_fits(&mirror, n, &need));
        if (score > best_score) {
            best_score = score;
            best = (int)n;
        }
    }
    return best;
}

static void policies_choose(void **state)
{
    static const struct {
        const char *policy, *what;
        struct node at[NODES]; /* cpu, free, GiB, free, gpus, slow */
        struct task task;
        int want;
    } cases[] = {
        { "pack", "nothing has room", { { 4, 1, 8, 8 }, { 4, 1, 8, 8 }, { 4, 0, 8, 8 } }, { 2, 1, 0 }, -1 },
        { "pack", "the fullest wins", { { 4, 4, 8, 8 }, { 4, 2, 8, 4 }, { 4, 3, 8, 6 } }, { 1, 2, 0 }, 1 },
        { "pack", "the fullest wins, also without memory", { { 4, 4, 8, 8 }, { 4, 3, 8, 8 }, { 4, 2, 8, 8 } }, { 1, 0, 0 }, 2 },
        { "pack", "balance beats fullness", { { 8, 5, 8, 8 }, { 8, 7, 8, 8 }, { 8, 5, 8, 5 } }, { 1, 1, 0 }, 2 },
        { "pack", "a tie goes to the first", { { 4, 4, 8, 8 }, { 4, 4, 8, 8 }, { 4, 4, 8, 8 } }, { 1, 1, 0 }, 0 },
        { "pack", "a fast node beats a full one", { { 4, 1, 8, 2, 0, 10 }, { 4, 4, 8, 8, 0, 5 }, { 4, 4, 8, 8, 0, 20 } }, { 1, 1, 0 }, 1 },
        { "pack", "gpus are not wasted", { { 4, 1, 8, 2, 1 }, { 4, 4, 8, 8 }, { 4, 1, 8, 2, 1 } }, { 1, 1, 0 }, 1 },
        { "pack", "gpus are used when asked for", { { 4, 4, 8, 8, 1 }, { 4, 4, 8, 8 }, { 4, 2, 8, 4, 1 } }, { 1, 1, 1 }, 2 },
        { "spread", "the emptiest wins", { { 4, 2, 8, 4 }, { 4, 4, 8, 8 }, { 4, 3, 8, 8 } }, { 1, 1, 0 }, 1 },
        { "spread", "a tie goes to the first", { { 4, 3, 8, 8 }, { 4, 4, 8, 8 }, { 8, 8, 16, 16 } }, { 0, 0, 0 }, 1 },
        { "least-load", "the scarcest share counts", { { 4, 4, 8, 2 }, { 4, 3, 8, 6 }, { 4, 2, 8, 8 } }, { 1, 1, 0 }, 1 },
        { "least-load", "shares, not amounts", { { 64, 32, 64, 32 }, { 4, 3, 8, 6 }, { 4, 2, 8, 8 } }, { 1, 1, 0 }, 1 },
        { "least-response-time", "the fastest wins", { { 4, 4, 8, 8, 0, 12 }, { 4, 1, 8, 1, 0, 8 }, { 4, 4, 8, 8, 0, 9 } }, { 1, 1, 0 }, 1 },
        { "least-response-time", "among those with room", { { 4, 4, 8, 8, 0, 12 }, { 4, 0, 8, 1, 0, 8 }, { 4, 4, 8, 8, 0, 9 } }, { 1, 1, 0 }, 2 },
        { "best-fit", "amounts, not shares", { { 64, 8, 64, 8 }, { 4, 4, 8, 8 }, { 64, 64, 64, 64 } }, { 1, 1, 0 }, 1 },
        { "dot", "free where the task asks", { { 8, 8, 8, 2 }, { 8, 2, 8, 8 }, { 8, 4, 8, 4 } }, { 2, 0, 0 }, 0 },
        { "dot", "memory where it asks memory", { { 8, 8, 8, 2 }, { 8, 2, 8, 8 }, { 8, 4, 8, 4 } }, { 0, 2, 0 }, 1 },
        { "random", "all alike", { { 4, 0, 8, 8 }, { 4, 4, 8, 8 }, { 64, 64, 8, 8 } }, { 1, 0, 0 }, 1 },
        { "round-robin", "all alike", { { 4, 0, 8, 8 }, { 4, 4, 8, 8 }, { 64, 64, 8, 8 } }, { 1, 0, 0 }, 1 },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        int got = best_by(cases[i].policy, cases[i].at, cases[i].task);

        if (got != cases[i].want)
            fail_msg("%s: %s: want %d, got %d", cases[i].policy, cases[i].what, cases[i].want, got);
    }
}

/* The exact numbers: any other would change decisions that were published. */
static void scores_are_fixed_numbers(void **state)
{
    static const struct {
        const char *policy;
        uint32_t want;
    } cases[] = {
        /* 8 cpus, 5 free, 1 asked: 1/2 left; 16 GiB, 8 free, 4 asked: 1/4 left; z = 1 */
        { "pack", (1u << 27 | 1u << 26) - (32767 + 16383 + 2 * 16384 + 4 * 65536) },
        { "spread", 1 + 32767 + 16383 },
        { "least-load", 1 + 16383 },
        { "least-response-time", 1 + 15 * 65536 },
        { "best-fit", (1u << 26) - (32767 + 16383) },
        { "random", 1 },
        { "round-robin", 1 },
    };
    static const struct node at[NODES] = { { 8, 5, 16, 8, 0, 10 }, { 8, 5, 16, 8, 0, 10 }, { 8, 5, 16, 8, 0, 10 } };
    struct mu_need need = need_of((struct task){ 1, 4, 0 });

    (void)state;
    mirror_set(at);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        const struct mu_place_policy *p = mu_place_at(mu_place_find(mu_str_of(cases[i].policy)));
        uint64_t param[MU_PARAMS_MAX];

        (void)mu_params_read(p->params, p->param_count, NULL, param, NULL);
        struct mu_place_view view = { &mirror, &need, param };
        if (p->score(&view, 1) != cases[i].want)
            fail_msg("%s: want %u, got %u", cases[i].policy, cases[i].want, p->score(&view, 1));
    }
}

static void parameters_are_read(void **state)
{
    static const struct mu_param table[] = {
        { "speed", MU_PARAM_NUMBER, .preset = 4, .min = 0, .max = 16 },
        { "guard", MU_PARAM_DURATION, .preset = 1000, .min = 0, .max = 3600000 },
        { "strict", MU_PARAM_FLAG, .preset = 0, .min = 0, .max = 1 },
    };
    static const struct {
        const char *word;
        enum mu_rc want;
        const char *field;
        uint64_t values[3];
    } cases[] = {
        { NULL, MU_OK, "", { 4, 1000, 0 } },
        { "speed=16", MU_OK, "", { 16, 1000, 0 } },
        { "guard=5m", MU_OK, "", { 4, 300000, 0 } },
        { "strict=1", MU_OK, "", { 4, 1000, 1 } },
        { "speed=17", MU_INVALID, "speed", { 9, 9, 9 } },
        { "speed=", MU_INVALID, "speed", { 9, 9, 9 } },
        { "speed", MU_INVALID, "speed", { 9, 9, 9 } },
        { "guard=soon", MU_INVALID, "guard", { 9, 9, 9 } },
        { "guard=2h", MU_INVALID, "guard", { 9, 9, 9 } },
        { "strict=2", MU_INVALID, "strict", { 9, 9, 9 } },
        { "sped=1", MU_INVALID, "params", { 9, 9, 9 } },
        { "", MU_INVALID, "params", { 9, 9, 9 } },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        uint64_t values[MU_PARAMS_MAX] = { 9, 9, 9 };
        struct mu_str word = mu_str_of(cases[i].word);
        struct mu_strs words = { &word, cases[i].word ? 1 : 0 };
        struct mu_err err = { 0 };

        if (mu_params_read(table, 3, &words, values, &err) != cases[i].want || strcmp(err.field, cases[i].field) != 0 ||
            memcmp(values, cases[i].values, sizeof cases[i].values) != 0)
            fail_msg("%s: rc or field (%s) or values are wrong", cases[i].word, err.field);
    }
}

static void every_policy_has_a_row(void **state)
{
    static const char *const names[] = { "random", "round-robin", "least-load", "least-response-time", "pack", "spread", "best-fit", "dot" };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(names); i++)
        assert_int_not_equal(mu_place_find(mu_str_of(names[i])), UINT32_MAX);
    assert_string_equal(mu_place_at(0)->name, "pack"); /* the default */
    assert_int_equal(mu_place_find(MU_STR_LIT("best")), UINT32_MAX);
    for (uint32_t i = 0; mu_place_at(i) != NULL; i++)
        assert_true(mu_place_at(i)->about[0] != '\0' && mu_place_at(i)->unit > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_choose),
        cmocka_unit_test(scores_are_fixed_numbers),
        cmocka_unit_test(parameters_are_read),
        cmocka_unit_test(every_policy_has_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
