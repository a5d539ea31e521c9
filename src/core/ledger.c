/* What live attempts use: of their node, and for their user. Never more than there is. */
#include "core/state.h"

bool mu_res_within(const struct mu_core *core, const struct mu_res *need, const struct mu_res *total)
{
    for (uint32_t i = 0; i < core->kinds; i++) {
        if (need->amount[i] > total->amount[i])
            return false;
    }
    return true;
}

bool mu_ledger_fits(const struct mu_core *core, const struct mu_node *node, const struct mu_res *need)
{
    for (uint32_t i = 0; i < core->kinds; i++) {
        uint64_t total = node->total.amount[i], used = node->used.amount[i];
        if (need->amount[i] && (used > total || need->amount[i] > total - used))
            return false;
    }
    return true;
}

void mu_ledger_take(struct mu_core *core, struct mu_node_slot *node, struct mu_user *user, const struct mu_res *need)
{
    MU_ASSERT(mu_ledger_fits(core, &node->at, need));
    for (uint32_t i = 0; i < core->kinds; i++) {
        node->at.used.amount[i] += need->amount[i];
        user->live.amount[i] += need->amount[i];
    }
    node->at.live++;
}

void mu_ledger_give(struct mu_core *core, struct mu_node_slot *node, struct mu_user *user, const struct mu_res *need)
{
    MU_ASSERT(node->at.live > 0);
    for (uint32_t i = 0; i < core->kinds; i++) {
        MU_ASSERT(node->at.used.amount[i] >= need->amount[i] && user->live.amount[i] >= need->amount[i]);
        node->at.used.amount[i] -= need->amount[i];
        user->live.amount[i] -= need->amount[i];
    }
    node->at.live--;
    if (node->squeezed)
        node->squeezed = !mu_res_within(core, &node->at.used, &node->at.total);
}
