/* Snapshots: what is saved is loaded, damage is refused; and what all of it costs in memory. */
#include "unit/unit.h"

#include "heap.h"
#include "world.h"

#include "core/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the stream ---- */

static void a_stream_is_read_as_it_was_written(void **state)
{
    struct mu_buf b = { 0 }, text = { 0 };
    struct mu_snap_out out = { .to = &b }, again = { 0 };
    struct mu_snap_in in;

    (void)state;
    for (uint32_t i = 0; i < 100000; i++)
        mu_buf_addc(&text, 'x');
    for (uint64_t i = 0; i < 20000; i++) {
        mu_snap_put(&out, i * i * i);
        mu_snap_put_text(&out, (struct mu_str){ (char *)text.at, (uint32_t)(i % 50 == 0 ? 100000 : i % 100) });
        mu_snap_put(&again, i * i * i);
        mu_snap_put_text(&again, (struct mu_str){ (char *)text.at, (uint32_t)(i % 50 == 0 ? 100000 : i % 100) });
    }
    assert_true(mu_snap_end(&out) == mu_snap_end(&again)); /* hashed without being kept */
    in = mu_snap_in_of(b.at, b.size);
    for (uint64_t i = 0; i < 20000; i++) {
        assert_true(mu_snap_get(&in) == i * i * i);
        assert_int_equal(mu_snap_get_text(&in).size, i % 50 == 0 ? 100000 : i % 100);
    }
    assert_true(mu_snap_done(&in));
    assert_int_equal(mu_snap_get(&in), 0);
    assert_true(in.bad);
    mu_buf_fini(&b);
    mu_buf_fini(&text);
}

/* ---- a state with something of everything ---- */

static void busy_world(struct world *w)
{
    static struct mu_str label[] = { { "zone=a", 6 } }, nodes[] = { { "n0", 2 }, { "n1", 2 } };
    struct mu_group_spec g[3] = { world_group(30), world_group(30), world_group(2) };
    struct mu_dep each = { .group = 0, .kind = MU_DEP_EACH_OK }, job = { .job = 1, .kind = MU_DEP_ANY };
    struct mu_job_spec spec = world_spec(g, 3);
    struct mu_amount lic = { MU_STR_LIT("lic"), 1 };

    world_init(w);
    world_join(w, "n0", "b", 9000, 1 << 30);
    world_join(w, "n1", "b", 9000, 1 << 30);
    world_apply(w, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .node = 1, .label = label[0] });
    world_apply(w, MU_EV_LEAD, &(struct mu_ev_lead){ .epoch = 3, .server = MU_STR_LIT("s"), .url = MU_STR_LIT("u") });
    world_apply(w, MU_EV_QUOTA, &(struct mu_ev_quota){ .user = MU_STR_LIT("bob"), .weight = 3, .waiting_max = 9 });
    g[0].retries = 2;
    g[0].backoff_ms = 5000;
    g[1].after = &each;
    g[1].after_count = 1;
    g[2].each_node = (struct mu_strs){ nodes, 2 };
    spec.key = MU_STR_LIT("k");
    spec.priority = -5;
    spec.deadline_ms = 1000000;
    world_submit(w, &spec);
    world_run(w, 1, 0, 0, MU_END_EXIT, 0);
    world_run(w, 1, 1, 0, MU_END_EXIT, 1);
    world_run(w, 1, 2, 0, MU_END_NODE_LOST, 0);
    assert_true(world_place(w, 1, 3, 0) && world_place(w, 1, 4, 1) && world_place(w, 1, 60, 0));
    world_start(w, 1, 4);
    g[0] = world_group(2);
    g[0].argv.count = 0;
    g[0].lines = MU_STR_LIT("a\nb\n");
    g[0].labels = (struct mu_strs){ label, 1 };
    spec = world_spec(g, 1);
    spec.open = MU_OPEN_STREAM;
    world_submit(w, &spec);
    world_apply(w, MU_EV_PART, &(struct mu_ev_part){ .job = 2, .tasks_before = 2, .lines = MU_STR_LIT("c\n") });
    g[0] = world_group(1);
    g[0].after = &job;
    g[0].after_count = 1;
    g[0].resources = &lic;
    spec = world_spec(g, 1);
    spec.user = MU_STR_LIT("bob");
    world_submit(w, &spec);
    world_array(w, 3);
    world_cancel(w, 4);
}

