/* wire/jobspec.h -- what people ask for, as JSON or YAML, to a job's spec.
 *
 * What       the one reader of job specs: the API uses it for bodies, the command line for job files.
 * Ownership  strings and arrays of the spec live in the arena.
 * Time       none is read; deadlines are absolute.
 * Threads    none.
 * Failure    MU_INVALID or MU_TOOBIG; err->field is a path ("tasks[2].resources.cpus"), err->text a sentence.
 *            Nothing of the spec is to be used then.
 * Limits     MU_JOBSPEC_BYTES_MAX of text, depth 16; limits of core/types.h.
 */
#ifndef MU_WIRE_JOBSPEC_H
#define MU_WIRE_JOBSPEC_H

#include "base/err.h"
#include "core/event.h"

enum { MU_JOBSPEC_BYTES_MAX = 16 * 1024 * 1024 };

/* user fills spec->user; spec->digest is a hash of what was asked (the key left out) if there is a key. */
enum mu_rc mu_jobspec_json(struct mu_str json, struct mu_str user, struct mu_job_spec *out, struct mu_arena *arena, struct mu_err *err);

/* That hash, for a key that comes from elsewhere; 0 when json cannot be read. */
uint64_t mu_jobspec_digest(struct mu_str json);

/* A YAML document as JSON text. Plain scalars keep their spelling: numbers that JSON prints back to the letter, true,
 * false and null are those, all others strings.
 * Anchors, aliases, tags, several documents and repeated keys are refused, with line and column in the text. */
enum mu_rc mu_yaml_to_json(struct mu_str yaml, struct mu_buf *out_json, struct mu_err *err);

/* Line and column (from 1) of the value at a field path in a YAML or JSON document; false if it is not there. */
bool mu_yaml_locate(struct mu_str yaml, const char *field, uint32_t *out_line, uint32_t *out_column);

/* "A-B[:STEP]"; false: malformed, B < A, or step 0. Counts may pass the limit of a job: the caller checks. */
bool mu_parse_array(struct mu_str text, uint64_t *out_first, uint64_t *out_step, uint64_t *out_count);

/* The JSON Schema of a job file, published as share/muster/job.schema.json. */
extern const char mu_jobspec_schema[];

#endif
