/* server/fetch.h -- bytes of one output stream of one attempt, from the node that has them.
 *
 * What       asks the node's agent for a window at a time and hands on what comes; waits for a node that is away.
 * Ownership  the caller's memory, between mu_fetch_start and end, fail or mu_fetch_stop.
 * Time       MU_FETCH_AWAY_MS for a node without a connection.   Threads  the loop's.
 * Failure    fail, once: the node is down or stays away, or its agent does not know the attempt.
 * Limits     one window on its way a fetch.
 */
#ifndef MU_SERVER_FETCH_H
#define MU_SERVER_FETCH_H

#include "base/list.h"
#include "wire/proto.h"

enum { MU_FETCH_AWAY_MS = 10000, MU_FETCH_WINDOW = 256 * 1024 };

struct mu_server;
struct mu_fetch;

struct mu_fetch_ops { /* none is called from inside a mu_fetch_ call; end and fail may start, stop and free any fetch */
    /* gone: so many bytes before these are lost for good. False: no more until mu_fetch_resume. Must not touch fetches. */
    bool (*data)(struct mu_fetch *f, struct mu_str bytes, uint64_t gone);
    void (*end)(struct mu_fetch *f);
    void (*fail)(struct mu_fetch *f, const struct mu_err *err);
};

struct mu_fetch {
    /* filled by the caller */
    uint64_t job, offset;
    uint32_t ordinal, attempt, node, stream; /* 1 stdout, 2 stderr */
    bool follow;                             /* wait for what is not written yet, until the attempt ends */
    size_t window;                           /* 0: MU_FETCH_WINDOW */
    const struct mu_fetch_ops *ops;
    /* ours */
    struct mu_server *sv;
    struct mu_list link; /* in a peer's list, or the orphans */
    void *peer;
    uint64_t req, left, until_ms;
    bool paused, active;
};

void mu_fetch_start(struct mu_server *sv, struct mu_fetch *f);
void mu_fetch_stop(struct mu_fetch *f); /* harmless when it is over, or all zero */
void mu_fetch_resume(struct mu_fetch *f);

/* For peers.c: an answer has come; the connection of these fetches is gone; look after those without one. */
void mu_fetch_msg(struct mu_server *sv, const struct mu_msg_output_data *data);
void mu_fetch_orphan(struct mu_server *sv, struct mu_list *fetches);
void mu_fetches_turn(struct mu_server *sv);

#endif
