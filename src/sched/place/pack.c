/* sched/place/pack.c -- fill nodes up, evenly in cpu and memory, fast nodes first.
 *
 * score = -sum of shares left - 2 |cpu left - memory left| - speed * (actual / predicted run time), over what the
 * task asks: a share it does not ask for says nothing of how well it fits. A node with GPUs comes after
 * all without, unless the task asks for one. */
#include "sched/place.h"

enum { ZERO = 1 << 26 };
static const struct mu_param params[] = { { "speed", MU_PARAM_NUMBER, .preset = 4, .min = 0, .max = 16 } };

static uint32_t score(const struct mu_place_view *v, uint32_t node)
{
    const struct mu_need *need = v->need;
    const struct mu_mnode *n = &v->mirror->nodes[node];
    uint32_t cpu = mu_place_rest(v, node, 0), cost = cpu + (uint32_t)v->param[0] * n->slow;

    for (uint32_t i = 1; i < need->kinds; i++) {
        uint32_t rest = mu_place_rest(v, node, i);

        cost += rest;
        if (need->kind[i] == MU_RES_MEM)
            cost += 2 * (cpu > rest ? cpu - rest : rest - cpu);
    }
    return (ZERO - cost) | (n->has_gpu && need->res.amount[MU_RES_GPU] == 0 ? 0 : MU_SCORE_TIER);
}

const struct mu_place_policy mu_place_pack = {
    .name = "pack",
    .about = "fill nodes up, evenly, fast ones first; speed=4 weighs their speed",
    .params = params,
    .param_count = 1,
    .pick = MU_PICK_FIRST,
    .tight = true,
    .zero = ZERO,
    .unit = MU_SHARE_ONE,
    .score = score,
};
