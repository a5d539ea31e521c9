/* HTTP/1.1 bodies: a machine over bytes that yields the pieces of content among them. */
#include "wire/http.h"

#include "base/assert.h"

enum {
    SIZE_FIRST, /* a chunk's size line: its first digit is due */
    SIZE_MORE,
    SIZE_EXT,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* at the start of a line behind the last chunk */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
};

void mu_http_body_init(struct mu_http_body *b, const struct mu_http_head *head)
{
    *b = (struct mu_http_body){ .framing = head->framing, .left = head->length };
    b->done = head->framing == MU_HTTP_NONE || (head->framing == MU_HTTP_LENGTH && head->length == 0);
}

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_token(uint8_t c)
{
    return c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static bool is_text(uint8_t c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* The size line; -1 refuses, else the next state. */
static int size_step(struct mu_http_body *b, uint8_t c)
{
    int digit = hex_of(c);

    if (++b->line > MU_HTTP_LINE_MAX)
        return -1;
    switch (b->state) {
    case SIZE_FIRST:
    case SIZE_MORE:
        if (digit >= 0) {
            if (b->line > 16 || b->left >> 58 != 0)
                return -1;
            b->left = b->left << 4 | (uint64_t)digit;
            return SIZE_MORE;
        }
        if (b->state == SIZE_FIRST)
            return -1;
        return c == ';' ? SIZE_EXT : c == '\r' ? SIZE_LF : -1;
    case SIZE_EXT:
        return c == '\r' ? SIZE_LF : is_text(c) ? SIZE_EXT : -1;
    default:
        if (c != '\n')
            return -1;
        b->line = 0;
        return b->left > 0 ? DATA : TRAILER;
    }
}

/* Everything else between and behind chunks. */
static int frame_step(struct mu_http_body *b, uint8_t c)
{
    if (b->state >= TRAILER && ++b->line > MU_HTTP_TRAILER_MAX)
        return -1;
    switch (b->state) {
    case DATA_CR:
        return c == '\r' ? DATA_LF : -1;
    case DATA_LF:
        return c == '\n' ? SIZE_FIRST : -1;
    case TRAILER:
        return c == '\r' ? END_LF : is_token(c) ? TRAILER_NAME : -1;
    case TRAILER_NAME:
        return c == ':' ? TRAILER_VALUE : is_token(c) ? TRAILER_NAME : -1;
    case TRAILER_VALUE:
        return c == '\r' ? TRAILER_LF : is_text(c) ? TRAILER_VALUE : -1;
    case TRAILER_LF:
        return c == '\n' ? TRAILER : -1;
    default:
        b->done = c == '\n';
        return b->done ? END_LF : -1;
    }
}

static size_t content(struct mu_http_body *b, const char *at, size_t size, struct mu_str *out)
{
    size_t n = size < b->left ? size : (size_t)b->left;

    n = n < UINT32_MAX ? n : UINT32_MAX;
    *out = (struct mu_str){ at, (uint32_t)n };
    b->left -= n;
    b->total += n;
    return n;
}

static enum mu_rc chunked_take(struct mu_http_body *b, const char *at, size_t size, size_t *used,
                               struct mu_str *out_piece, struct mu_err *err)
{
    size_t i = 0;

    while (i < size && !b->done) {
        if (b->state == DATA) {
            i += content(b, at + i, size - i, out_piece);
            if (b->left == 0)
                b->state = DATA_CR;
            break;
        }
        int next = b->state < DATA ? size_step(b, (uint8_t)at[i]) : frame_step(b, (uint8_t)at[i]);
        if (next < 0)
            return mu_fail(err, MU_INVALID, "the chunked body is malformed");
        b->state = (unsigned)next;
        i++;
    }
    *used = i;
    return MU_OK;
}

enum mu_rc mu_http_body_take(struct mu_http_body *b, const void *bytes, size_t size, size_t *used,
                             struct mu_str *out_piece, struct mu_err *err)
{
    *used = 0;
    *out_piece = (struct mu_str){ bytes, 0 };
    if (b->done)
        return MU_OK;
    switch (b->framing) {
    case MU_HTTP_CHUNKED:
        return chunked_take(b, bytes, size, used, out_piece, err);
    case MU_HTTP_LENGTH:
        *used = content(b, bytes, size, out_piece);
        b->done = b->left == 0;
        return MU_OK;
    default:
        b->left = UINT64_MAX;
        *used = content(b, bytes, size, out_piece);
        return MU_OK;
    }
}

enum mu_rc mu_http_body_eof(struct mu_http_body *b, struct mu_err *err)
{
    if (b->framing == MU_HTTP_UNTIL_CLOSE)
        b->done = true;
    return b->done ? MU_OK : mu_fail(err, MU_CLOSED, "the connection ended in the middle of a body");
}
