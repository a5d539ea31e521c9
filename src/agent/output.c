/* agent/output.c -- see output.h. */
#include "agent/output.h"

#include "agent/spawner/spawner_proto.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/le.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 56, MAGIC = 0x3152754d, SLOT_FDS = 128, PATH_BYTES = 64, SEGMENT_HEAVY = 64 };

/* One record's head as it stands in a segment. */
struct record {
    struct mu_output_key key;
    uint64_t total[2];     /* bytes the stream had */
    uint32_t inline_size[2]; /* of them here; less than total: in a file of its own */
};

struct segment {
    struct mu_list link;   /* oldest first */
    uint32_t number;
    uint32_t records;
    uint64_t size;         /* of its file */
    uint64_t heavy;        /* of the files its records name */
    int fd;                /* -1: not open */
};

struct pending { /* a slot that is free once the records gathered are written */
    uint64_t id;
    struct mu_output_slot slot;
    unsigned drop;         /* bit i: the file went away */
    unsigned clear;        /* bit i: to be emptied */
};

struct mu_output {
    struct mu_output_options opt;
    int dir;                     /* the agent's data directory */
    struct mu_map index;         /* key's hash -> segment number << 32 | offset */
    struct mu_list segments;
    struct segment *last;
    uint32_t next_number, records, larges;
    uint64_t bytes, dropped;
    struct mu_buf gather;        /* records not yet written */
    struct pending *pending;
    uint32_t pending_count, pending_cap;
    struct {
        int fd[2];               /* -1: not open */
        uint32_t generation;
    } slots[SLOT_FDS];
};

static const char *const suffix[2] = { "out", "err" };

static uint64_t key_hash(const struct mu_output_key *k)
{
    return mu_hash_mix(mu_hash_mix(k->job, k->ordinal), k->attempt);
}

static bool key_same(const struct mu_output_key *a, const struct mu_output_key *b)
{
    return a->job == b->job && a->ordinal == b->ordinal && a->attempt == b->attempt;
}

static const char *segment_path(char path[PATH_BYTES], uint32_t number)
{
    snprintf(path, PATH_BYTES, "output/%010u.seg", number);
    return path;
}

static const char *large_path(char path[PATH_BYTES], const struct mu_output_key *k, int i)
{
    snprintf(path, PATH_BYTES, "output/%llu.%u.%u.%s", (unsigned long long)k->job, k->ordinal, k->attempt, suffix[i]);
    return path;
}

static const char *slot_path(char path[PATH_BYTES], uint32_t slot, int i)
{
    snprintf(path, PATH_BYTES, MU_SP_SLOT_DIR "/%u.%s", slot, suffix[i]);
    return path;
}

/* Records. */

static void record_put(uint8_t at[HEAD_BYTES], const struct record *r)
{
    mu_le32_put(at, MAGIC);
    mu_le64_put(at + 8, r->key.job);
    mu_le32_put(at + 16, r->key.ordinal);
    mu_le32_put(at + 20, r->key.attempt);
    for (int i = 0; i < 2; i++) {
        mu_le64_put(at + 24 + 8 * i, r->total[i]);
        mu_le32_put(at + 40 + 4 * i, r->inline_size[i]);
    }
    mu_le64_put(at + 48, 0);
    mu_le32_put(at + 4, (uint32_t)mu_hash(at + 8, HEAD_BYTES - 8, MAGIC));
}

static bool record_get(const uint8_t at[HEAD_BYTES], struct record *r)
{
    *r = (struct record){ .key = { mu_le64_get(at + 8), mu_le32_get(at + 16), mu_le32_get(at + 20) } };
    for (int i = 0; i < 2; i++) {
        r->total[i] = mu_le64_get(at + 24 + 8 * i);
        r->inline_size[i] = mu_le32_get(at + 40 + 4 * i);
        if (r->inline_size[i] > MU_OUTPUT_SMALL || r->inline_size[i] > r->total[i])
            return false;
    }
    return mu_le32_get(at) == MAGIC && mu_le32_get(at + 4) == (uint32_t)mu_hash(at + 8, HEAD_BYTES - 8, MAGIC);
}

static uint64_t record_size(const struct record *r)
{
    return HEAD_BYTES + (uint64_t)r->inline_size[0] + r->inline_size[1];
}

