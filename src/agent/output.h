/* agent/output.h -- what tasks wrote, kept on the node: bounded, complete, cheap for tasks that write little.
 *
 * What       a task writes to its slot (spawner/slots.h). When it has ended, little output is copied into the segment
 *            under way, many tasks a file, and large output's file is renamed to one of its own. Segments go
 *            oldest first when the node's bound is reached, with the files their records name.
 * Ownership  all files below the directory given, and the slots' between EXITED and release.
 * Time       none.
 * Threads    none; plain blocking file calls on local files.
 * Failure    what cannot be stored is dropped and answered as gone, never as empty; reading damaged data too.
 * Limits     struct mu_output_options; MU_OUTPUT_RECORDS_MAX attempts with output.
 *
 * A segment is a run of records {head with checksum, stdout, stderr}; a torn last one is cut off when it is opened.
 */
#ifndef MU_AGENT_OUTPUT_H
#define MU_AGENT_OUTPUT_H

#include "base/err.h"
#include "base/str.h"

enum {
    MU_OUTPUT_RECORDS_MAX = 1 << 20,
    MU_OUTPUT_SMALL = 64 * 1024, /* a stream up to this size is copied */
    MU_OUTPUT_SEGMENT = 4 * 1024 * 1024,
};

struct mu_output;

struct mu_output_options {
    const char *dir;        /* the agent's data directory: slots/ and output/ are below it */
    uint64_t stream_max;    /* bytes kept of one stream, the last ones; 0: 64 MiB */
    uint64_t total_max;     /* bytes kept in all; 0: 1 GiB */
};
/* The files of a slot; generation as the spawner told, so that no file is taken for another of its name. */
struct mu_output_slot {
    uint32_t number, generation;
};
struct mu_output_key {
    uint64_t job;
    uint32_t ordinal, attempt;
};

enum mu_rc mu_output_open(struct mu_output **out_store, const struct mu_output_options *opt, struct mu_err *err);
void mu_output_close(struct mu_output *o); /* accepts NULL */

/* A task has ended: take what its slot holds. It is safe, and the slot free, after flush, which calls release for each. What
 * was stored already (before the agent was killed) is not stored twice. */
void mu_output_take(struct mu_output *o, const struct mu_output_key *key, uint64_t id, struct mu_output_slot slot,
                    uint64_t out_bytes, uint64_t err_bytes);
/* drop: as in struct mu_sp_slot. */
void mu_output_flush(struct mu_output *o, void (*release)(void *arg, uint64_t id, uint32_t slot, unsigned drop), void *arg);

/* Read of a task that has ended. stream 1, 2. Up to size bytes at offset into bytes; *out_gap: so many bytes there are gone,
 * what is read stands behind them. MU_NOTFOUND: nothing of it is here: it wrote nothing, or all is gone. */
enum mu_rc mu_output_read(struct mu_output *o, const struct mu_output_key *key, unsigned stream, uint64_t offset, void *bytes,
                          size_t size, size_t *out_size, uint64_t *out_gap);
/* The same of a task that runs, from its slot. */
enum mu_rc mu_output_read_live(struct mu_output *o, struct mu_output_slot slot, unsigned stream, uint64_t offset, void *bytes, size_t size,
                               size_t *out_size, uint64_t *out_gap);
/* Give back what a running task wrote more than may be kept. Its size now. */
uint64_t mu_output_trim_live(struct mu_output *o, struct mu_output_slot slot, unsigned stream);
/* Another spawner makes the slots from now on. */
void mu_output_slots_new(struct mu_output *o);
/* The job's large files may go; records go with their segments. */
void mu_output_forget(struct mu_output *o, uint64_t job);
/* Remove what a killed agent left half stored. After the tasks it left have been taken and flushed. */
void mu_output_sweep(struct mu_output *o);

uint64_t mu_output_bytes(const struct mu_output *o);
uint64_t mu_output_dropped(const struct mu_output *o); /* records that went to keep the bound */

#endif
