/* server/history_row.c -- how a result is stored: differences to the row before it in its run, as varints. */
#include "server/history.h"

MU_PB_TABLE(mu_job_group, MU_JOB_GROUP_FIELDS)
MU_PB_TABLE(mu_job_record, MU_JOB_RECORD_FIELDS)

static uint64_t zigzag(uint64_t from, uint64_t to)
{
    int64_t d = (int64_t)(to - from);
    return (uint64_t)d << 1 ^ (uint64_t)(d >> 63);
}

static uint64_t unzigzag(uint64_t from, uint64_t z)
{
    return from + (z >> 1 ^ (0 - (z & 1)));
}

void mu_result_row_put(struct mu_buf *b, const struct mu_result_row *prev, const struct mu_result_row *row)
{
    mu_put_varint(b, row->seq - prev->seq);
    mu_put_varint(b, zigzag(prev->ordinal, row->ordinal));
    mu_put_varint(b, row->attempt);
    if (row->attempt == 0)
        mu_put_varint(b, row->count);
    mu_put_varint(b, row->node);
    mu_put_varint(b, (uint64_t)row->state << 4 | (uint64_t)row->how);
    mu_put_varint(b, row->code);
    mu_put_varint(b, zigzag(prev->submitted_ms, row->submitted_ms));
    mu_put_varint(b, zigzag(prev->placed_ms, row->placed_ms));
    mu_put_varint(b, zigzag(row->placed_ms, row->started_ms));
    mu_put_varint(b, zigzag(row->started_ms, row->ended_ms));
    mu_put_varint(b, row->run_us);
    mu_put_varint(b, row->user_us);
    mu_put_varint(b, row->sys_us);
    mu_put_varint(b, row->rss_bytes);
    mu_put_varint(b, row->out_bytes);
    mu_put_varint(b, row->err_bytes);
}

static uint32_t get_u32(struct mu_reader *r)
{
    uint64_t n = mu_get_varint(r);

    r->bad = r->bad || n > UINT32_MAX;
    return (uint32_t)n;
}

bool mu_result_row_get(struct mu_reader *r, const struct mu_result_row *prev, struct mu_result_row *out)
{
    uint64_t word;
    struct mu_result_row row = { .job = prev->job };

    row.seq = prev->seq + mu_get_varint(r);
    row.ordinal = (uint32_t)unzigzag(prev->ordinal, mu_get_varint(r));
    row.attempt = get_u32(r);
    row.count = row.attempt == 0 ? get_u32(r) : 1;
    row.node = get_u32(r);
    word = mu_get_varint(r);
    row.state = (enum mu_task_state)(word >> 4);
    row.how = (enum mu_end)(word & 15);
    row.code = get_u32(r);
    row.submitted_ms = unzigzag(prev->submitted_ms, mu_get_varint(r));
    row.placed_ms = unzigzag(prev->placed_ms, mu_get_varint(r));
    row.started_ms = unzigzag(row.placed_ms, mu_get_varint(r));
    row.ended_ms = unzigzag(row.started_ms, mu_get_varint(r));
    row.run_us = mu_get_varint(r);
    row.user_us = mu_get_varint(r);
    row.sys_us = mu_get_varint(r);
    row.rss_bytes = mu_get_varint(r);
    row.out_bytes = mu_get_varint(r);
    row.err_bytes = mu_get_varint(r);
    if (r->bad || row.count == 0 || row.count - 1 > UINT32_MAX - row.ordinal || word >> 4 >= MU_TASK_STATES || (word & 15) >= MU_ENDS)
        return false;
    *out = row;
    return true;
}

_Static_assert(MU_ENDS <= 16, "how has four bits in a row");