static bool is_large(const struct record *r, int i)
{
    return r->total[i] > 0 && r->inline_size[i] == 0;
}

/* Disk space a large stream takes: holes take none. */
static uint64_t large_size(struct mu_output *o, const struct mu_output_key *key, int i)
{
    char path[PATH_BYTES];
    struct stat st;

    return fstatat(o->dir, large_path(path, key, i), &st, 0) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* Segments. */

static struct segment *segment_find(const struct mu_output *o, uint32_t number)
{
    MU_LIST_EACH(it, (struct mu_list *)&o->segments)
        if (MU_CONTAINER(it, struct segment, link)->number == number)
            return MU_CONTAINER(it, struct segment, link);
    return NULL;
}

static int segment_fd(struct mu_output *o, struct segment *s)
{
    char path[PATH_BYTES];

    if (s->fd < 0)
        s->fd = openat(o->dir, segment_path(path, s->number), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return s->fd;
}

/* Only the last one stays open. */
static void segment_rest(struct mu_output *o, struct segment *s)
{
    if (s != o->last && s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

static struct segment *segment_add(struct mu_output *o, uint32_t number)
{
    struct segment *s = calloc(1, sizeof *s), *before = o->last;

    MU_ASSERT(s != NULL);
    s->number = number;
    s->fd = -1;
    mu_list_add_tail(&o->segments, &s->link);
    o->last = s;
    if (number >= o->next_number)
        o->next_number = number + 1;
    if (before != NULL)
        segment_rest(o, before);
    return s;
}

/* Call fn for each sound record from the start; returns where the soundness ends. */
static uint64_t segment_walk(struct mu_output *o, struct segment *s,
                             void (*fn)(struct mu_output *o, struct segment *s, uint64_t at, const struct record *r))
{
    int fd = segment_fd(o, s);
    struct stat st;
    uint64_t at = 0, size;
    uint8_t *map;

    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        return 0;
    size = (uint64_t)st.st_size;
    map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return 0;
    while (size - at >= HEAD_BYTES) {
        struct record r;
        if (!record_get(map + at, &r) || record_size(&r) > size - at)
            break;
        fn(o, s, at, &r);
        at += record_size(&r);
    }
    munmap(map, size);
    segment_rest(o, s);
    return at;
}

static void record_index(struct mu_output *o, struct segment *s, uint64_t at, const struct record *r)
{
    mu_map_put(&o->index, key_hash(&r->key), (uint64_t)s->number << 32 | at);
    s->records++;
    o->records++;
    for (int i = 0; i < 2; i++)
        if (is_large(r, i)) {
            uint64_t size = large_size(o, &r->key, i);
            s->heavy += size;
            o->bytes += size;
            o->larges++;
        }
}

static void record_drop(struct mu_output *o, struct segment *s, uint64_t at, const struct record *r)
{
    uint64_t hash = key_hash(&r->key), *where = mu_map_find(&o->index, hash);
    char path[PATH_BYTES];

    if (where == NULL || *where != ((uint64_t)s->number << 32 | at))
        return;
    mu_map_remove(&o->index, hash);
    for (int i = 0; i < 2; i++)
        if (is_large(r, i))
            unlinkat(o->dir, large_path(path, &r->key, i), 0);
}

static void segment_drop(struct mu_output *o, struct segment *s)
{
    char path[PATH_BYTES];

    segment_walk(o, s, record_drop);
    unlinkat(o->dir, segment_path(path, s->number), 0);
    o->bytes -= s->size + s->heavy;
    o->records -= s->records;
    o->dropped += s->records;
    mu_list_remove(&s->link);
    if (o->last == s)
        o->last = NULL;
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

static void keep_bounds(struct mu_output *o)
{
    while (o->bytes > o->opt.total_max || o->records > MU_OUTPUT_RECORDS_MAX) {
        if (mu_list_is_empty(&o->segments))
            return;
        segment_drop(o, MU_CONTAINER(o->segments.next, struct segment, link));
    }
}

/* A new one when the last is full, or names so much that dropping it would drop too much at once. */
static struct segment *segment_under_way(struct mu_output *o)
{
    if (o->last == NULL || o->last->size >= MU_OUTPUT_SEGMENT || o->last->heavy > o->opt.total_max / SEGMENT_HEAVY)
        return segment_add(o, o->next_number);
    return o->last;
}

/* Slots. */

static void slot_forget(struct mu_output *o, uint32_t number)
{
    for (int i = 0; i < 2; i++) {
        if (o->slots[number].fd[i] >= 0)
            close(o->slots[number].fd[i]);
        o->slots[number].fd[i] = -1;
    }
}

static int slot_open(struct mu_output *o, struct mu_output_slot slot, int i)
{
    char path[PATH_BYTES];
    int fd = -1;

    if (slot.number < SLOT_FDS && o->slots[slot.number].generation == slot.generation)
        fd = o->slots[slot.number].fd[i];
    if (fd < 0) {
        if (slot.number < SLOT_FDS && o->slots[slot.number].generation != slot.generation)
            slot_forget(o, slot.number);
        fd = openat(o->dir, slot_path(path, slot.number, i), O_RDWR | O_CLOEXEC);
        if (slot.number < SLOT_FDS) {
            o->slots[slot.number].fd[i] = fd;
            o->slots[slot.number].generation = slot.generation;
        }
    }
    return fd;
}

/* gone: the file is no longer the slot's. */
static void slot_close(struct mu_output *o, struct mu_output_slot slot, int i, int fd, bool gone)
{
    if (slot.number < SLOT_FDS && !gone)
        return;
    if (fd >= 0)
        close(fd);
    if (slot.number < SLOT_FDS)
        o->slots[slot.number].fd[i] = -1;
}

/* The first byte that is not in a hole cut by trim: what came before is gone. */
static uint64_t kept_from(int fd, uint64_t size)
{
    off_t at = size > 0 ? lseek(fd, 0, SEEK_DATA) : 0;

    return at > 0 ? (uint64_t)at : 0;
}

static uint64_t trim(int fd, uint64_t size, uint64_t keep)
{
    uint64_t cut = size > keep ? (size - keep) & ~UINT64_C(4095) : 0;

    if (cut > 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)cut) != 0)
        mu_log(MU_LOG_WARN, "agent", "output cannot be bounded on this file system: %s", strerror(errno));
    return cut;
}

static ssize_t pread_all(int fd, void *bytes, size_t size, uint64_t at)
{
    size_t have = 0;

    while (have < size) {
        ssize_t n = pread(fd, (char *)bytes + have, size - have, (off_t)(at + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* Taking. */

static void take_large(struct mu_output *o, const struct mu_output_key *key, struct mu_output_slot slot, int i, uint64_t size,
                       struct pending *p)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    int fd = slot_open(o, slot, i);

    if (fd >= 0)
        trim(fd, size, o->opt.stream_max);
    if (renameat(o->dir, slot_path(from, slot.number, i), o->dir, large_path(to, key, i)) == 0)
        p->drop |= 1u << i;
    slot_close(o, slot, i, fd, true);
}

/* Small output into gather; what can no longer be read of it shows as a gap. */
static uint32_t take_small(struct mu_output *o, struct mu_output_slot slot, int i, uint64_t size, struct pending *p)
{
    int fd = slot_open(o, slot, i);
    ssize_t n = fd >= 0 ? pread_all(fd, mu_buf_room(&o->gather, size), size, 0) : 0;

    o->gather.size += (size_t)n;
    p->clear |= 1u << i;
    slot_close(o, slot, i, fd, false);
    return (uint32_t)n;
}

static struct pending *pending_add(struct mu_output *o, uint64_t id, struct mu_output_slot slot)
{
    if (o->pending_count == o->pending_cap) {
        o->pending_cap = o->pending_cap > 0 ? 2 * o->pending_cap : 16;
        o->pending = realloc(o->pending, o->pending_cap * sizeof *o->pending);
        MU_ASSERT(o->pending != NULL);
    }
    o->pending[o->pending_count] = (struct pending){ .id = id, .slot = slot };
    return &o->pending[o->pending_count++];
}

/* The file of the slot that was renamed just before an earlier agent was killed: then its size is of a new one. */
static uint64_t stored_large(struct mu_output *o, const struct mu_output_key *key, int i)
{
    char path[PATH_BYTES];
    struct stat st;

    return fstatat(o->dir, large_path(path, key, i), &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

void mu_output_take(struct mu_output *o, const struct mu_output_key *key, uint64_t id, struct mu_output_slot slot,
                    uint64_t out_bytes, uint64_t err_bytes)
{
    struct record r = { .key = *key, .total = { out_bytes, err_bytes } };
    struct pending *p = pending_add(o, id, slot);
    size_t head = o->gather.size;

    if (mu_map_find(&o->index, key_hash(key)) != NULL) { /* stored before: only the slot is left to clear */
        for (int i = 0; i < 2; i++)
            if (stored_large(o, key, i) > 0)
                p->drop |= 1u << i;
            else
                p->clear |= 1u << i;
        return;
    }
    mu_buf_room(&o->gather, HEAD_BYTES);
    o->gather.size += HEAD_BYTES;
    for (int i = 0; i < 2; i++) {
        uint64_t large = r.total[i] > MU_OUTPUT_SMALL ? stored_large(o, key, i) : 0;
        if (large > 0) {
            r.total[i] = large;
            p->drop |= 1u << i;
        } else if (r.total[i] > MU_OUTPUT_SMALL) {
            take_large(o, key, slot, i, r.total[i], p);
        } else if (r.total[i] > 0) {
            r.inline_size[i] = take_small(o, slot, i, r.total[i], p);
            r.total[i] = r.inline_size[i] > 0 ? r.inline_size[i] : r.total[i];
        }
    }
    record_put(o->gather.at + head, &r);
}

/* What was gathered becomes part of the store; on failure it is dropped, which reading will tell. */
static bool write_gather(struct mu_output *o, struct segment *s)
{
    int fd = segment_fd(o, s);
    ssize_t n = fd >= 0 ? write(fd, o->gather.at, o->gather.size) : -1;

    if (n == (ssize_t)o->gather.size)
        return true;
    if (n > 0 && ftruncate(fd, (off_t)s->size) != 0)
        return false;
    errno = n >= 0 ? ENOSPC : errno;
    return false;
}

static void index_gather(struct mu_output *o, struct segment *s)
{
    for (size_t at = 0; at < o->gather.size;) {
        struct record r;

        MU_ASSERT(record_get(o->gather.at + at, &r));
        record_index(o, s, s->size, &r);
        at += record_size(&r);
        s->size += record_size(&r);
        o->bytes += record_size(&r);
    }
}

static void slots_release(struct mu_output *o, void (*release)(void *arg, uint64_t id, uint32_t slot, unsigned drop), void *arg)
{
    for (uint32_t n = 0; n < o->pending_count; n++) {
        struct pending *p = &o->pending[n];

        for (int i = 0; i < 2; i++)
            if (p->clear & 1u << i) {
                int fd = slot_open(o, p->slot, i);
                if (fd < 0 || ftruncate(fd, 0) != 0)
                    p->drop |= 1u << i;
                slot_close(o, p->slot, i, fd, p->drop & 1u << i);
            }
        release(arg, p->id, p->slot.number, p->drop);
    }
    o->pending_count = 0;
}

void mu_output_flush(struct mu_output *o, void (*release)(void *arg, uint64_t id, uint32_t slot, unsigned drop), void *arg)
{
    if (o->gather.size > 0) {
        struct segment *s = segment_under_way(o);

        while (!write_gather(o, s)) {
            struct segment *oldest = MU_CONTAINER(o->segments.next, struct segment, link);
            if (errno != ENOSPC || oldest == s) {
                mu_log(MU_LOG_ERROR, "agent", "output of tasks is lost: %s", strerror(errno));
                mu_buf_clear(&o->gather);
                break;
            }
            segment_drop(o, oldest); /* the disk is full: the oldest makes room */
        }
        index_gather(o, s);
        mu_buf_clear(&o->gather);
        keep_bounds(o);
    }
    slots_release(o, release, arg);
}

/* Reading. */

static enum mu_rc read_file(int fd, uint64_t offset, void *bytes, size_t size, size_t *out_size, uint64_t *out_gap)
{
    struct stat st;
    uint64_t from;

    *out_size = 0;
    *out_gap = 0;
    if (fd < 0 || fstat(fd, &st) != 0)
        return MU_NOTFOUND;
    from = kept_from(fd, (uint64_t)st.st_size);
    if (offset < from) {
        *out_gap = from - offset;
        offset = from;
    }
    *out_size = (size_t)pread_all(fd, bytes, size, offset);
    return MU_OK;
}

static bool record_find(struct mu_output *o, const struct mu_output_key *key, struct segment **out_segment, uint64_t *out_at,
                        struct record *r)
{
    uint64_t *where = mu_map_find(&o->index, key_hash(key));
    struct segment *s = where != NULL ? segment_find(o, (uint32_t)(*where >> 32)) : NULL;
    uint8_t head[HEAD_BYTES];

    if (s == NULL || segment_fd(o, s) < 0)
        return false;
    *out_segment = s;
    *out_at = (uint32_t)*where;
    return pread_all(s->fd, head, sizeof head, *out_at) == HEAD_BYTES && record_get(head, r) && key_same(&r->key, key);
}

static enum mu_rc read_record(struct mu_output *o, struct segment *s, uint64_t at, const struct record *r, int i, uint64_t offset,
                              void *bytes, size_t size, size_t *out_size, uint64_t *out_gap)
{
    char path[PATH_BYTES];
    enum mu_rc rc;
    int fd;

    *out_size = 0;
    *out_gap = 0;
    if (is_large(r, i)) {
        fd = openat(o->dir, large_path(path, &r->key, i), O_RDONLY | O_CLOEXEC);
        rc = read_file(fd, offset, bytes, size, out_size, out_gap);
        if (fd >= 0)
            close(fd);
        if (rc != MU_OK && offset < r->total[i]) { /* the file is gone, its size is known */
            *out_gap = r->total[i] - offset;
            rc = MU_OK;
        }
        return rc;
    }
    if (offset >= r->inline_size[i])
        return MU_OK;
    at += HEAD_BYTES + (i == 1 ? r->inline_size[0] : 0) + offset;
    size = size < r->inline_size[i] - offset ? size : (size_t)(r->inline_size[i] - offset);
    *out_size = (size_t)pread_all(s->fd, bytes, size, at);
    return MU_OK;
}

enum mu_rc mu_output_read(struct mu_output *o, const struct mu_output_key *key, unsigned stream, uint64_t offset, void *bytes,
                          size_t size, size_t *out_size, uint64_t *out_gap)
{
    struct segment *s = NULL;
    struct record r;
    uint64_t at = 0;
    enum mu_rc rc;

    if (!record_find(o, key, &s, &at, &r))
        rc = MU_NOTFOUND;
    else
        rc = read_record(o, s, at, &r, (int)stream - 1, offset, bytes, size, out_size, out_gap);
    if (s != NULL)
        segment_rest(o, s);
    return rc;
}

enum mu_rc mu_output_read_live(struct mu_output *o, struct mu_output_slot slot, unsigned stream, uint64_t offset, void *bytes, size_t size,
                               size_t *out_size, uint64_t *out_gap)
{
    int i = (int)stream - 1, fd = slot_open(o, slot, i);
    enum mu_rc rc = read_file(fd, offset, bytes, size, out_size, out_gap);

    slot_close(o, slot, i, fd, false);
    return rc;
}

uint64_t mu_output_trim_live(struct mu_output *o, struct mu_output_slot slot, unsigned stream)
{
    int i = (int)stream - 1, fd = slot_open(o, slot, i);
    struct stat st = { 0 };

    if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 > o->opt.stream_max + o->opt.stream_max / 8)
        trim(fd, (uint64_t)st.st_size, o->opt.stream_max);
    slot_close(o, slot, i, fd, false);
    return (uint64_t)st.st_size;
}

void mu_output_slots_new(struct mu_output *o)
{
    for (uint32_t n = 0; n < SLOT_FDS; n++)
        slot_forget(o, n);
}

/* Whose file of output/ is this? false: a segment's, or no name of ours. */
static bool large_key(const char *name, struct mu_output_key *out)
{
    unsigned long long job;
    unsigned ordinal, attempt;
    char tail[4];

    if (sscanf(name, "%llu.%u.%u.%3s", &job, &ordinal, &attempt, tail) != 4 ||
        (strcmp(tail, suffix[0]) != 0 && strcmp(tail, suffix[1]) != 0))
        return false;
    *out = (struct mu_output_key){ job, ordinal, attempt };
    return true;
}

/* Remove large files: those of one job, or, with job NULL, those that no record names. */
static void larges_remove(struct mu_output *o, const uint64_t *job)
{
    int fd = openat(o->dir, "output", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct mu_output_key key;

    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (large_key(e->d_name, &key) && (job != NULL ? key.job == *job : mu_map_find(&o->index, key_hash(&key)) == NULL))
            unlinkat(fd, e->d_name, 0);
    closedir(d);
}

void mu_output_forget(struct mu_output *o, uint64_t job)
{
    if (o->larges > 0)
        larges_remove(o, &job);
}

void mu_output_sweep(struct mu_output *o)
{
    larges_remove(o, NULL);
}

/* Opening. */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Numbers of the segments there are, ascending. */
static uint32_t *segment_numbers(struct mu_output *o, uint32_t *out_count)
{
    int fd = openat(o->dir, "output", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    uint32_t *numbers = NULL, count = 0;

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char *end;
        unsigned long long n = strtoull(e->d_name, &end, 10);
        if (end == e->d_name || strcmp(end, ".seg") != 0 || n > UINT32_MAX - 1)
            continue;
        numbers = realloc(numbers, (count + 1) * sizeof *numbers);
        MU_ASSERT(numbers != NULL);
        numbers[count++] = (uint32_t)n;
    }
    if (d != NULL)
        closedir(d);
    if (count > 0)
        qsort(numbers, count, sizeof *numbers, by_number);
    *out_count = count;
    return numbers;
}

static void segments_load(struct mu_output *o)
{
    uint32_t count, *numbers = segment_numbers(o, &count);

    for (uint32_t i = 0; i < count; i++) {
        struct segment *s = segment_add(o, numbers[i]);
        char path[PATH_BYTES];
        struct stat st;

        s->size = segment_walk(o, s, record_index);
        o->bytes += s->size;
        if (fstatat(o->dir, segment_path(path, s->number), &st, 0) == 0 && (uint64_t)st.st_size > s->size &&
            ftruncate(segment_fd(o, s), (off_t)s->size) != 0)
            mu_log(MU_LOG_WARN, "agent", "%s has a damaged end", path);
        segment_rest(o, s);
    }
    free(numbers);
    keep_bounds(o);
}

enum mu_rc mu_output_open(struct mu_output **out_store, const struct mu_output_options *opt, struct mu_err *err)
{
    struct mu_output *o = calloc(1, sizeof *o);

    MU_ASSERT(o != NULL);
    o->opt = *opt;
    o->opt.stream_max = opt->stream_max > 0 ? opt->stream_max : UINT64_C(64) << 20;
    o->opt.total_max = opt->total_max > 0 ? opt->total_max : UINT64_C(1) << 30;
    mu_list_init(&o->segments);
    for (int i = 0; i < SLOT_FDS; i++)
        o->slots[i].fd[0] = o->slots[i].fd[1] = -1;
    o->dir = open(opt->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (o->dir < 0 || (mkdirat(o->dir, "output", 0700) != 0 && errno != EEXIST)) {
        enum mu_rc rc = mu_fail(err, MU_IO, "%s: %s", opt->dir, strerror(errno));
        mu_output_close(o);
        return rc;
    }
    segments_load(o);
    *out_store = o;
    return MU_OK;
}

void mu_output_close(struct mu_output *o)
{
    if (o == NULL)
        return;
    MU_LIST_EACH_SAFE(it, &o->segments) {
        struct segment *s = MU_CONTAINER(it, struct segment, link);
        if (s->fd >= 0)
            close(s->fd);
        free(s);
    }
    mu_output_slots_new(o);
    if (o->dir >= 0)
        close(o->dir);
    mu_map_fini(&o->index);
    mu_buf_fini(&o->gather);
    free(o->pending);
    free(o);
}

uint64_t mu_output_bytes(const struct mu_output *o) { return o->bytes; }
uint64_t mu_output_dropped(const struct mu_output *o) { return o->dropped; }
