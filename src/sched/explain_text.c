/* sched/explain_text.c -- see explain.h. */
#include "sched/explain.h"

#include "base/units.h"
#include "sched/class.h"

#include <stdarg.h>

void mu_say(char *text, size_t size, const char *fmt, ...)
{
    size_t at = strlen(text);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text + at, size - at, fmt, ap);
    va_end(ap);
}

const char *mu_say_node(const struct mu_ask *q, uint32_t node)
{
    return node < mu_view_nodes(q->s->core) ? mu_view_node(q->s->core, node)->name : "a node that never joined";
}

void mu_say_amount(const struct mu_ask *q, uint32_t kind, uint64_t amount, char *text, size_t size)
{
    char number[MU_TEXT_UNITS];

    switch (kind) {
    case MU_RES_CPU: mu_say(text, size, "%s cpu%s", mu_milli_text(number, amount), amount == 1000 ? "" : "s"); break;
    case MU_RES_MEM: mu_say(text, size, "%s of memory", mu_size_text(number, amount)); break;
    case MU_RES_GPU: mu_say(text, size, "%s gpu%s", mu_milli_text(number, amount), amount == 1000 ? "" : "s"); break;
    default:
        mu_say(text, size, "%llu " MU_STR_FMT, (unsigned long long)amount, MU_STR_ARG(mu_view_res_name(q->s->core, kind)));
    }
}

void mu_say_miss(const struct mu_ask *q, uint32_t node, bool when_empty, char *text, size_t size)
{
    const struct mu_need *need = &q->cls->need;
    bool first = true;

    mu_say(text, size, "node %s ", mu_say_node(q, node));
    for (uint32_t i = 0; i < need->kinds; i++) {
        uint32_t kind = need->kind[i];
        int64_t has = when_empty ? (int64_t)mu_mirror_total(&q->s->mirror, node, kind)
                                 : *mu_mirror_free(&q->s->mirror, node, kind);
        int64_t lack = (int64_t)need->res.amount[kind] - has;

        if (lack <= 0)
            continue;
        mu_say(text, size, first ? "lacks " : " and ");
        mu_say_amount(q, kind, (uint64_t)lack, text, size);
        first = false;
    }
    if (first)
        mu_say(text, size, "has room");
    else if (when_empty)
        mu_say(text, size, " even when empty");
}

/* ---- what would free it ---- */

static const struct mu_runs *runs_of(const struct mu_sched *s, uint32_t shape)
{
    const struct mu_shape *facts = mu_view_shape(s->core, shape);

    if (shape >= s->runs_count || s->runs[shape].count == 0 || s->runs[shape].generation != facts->generation)
        return NULL;
    return &s->runs[shape];
}

/* When a running attempt should end, by the mean of its shape; late ones any moment. UINT64_MAX: nobody knows. */
static uint64_t ends_in(const struct mu_ask *q, const struct mu_attempt *a)
{
    const struct mu_runs *r = runs_of(q->s, a->shape);
    uint64_t since = a->started_ms ? a->started_ms : a->placed_ms, gone = q->now_ms > since ? q->now_ms - since : 0;

    if (r == NULL)
        return UINT64_MAX;
    return r->mean_us / 1000 > gone ? r->mean_us / 1000 - gone : 0;
}

static bool room_after(const struct mu_ask *q, uint32_t node, const struct mu_res *freed)
{
    for (uint32_t i = 0; i < q->cls->need.kinds; i++) {
        uint32_t kind = q->cls->need.kind[i];
        int64_t rest = *mu_mirror_free(&q->s->mirror, node, kind) + (int64_t)freed->amount[kind];

        if (rest < (int64_t)q->cls->need.res.amount[kind])
            return false;
    }
    return true;
}

/* Of the node's attempts, the next to end after a given one: by (time, task). */
static const struct mu_attempt *next_to_end(const struct mu_ask *q, uint32_t node, const struct mu_attempt *after)
{
    const struct mu_attempt *a, *best = NULL;
    uint64_t cursor = 0;

    while ((a = mu_view_node_attempt(q->s->core, node, &cursor)) != NULL) {
        struct mu_rank mine = { ends_in(q, a), mu_task_key(a->job, a->ordinal) };

        if (after && !mu_rank_before((struct mu_rank){ ends_in(q, after), mu_task_key(after->job, after->ordinal) }, mine))
            continue;
        if (!best || mu_rank_before(mine, (struct mu_rank){ ends_in(q, best), mu_task_key(best->job, best->ordinal) }))
            best = a;
    }
    return best;
}

static uint64_t say_end(const struct mu_ask *q, const struct mu_attempt *a, uint32_t others, char *text, size_t size)
{
    uint64_t since = a->started_ms ? a->started_ms : a->placed_ms, left_ms = ends_in(q, a);
    char run[MU_TEXT_UNITS], left[MU_TEXT_UNITS];

    mu_say(text, size, "task %llu.%llu on %s, running %s", (unsigned long long)a->job,
           (unsigned long long)mu_view_index_of(q->s->core, a->job, a->ordinal), mu_say_node(q, a->node),
           mu_duration_text(run, q->now_ms > since ? (q->now_ms - since) / 1000 * 1000 : 0));
    if (left_ms == UINT64_MAX)
        mu_say(text, size, ", no task of its kind has ended yet");
    else if (left_ms == 0)
        mu_say(text, size, ", expected to end any moment");
    else
        mu_say(text, size, ", expected to end in ~%s", mu_duration_text(left, left_ms < 1000 ? left_ms : left_ms / 1000 * 1000));
    if (others > 0)
        mu_say(text, size, ", and %u that should end before it", others);
    return left_ms;
}

