/* agent/spawner/slots.c -- see slots.h. */
#include "slots.h"

#include "spawner_proto.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct slot {
    int fd[2];
    uint32_t uid, generation, next_free; /* next_free: index + 1 */
    bool made[2];            /* made: the file is ours, empty, and of uid */
};

static struct {
    struct slot *all;
    uint32_t count, free;
} slots;

static const char suffix[2][5] = { ".out", ".err" };

void slots_init(void)
{
    slots.all = mmap(NULL, MU_SP_TASKS_MAX * sizeof(struct slot), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slots.all == MAP_FAILED)
        _exit(1);
    mkdir(MU_SP_SLOT_DIR, 0700);
}

static void slot_path(char path[32], uint32_t slot, int i)
{
    char digits[12], *at = digits + sizeof digits;
    size_t n = sizeof MU_SP_SLOT_DIR;

    memcpy(path, MU_SP_SLOT_DIR "/", n);
    do
        *--at = (char)('0' + slot % 10);
    while ((slot /= 10) > 0);
    memcpy(path + n, at, (size_t)(digits + sizeof digits - at));
    n += (size_t)(digits + sizeof digits - at);
    memcpy(path + n, suffix[i], sizeof suffix[i]);
}

static int open_one(struct slot *s, uint32_t number, int i, uint32_t uid)
{
    char path[32];
    bool made = s->made[i] && s->uid == uid;

    if (s->fd[i] < 0 || !made) {
        int fd = s->fd[i];
        slot_path(path, number, i);
        if (!made)
            unlink(path);
        if (fd >= 0)
            close(fd);
        s->fd[i] = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | (made ? 0 : O_TRUNC), 0600);
        if (s->fd[i] < 0)
            return -errno;
        if (!made && uid != geteuid() && fchown(s->fd[i], uid, (gid_t)-1) != 0)
            return -errno;
        s->generation += !made;
        s->made[i] = true;
    }
    return 0;
}

long slot_take(uint32_t uid)
{
    uint32_t n = slots.free > 0 ? slots.free - 1 : slots.count;
    struct slot *s = &slots.all[n];
    int rc;

    if (n == MU_SP_TASKS_MAX)
        return -EMFILE;
    if (slots.free == 0) {
        *s = (struct slot){ .fd = { -1, -1 } };
        slots.count++;
    } else {
        slots.free = s->next_free;
    }
    if ((rc = open_one(s, n, 0, uid)) != 0 || (rc = open_one(s, n, 1, uid)) != 0) {
        slot_give(n, 3);
        return rc;
    }
    s->uid = uid;
    return n;
}

int slot_fd(uint32_t slot, int stream)
{
    return slots.all[slot].fd[stream - 1];
}

uint32_t slot_generation(uint32_t slot)
{
    return slots.all[slot].generation;
}

static void slot_close(struct slot *s, int i)
{
    if (s->fd[i] >= 0)
        close(s->fd[i]);
    s->fd[i] = -1;
}

void slot_started(uint32_t slot)
{
    if (slot < SLOTS_OPEN)
        return;
    slot_close(&slots.all[slot], 0);
    slot_close(&slots.all[slot], 1);
}

static uint64_t size_of(const struct slot *s, uint32_t number, int i)
{
    char path[32];
    struct stat st;
    int rc;

    if (s->fd[i] >= 0) {
        rc = fstat(s->fd[i], &st);
    } else {
        slot_path(path, number, i);
        rc = stat(path, &st);
    }
    return rc == 0 ? (uint64_t)st.st_size : 0;
}

void slot_sizes(uint32_t slot, uint64_t *out, uint64_t *err)
{
    *out = size_of(&slots.all[slot], slot, 0);
    *err = size_of(&slots.all[slot], slot, 1);
}

void slot_note(uint32_t slot, const char *text)
{
    struct slot *s = &slots.all[slot];

    if (open_one(s, slot, 1, s->uid) != 0 || write(s->fd[1], text, strlen(text)) < 0)
        return; /* the exit code says it too */
}

void slot_give(uint32_t slot, unsigned drop)
{
    struct slot *s = &slots.all[slot];

    for (int i = 0; i < 2; i++)
        if (drop & 1u << i) {
            slot_close(s, i);
            s->made[i] = false;
        }
    s->next_free = slots.free;
    slots.free = slot + 1;
}
