/* Any bytes as an HTTP message. The first byte chooses side and method, the second how the bytes are cut into
 * pieces: whole or in pieces, the same is understood. */
#include "base/hash.h"
#include "fuzz/fuzz.h"
#include "wire/http.h"

struct verdict {
    enum mu_rc head_rc, body_rc;
    unsigned refuse;
    size_t head_used, body_used;
    uint64_t head, body; /* hashes of what was understood */
    bool done;
};

static uint64_t str_hash(struct mu_str s, uint64_t seed)
{
    return mu_hash(s.at, s.size, seed);
}

static uint64_t head_hash(const struct mu_http_head *head)
{
    uint64_t h = mu_hash_mix(head->status, (uint64_t)head->method << 32 | (uint64_t)head->framing << 8 | head->minor);

    h = str_hash(head->target, str_hash(head->method_text, h));
    h = str_hash(head->host, mu_hash_mix(h, head->length));
    MU_ASSERT(head->count <= MU_HTTP_HEADERS_MAX);
    for (uint32_t i = 0; i < head->count; i++) {
        const struct mu_http_field *f = &head->fields[i];
        MU_ASSERT(f->name.size > 0 && memchr(f->name.at, ':', f->name.size) == NULL);
        for (uint32_t k = 0; k < f->value.size; k++)
            MU_ASSERT((uint8_t)f->value.at[k] >= ' ' || f->value.at[k] == '\t');
        h = str_hash(f->value, str_hash(f->name, h));
    }
    return h;
}

/* Read bytes as they would come from a socket in pieces of `step`. */
static void read_body(struct verdict *v, struct mu_http_head *head, const uint8_t *bytes, size_t size, size_t step)
{
    struct mu_http_body body;
    struct mu_str piece;

    mu_http_body_init(&body, head);
    for (size_t end = 0; !body.done && v->body_rc == MU_OK && end < size;) {
        end = end + step < size ? end + step : size;
        while (v->body_rc == MU_OK && !body.done && v->body_used < end) {
            size_t used = 0;
            v->body_rc = mu_http_body_take(&body, bytes + v->body_used, end - v->body_used, &used, &piece, NULL);
            if (v->body_rc != MU_OK)
                break;
            MU_ASSERT(used > 0 && used <= end - v->body_used && piece.size <= used);
            for (uint32_t i = 0; i < piece.size; i++)
                v->body = mu_hash_mix(v->body, (uint8_t)piece.at[i]);
            v->body_used += used;
        }
    }
    if (v->body_rc != MU_OK) /* how far a refused body was read depends on the pieces */
        v->body_used = 0, v->body = 0;
    v->done = body.done;
}

static struct verdict read_message(uint8_t kind, const uint8_t *bytes, size_t size, size_t step)
{
    enum mu_http_side side = kind & 1 ? MU_HTTP_RESPONSE : MU_HTTP_REQUEST;
    struct verdict v = { .head_rc = MU_AGAIN };
    struct mu_http_parser parser;
    struct mu_http_head head = { 0 }; /* what belongs to the other side stays untouched */

    mu_http_parser_init(&parser, side, (enum mu_http_method)((kind >> 1) % (MU_HTTP_TRACE + 1)));
    for (size_t end = 0; v.head_rc == MU_AGAIN && end < size;) {
        end = end + step < size ? end + step : size;
        v.head_rc = mu_http_head_take(&parser, bytes, end, &v.head_used, &head, NULL);
    }
    v.refuse = v.head_rc == MU_OK || v.head_rc == MU_AGAIN ? 0 : parser.refuse;
    MU_ASSERT(v.head_rc == MU_OK || v.head_rc == MU_AGAIN || v.refuse >= 400);
    if (v.head_rc != MU_OK)
        return v;
    v.head = head_hash(&head);
    read_body(&v, &head, bytes + v.head_used, size - v.head_used, step);
    return v;
}

static void check_texts(struct mu_str text)
{
    char out[64];
    struct mu_url url;
    struct mu_buf b = { 0 };

    mu_http_decode(text, true, out, sizeof out);
    mu_http_query_get(text, "after", out, sizeof out);
    if (mu_url_parse(&url, text, NULL) == MU_OK)
        MU_ASSERT(mu_url_parse(&url, mu_str_of(url.text), NULL) == MU_OK);
    if (text.size < sizeof out && (text.size == 0 || memchr(text.at, '\0', text.size) == NULL)) {
        mu_http_encode(&b, text);
        MU_ASSERT(mu_http_decode(mu_buf_str(&b), false, out, sizeof out) && mu_str_is(text, out));
    }
    mu_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct verdict whole, pieces;

    if (size < 2)
        return 0;
    whole = read_message(data[0], data + 2, size - 2, size);
    pieces = read_message(data[0], data + 2, size - 2, data[1] % 32u + 1);
    MU_ASSERT(whole.head_rc == pieces.head_rc && whole.refuse == pieces.refuse && whole.head == pieces.head);
    MU_ASSERT(whole.body_rc == pieces.body_rc && whole.body_used == pieces.body_used);
    MU_ASSERT(whole.body == pieces.body && whole.done == pieces.done);
    check_texts((struct mu_str){ (const char *)data + 2, (uint32_t)size - 2 });
    return 0;
}
