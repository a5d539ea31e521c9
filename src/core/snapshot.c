#include "core/snapshot.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/le.h"

enum { BLOCK = 64 * 1024, HASH_BYTES = 8 };

static void flush(struct mu_snap_out *out)
{
    if (out->block.size == 0)
        return;
    out->hash = mu_hash(out->block.at, out->block.size, out->hash);
    if (out->to)
        mu_put_bytes(out->to, out->block.at, out->block.size);
    mu_buf_clear(&out->block);
}

void mu_snap_put(struct mu_snap_out *out, uint64_t n)
{
    mu_put_varint(&out->block, n);
    if (out->block.size >= BLOCK)
        flush(out);
}

void mu_snap_put_text(struct mu_snap_out *out, struct mu_str text)
{
    mu_put_bytes(&out->block, text.at, text.size);
    if (out->block.size >= BLOCK)
        flush(out);
}

uint64_t mu_snap_end(struct mu_snap_out *out)
{
    uint8_t tail[HASH_BYTES];

    flush(out);
    mu_le64_put(tail, out->hash);
    if (out->to) {
        mu_put_varint(out->to, 0);
        mu_buf_add(out->to, tail, sizeof tail);
    }
    mu_buf_fini(&out->block);
    return out->hash;
}

struct mu_snap_in mu_snap_in_of(const void *bytes, size_t size)
{
    return (struct mu_snap_in){ .all = mu_reader_of(bytes, size) };
}

static bool next_block(struct mu_snap_in *in)
{
    struct mu_str bytes;

    if (in->bad || in->ended)
        return false;
    bytes = mu_get_bytes(&in->all);
    in->bad = in->all.bad;
    in->ended = !in->bad && bytes.size == 0;
    if (in->bad || in->ended)
        return false;
    in->hash = mu_hash(bytes.at, bytes.size, in->hash);
    in->block = mu_reader_of(bytes.at, bytes.size);
    return true;
}

uint64_t mu_snap_get(struct mu_snap_in *in)
{
    uint64_t n;

    if (in->bad || (in->block.at == in->block.end && !next_block(in))) {
        in->bad = true;
        return 0;
    }
    n = mu_get_varint(&in->block);
    in->bad = in->block.bad;
    return n;
}

uint64_t mu_snap_get_max(struct mu_snap_in *in, uint64_t max)
{
    uint64_t n = mu_snap_get(in);

    if (n > max)
        in->bad = true;
    return in->bad ? 0 : n;
}

struct mu_str mu_snap_get_text(struct mu_snap_in *in)
{
    struct mu_str text;

    if (in->bad || (in->block.at == in->block.end && !next_block(in))) {
        in->bad = true;
        return (struct mu_str){ "", 0 };
    }
    text = mu_get_bytes(&in->block);
    in->bad = in->block.bad;
    return in->bad ? (struct mu_str){ "", 0 } : text;
}

bool mu_snap_done(struct mu_snap_in *in)
{
    if (in->bad || in->block.at != in->block.end)
        return false;
    if (next_block(in) || !in->ended || in->all.end - in->all.at != HASH_BYTES)
        return false;
    return mu_le64_get(in->all.at) == in->hash;
}
