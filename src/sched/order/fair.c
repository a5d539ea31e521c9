/* sched/order/fair.c -- higher priority first, then the user who had least, then order of submission.
 *
 * rank = (U / h + share now) / weight: U is the user's dominant share times seconds, halved every h (core counts
 * it); share now is the largest share of any resource that the user's live and decided tasks need. */
#include "sched/state.h"

enum { OWN_HALFLIFE = MU_ORDER_OWN };

static const struct mu_param params[] = {
    MU_ORDER_PARAMS,
    { "halflife", MU_PARAM_DURATION, .preset = UINT64_C(86400000), .min = 1000, .max = UINT64_C(366) * 86400000 },
};
/* Ranks have 35 fraction bits: a thousandth of a cpu in a large cluster still counts. */
enum { FRACTION = 35 };

static uint64_t share_now(const struct mu_sched *s, const struct mu_tenant *t, const struct mu_user *u)
{
    uint64_t most = 0;

    for (uint32_t k = 0; k < s->mirror.kinds; k++) {
        uint64_t used = (u ? u->live.amount[k] : 0) + t->pending.amount[k], total = s->mirror.total.amount[k];
        uint64_t share = used == 0 ? 0 : total <= used ? UINT64_C(1) << FRACTION
                                                       : (uint64_t)(((unsigned __int128)used << FRACTION) / total);

        most = share > most ? share : most;
    }
    return most;
}

/* core's usage is in millionths of the cluster times ms. */
static uint64_t share_past(const struct mu_sched *s, const struct mu_user *u)
{
    unsigned __int128 usage = u ? mu_view_usage(s->core, u, s->now_ms) : 0;

    return (uint64_t)((usage << FRACTION) / ((unsigned __int128)s->order_param[OWN_HALFLIFE] * 1000000));
}

static uint64_t rank_user(const struct mu_sched *s, const struct mu_tenant *t)
{
    const struct mu_user *u = mu_view_user(s->core, t->word);
    uint64_t weight = u && u->weight ? u->weight : 1;
    uint64_t rank = (share_past(s, u) + share_now(s, t, u)) / weight;

    return rank < MU_RANK_MAX ? rank : MU_RANK_MAX;
}

const struct mu_order_policy mu_order_fair = {
    .name = "fair",
    .about = "higher priority, then the user with the least recent share; halflife=24h guard=20h strict=0",
    .params = params,
    .param_count = sizeof params / sizeof params[0],
    .rank_user = rank_user,
};
