/* agent/output.c on real files: what is kept, found again after a restart, dropped, and said to be gone. */
#include "agent/output.h"

#include "agent/spawner/spawner_proto.h"
#include "base/assert.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct rig {
    char dir[64];
    struct mu_output_options opt;
    struct mu_output *store;
    char log[512]; /* releases: "id:slot/drop " */
};

static void rig_open(struct rig *r)
{
    assert_int_equal(mu_output_open(&r->store, &r->opt, NULL), MU_OK);
}
static void rig_init(struct rig *r, uint64_t stream_max, uint64_t total_max)
{
    char path[128];

    *r = (struct rig){ .dir = "/tmp/muster-output-XXXXXX" };
    assert_non_null(mkdtemp(r->dir));
    snprintf(path, sizeof path, "%s/" MU_SP_SLOT_DIR, r->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    r->opt = (struct mu_output_options){ .dir = r->dir, .stream_max = stream_max, .total_max = total_max };
    rig_open(r);
}
static void rig_reopen(struct rig *r)
{
    mu_output_close(r->store);
    rig_open(r);
}
static void rig_fini(struct rig *r)
{
    char command[128];

    mu_output_close(r->store);
    snprintf(command, sizeof command, "rm -rf %s", r->dir);
    assert_int_equal(system(command), 0);
}

static void on_release(void *arg, uint64_t id, uint32_t slot, unsigned drop)
{
    struct rig *r = arg;
    size_t used = strlen(r->log);

    snprintf(r->log + used, sizeof r->log - used, "%llu:%u/%u ", (unsigned long long)id, slot, drop);
}
static void flush(struct rig *r)
{
    mu_output_flush(r->store, on_release, r);
}
static char *rig_path(struct rig *r, char path[160], const char *name)
{
    snprintf(path, 160, "%s/%s", r->dir, name);
    return path;
}
static void write_file(struct rig *r, const char *name, const void *bytes, size_t size)
{
    char path[160];
    int fd = open(rig_path(r, path, name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}
/* What a task wrote. */
static void slot_write(struct rig *r, uint32_t slot, const char *suffix, const void *bytes, size_t size)
{
    char name[64];

    snprintf(name, sizeof name, MU_SP_SLOT_DIR "/%u.%s", slot, suffix);
    write_file(r, name, bytes, size);
}
static struct mu_output_key key(uint32_t ordinal)
{
    return (struct mu_output_key){ 1, ordinal, 1 };
}
static void take(struct rig *r, uint32_t ordinal, uint32_t slot, const char *out, const char *err)
{
    struct mu_output_key k = key(ordinal);

    slot_write(r, slot, "out", out, strlen(out));
    slot_write(r, slot, "err", err, strlen(err));
    mu_output_take(r->store, &k, 100 + ordinal, (struct mu_output_slot){ slot, 1 }, strlen(out), strlen(err));
}
/* "text", "text+gap" or "gone" */
static const char *text_of(struct rig *r, uint32_t ordinal, unsigned stream, uint64_t offset)
{
    static char text[256];
    struct mu_output_key k = key(ordinal);
    size_t n;
    uint64_t gap;

    if (mu_output_read(r->store, &k, stream, offset, text, sizeof text - 32, &n, &gap) != MU_OK)
        return "gone";
    text[n] = '\0';
    if (gap > 0)
        snprintf(text + n, 32, "+%llu", (unsigned long long)gap);
    return text;
}
static off_t file_size(struct rig *r, const char *name)
{
    char path[160];
    struct stat st;

    return stat(rig_path(r, path, name), &st) == 0 ? st.st_size : -1;
}

static void small_output_is_copied_and_its_slot_emptied(void **state)
{
    struct rig r;

    (void)state;
    rig_init(&r, 0, 0);
    take(&r, 1, 0, "out of one", "err");
    take(&r, 2, 1, "", "only err");
    assert_string_equal(r.log, ""); /* nothing is free before it is safe */
    flush(&r);
    assert_string_equal(r.log, "101:0/0 102:1/0 ");
    assert_int_equal(file_size(&r, "slots/0.out"), 0);
    assert_int_equal(file_size(&r, "slots/1.err"), 0);
    for (int i = 0; i < 2; i++) { /* and the same after a restart */
        assert_string_equal(text_of(&r, 1, 1, 0), "out of one");
        assert_string_equal(text_of(&r, 1, 1, 7), "one");
        assert_string_equal(text_of(&r, 1, 1, 10), "");
        assert_string_equal(text_of(&r, 1, 2, 0), "err");
        assert_string_equal(text_of(&r, 2, 1, 0), "");
        assert_string_equal(text_of(&r, 2, 2, 5), "err");
        assert_string_equal(text_of(&r, 3, 1, 0), "gone");
        rig_reopen(&r);
    }
    rig_fini(&r);
}

static void a_slot_is_used_again(void **state)
{
    struct rig r;

    (void)state;
    rig_init(&r, 0, 0);
    for (uint32_t i = 0; i < 500; i++) {
        char text[16];
        snprintf(text, sizeof text, "t%u", i);
        take(&r, i, 0, text, "");
        flush(&r);
        r.log[0] = '\0';
    }
    for (uint32_t i = 0; i < 500; i++) {
        char text[16];
        snprintf(text, sizeof text, "t%u", i);
        assert_string_equal(text_of(&r, i, 1, 0), text);
    }
    rig_fini(&r);
}

static void a_slot_made_anew_is_another_file(void **state)
{
    struct rig r;
    char path[160];
    struct mu_output_key k = key(2);

    (void)state;
    rig_init(&r, 0, 0);
    take(&r, 1, 0, "first", "");
    flush(&r);
    unlink(rig_path(&r, path, "slots/0.out"));
    slot_write(&r, 0, "out", "second", 6);
    mu_output_take(r.store, &k, 102, (struct mu_output_slot){ 0, 2 }, 6, 0);
    flush(&r);
    assert_string_equal(text_of(&r, 2, 1, 0), "second");
    assert_int_equal(file_size(&r, "slots/0.out"), 0);
    rig_fini(&r);
}

/* Killed between any two steps of storing: taken again, it is there once. */
static void taking_again_after_a_crash_stores_once(void **state)
{
    struct rig r;
    char big[100000];
    struct mu_output_key k = key(1), k2 = key(2);

    (void)state;
    memset(big, 'b', sizeof big);
    rig_init(&r, 0, 0);
    /* before the write: gathered only in memory */
    take(&r, 1, 0, "text", "");
    rig_reopen(&r);
    assert_string_equal(text_of(&r, 1, 1, 0), "gone");
    mu_output_take(r.store, &k, 101, (struct mu_output_slot){ 0, 1 }, 4, 0);
    flush(&r);
    assert_string_equal(text_of(&r, 1, 1, 0), "text");
    /* after it, before the slot was given back; its bytes are still there, or not */
    rig_reopen(&r);
    slot_write(&r, 0, "out", "text", 4);
    mu_output_take(r.store, &k, 101, (struct mu_output_slot){ 0, 1 }, 4, 0);
    flush(&r);
    rig_reopen(&r);
    mu_output_take(r.store, &k, 101, (struct mu_output_slot){ 0, 1 }, 4, 0);
    flush(&r);
    assert_string_equal(text_of(&r, 1, 1, 0), "text");
    assert_int_equal(file_size(&r, "slots/0.out"), 0);
    /* a large one: renamed, its record not written */
    slot_write(&r, 1, "out", big, sizeof big);
    slot_write(&r, 1, "err", "e", 1);
    mu_output_take(r.store, &k2, 102, (struct mu_output_slot){ 1, 1 }, sizeof big, 1);
    assert_int_equal(file_size(&r, "output/1.2.1.out"), sizeof big);
    rig_reopen(&r);
    r.log[0] = '\0';
    mu_output_take(r.store, &k2, 102, (struct mu_output_slot){ 1, 1 }, sizeof big, 1);
    flush(&r);
    assert_string_equal(r.log, "102:1/1 "); /* the spawner makes a new file */
    mu_output_sweep(r.store);
    assert_string_equal(text_of(&r, 2, 2, 0), "e");
    assert_string_equal(text_of(&r, 2, 1, sizeof big - 3), "bbb");
    rig_fini(&r);
}

static void a_torn_end_is_cut_off(void **state)
{
    static const struct { const char *what; off_t keep; const char *append; const char *want2; } cases[] = {
        { "whole", -1, "", "two" },
        { "junk behind", -1, "junk junk junk junk junk junk junk junk junk junk junk junk junk junk", "two" },
        { "half a head", 56 + 3 + 20, "", "gone" },
        { "half the data", 2 * (56 + 3) - 1, "", "gone" },
        { "only the first record", 56 + 3, "", "gone" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct rig r;
        char path[160];

        rig_init(&r, 0, 0);
        take(&r, 1, 0, "one", "");
        take(&r, 2, 1, "two", "");
        flush(&r);
        if (cases[i].keep >= 0)
            assert_int_equal(truncate(rig_path(&r, path, "output/0000000000.seg"), cases[i].keep), 0);
        write_file(&r, "output/0000000000.seg", cases[i].append, strlen(cases[i].append));
        rig_reopen(&r);
        take(&r, 3, 2, "three", "");
        flush(&r);
        for (int n = 0; n < 2; n++) {
            if (strcmp(text_of(&r, 1, 1, 0), "one") != 0 || strcmp(text_of(&r, 2, 1, 0), cases[i].want2) != 0 ||
                strcmp(text_of(&r, 3, 1, 0), "three") != 0)
                fail_msg("%s: '%s'", cases[i].what, text_of(&r, 2, 1, 0));
            rig_reopen(&r);
        }
        rig_fini(&r);
    }
}

static void a_stream_keeps_its_end(void **state)
{
    struct rig r;
    struct mu_output_key k = key(1);
    struct mu_output_slot slot = { 0, 1 };
    char *big = malloc(1 << 20), tail[8];
    size_t n;
    uint64_t gap;

    (void)state;
    for (uint32_t i = 0; i < 1 << 20; i++)
        big[i] = (char)('a' + i / 4096 % 26);
    rig_init(&r, 256 * 1024, 0);
    slot_write(&r, 0, "out", big, 1 << 20);
    assert_int_equal(mu_output_trim_live(r.store, slot, 1), 1 << 20); /* while it runs */
    assert_int_equal(mu_output_read_live(r.store, slot, 1, 0, tail, sizeof tail, &n, &gap), MU_OK);
    assert_int_equal(gap, (1 << 20) - 256 * 1024);
    assert_memory_equal(tail, big + gap, sizeof tail);
    slot_write(&r, 0, "out", big, 1 << 20);
    mu_output_take(r.store, &k, 101, slot, 2 << 20, 0); /* and at its end */
    flush(&r);
    assert_string_equal(r.log, "101:0/1 ");
    rig_reopen(&r);
    assert_int_equal(mu_output_read(r.store, &k, 1, 5, tail, sizeof tail, &n, &gap), MU_OK);
    assert_int_equal(gap, (2 << 20) - 256 * 1024 - 5);
    assert_int_equal(n, sizeof tail);
    assert_true(mu_output_bytes(r.store) < 300 * 1024); /* holes cost nothing */
    mu_output_forget(r.store, 2);
    assert_int_equal(mu_output_read(r.store, &k, 1, (2 << 20) - 8, tail, sizeof tail, &n, &gap), MU_OK);
    assert_int_equal(n, 8);
    mu_output_forget(r.store, 1);
    assert_string_equal(text_of(&r, 1, 1, 100), "+2097052"); /* known to be gone, and how much */
    free(big);
    rig_fini(&r);
}

static void the_oldest_go_first(void **state)
{
    struct rig r;
    char text[60001];
    uint32_t gone = 0;

    (void)state;
    memset(text, 'x', 60000);
    text[60000] = '\0';
    rig_init(&r, 0, 3 * MU_OUTPUT_SEGMENT);
    for (uint32_t i = 0; i < 400; i++) {
        take(&r, i, 0, text, "");
        flush(&r);
        r.log[0] = '\0';
        assert_true(mu_output_bytes(r.store) <= 3 * MU_OUTPUT_SEGMENT);
    }
    while (strcmp(text_of(&r, gone, 1, 59999), "gone") == 0)
        gone++;
    assert_in_range(gone, 150, 280);
    assert_int_equal(mu_output_dropped(r.store), gone);
    rig_reopen(&r);
    for (uint32_t i = 0; i < 400; i++)
        assert_string_equal(text_of(&r, i, 1, 59999), i < gone ? "gone" : "x");
    rig_fini(&r);
}

static void what_nobody_names_is_swept(void **state)
{
    struct rig r;

    (void)state;
    rig_init(&r, 0, 0);
    write_file(&r, "output/7.8.9.out", "x", 1);
    write_file(&r, "output/not-ours", "x", 1);
    mu_output_sweep(r.store);
    assert_int_equal(file_size(&r, "output/7.8.9.out"), -1);
    assert_int_equal(file_size(&r, "output/not-ours"), 1);
    rig_fini(&r);
}

static void a_missing_directory_is_an_error(void **state)
{
    struct mu_output *store = NULL;
    struct mu_err err = { 0 };

    (void)state;
    assert_int_equal(mu_output_open(&store, &(struct mu_output_options){ .dir = "/no/such/dir" }, &err), MU_IO);
    assert_null(store);
    assert_non_null(strstr(err.text, "/no/such/dir"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_output_is_copied_and_its_slot_emptied),
        cmocka_unit_test(a_slot_is_used_again),
        cmocka_unit_test(a_slot_made_anew_is_another_file),
        cmocka_unit_test(taking_again_after_a_crash_stores_once),
        cmocka_unit_test(a_torn_end_is_cut_off),
        cmocka_unit_test(a_stream_keeps_its_end),
        cmocka_unit_test(the_oldest_go_first),
        cmocka_unit_test(what_nobody_names_is_swept),
        cmocka_unit_test(a_missing_directory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
