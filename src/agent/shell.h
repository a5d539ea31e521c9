/* agent/shell.h -- the agent as a process: what its parts share.
 *
 * What       shell.c: flags, start, the server's connection, the turn, stop. shell_spawner.c: the spawner's life and frames.
 *            shell_output.c: readers of output. shell_node.c: what this machine is.
 * Ownership  struct mu_shell owns everything in it.
 * Time       boottime by mu_boot_ms.
 * Threads    the loop's.
 * Failure    mu_shell_die ends the process with a sentence.
 * Limits     the rooms' own.
 */
#ifndef MU_AGENT_SHELL_H
#define MU_AGENT_SHELL_H

#include "agent/agent.h"
#include "agent/cgroup.h"
#include "agent/output.h"
#include "agent/prepare.h"
#include "base/map.h"
#include "io/connect.h"

#include <limits.h>

enum {
    MU_SHELL_RESOURCES_MAX = 12, MU_SHELL_LABELS_MAX = 64, MU_SHELL_SERVERS_MAX = 16, MU_SHELL_PATH = 512,
};

/* A task the spawner has and has told of. */
struct mu_shell_live {
    uint64_t id;
    struct mu_output_key key;
    struct mu_output_slot slot; /* number MU_SP_SLOT_NONE: all its output goes elsewhere */
    uint32_t pid, group; /* group: number of mu_cgroups, 0 none */
    uint64_t started_us;
};

/* What the flags and files of the agent said. */
struct mu_shell_config {
    char data[MU_SHELL_PATH], name[MU_NAME_MAX + 1];
    char token[512], token_file[PATH_MAX]; /* token_file: where token is read from; "": it was given */
    char *server_text;                     /* what servers point into */
    const char *servers[MU_SHELL_SERVERS_MAX];
    uint32_t servers_count;
    struct mu_amount resources[MU_SHELL_RESOURCES_MAX];
    uint32_t resources_count;
    struct mu_str labels[MU_SHELL_LABELS_MAX];
    uint32_t labels_count;
    uint64_t cpu_milli, mem_bytes, gpu_milli, stream_max, total_max;
    bool keep, stop_tasks, allow_root;
};

struct mu_shell {
    struct mu_shell_config cfg;
    struct mu_loop *loop;
    struct mu_hook hook;
    struct mu_timer *wake, *retry;
    struct mu_signal *signals[2];
    int lock, exit_code;
    bool stopping, quit_sent;
    uint64_t stop_ms;             /* when it was told to stop */

    struct mu_agent *agent;       /* NULL until the spawner has listed its tasks */
    struct mu_cgroups *limits;
    struct mu_output *output;
    struct mu_prepare *prepare;
    char **base_env;
    uint8_t cluster[16];
    uint64_t epoch;
    struct mu_msg_ping load;
    uint64_t load_ms, load_ticks; /* when load was made; busy ticks of all cpus then */

    struct { /* the server */
        struct mu_connect *connect;
        struct mu_stream *stream;
        struct mu_arena arena;
        uint32_t at, failures;    /* index of the server; failed tries in a row */
        bool drop, final;         /* the pure half wants the connection closed */
    } server;

    struct { /* the spawner */
        struct mu_connect *connect;
        struct mu_stream *stream;
        struct mu_timer *retry;
        int dir;                  /* of the data directory, to reach its socket by a short name */
        pid_t pid;                /* when we started it, else 0 */
        char boot[MU_SP_BOOT];
        uint64_t deadline_ms, next_id, dead_ms;
        bool listed, lost;
        struct mu_map by_id, by_key; /* struct mu_shell_live; by_key: hash of the key */
        struct mu_agent_task *adopted;
        struct mu_agent_exit *adopted_exits;
        uint32_t adopted_count, adopted_cap;
        struct mu_agent_exit *refused; /* starts that failed before the spawner saw them */
        uint32_t refused_count, refused_cap;
    } spawner;

    struct mu_list readers;       /* OUTPUT_GET under way */
    struct mu_timer *poll, *trim;
};

/* shell.c */
__attribute__((format(printf, 2, 3)))
void mu_shell_die(struct mu_shell *sh, const char *fmt, ...);
void mu_shell_ready(struct mu_shell *sh); /* the spawner has listed its tasks: the agent's life begins */
void mu_shell_left(struct mu_shell *sh);  /* the spawner ended because we told it to */

/* shell_spawner.c */
void mu_shell_spawner_start(struct mu_shell *sh); /* find it, or start one */
void mu_shell_spawner_close(struct mu_shell *sh);
void mu_shell_spawner_turn(struct mu_shell *sh);  /* what the turn gathered */
void mu_shell_spawner_quit(struct mu_shell *sh, uint64_t grace_ms);
void mu_shell_on_spawn(void *arg, const struct mu_agent_spawn *spawn);
void mu_shell_on_lane(void *arg, uint32_t lane, uint32_t max);
void mu_shell_on_kill(void *arg, uint64_t id, int signal, enum mu_end why);
void mu_shell_on_forget(void *arg, uint64_t id);
void mu_shell_on_lease(void *arg, uint64_t dead_ms);
struct mu_shell_live *mu_shell_live_find(struct mu_shell *sh, const struct mu_output_key *key);

/* shell_output.c */
void mu_shell_on_output(void *arg, const struct mu_msg *msg);
void mu_shell_output_turn(struct mu_shell *sh);
void mu_shell_output_clear(struct mu_shell *sh);  /* the server is gone: nobody reads */
void mu_shell_output_watch(struct mu_shell *sh);  /* something runs: keep its output bounded */
void mu_shell_output_start(struct mu_shell *sh);
void mu_shell_output_stop(struct mu_shell *sh);

/* shell_node.c */
uint64_t mu_shell_cpu_milli(void);
uint64_t mu_shell_mem_bytes(void);
bool mu_shell_host_name(char *out, size_t size);
void mu_shell_load(struct mu_shell *sh);          /* refresh sh->load if it is old */
char **mu_shell_base_env(void);                   /* NULL-terminated; mu_shell_free_env */
void mu_shell_free_env(char **env);
/* As struct mu_prepare_options.user; arg is the shell. */
uint32_t mu_shell_user(void *arg, const struct mu_agent_spawn *spawn, struct mu_prepare_user *out);
/* Kill all processes that bear the mark of a spawner's life, and the groups of pids[]; returns how many were seen. */
unsigned mu_shell_kill_leftovers(const char *boot, const uint32_t *pids, uint32_t pids_count);

#endif
