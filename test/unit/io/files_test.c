/* io/files: what is on disk afterwards, and what errors say. */
#include "rig.h"

#include "io/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/muster-files-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    (void)state;
    return mu_dir_remove(root, NULL) != MU_OK;
}

static const char *in_root(char *out, size_t cap, const char *name)
{
    snprintf(out, cap, "%s/%s", root, name);
    return out;
}

static void folders_are_made_and_removed(void **state)
{
    char path[128], file[128], link_path[128];
    struct mu_err err;
    struct stat st;

    (void)state;
    in_root(path, sizeof path, "a//b/c/");
    assert_int_equal(mu_dir_make(path, 0700, NULL), MU_OK);
    assert_int_equal(mu_dir_make(path, 0700, NULL), MU_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(mu_file_write(in_root(file, sizeof file, "a/b/file"), "x", 1, 0600, NULL), MU_OK);
    assert_int_equal(mu_dir_make(in_root(path, sizeof path, "a/b/file/d"), 0700, &err), MU_IO);
    rig_has(err.text, "a/b/file is there and is not a folder");
    assert_int_equal(mu_dir_make("", 0700, NULL), MU_INVALID);
    assert_int_equal(mu_dir_make("/proc/none/such", 0700, NULL), MU_NOTFOUND);

    assert_int_equal(mu_file_write(in_root(file, sizeof file, "kept"), "k", 1, 0600, NULL), MU_OK);
    assert_int_equal(symlink(file, in_root(link_path, sizeof link_path, "a/link")), 0);
    assert_int_equal(mu_dir_remove(in_root(path, sizeof path, "a"), NULL), MU_OK);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(stat(file, &st), 0); /* the link went, not what it pointed to */
    assert_int_equal(mu_dir_remove(path, NULL), MU_OK);
}

static unsigned names_in(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

static void files_are_replaced_whole(void **state)
{
    char path[128], dir[128];
    struct mu_buf got = { 0 };
    struct mu_err err;
    struct stat st;

    (void)state;
    assert_int_equal(mu_dir_make(in_root(dir, sizeof dir, "d"), 0700, NULL), MU_OK);
    in_root(path, sizeof path, "d/token");
    assert_int_equal(mu_file_write(path, "old", 3, 0600, NULL), MU_OK);
    assert_int_equal(mu_file_write(path, "new one", 7, 0640, NULL), MU_OK);
    assert_int_equal(names_in(dir), 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0777, 0);
    assert_int_equal(mu_file_read(path, 7, &got, NULL), MU_OK);
    assert_int_equal(got.size, 7);
    assert_memory_equal(got.at, "new one", 7);
    assert_int_equal(mu_file_read(path, 6, &got, &err), MU_TOOBIG);
    assert_int_equal(got.size, 7);
    rig_has(err.text, "larger than 6 bytes");
    assert_int_equal(mu_file_read("/nowhere/at/all", 6, &got, &err), MU_NOTFOUND);
    rig_begins(err.text, "/nowhere/at/all: ");
    assert_int_equal(mu_file_read(dir, 6, &got, NULL), MU_IO);
    assert_int_equal(mu_file_write("/nowhere/at/all", "x", 1, 0600, NULL), MU_NOTFOUND);
    assert_int_equal(mu_file_write(dir, "x", 1, 0600, NULL), MU_IO); /* cannot replace a folder: nothing is left over */
    assert_int_equal(names_in(dir), 1);
    assert_int_equal(names_in(root), 1);
    got.size = 0;
    assert_int_equal(mu_file_read("/proc/self/status", 1 << 20, &got, NULL), MU_OK);
    assert_true(got.size > 0);
    mu_buf_fini(&got);
}

static void a_full_disk_is_told_apart(void **state)
{
    struct mu_err err;
    int fd = open("/dev/full", O_WRONLY);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(mu_fd_write(fd, "x", 1, &err), MU_FULL);
    close(fd);
}

static void a_lock_names_its_holder(void **state)
{
    char path[128], want[64];
    struct mu_err err;
    int fd = -1, second = -1;

    (void)state;
    in_root(path, sizeof path, "lock");
    assert_int_equal(mu_file_lock(&fd, path, NULL), MU_OK);
    assert_int_equal(mu_file_lock(&second, path, &err), MU_BUSY);
    assert_int_equal(second, -1);
    snprintf(want, sizeof want, "is held by process %ld", (long)getpid());
    rig_has(err.text, want);
    close(fd);
    assert_int_equal(mu_file_lock(&second, path, NULL), MU_OK);
    close(second);
}

static void temporary_names_differ(void **state)
{
    char a[64], b[64], small[4];

    (void)state;
    mu_temp_name(a, sizeof a, "p-");
    mu_temp_name(b, sizeof b, "p-");
    assert_int_equal(strlen(a), 18);
    rig_begins(a, "p-");
    assert_string_not_equal(a, b);
    mu_temp_name(small, sizeof small, "abcdef");
    assert_string_equal(small, "abc");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        T(folders_are_made_and_removed), T(files_are_replaced_whole), T(a_full_disk_is_told_apart),
        T(a_lock_names_its_holder),      T(temporary_names_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
