/* agent/room.c -- see room.h. */
#include "agent/room.h"

#include "base/assert.h"

static uint64_t named(const struct mu_room *r, const struct mu_group_spec *spec, uint32_t i)
{
    for (uint32_t n = 0; spec != NULL && n < spec->resources_count; n++)
        if (mu_str_eq(spec->resources[n].name, r->total.named[i].name))
            return spec->resources[n].amount;
    return 0;
}

static bool has(uint64_t used, uint64_t need, uint64_t total)
{
    return total == 0 || used + need <= total;
}

/* Beside what runs. When nothing runs the first always fits: waiting would not help it. */
static bool fits(const struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec)
{
    if (r->total.running_max > 0 && r->rooms >= r->total.running_max)
        return false;
    if (r->rooms == 0)
        return true;
    for (uint32_t i = 0; i < r->total.named_count; i++)
        if (r->used_named[i] + named(r, spec, i) > r->total.named[i].amount)
            return false;
    return has(r->used.cpu_milli, need->cpu_milli, r->total.of.cpu_milli) &&
           has(r->used.mem_bytes, need->mem_bytes, r->total.of.mem_bytes) &&
           has(r->used.gpu_milli, need->gpu_milli, r->total.of.gpu_milli);
}

static void use(struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec)
{
    r->rooms++;
    r->used.cpu_milli += need->cpu_milli;
    r->used.mem_bytes += need->mem_bytes;
    r->used.gpu_milli += need->gpu_milli;
    for (uint32_t i = 0; i < r->total.named_count; i++)
        r->used_named[i] += named(r, spec, i);
}

static void unuse(struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec)
{
    MU_ASSERT(r->rooms > 0 && r->used.cpu_milli >= need->cpu_milli && r->used.mem_bytes >= need->mem_bytes);
    r->rooms--;
    r->used.cpu_milli -= need->cpu_milli;
    r->used.mem_bytes -= need->mem_bytes;
    r->used.gpu_milli -= need->gpu_milli;
    for (uint32_t i = 0; i < r->total.named_count; i++)
        r->used_named[i] -= named(r, spec, i);
}

static struct mu_room_lane *lane_at(struct mu_room *r, uint32_t lane)
{
    return &r->lanes[lane - 1];
}

/* The lane of these needs, else an empty one; 0: none. */
static uint32_t lane_of(const struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec)
{
    uint32_t empty = 0;

    if (r->total.ahead_max == 0 || (spec != NULL && spec->resources_count > 0))
        return 0;
    for (uint32_t i = 0; i < MU_ROOM_LANES; i++) {
        const struct mu_room_lane *l = &r->lanes[i];

        if (l->hands > 0 && l->need.cpu_milli == need->cpu_milli && l->need.mem_bytes == need->mem_bytes &&
            l->need.gpu_milli == need->gpu_milli)
            return i + 1;
        if (l->hands == 0 && empty == 0)
            empty = i + 1;
    }
    return empty;
}

static void hand(struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec, uint32_t lane, bool room)
{
    if (room)
        use(r, need, spec);
    else
        r->ahead++;
    if (lane == 0)
        return;
    lane_at(r, lane)->need = *need;
    lane_at(r, lane)->hands++;
    lane_at(r, lane)->max += room;
}

bool mu_room_take(struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec, uint32_t *out_lane,
                  uint32_t *out_max)
{
    uint32_t lane = lane_of(r, need, spec);
    bool room = fits(r, need, spec);

    /* Ahead only behind one that runs: its end is what starts the next. */
    if (!room && (lane == 0 || lane_at(r, lane)->max == 0 || r->ahead >= r->total.ahead_max))
        return false;
    hand(r, need, spec, lane, room);
    *out_lane = lane;
    *out_max = lane > 0 ? lane_at(r, lane)->max : 0;
    return true;
}

void mu_room_adopt(struct mu_room *r, const struct mu_agent_need *need, uint32_t lane, bool waits)
{
    hand(r, need, NULL, lane, lane == 0 || !waits);
}

void mu_room_give(struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec, uint32_t lane)
{
    struct mu_room_lane *l = lane > 0 ? lane_at(r, lane) : NULL;

    if (l != NULL && l->hands-- > l->max) {
        r->ahead--;
        return;
    }
    if (l != NULL)
        l->max--;
    unuse(r, need, spec);
}

uint32_t mu_room_widen(struct mu_room *r, uint32_t *out_max)
{
    for (uint32_t i = 0; i < MU_ROOM_LANES && r->ahead > 0; i++) {
        struct mu_room_lane *l = &r->lanes[i];
        uint32_t before = l->max;

        for (; l->hands > l->max && fits(r, &l->need, NULL); l->max++, r->ahead--)
            use(r, &l->need, NULL);
        if (l->max != before) {
            *out_max = l->max;
            return i + 1;
        }
    }
    return 0;
}

void mu_room_check(const struct mu_room *r)
{
    uint32_t ahead = 0, rooms = 0;

    for (uint32_t i = 0; i < MU_ROOM_LANES; i++) {
        MU_ASSERT(r->lanes[i].max <= r->lanes[i].hands);
        ahead += r->lanes[i].hands - r->lanes[i].max;
        rooms += r->lanes[i].max;
    }
    MU_ASSERT(ahead == r->ahead && rooms <= r->rooms);
    MU_ASSERT(r->rooms > 0 || r->used.cpu_milli + r->used.mem_bytes + r->used.gpu_milli == 0);
}
