/* Any facts, in any order, about things that may not exist: the core refuses or ignores what does not hold, keeps its
 * invariants, and a replica, live or from a snapshot, has the same state. Input: entries, each after its length. */
#include "core/core.h"
#include "fuzz/fuzz.h"

static const struct mu_core_limits limits = {
    .tasks_waiting_max = 1 << 20, .jobs_max = 64, .ended_jobs_max = 4, .ended_ms = 10000, .bytes_max = 1 << 20,
};

static void apply_all(struct mu_core *core, const uint8_t *data, size_t size, bool check)
{
    struct mu_reader in = mu_reader_of(data, size), r;
    struct mu_arena arena = { .limit = MU_FUZZ_ARENA };
    struct mu_fx_list fx = { 0 };
    struct mu_event ev;
    uint64_t now_ms;

    for (struct mu_str entry; entry = mu_get_bytes(&in), !in.bad;) {
        if (!mu_entry_open(&r, entry.at, entry.size, &now_ms))
            continue;
        while (mu_entry_next(&r, &ev, &arena))
            mu_core_apply(core, now_ms, &ev, &fx);
        mu_arena_reset(&arena);
        if (check)
            mu_core_check(core);
    }
    mu_fx_fini(&fx);
    mu_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_core *core = mu_core_new(&limits), *replica = mu_core_new(&limits), *loaded = mu_core_new(&limits);
    struct mu_buf snapshot = { 0 };

    apply_all(core, data, size, true);
    apply_all(replica, data, size, false);
    MU_ASSERT(mu_core_hash(core) == mu_core_hash(replica));
    mu_core_save(core, &snapshot);
    MU_ASSERT(mu_core_load(loaded, snapshot.at, snapshot.size, NULL) == MU_OK);
    mu_core_check(loaded);
    MU_ASSERT(mu_core_hash(core) == mu_core_hash(loaded));
    MU_ASSERT(mu_core_wake_ms(core) == mu_core_wake_ms(loaded));
    mu_core_free(core);
    mu_core_free(replica);
    mu_core_free(loaded);
    mu_buf_fini(&snapshot);
    return 0;
}
