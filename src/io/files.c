/* Small helpers around files. */
#include "io/files.h"

#include "io/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum mu_rc fail_errno(struct mu_err *err, const char *path)
{
    switch (errno) {
    case ENOENT:
        return mu_fail(err, MU_NOTFOUND, "%s: %s", path, strerror(errno));
    case ENOSPC:
    case EDQUOT:
        return mu_fail(err, MU_FULL, "%s: %s", path, strerror(errno));
    default:
        return mu_fail(err, MU_IO, "%s: %s", path, strerror(errno));
    }
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum mu_rc mu_dir_make(const char *path, mode_t mode, struct mu_err *err)
{
    char part[PATH_MAX];
    size_t size = strlen(path);

    if (size == 0 || size >= sizeof part)
        return mu_fail(err, MU_INVALID, "the path of a folder has 1 to %d bytes", PATH_MAX - 1);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, mode) == 0 || is_dir(part))
            continue;
        if (errno == EEXIST)
            return mu_fail(err, MU_IO, "%s is there and is not a folder", part);
        return fail_errno(err, part);
    }
    return MU_OK;
}

enum mu_rc mu_dir_sync(const char *path, struct mu_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return fail_errno(err, path);
    rc = fsync(fd);
    close(fd);
    return rc == 0 ? MU_OK : fail_errno(err, path);
}

static enum mu_rc remove_at(int dir, const char *name, struct mu_err *err)
{
    enum mu_rc rc = MU_OK;
    struct dirent *e;
    int fd;
    DIR *d;

    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return MU_OK;
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? MU_OK : fail_errno(err, name);
    d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return fail_errno(err, name);
    }
    while (rc == MU_OK && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = remove_at(dirfd(d), e->d_name, err);
    closedir(d);
    if (rc == MU_OK && unlinkat(dir, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        rc = fail_errno(err, name);
    return rc;
}

enum mu_rc mu_dir_remove(const char *path, struct mu_err *err)
{
    return remove_at(AT_FDCWD, path, err);
}

enum mu_rc mu_file_read(const char *path, size_t max, struct mu_buf *out, struct mu_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t before = out->size;
    ssize_t n;

    if (fd < 0)
        return fail_errno(err, path);
    while ((n = read(fd, mu_buf_room(out, 64 * 1024), 64 * 1024)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || out->size - before + (size_t)n > max)
            break;
        out->size += (size_t)n;
    }
    if (n != 0)
        out->size = before;
    if (n < 0)
        fail_errno(err, path);
    close(fd);
    if (n > 0)
        return mu_fail(err, MU_TOOBIG, "%s is larger than %zu bytes", path, max);
    return n == 0 ? MU_OK : MU_IO;
}

static bool write_all(int fd, const char *at, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

enum mu_rc mu_fd_write(int fd, const void *bytes, size_t size, struct mu_err *err)
{
    return write_all(fd, bytes, size) ? MU_OK : fail_errno(err, "write");
}

static enum mu_rc write_temp(const char *temp, const void *bytes, size_t size, mode_t mode, struct mu_err *err)
{
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    enum mu_rc rc = MU_OK;

    if (fd < 0)
        return fail_errno(err, temp);
    if (!write_all(fd, bytes, size) || fsync(fd) != 0)
        rc = fail_errno(err, temp);
    if (close(fd) != 0 && rc == MU_OK)
        rc = fail_errno(err, temp);
    return rc;
}

enum mu_rc mu_file_write(const char *path, const void *bytes, size_t size, mode_t mode, struct mu_err *err)
{
    char temp[PATH_MAX], prefix[PATH_MAX], dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    enum mu_rc rc;

    if (strlen(path) + 24 >= sizeof temp)
        return mu_fail(err, MU_INVALID, "the path %.40s... is too long", path);
    snprintf(dir, sizeof dir, "%.*s", slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path),
             slash == NULL ? "." : path);
    snprintf(prefix, sizeof prefix, "%s.", path);
    mu_temp_name(temp, sizeof temp, prefix);
    rc = write_temp(temp, bytes, size, mode, err);
    if (rc == MU_OK && rename(temp, path) != 0)
        rc = fail_errno(err, path);
    if (rc != MU_OK) {
        unlink(temp);
        return rc;
    }
    return mu_dir_sync(dir, err);
}

enum mu_rc mu_file_lock(int *out_fd, const char *path, struct mu_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char pid[24] = "";

    if (fd < 0)
        return fail_errno(err, path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        bool held = errno == EWOULDBLOCK;
        ssize_t n = held ? read(fd, pid, sizeof pid - 1) : 0;
        if (!held)
            fail_errno(err, path);
        close(fd);
        if (!held)
            return MU_IO;
        pid[n > 0 ? (size_t)n : 0] = '\0';
        pid[strspn(pid, "0123456789")] = '\0';
        return mu_fail(err, MU_BUSY, pid[0] ? "%s is held by process %s" : "%s is held by another process%s", path, pid);
    }
    snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, strlen(pid), 0) < 0) {
        enum mu_rc rc = fail_errno(err, path);
        close(fd);
        return rc;
    }
    *out_fd = fd;
    return MU_OK;
}

void mu_temp_name(char *out, size_t cap, const char *prefix)
{
    uint64_t n;

    mu_random(&n, sizeof n);
    snprintf(out, cap, "%s%016llx", prefix, (unsigned long long)n);
}
