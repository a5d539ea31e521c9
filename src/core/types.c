/* The words of states as people see them. */
#include "core/types.h"

#include "base/assert.h"

static const char *const task_states[] = {
#define X(name, text) [MU_TASK_##name] = text,
    MU_TASK_STATE_MAP(X)
#undef X
};
static const char *const ends[] = {
#define X(name, text) [MU_END_##name] = text,
    MU_END_MAP(X)
#undef X
};
static const char *const nostarts[] = {
#define X(name, text) [MU_NOSTART_##name] = text,
    MU_NOSTART_MAP(X)
#undef X
};
static const char *const node_states[] = {
#define X(name, text) [MU_NODE_##name] = text,
    MU_NODE_STATE_MAP(X)
#undef X
};

const char *mu_task_state_text(enum mu_task_state s)
{
    MU_ASSERT(s < MU_TASK_STATES);
    return task_states[s];
}

const char *mu_end_text(enum mu_end e)
{
    MU_ASSERT(e < MU_ENDS);
    return ends[e];
}

const char *mu_nostart_text(uint32_t code)
{
    return code >> 16 < MU_NOSTARTS ? nostarts[code >> 16] : "cannot be started";
}

const char *mu_node_state_text(enum mu_node_state s)
{
    MU_ASSERT(s < MU_NODE_STATES);
    return node_states[s];
}
