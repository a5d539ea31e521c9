/* agent/specs.h -- the group specs a server has sent on this connection.
 *
 * What       decoded specs by (job, group); the last MU_SPECS_MAX of them stay, older ones go, as proto.h says.
 * Ownership  the cache holds one reference, each attempt that still needs its spec another.
 * Time, Threads  none.
 * Failure    put answers false when the bytes are no spec.
 * Limits     MU_SPECS_MAX specs beside those in use; MU_SPEC_BYTES_MAX an encoded one.
 */
#ifndef MU_AGENT_SPECS_H
#define MU_AGENT_SPECS_H

#include "base/list.h"
#include "base/map.h"
#include "wire/proto.h"

enum { MU_SPEC_BYTES_MAX = 1 << 20 };

struct mu_spec {
    uint64_t id; /* differs for every put */
    uint64_t job;
    uint32_t group, refs;
    struct mu_group_spec spec;
    struct mu_str job_name, user;
    uint64_t tasks;
    struct mu_list link;
    struct mu_spec *same; /* of one hash */
    struct mu_arena arena;
    bool cached;
};
struct mu_specs {
    struct mu_map by_key;
    struct mu_list order; /* oldest first */
    uint32_t count;
    uint64_t next_id;
};

void mu_specs_init(struct mu_specs *s);
void mu_specs_fini(struct mu_specs *s);
/* Replaces an earlier one of the same group; attempts that hold that keep it. */
bool mu_specs_put(struct mu_specs *s, const struct mu_msg_spec *msg);
struct mu_spec *mu_specs_find(const struct mu_specs *s, uint64_t job, uint32_t group);
/* A new connection starts without specs. */
void mu_specs_clear(struct mu_specs *s);
struct mu_spec *mu_spec_ref(struct mu_spec *spec);
void mu_spec_unref(struct mu_spec *spec); /* accepts NULL */

#endif
