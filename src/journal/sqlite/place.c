#include "journal/sqlite/place.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/le.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { SLOT_BYTES = 64, SLOT_APART = 512 }; /* a torn write spoils one slot only */

bool mu_fs_is_remote(uint64_t type)
{
    static const uint32_t remote[] = {
        0x6969 /* nfs */,         0xff534d42 /* cifs */, 0xfe534d42 /* smb2 */, 0x517b /* smb */,
        0x5346414f /* afs */,     0x73757245 /* coda */, 0x00c36400 /* ceph */, 0x01021997 /* 9p */,
        0x0bd00bd0 /* lustre */,  0x47504653 /* gpfs */, 0x7461636f /* ocfs2 */, 0x01161970 /* gfs2 */,
    };

    for (size_t i = 0; i < MU_COUNT(remote); i++)
        if ((uint32_t)type == remote[i])
            return true;
    return false;
}

/* "/x/journal.db" + ".lock"; the caller frees. */
static char *beside(const char *path, const char *ending)
{
    struct mu_buf b = { 0 };

    mu_buf_addz(&b, path);
    mu_buf_addz(&b, ending);
    mu_buf_addc(&b, '\0');
    return (char *)b.at;
}

static enum mu_rc check_folder(const char *path, struct mu_err *err)
{
    char *copy = mu_str_dup(mu_str_of(path));
    const char *folder = dirname(copy);
    struct statfs fs;
    enum mu_rc rc = MU_OK;

    if (statfs(folder, &fs) != 0)
        rc = mu_fail_at(err, errno == ENOENT ? MU_NOTFOUND : MU_IO, "journal", "journal folder %s: %s", folder,
                        strerror(errno));
    else if (mu_fs_is_remote((uint64_t)fs.f_type))
        rc = mu_fail_at(err, MU_UNSUPPORTED, "journal",
                        "journal folder %s is on a network file system; the journal needs a local disk", folder);
    free(copy);
    return rc;
}

/* The file says who holds the lock: "PID name". */
static enum mu_rc fail_in_use(int fd, const char *path, struct mu_err *err)
{
    char who[64] = "";
    ssize_t n = pread(fd, who, sizeof who - 1, 0);

    who[n > 0 ? n : 0] = '\0';
    who[strcspn(who, "\n")] = '\0';
    return mu_fail_at(err, MU_BUSY, "journal", "journal %s is in use by process %s", path,
                      who[0] != '\0' ? who : "(unknown)");
}

static void sign(int fd)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%ld (%s)\n", (long)getpid(), program_invocation_short_name);

    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return; /* only a courtesy to whoever finds the lock taken */
}

static enum mu_rc take_lock(struct mu_place *p, bool read_only, struct mu_err *err)
{
    char *name = beside(p->path, ".lock");
    enum mu_rc rc = MU_OK;

    p->lock = open(name, read_only ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock < 0 && !(read_only && errno == ENOENT)) /* a copy without its lock file is nobody's */
        rc = mu_fail_at(err, errno == ENOSPC ? MU_FULL : MU_IO, "journal", "%s: %s", name, strerror(errno));
    else if (p->lock >= 0 && flock(p->lock, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0)
        rc = errno == EWOULDBLOCK ? fail_in_use(p->lock, p->path, err)
                                  : mu_fail_at(err, MU_IO, "journal", "%s: %s", name, strerror(errno));
    else if (!read_only)
        sign(p->lock);
    free(name);
    return rc;
}

/* Made by us rather than by the engine for its mode: nobody else may read commands and environments. */
static enum mu_rc make_files(struct mu_place *p, struct mu_err *err)
{
    char *marker = beside(p->path, ".marker");
    int fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum mu_rc rc = MU_OK;

    if (fd >= 0)
        close(fd);
    p->marker = fd >= 0 ? open(marker, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (p->marker < 0)
        rc = mu_fail_at(err, errno == ENOSPC ? MU_FULL : MU_IO, "journal", "%s: %s", fd < 0 ? p->path : marker,
                        strerror(errno));
    free(marker);
    return rc;
}

static char *path_of(const char *rest, const char *data_dir)
{
    if (*rest != '\0')
        return mu_str_dup(mu_str_of(rest));
    return beside(*data_dir != '\0' ? data_dir : ".", "/journal.db");
}

enum mu_rc mu_place_open(struct mu_place *p, const char *rest, const char *data_dir, bool read_only,
                         struct mu_err *err)
{
    enum mu_rc rc;

    *p = (struct mu_place){ .path = path_of(rest, data_dir), .lock = -1, .marker = -1 };
    if (*rest == '\0' && *data_dir != '\0' && !read_only && mkdir(data_dir, 0700) != 0 && errno != EEXIST)
        return mu_fail_at(err, MU_IO, "journal", "data folder %s: %s", data_dir, strerror(errno));
    rc = check_folder(p->path, err);
    if (rc == MU_OK)
        rc = take_lock(p, read_only, err);
    return rc == MU_OK && !read_only ? make_files(p, err) : rc;
}

void mu_place_close(struct mu_place *p)
{
    if (p->marker >= 0)
        close(p->marker);
    if (p->lock >= 0)
        close(p->lock);
    free(p->path);
    *p = (struct mu_place){ .lock = -1, .marker = -1 };
}

static bool write_at(int fd, const uint8_t *bytes, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, bytes, size, at);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
            at += n;
        }
    }
    return true;
}

/* A slot: seq, hash, check over both. */
bool mu_mark_put(struct mu_place *p, uint64_t seq, const uint8_t *hash)
{
    uint8_t slot[SLOT_BYTES] = { 0 };

    mu_le64_put(slot, seq);
    memcpy(slot + 8, hash, MU_MARK_HASH);
    mu_le64_put(slot + 8 + MU_MARK_HASH, mu_hash(slot, 8 + MU_MARK_HASH, SLOT_BYTES));
    if (!write_at(p->marker, slot, sizeof slot, (off_t)(p->slot ^ 1) * SLOT_APART))
        return errno == ENOSPC || errno == EDQUOT; /* where an overwrite takes space: lag, until there is some again */
    p->slot ^= 1;
    return true;
}

bool mu_mark_get(struct mu_place *p, uint64_t *out_seq, uint8_t *out_hash)
{
    bool found = false;

    for (unsigned i = 0; i < 2; i++) {
        uint8_t slot[SLOT_BYTES];
        if (pread(p->marker, slot, sizeof slot, (off_t)i * SLOT_APART) != (ssize_t)sizeof slot ||
            mu_le64_get(slot + 8 + MU_MARK_HASH) != mu_hash(slot, 8 + MU_MARK_HASH, SLOT_BYTES))
            continue; /* never written, or torn: then the other one is whole */
        if (found && mu_le64_get(slot) <= *out_seq)
            continue;
        *out_seq = mu_le64_get(slot);
        memcpy(out_hash, slot + 8, MU_MARK_HASH);
        p->slot = i;
        found = true;
    }
    return found;
}

bool mu_mark_clear(struct mu_place *p)
{
    static const uint8_t none[SLOT_APART + SLOT_BYTES];

    return write_at(p->marker, none, sizeof none, 0); /* takes the space for later, too */
}