static enum mu_rc load(const struct mu_core_limits *limits, const void *bytes, size_t size, uint64_t *out_hash)
{
    struct mu_core *core = mu_core_new(limits);
    struct mu_err err = { 0 };
    enum mu_rc rc = mu_core_load(core, bytes, size, &err);

    if (rc == MU_OK) {
        mu_core_check(core);
        *out_hash = mu_core_hash(core);
    } else {
        assert_int_equal(err.rc, rc);
        assert_true(err.text[0]);
    }
    mu_core_free(core);
    return rc;
}

static void same_jobs(const struct mu_core *a, const struct mu_core *b)
{
    struct mu_job_view x, y;

    for (uint64_t id = 0; (id = mu_view_job_next(a, id)) != 0;) {
        assert_true(mu_view_job(a, id, &x) && mu_view_job(b, id, &y));
        assert_true(mu_str_eq(x.name, y.name) && mu_str_eq(x.user, y.user) && mu_str_eq(x.key, y.key));
        assert_true(x.priority == y.priority && x.submitted_ms == y.submitted_ms && x.started_ms == y.started_ms &&
                    x.ended_ms == y.ended_ms && x.deadline_ms == y.deadline_ms && x.held == y.held &&
                    x.cancelled == y.cancelled && x.open == y.open && x.over == y.over && x.groups == y.groups);
        assert_memory_equal(x.count, y.count, sizeof x.count);
        for (uint32_t i = 0; i < x.tasks; i++) {
            assert_int_equal(mu_view_task(a, id, i), mu_view_task(b, id, i));
            assert_int_equal(mu_view_attempts(a, id, i), mu_view_attempts(b, id, i));
            assert_true(mu_view_backoff_until(a, id, i) == mu_view_backoff_until(b, id, i));
            assert_true(mu_str_eq(mu_view_line(a, id, i), mu_view_line(b, id, i)));
        }
    }
}

static void same_nodes_and_users(const struct mu_core *a, const struct mu_core *b)
{
    const struct mu_user **users, **twins;

    for (uint32_t i = 0; i < mu_view_nodes(a); i++) {
        const struct mu_node *x = mu_view_node(a, i), *y = mu_view_node(b, i);
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->boot, y->boot);
        assert_string_equal(x->address, y->address);
        assert_true(x->state == y->state && x->drain == y->drain && x->keep == y->keep && x->live == y->live &&
                    x->labels.count == y->labels.count && x->joined_ms == y->joined_ms && x->ended_ok == y->ended_ok &&
                    x->ended_bad == y->ended_bad);
        assert_memory_equal(&x->total, &y->total, sizeof x->total);
        assert_memory_equal(&x->used, &y->used, sizeof x->used);
    }
    assert_int_equal(mu_view_users(a, &users), mu_view_users(b, &twins));
    for (uint32_t i = 0; i < mu_view_users(a, &users); i++)
        assert_true(users[i]->weight == twins[i]->weight && users[i]->waiting == twins[i]->waiting &&
                    users[i]->waiting_max == twins[i]->waiting_max && users[i]->usage == twins[i]->usage);
}

static void all_that_can_be_seen_is_loaded(void **state)
{
    struct world w = { 0 };
    struct mu_buf b = { 0 };
    struct mu_core *again;

    (void)state;
    busy_world(&w);
    mu_core_save(w.core, &b);
    again = mu_core_new(&w.limits);
    assert_int_equal(mu_core_load(again, b.at, b.size, NULL), MU_OK);
    same_jobs(w.core, again);
    same_nodes_and_users(w.core, again);
    assert_true(mu_view_now_ms(again) == mu_view_now_ms(w.core) && mu_view_version(again) == mu_view_version(w.core) &&
                mu_view_epoch(again) == 3 && mu_str_is(mu_view_leader(again).server, "s"));
    mu_core_free(again);
    mu_buf_fini(&b);
    world_fini(&w);
}

