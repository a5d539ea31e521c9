/* balance/policy/prequal.c -- a pool of recent probes; among the lightly loaded the fastest, else the least loaded.
 * A simplified reading of the published idea (Wydrowski et al., NSDI 2024). */
#include "balance/policy.h"

#include <math.h>
#include <stdlib.h>

enum { PROBES_A_REQUEST = 3, USES_MAX = 2, AGE_SERVICE_TIMES = 20, KEEP_UNTIL = 8 };

static void probes_remove(struct mu_balance *b, uint32_t at)
{
    for (b->probes_count--; at < b->probes_count; at++)
        b->probes[at] = b->probes[at + 1];
}

static bool ask(struct mu_balance *b, double now, uint32_t slot, double *inflight, double *latency)
{
    const struct mu_instance *i = &b->at[slot];

    if (b->probe != NULL)
        return b->probe(b->probe_arg, slot, inflight, latency);
    *inflight = mu_inflight(b, now, i);
    *latency = i->seen > 0 ? i->latency * (*inflight + 1) : mu_service_time(b);
    return true;
}

static void probe_one(struct mu_balance *b, double now, uint32_t slot)
{
    struct mu_probe p = { .slot = slot, .at = now };

    if (!ask(b, now, slot, &p.inflight, &p.latency))
        return;
    if (b->probes_count == MU_PROBES)
        probes_remove(b, 0); /* the oldest stands first */
    b->probes[b->probes_count++] = p;
    b->rifs[b->rifs_next] = p.inflight;
    b->rifs_next = (b->rifs_next + 1) % MU_PROBE_MEMORY;
    b->rifs_count += b->rifs_count < MU_PROBE_MEMORY;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The 0.84 quantile of the in-flight counts seen lately: at or above it an instance counts as hot. */
static double hot_from(const struct mu_balance *b)
{
    double sorted[MU_PROBE_MEMORY];

    if (b->rifs_count == 0)
        return 0;
    for (uint32_t i = 0; i < b->rifs_count; i++)
        sorted[i] = b->rifs[i];
    qsort(sorted, b->rifs_count, sizeof sorted[0], by_value);
    return sorted[(uint32_t)(0.84 * b->rifs_count) < b->rifs_count ? (uint32_t)(0.84 * b->rifs_count) : b->rifs_count - 1];
}

static void drop_stale(struct mu_balance *b, double now, const bool *tried)
{
    for (uint32_t i = 0; i < b->probes_count;) {
        const struct mu_probe *p = &b->probes[i];
        if (p->uses >= USES_MAX || now - p->at > AGE_SERVICE_TIMES * mu_service_time(b) || p->slot >= b->count ||
            !mu_pick_may(b, now, p->slot, tried))
            probes_remove(b, i);
        else
            i++;
    }
}

static uint32_t best_probe(const struct mu_balance *b)
{
    double hot = hot_from(b);
    uint32_t cold = MU_NO_SLOT, least = 0;

    for (uint32_t i = 0; i < b->probes_count; i++) {
        const struct mu_probe *p = &b->probes[i];
        bool is_cold = hot > 0 ? p->inflight < hot : p->inflight == 0;
        if (is_cold && (cold == MU_NO_SLOT || p->latency < b->probes[cold].latency))
            cold = i;
        if (p->inflight < b->probes[least].inflight)
            least = i;
    }
    return cold != MU_NO_SLOT ? cold : least;
}

/* Too many old ones keep the pool from turning over: the worst goes. */
static void drop_worst(struct mu_balance *b)
{
    uint32_t worst = 0;

    if (b->probes_count <= KEEP_UNTIL)
        return;
    for (uint32_t i = 1; i < b->probes_count; i++) {
        const struct mu_probe *p = &b->probes[i], *w = &b->probes[worst];
        if (p->inflight > w->inflight || (p->inflight == w->inflight && p->latency > w->latency))
            worst = i;
    }
    probes_remove(b, worst);
}

static uint32_t pick_prequal(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    uint32_t chosen, slot;
    (void)key;

    for (int k = 0; k < PROBES_A_REQUEST; k++)
        if ((slot = mu_pick_any(b, now, tried, MU_NO_SLOT)) != MU_NO_SLOT)
            probe_one(b, now, slot);
    drop_stale(b, now, tried);
    if (b->probes_count < 2)
        return mu_pick_any(b, now, tried, MU_NO_SLOT);
    chosen = best_probe(b);
    slot = b->probes[chosen].slot;
    b->probes[chosen].uses++;
    for (uint32_t i = 0; i < b->probes_count; i++)
        b->probes[i].inflight += b->probes[i].slot == slot;
    drop_worst(b);
    return slot;
}
const struct mu_policy mu_policy_prequal = {
    "prequal", "probes; among the lightly loaded the fastest, else the least loaded", false, pick_prequal
};
