/* bench-codec: nanoseconds to encode and decode one record, alone and in its stream. Best of several rounds,
 * so that a neighbour's load disturbs little. */
#include "base/assert.h"
#include "core/event.h"
#include "wire/proto.h"

enum { BATCH = 1000, ROUNDS = 400 };

static const struct mu_ev_placed placed = { .job = 42, .ordinal = 70000, .attempt = 1, .node = 300 };
static const struct mu_result result = {
    .job = 42, .ordinal = 70000, .attempt = 1, .how = MU_END_EXIT, .ago_us = 350, .run_us = 912, .user_us = 400,
    .sys_us = 480, .rss_bytes = 1 << 21, .out_bytes = 12,
};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct work {
    struct mu_buf bytes;
    struct mu_arena arena;
    const struct mu_pb *pb;
    const void *record;
    struct mu_result *results;
};

static void encode_record(struct work *w)
{
    for (int i = 0; i < BATCH; i++) {
        mu_buf_clear(&w->bytes);
        mu_pb_put(&w->bytes, w->pb, w->record);
    }
}

static void decode_record(struct work *w)
{
    struct mu_event out;

    for (int i = 0; i < BATCH; i++)
        MU_ASSERT(mu_pb_get(w->pb, &out.submit, mu_buf_str(&w->bytes), &w->arena));
}

static void encode_entry(struct work *w)
{
    mu_entry_begin(&w->bytes, 1795377600000);
    for (int i = 0; i < BATCH; i++)
        mu_entry_add(&w->bytes, MU_EV_PLACED, &placed);
}

static void decode_entry(struct work *w)
{
    struct mu_reader r;
    struct mu_event ev;
    uint64_t time_ms;

    mu_entry_open(&r, w->bytes.at, w->bytes.size, &time_ms);
    while (mu_entry_next(&r, &ev, &w->arena))
        continue;
    MU_ASSERT(!r.bad);
}

static void encode_report(struct work *w)
{
    mu_buf_clear(&w->bytes);
    mu_frame_put(&w->bytes, MU_MSG_REPORT, 7, &(struct mu_msg_report){ .seq = 9, .ended = w->results, .ended_count = BATCH });
}

static void decode_report(struct work *w)
{
    struct mu_msg msg;
    size_t used;

    mu_arena_reset(&w->arena);
    MU_ASSERT(mu_frame_take(w->bytes.at, w->bytes.size, &used, &msg, &w->arena, NULL) == MU_OK);
    MU_ASSERT(msg.report.ended_count == BATCH);
}

static double best_ns(struct work *w, void (*step)(struct work *))
{
    double best = 1e18;

    for (int i = 0; i < ROUNDS; i++) {
        double start = now_ns(), spent;
        step(w);
        spent = (now_ns() - start) / BATCH;
        best = spent < best ? spent : best;
    }
    return best;
}

static void measure(struct work *w, const char *what, void (*encode)(struct work *), void (*decode)(struct work *), size_t each)
{
    double encode_ns = best_ns(w, encode), decode_ns = best_ns(w, decode);

    printf("%-28s %6.1f ns encode %6.1f ns decode %4zu bytes\n", what, encode_ns, decode_ns, w->bytes.size / each);
}

int main(void)
{
    static struct mu_result results[BATCH];
    struct work w = { .results = results };

    for (int i = 0; i < BATCH; i++)
        results[i] = result;
    w.pb = &mu_ev_placed_pb;
    w.record = &placed;
    measure(&w, "PLACED", encode_record, decode_record, 1);
    w.pb = &mu_result_pb;
    w.record = &result;
    measure(&w, "RESULT", encode_record, decode_record, 1);
    measure(&w, "PLACED in an entry", encode_entry, decode_entry, BATCH);
    measure(&w, "RESULT in a REPORT frame", encode_report, decode_report, BATCH);
    mu_buf_fini(&w.bytes);
    mu_arena_fini(&w.arena);
    return 0;
}
