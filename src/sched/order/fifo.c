/* sched/order/fifo.c -- higher priority first, then first come, first served. */
#include "sched/order.h"

static const struct mu_param params[] = { MU_ORDER_PARAMS };

const struct mu_order_policy mu_order_fifo = {
    .name = "fifo",
    .about = "higher priority, then order of submission; guard=20h strict=0",
    .params = params,
    .param_count = sizeof params / sizeof params[0],
};
