/* agent/spawner/spawner_proto.h -- what an agent and its spawner say to each other over a unix socket.
 *
 * What       frames {u32 size of all, u32 type} and the plain structs behind them.
 * Ownership  views point into the frame.
 * Time       boottime, both ends on one machine.
 * Threads    none.
 * Failure    a frame out of its limits is refused (0 or NULL): the connection is closed, tasks go on.
 * Limits     MU_SP_FRAME_MAX bytes a frame.
 *
 * The bytes never leave the machine, so numbers stand in its own order; an agent of the next version may talk to a spawner
 * of this one, so fields are only added behind MU_SP_VERSION. This file knows nothing but C: the spawner is a program of
 * its own without our libraries.
 *
 * Life: the agent connects and says HELLO; the spawner answers WELCOME, one TASK for each it has, LISTED, and from then on
 * STARTED and EXITED as they come. A new connection takes the place of the old. An EXITED task stays until FORGET.
 * A lane holds tasks of which only so many may run; the others wait here, in order, and start when one of the lane ends.
 * A slot is the pair of files (slots/N.out, slots/N.err) a task writes to. A task that wrote nothing gives its slot
 * back at its end (slot MU_SP_SLOT_NONE); else the agent takes the bytes and gives it back with SLOT.
 */
#ifndef MU_AGENT_SPAWNER_PROTO_H
#define MU_AGENT_SPAWNER_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MU_SP_VERSION = 1,
    MU_SP_FRAME_MAX = 512 * 1024,
    MU_SP_TASKS_MAX = 1 << 16,
    MU_SP_STRINGS_MAX = 1 << 16, /* of one SPAWN */
    MU_SP_GROUPS_MAX = 64,       /* supplementary groups of a user */
    MU_SP_CGROUPS_MAX = 8,
    MU_SP_LANES_MAX = 64,
    MU_SP_WAITING_MAX = 40,      /* tasks that wait for their lane */
    MU_SP_BOOT = 24,
};
#define MU_SP_SLOT_NONE UINT32_MAX
#define MU_SP_SOCKET "spawner.sock"
#define MU_SP_LOCK "spawner.lock" /* held as long as the spawner lives */
#define MU_SP_SLOT_DIR "slots"
#define MU_SP_MARK "MUSTER_SPAWN_ID" /* =BOOT-ID: in the environment of every process of an attempt */

enum mu_sp_type {
    MU_SP_HELLO = 1, MU_SP_SPAWN, MU_SP_KILL, MU_SP_FORGET, MU_SP_SLOT, MU_SP_LANE, MU_SP_LEASE, MU_SP_QUIT, /* from the agent */
    MU_SP_WELCOME, MU_SP_TASK, MU_SP_LISTED, MU_SP_STARTED, MU_SP_EXITED,                        /* from the spawner */
    MU_SP_TYPES,
};

struct mu_sp_head { uint32_t size, type; };
struct mu_sp_hello { struct mu_sp_head head; uint32_t version, pid; };
struct mu_sp_kill { struct mu_sp_head head; uint64_t id; uint32_t signal, why; };
struct mu_sp_forget { struct mu_sp_head head; uint64_t id; };
/* drop: bit 0 the .out, bit 1 the .err file was renamed away: make a new one. Others are empty again. */
struct mu_sp_slot { struct mu_sp_head head; uint64_t id; uint32_t slot, drop; };
struct mu_sp_lane { struct mu_sp_head head; uint32_t lane, max; };
struct mu_sp_lease { struct mu_sp_head head; uint64_t dead_ms; }; /* boottime; UINT64_MAX: none */
/* Stop all: TERM, KILL after grace, then exit. */
struct mu_sp_quit { struct mu_sp_head head; uint64_t grace_ms; };

/* How a task is run. After the struct: groups (u32 each), then strings, each ended by NUL, in this order:
 * cwd, stdin, stdout, stderr, script ("" none of them), cgroups, argv, env. */
enum {
    MU_SP_SEARCH = 1,     /* argv[0] is looked up along PATH of env */
    MU_SP_USER = 2,       /* take on uid, gid, groups */
    MU_SP_NEWPRIVS = 4,   /* may gain privileges by set-user-id programs */
    MU_SP_TRUNC = 8,      /* stdout and stderr paths are emptied first */
    MU_SP_SCRIPT = 16,    /* script is a program text with a #! line: run it from memory as argv[0] */
};
struct mu_sp_spawn {
    struct mu_sp_head head;
    uint64_t id, job;
    uint64_t timeout_ms, grace_ms;          /* kept for the next agent, as need and tag are */
    uint64_t need[3];                       /* cpu, memory, gpu */
    uint64_t data_bytes;                    /* RLIMIT_DATA; 0: none */
    uint32_t ordinal, attempt;
    uint32_t flags, uid, gid;
    uint32_t groups, cgroups, argc, envc;   /* how many follow */
    uint32_t tag;                           /* the agent's own */
    uint32_t lane, lane_max;                /* start when fewer than lane_max of the lane run; lane 0: at once */
    uint32_t reserved;
};

struct mu_sp_welcome {
    struct mu_sp_head head;
    uint32_t version, pid;
    uint64_t next_id, dead_ms;
    uint32_t tasks, reserved;
    char boot[MU_SP_BOOT]; /* NUL-terminated */
};

enum mu_sp_state { MU_SP_WAITING, MU_SP_STARTING, MU_SP_RUNNING, MU_SP_DYING, MU_SP_ENDED };
enum mu_sp_how { MU_SP_EXIT, MU_SP_SIGNAL, MU_SP_NOSTART, MU_SP_FENCED };
/* All there is to know of a task: TASK, STARTED, EXITED. */
struct mu_sp_task {
    struct mu_sp_head head;
    uint64_t id, job;
    uint32_t ordinal, attempt;
    uint64_t timeout_ms, grace_ms, need[3];
    uint64_t start_us;                     /* boottime */
    uint32_t pid, slot;
    uint32_t state, stop_why;              /* enum mu_sp_state; why of the first KILL, 0 none */
    uint32_t how, code;                    /* ENDED: enum mu_sp_how; exit status, signal, errno */
    uint64_t run_us, user_us, sys_us, rss_bytes, out_bytes, err_bytes;
    uint32_t tag, lane;
    uint32_t slot_gen, reserved;           /* changes when the slot's files are made anew */
};

/* A checked view of a SPAWN frame: strings[] gets cwd, stdin, stdout, stderr, script, then cgroups, argv, env, each list ended
 * by NULL. */
struct mu_sp_spawn_view {
    struct mu_sp_spawn head;
    const uint32_t *groups;
    char *cwd, *in, *out, *err, *script;
    char **cgroups, **argv, **env;
};
enum { MU_SP_FIXED_STRINGS = 5 };
/* false: not a sound SPAWN. pointers: room for strings_max pointers, which the view uses. */
bool mu_sp_spawn_read(struct mu_sp_spawn_view *view, void *frame, size_t size, char **pointers, size_t pointers_max);
/* Size of the frame at the front of bytes: 0 incomplete, SIZE_MAX broken. from_agent: which types are right. */
size_t mu_sp_frame(const void *bytes, size_t size, bool from_agent);

#endif
