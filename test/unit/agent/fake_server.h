/* A server for tests and benchmarks of the real `muster agent`: upgrades its connection, hears its frames, says what the test
 * wants. One agent, one node. Everything fails the process by MU_ASSERT. */
#ifndef MU_TEST_FAKE_SERVER_H
#define MU_TEST_FAKE_SERVER_H

#include "base/map.h"
#include "io/stream.h"
#include "wire/proto.h"

struct fake_result {
    uint64_t job;
    uint32_t ordinal, attempt, how, code, times; /* times: how often it was reported */
    uint64_t out_bytes, err_bytes, run_us, rss_bytes;
};
struct fake_reader {
    uint64_t req, gap;
    struct mu_buf data;
    bool ended, failed;
};

struct fake_server {
    struct mu_loop *loop;
    struct mu_listener *listener;
    struct mu_stream *stream;    /* NULL: no agent is connected */
    struct mu_arena arena;
    struct mu_buf frame;
    uint64_t epoch, lease_ms;
    bool upgraded, mute, no_ack; /* mute: neither HELLO nor pings are answered; no_ack: reports are not */
    uint32_t hellos;
    char boot[64], limits[256];  /* of the last HELLO */
    struct mu_task_ref refs[64];
    uint32_t refs_count;
    uint32_t started, ended;     /* attempts reported as running; different results */
    struct mu_map results;       /* task key * 16 + attempt -> struct fake_result */
    struct fake_reader reader;   /* one at a time */

    char dir[64];                /* of the agent */
    int agent;                   /* pid, 0: not started */
};

/* Listens on a free port, makes a directory for the agent. */
void fake_init(struct fake_server *s);
/* Stops the agent with its tasks, removes the directory. */
void fake_fini(struct fake_server *s);
/* Start `muster agent` with further flags, NULL at the end; wait until it is welcomed. */
void fake_agent_start(struct fake_server *s, const char *const *flags);
/* Signal the agent and wait for its end; the exit status. */
int fake_agent_end(struct fake_server *s, int signo);
/* One turn of the loop. */
void fake_turn(struct fake_server *s);
/* Turn until *what reaches at least, at most 30 s. */
void fake_until(struct fake_server *s, const uint32_t *what, uint32_t at_least);

void fake_say(struct fake_server *s, enum mu_msg_type type, const void *msg);
void fake_spec(struct fake_server *s, uint64_t job, const struct mu_group_spec *spec);
/* Attempt 1 of count tasks from ordinal first on; lines may be NULL. */
void fake_start(struct fake_server *s, uint64_t job, uint32_t first, uint32_t count, const char *const *lines);
void fake_stop(struct fake_server *s, uint64_t job, uint32_t ordinal, enum mu_end how);
const struct fake_result *fake_result(struct fake_server *s, uint64_t job, uint32_t ordinal);
/* Wait for the result of attempt 1. */
const struct fake_result *fake_await(struct fake_server *s, uint64_t job, uint32_t ordinal);
/* All output of attempt 1, into reader.data; reader.gap counts lost bytes. */
void fake_read(struct fake_server *s, uint64_t job, uint32_t ordinal, uint32_t stream, uint64_t offset, bool follow);

#endif
