/* Any bytes as an entry of the journal. */
#include "core/event.h"
#include "fuzz/fuzz.h"

/* Decode an entry and encode what it said; false when it is damaged. */
static bool again(struct mu_buf *out, const void *bytes, size_t size, struct mu_arena *arena)
{
    struct mu_reader r;
    struct mu_event ev;
    uint64_t time_ms;

    if (!mu_entry_open(&r, bytes, size, &time_ms))
        return false;
    mu_entry_begin(out, time_ms);
    while (mu_entry_next(&r, &ev, arena)) {
        MU_ASSERT(mu_event_pb(ev.kind) != NULL && mu_event_name(ev.kind)[0]);
        mu_entry_add(out, ev.kind, &ev.submit);
    }
    return !r.bad;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_arena arena = { .limit = MU_FUZZ_ARENA };
    struct mu_buf once = { 0 }, twice = { 0 };

    if (again(&once, data, size, &arena)) {
        MU_ASSERT(again(&twice, once.at, once.size, &arena));
        MU_ASSERT(mu_str_eq(mu_buf_str(&once), mu_buf_str(&twice)));
    }
    mu_buf_fini(&once);
    mu_buf_fini(&twice);
    mu_arena_fini(&arena);
    return 0;
}