static void what_was_saved_is_loaded(void **state)
{
    struct world w = { 0 };
    struct mu_buf b = { 0 };
    uint64_t hash = 0;

    (void)state;
    busy_world(&w);
    mu_core_save(w.core, &b);
    assert_int_equal(load(&w.limits, b.at, b.size, &hash), MU_OK);
    assert_true(hash == mu_core_hash(w.core));
    world_end(&w, 1, 3, MU_END_EXIT, 0);
    assert_true(hash != mu_core_hash(w.core));
    mu_buf_fini(&b);
    world_fini(&w);
}

static void every_flipped_bit_is_seen(void **state)
{
    struct world w = { 0 };
    struct mu_buf b = { 0 };
    uint64_t hash;

    (void)state;
    busy_world(&w);
    mu_core_save(w.core, &b);
    for (size_t i = 0; i < b.size * 8; i++) {
        enum mu_rc rc;
        b.at[i / 8] ^= (uint8_t)(1u << i % 8);
        rc = load(&w.limits, b.at, b.size, &hash);
        if (rc != MU_CORRUPT && rc != MU_VERSION)
            fail_msg("bit %zu of byte %zu: %s", i % 8, i / 8, mu_rc_code(rc));
        b.at[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t size = 0; size < b.size; size++)
        assert_int_equal(load(&w.limits, b.at, size, &hash), MU_CORRUPT);
    mu_buf_addc(&b, 0);
    assert_int_equal(load(&w.limits, b.at, b.size, &hash), MU_CORRUPT);
    mu_buf_fini(&b);
    world_fini(&w);
}

/* With a hash that fits, what a byte says wrongly is refused, or is another sound state: never a crash. */
static void every_changed_byte_is_survived(void **state)
{
    struct world w = { 0 };
    struct mu_buf b = { 0 }, framed = { 0 };
    struct mu_reader r;
    struct mu_str block;
    uint64_t hash;

    (void)state;
    busy_world(&w);
    mu_core_save(w.core, &b);
    r = mu_reader_of(b.at, b.size);
    block = mu_get_bytes(&r);
    for (uint32_t i = 0; i < block.size * 4; i++) {
        static const uint8_t flips[] = { 0x01, 0x80, 0x7f, 0x02 };
        struct mu_snap_out out = { .to = &framed };
        mu_buf_clear(&framed);
        mu_buf_add(&out.block, block.at, block.size);
        out.block.at[i / 4] ^= flips[i % 4];
        mu_snap_end(&out);
        load(&w.limits, framed.at, framed.size, &hash);
    }
    mu_buf_fini(&b);
    mu_buf_fini(&framed);
    world_fini(&w);
}

static void a_newer_format_is_not_read(void **state)
{
    struct mu_buf b = { 0 };
    struct mu_snap_out out = { .to = &b };
    uint64_t hash;

    (void)state;
    mu_snap_put(&out, 99);
    mu_snap_end(&out);
    assert_int_equal(load(&mu_core_limits_default, b.at, b.size, &hash), MU_VERSION);
    mu_buf_fini(&b);
}

/* ---- memory ---- */

static void a_million_tasks_cost_little(void **state)
{
    struct world w = { .quiet = true };
    size_t before;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 64000, 1 << 30);
    before = heap_bytes();
    world_array(&w, 1000000);
    assert_in_range(heap_bytes() - before, 1, 100 * 1000);
    for (uint32_t i = 0; i < 20000; i++)
        world_run(&w, 1, i, 0, MU_END_EXIT, 0);
    assert_in_range(heap_bytes() - before, 1, 300 * 1000);
    world_cancel(&w, 1);
    mu_core_check(w.core);
    world_fini(&w);
}

