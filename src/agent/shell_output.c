/* agent/shell_output.c -- readers of output: a request goes through running and ended alike, by offset, at the pace of the
 * server's connection. */
#include "agent/shell.h"

#include "base/assert.h"

enum { CHUNK = 64 * 1024, POLL_MS = 50, TRIM_MS = 500, READERS_MAX = 10000 };

struct reader {
    struct mu_list link;
    uint64_t req, offset, left; /* left: UINT64_MAX without a limit */
    struct mu_output_key key;
    unsigned stream;
    bool follow, known;         /* known: the attempt was seen here while we read */
};

static void reader_free(struct reader *r)
{
    mu_list_remove(&r->link);
    free(r);
}

static void send_data(struct mu_shell *sh, const struct mu_msg_output_data *d)
{
    mu_frame_put(mu_stream_out(sh->server.stream), MU_MSG_OUTPUT_DATA, mu_agent_epoch(sh->agent), d);
}

static void on_get(struct mu_shell *sh, const struct mu_msg_output_get *m)
{
    struct reader *r;
    uint32_t count = 0;

    MU_LIST_EACH(it, &sh->readers)
        count++;
    if (m->stream < 1 || m->stream > 2 || count >= READERS_MAX) {
        send_data(sh, &(struct mu_msg_output_data){ .req = m->req,
            .error = count >= READERS_MAX ? MU_STR_LIT("too many readers on this node") : MU_STR_LIT("no such stream") });
        return;
    }
    r = calloc(1, sizeof *r);
    MU_ASSERT(r != NULL);
    *r = (struct reader){ .req = m->req, .offset = m->offset, .left = m->limit > 0 ? m->limit : UINT64_MAX,
                          .key = { m->job, m->ordinal, m->attempt }, .stream = m->stream, .follow = m->follow };
    mu_list_add_tail(&sh->readers, &r->link);
    mu_loop_again(sh->loop);
}

static void on_stop(struct mu_shell *sh, uint64_t req)
{
    MU_LIST_EACH_SAFE(it, &sh->readers)
        if (MU_CONTAINER(it, struct reader, link)->req == req)
            reader_free(MU_CONTAINER(it, struct reader, link));
}

void mu_shell_on_output(void *arg, const struct mu_msg *msg)
{
    struct mu_shell *sh = arg;

    if (msg->type == MU_MSG_OUTPUT_GET)
        on_get(sh, &msg->output_get);
    else if (msg->type == MU_MSG_OUTPUT_STOP)
        on_stop(sh, msg->output_stop.req);
    else if (msg->type == MU_MSG_FORGET)
        mu_output_forget(sh->output, msg->forget.job);
}

enum ask { ASK_MORE, ASK_WAIT, ASK_DONE };

/* What there is now. live: it may become more. */
static enum mu_rc fetch(struct mu_shell *sh, struct reader *r, void *bytes, size_t size, size_t *n, uint64_t *gap, bool *live)
{
    struct mu_shell_live *t = mu_shell_live_find(sh, &r->key);
    const struct mu_agent_exit *end;
    enum mu_rc rc;
    bool known;

    *n = 0;
    *gap = 0;
    *live = t != NULL;
    if (t != NULL) {
        r->known = true;
        rc = t->slot.number != MU_SP_SLOT_NONE ? mu_output_read_live(sh->output, t->slot, r->stream, r->offset, bytes, size, n, gap) : MU_OK;
        return rc == MU_NOTFOUND ? MU_OK : rc; /* its file is not there yet */
    }
    rc = mu_output_read(sh->output, &r->key, r->stream, r->offset, bytes, size, n, gap);
    end = mu_agent_end(sh->agent, r->key.job, r->key.ordinal, r->key.attempt, &known);
    r->known = r->known || known;
    if (rc != MU_NOTFOUND || !r->known)
        return rc;
    *live = known && end == NULL; /* it is starting, or has written nothing, or that is lost */
    if (end != NULL && (r->stream == 1 ? end->out_bytes : end->err_bytes) > r->offset)
        *gap = (r->stream == 1 ? end->out_bytes : end->err_bytes) - r->offset;
    return MU_OK;
}

static enum ask reader_turn(struct mu_shell *sh, struct reader *r)
{
    static uint8_t bytes[CHUNK];
    struct mu_msg_output_data d = { .req = r->req };
    size_t n;
    bool live;

    if (fetch(sh, r, bytes, r->left < CHUNK ? (size_t)r->left : CHUNK, &n, &d.gap, &live) != MU_OK) {
        d.error = MU_STR_LIT("nothing of this attempt is kept here");
        send_data(sh, &d);
        return ASK_DONE;
    }
    r->offset += d.gap;
    d.offset = r->offset;
    d.data = (struct mu_str){ (const char *)bytes, (uint32_t)n };
    r->offset += n;
    r->left -= r->left == UINT64_MAX ? 0 : n;
    d.end = n == 0 && (!live || !r->follow);
    if (n > 0 || d.gap > 0 || d.end)
        send_data(sh, &d);
    if (d.end || r->left == 0)
        return ASK_DONE;
    return n > 0 || d.gap > 0 ? ASK_MORE : ASK_WAIT;
}

void mu_shell_output_turn(struct mu_shell *sh)
{
    bool waits = false;

    if (sh->server.stream == NULL)
        return;
    MU_LIST_EACH_SAFE(it, &sh->readers) {
        struct reader *r = MU_CONTAINER(it, struct reader, link);
        enum ask ask = ASK_MORE;

        while (ask == ASK_MORE && !mu_stream_is_full(sh->server.stream))
            ask = reader_turn(sh, r);
        if (ask == ASK_DONE)
            reader_free(r);
        waits = waits || ask == ASK_WAIT;
    }
    if (waits && !mu_timer_is_set(sh->poll))
        mu_timer_start(sh->poll, POLL_MS);
}

void mu_shell_output_clear(struct mu_shell *sh)
{
    MU_LIST_EACH_SAFE(it, &sh->readers)
        reader_free(MU_CONTAINER(it, struct reader, link));
}

static void on_poll(void *arg)
{
    (void)arg; /* the turn it begins is what is wanted */
}

/* Running tasks that write more than may be kept give back their oldest bytes. */
static void on_trim(void *arg)
{
    struct mu_shell *sh = arg;
    struct mu_map_slot slot;

    for (uint32_t i = 0; (i = mu_map_next(&sh->spawner.by_id, i, &slot)) != 0;) {
        const struct mu_shell_live *t = (const struct mu_shell_live *)(uintptr_t)slot.value;

        for (unsigned stream = 1; t->slot.number != MU_SP_SLOT_NONE && stream <= 2; stream++)
            mu_output_trim_live(sh->output, t->slot, stream);
    }
    if (sh->spawner.by_id.count > 0)
        mu_timer_start(sh->trim, TRIM_MS);
}

void mu_shell_output_watch(struct mu_shell *sh)
{
    if (!mu_timer_is_set(sh->trim))
        mu_timer_start(sh->trim, TRIM_MS);
}

void mu_shell_output_start(struct mu_shell *sh)
{
    mu_list_init(&sh->readers);
    sh->poll = mu_timer_new(sh->loop, on_poll, sh);
    sh->trim = mu_timer_new(sh->loop, on_trim, sh);
}

void mu_shell_output_stop(struct mu_shell *sh)
{
    mu_shell_output_clear(sh);
    mu_timer_free(sh->poll);
    mu_timer_free(sh->trim);
}
