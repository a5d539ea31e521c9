#include "http_run.h"

#include "base/assert.h"

struct state {
    struct mu_buf *out;
    struct mu_http_parser parser;
    struct mu_http_body body;
    bool in_body, over;
    struct mu_buf kept; /* shown and not used */
};

static void put_head(struct mu_buf *out, const struct mu_http_head *h)
{
    static const char *const framings[] = { "none", "length", "chunked", "until-close" };

    if (h->status != 0)
        mu_buf_printf(out, "%u %.*s", h->status, MU_STR_ARG(h->reason));
    else
        mu_buf_printf(out, "%.*s %.*s host=%.*s%s", MU_STR_ARG(h->method_text), MU_STR_ARG(h->target),
                      MU_STR_ARG(h->host), h->expect_continue ? " expect" : "");
    mu_buf_printf(out, " 1.%u %s %s:%llu up=%.*s", h->minor, h->keep_alive ? "keep" : "close", framings[h->framing],
                  (unsigned long long)h->length, MU_STR_ARG(h->upgrade));
    for (uint32_t i = 0; i < h->count; i++)
        mu_buf_printf(out, " %.*s=%.*s", MU_STR_ARG(h->fields[i].name), MU_STR_ARG(h->fields[i].value));
    mu_buf_addz(out, " [");
}

static size_t take_head(struct state *st, const uint8_t *bytes, size_t size)
{
    struct mu_http_head head = { 0 };
    struct mu_err err = { 0 };
    size_t used = 0;
    enum mu_rc rc = mu_http_head_take(&st->parser, bytes, size, &used, &head, &err);

    if (rc == MU_AGAIN)
        return 0;
    if (rc != MU_OK) {
        MU_ASSERT(err.text[0] != '\0');
        mu_buf_printf(st->out, "refused %u", st->parser.refuse);
        st->over = true;
        return 0;
    }
    MU_ASSERT(used <= size && used <= MU_HTTP_HEAD_MAX);
    put_head(st->out, &head);
    mu_http_body_init(&st->body, &head);
    st->in_body = true;
    return used;
}

static size_t take_body(struct state *st, const uint8_t *bytes, size_t size)
{
    struct mu_str piece;
    size_t used = 0;

    if (mu_http_body_take(&st->body, bytes, size, &used, &piece, NULL) != MU_OK) {
        mu_buf_addz(st->out, "] refused body");
        st->over = true;
        return 0;
    }
    MU_ASSERT(used <= size && piece.size <= used);
    mu_buf_add(st->out, piece.at, piece.size);
    return used;
}

static size_t take(struct state *st, const uint8_t *bytes, size_t size)
{
    size_t all = 0, used;

    while (!st->over) {
        if (st->in_body && st->body.done) {
            mu_buf_addz(st->out, "] | ");
            st->in_body = false;
        }
        if (all == size)
            break;
        used = st->in_body ? take_body(st, bytes + all, size - all) : take_head(st, bytes + all, size - all);
        all += used;
        if (used == 0)
            break;
    }
    return all;
}

void http_run(struct mu_buf *out, const struct http_run *run, const char *bytes, size_t size)
{
    struct state st = { .out = out };

    mu_http_parser_init(&st.parser, run->side, run->asked);
    for (size_t at = 0; at < size && !st.over;) {
        size_t n = run->cut(run->arg, at, size - at), total = st.kept.size + n, used;
        uint8_t *shown = malloc(total);
        MU_ASSERT(shown != NULL && n > 0 && n <= size - at);
        if (st.kept.size > 0)
            memcpy(shown, st.kept.at, st.kept.size);
        memcpy(shown + st.kept.size, bytes + at, n);
        used = take(&st, shown, total);
        st.kept.size = 0;
        mu_buf_add(&st.kept, shown + used, total - used);
        free(shown);
        at += n;
    }
    if (!st.over && st.in_body && mu_http_body_eof(&st.body, NULL) == MU_OK)
        mu_buf_addz(out, "] end");
    else if (!st.over && (st.in_body || st.kept.size > 0))
        mu_buf_addz(out, "more");
    mu_buf_fini(&st.kept);
}