static void a_million_lines_cost_their_bytes(void **state)
{
    enum { LINES = 1000000, PART = 1500, LINE = 100 };
    struct world w = { .quiet = true };
    struct mu_buf text = { 0 };
    char *part = malloc(PART * (LINE + 1));
    size_t before, part_bytes = PART * LINE;

    (void)state;
    world_init(&w);
    mu_buf_room(&w.entry, 1 << 20);
    mu_buf_room(&w.spec, 1 << 20);
    mu_buf_room(&text, part_bytes);
    before = heap_bytes();
    for (uint32_t at = 0; at < LINES; at += PART) {
        uint32_t count = LINES - at < PART ? LINES - at : PART;
        struct mu_group_spec g = world_group(count);
        struct mu_job_spec spec = world_spec(&g, 1);
        for (uint32_t i = 0; i < count; i++) {
            memset(part + i * LINE, 'x', LINE);
            snprintf(part + i * LINE, LINE, "echo %08u", (unsigned)(at + i));
            part[i * LINE + 13] = ' ';
            part[i * LINE + LINE - 1] = '\n';
        }
        g.argv.count = 0;
        g.lines = (struct mu_str){ part, count * LINE };
        spec.open = MU_OPEN_WHOLE;
        if (at == 0)
            world_submit(&w, &spec);
        else
            world_apply(&w, MU_EV_PART, &(struct mu_ev_part){ .job = 1, .tasks_before = at, .lines = g.lines, .last = at + count == LINES });
        assert_int_equal(world_rc(&w), MU_OK);
    }
    assert_in_range(heap_bytes() - before, LINES * LINE, LINES * 104);
    assert_true(memcmp(mu_view_line(w.core, 1, 777777).at, "echo 00777777 x", 15) == 0);
    mu_core_check(w.core);
    mu_buf_fini(&text);
    free(part);
    world_fini(&w);
}

static void a_forgotten_job_leaves_nothing(void **state)
{
    enum { JOBS = 3000 };
    struct world w = { .quiet = true, .limits = { .tasks_waiting_max = 10000, .jobs_max = 10000, .ended_jobs_max = 0,
                                                  .ended_ms = 1000, .bytes_max = 1 << 24 } };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1);
    static struct mu_str argv[] = { { "/usr/bin/convert", 16 }, { "--input", 7 }, { "/data/incoming/2026/11/22/picture-000042.tiff", 45 },
                                    { "--output", 8 }, { "/data/outgoing/p42.png", 22 } };
    size_t before = 0, full;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    g.argv = (struct mu_strs){ argv, 5 };
    g.cwd = MU_STR_LIT("/home/ann/work");
    for (uint32_t round = 0; round < 3; round++) {
        uint64_t first = mu_view_next_job(w.core);
        full = heap_bytes();
        for (uint32_t i = 0; i < JOBS; i++)
            world_submit(&w, &spec);
        assert_in_range((heap_bytes() - full) / JOBS, 100, 350);
        for (uint32_t i = 0; i < JOBS; i++)
            world_run(&w, first + i, 0, 0, MU_END_EXIT, i % 3);
        while (mu_core_wake_ms(w.core) <= w.now_ms)
            world_due(&w, w.now_ms);
        if (round == 0)
            before = heap_bytes(); /* buffers have their size now */
        assert_in_range(heap_bytes(), before - 2000, before + 2000);
    }
    mu_core_check(w.core);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_read_as_it_was_written),
        cmocka_unit_test(all_that_can_be_seen_is_loaded),
        cmocka_unit_test(what_was_saved_is_loaded),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(every_changed_byte_is_survived),
        cmocka_unit_test(a_newer_format_is_not_read),
        cmocka_unit_test(a_million_tasks_cost_little),
        cmocka_unit_test(a_million_lines_cost_their_bytes),
        cmocka_unit_test(a_forgotten_job_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