uint64_t mu_say_frees(const struct mu_ask *q, uint32_t node, char *text, size_t size)
{
    enum { LOOKED_AT = 64 };
    const struct mu_attempt *a = NULL;
    struct mu_res freed = { 0 };

    for (uint32_t others = 0; others < LOOKED_AT && (a = next_to_end(q, node, a)) != NULL; others++) {
        const struct mu_shape *shape = mu_view_shape(q->s->core, a->shape);

        for (uint32_t k = 0; k < MU_RES_MAX; k++)
            freed.amount[k] += shape->need.amount[k];
        if (room_after(q, node, &freed))
            return say_end(q, a, others, text, size);
    }
    return UINT64_MAX;
}

/* ---- estimates ---- */

static uint32_t live_of_shape(const struct mu_ask *q)
{
    const struct mu_attempt *a;
    uint32_t n = 0;

    for (uint32_t node = 0; node < q->s->mirror.count; node++)
        for (uint64_t cursor = 0; (a = mu_view_node_attempt(q->s->core, node, &cursor)) != NULL;)
            n += a->shape == q->cls->shape;
    return n;
}

/* Ends of all nodes in all their time, as ms between two. */
static uint64_t turnover_ms(const struct mu_ask *q, uint64_t *out_ended)
{
    uint64_t first_ms = UINT64_MAX;

    *out_ended = 0;
    for (uint32_t n = 0; n < q->s->mirror.count; n++) {
        const struct mu_node *facts = mu_view_node(q->s->core, n);

        *out_ended += facts->ended_ok + facts->ended_bad;
        first_ms = facts->joined_ms < first_ms ? facts->joined_ms : first_ms;
    }
    return *out_ended && q->now_ms > first_ms ? (q->now_ms - first_ms) / *out_ended : UINT64_MAX;
}

uint64_t mu_say_estimate(const struct mu_ask *q, uint64_t first_ms, uint32_t ahead, char *basis, size_t size)
{
    const struct mu_runs *r = runs_of(q->s, q->cls->shape);
    uint32_t live = live_of_shape(q);
    char text[MU_TEXT_UNITS];
    uint64_t ended, gap_ms;

    if (r != NULL && (live > 0 || (ahead == 0 && first_ms != UINT64_MAX))) {
        uint64_t turns_ms = r->mean_us / 1000 * ahead / (live ? live : 1);

        mu_say(basis, size, "such tasks ran %s on average (%u ended%s), %u run now, %u go before it",
               mu_duration_text(text, r->mean_us / 1000), r->count, r->count == 64 ? " or more" : "", live, ahead);
        return (first_ms == UINT64_MAX ? r->mean_us / 1000 / (live ? live : 1) : first_ms) + turns_ms;
    }
    if (first_ms != UINT64_MAX && ahead == 0) {
        mu_say(basis, size, "run times so far of what is in the way");
        return first_ms;
    }
    gap_ms = turnover_ms(q, &ended);
    if (gap_ms == UINT64_MAX)
        return UINT64_MAX;
    mu_say(basis, size, "the nodes ended %llu tasks, one every %s; %u go before it", (unsigned long long)ended,
           mu_duration_text(text, gap_ms), ahead);
    return gap_ms * ((uint64_t)ahead + 1);
}

/* ---- a decision of the past ---- */

static void say_score(const struct mu_place_policy *p, uint32_t score, char *text, size_t size)
{
    int64_t value = (int64_t)(score & (MU_SCORE_TIER - 1)) - p->zero;
    uint64_t milli = ((uint64_t)(value < 0 ? -value : value) * 1000 + p->unit / 2) / p->unit;
    char number[MU_TEXT_UNITS];

    mu_say(text, size, "%s%s", value < 0 ? "-" : "", mu_milli_text(number, milli));
}

void mu_say_past(const struct mu_ask *q, char *text, size_t size)
{
    const struct mu_past *p = mu_past_find(q->s, q->job, q->ordinal);

    if (p == NULL) {
        mu_say(text, size, "; how its node was chosen is not remembered any more");
        return;
    }
    const struct mu_place_policy *policy = mu_place_at(p->place);
    mu_say(text, size, "; chosen by %s", policy->name);
    if (p->score == 0) {
        mu_say(text, size, ": the node was given");
        return;
    }
    if (policy->pick != MU_PICK_FIRST)
        return;
    mu_say(text, size, " (score ");
    say_score(policy, p->score, text, size);
    if (p->runner_up != MU_TREE_NONE) {
        mu_say(text, size, "; next best %s with ", mu_say_node(q, p->runner_up));
        say_score(policy, p->runner_up_score, text, size);
    } else {
        mu_say(text, size, "; no other node with room was seen");
    }
    mu_say(text, size, ")");
}
