/* agent/room.h -- what of the node is taken, and how far ahead of it the spawner has been given work.
 *
 * What       counts rooms (attempts that may run now) against cpu, memory, gpus and named resources. Attempts of equal needs
 *            share a lane: `max` of them have room, more may be in the spawner's hands already, and one of those starts as
 *            soon as one of the lane ends, without asking us. The room stays with the lane meanwhile.
 * Ownership  options are kept as pointers.
 * Time, Threads, Failure  none.
 * Limits     MU_ROOM_LANES lanes; ahead_max attempts beside those with room.
 */
#ifndef MU_AGENT_ROOM_H
#define MU_AGENT_ROOM_H

#include "core/event.h"

enum { MU_ROOM_LANES = 16, MU_ROOM_NAMED_MAX = 32 };

/* What an attempt takes of the node while it runs. */
struct mu_agent_need {
    uint64_t cpu_milli, mem_bytes, gpu_milli;
};

struct mu_room_total {
    struct mu_agent_need of;   /* 0: not limited here */
    const struct mu_amount *named;
    uint32_t named_count;
    uint32_t running_max;      /* 0: no limit */
    uint32_t ahead_max;        /* 0: none, and no lanes */
};
struct mu_room {
    struct mu_room_total total;
    struct mu_agent_need used;
    uint64_t used_named[MU_ROOM_NAMED_MAX];
    uint32_t rooms, ahead;     /* attempts that may run; those in the spawner's hands beside them */
    struct mu_room_lane {
        struct mu_agent_need need;
        uint32_t max, hands;   /* with room; with the spawner */
    } lanes[MU_ROOM_LANES];
};

/* May an attempt of these needs go to the spawner now? Then it is counted: its lane (0: none), and how many of the lane may
 * run. spec: for its named resources; an attempt that needs one has no lane, as the spawner does not count them. */
bool mu_room_take(struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec, uint32_t *out_lane,
                  uint32_t *out_max);
/* The spawner has it already: from before a restart. waits: for its lane. */
void mu_room_adopt(struct mu_room *r, const struct mu_agent_need *need, uint32_t lane, bool waits);
/* It is over. */
void mu_room_give(struct mu_room *r, const struct mu_agent_need *need, const struct mu_group_spec *spec, uint32_t lane);
/* Room that became free goes to what the spawner has in its hands: the lane whose max grew, 0 when there is none (more). */
uint32_t mu_room_widen(struct mu_room *r, uint32_t *out_max);
void mu_room_check(const struct mu_room *r); /* assert */

#endif
