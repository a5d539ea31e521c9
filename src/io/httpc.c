/* The blocking HTTP client: one socket, poll with deadlines, servers tried in turn. */
#include "io/httpc.h"

#include "base/assert.h"
#include "io/loop.h"
#include "wire/json.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    SERVERS_MAX = 16,
    CONNECT_MS = 3000,
    IDLE_MS = 60000,
    READ_BYTES = 64 * 1024,
    HOPS_MAX = 2, /* redirects followed in one call */
    BODY_MAX = 256 * 1024 * 1024,
};

enum phase { IDLE, SENDING, READING };

struct mu_httpc {
    struct mu_url servers[SERVERS_MAX];
    unsigned servers_count, current;
    struct mu_url hop; /* where a 307 sent us; text "" if nowhere */
    char *token;
    struct mu_httpc_options opt;
    int fd; /* -1: not connected */
    enum phase phase;
    bool have_head;
    struct mu_buf in, out, head_bytes;
    size_t in_at; /* what is before it in `in` is used up */
    struct mu_http_parser parser;
    struct mu_http_head head;
    struct mu_http_body body;
};

static uint64_t now_ms(void)
{
    return mu_boot_ms();
}

static size_t body_max(const struct mu_httpc *c)
{
    return c->opt.body_max ? c->opt.body_max : BODY_MAX;
}

static size_t unused(const struct mu_httpc *c)
{
    return c->in.size - c->in_at;
}

static void use(struct mu_httpc *c, size_t n)
{
    c->in_at += n;
    if (c->in_at == c->in.size)
        c->in.size = c->in_at = 0;
}

/* "connection refused": as part of a sentence. */
static const char *reason(char *out, size_t cap, int number)
{
    snprintf(out, cap, "%s", strerror(number));
    out[0] = (char)tolower((unsigned char)out[0]);
    return out;
}

static const struct mu_url *server_of(const struct mu_httpc *c)
{
    return c->hop.text[0] != '\0' ? &c->hop : &c->servers[c->current];
}

static void hang_up(struct mu_httpc *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->in.size = c->in_at = 0;
    c->phase = IDLE;
}

/* Until fd is ready; ms 0: for ever. EINTR goes on waiting: signals speak through wake_fd. */
static enum mu_rc wait_for(struct mu_httpc *c, short events, uint64_t ms, short *out_ready, struct mu_err *err)
{
    uint64_t end = ms > 0 ? now_ms() + ms : 0;

    for (;;) {
        struct pollfd fds[2] = { { .fd = c->fd, .events = events }, { .fd = c->opt.wake_fd, .events = POLLIN } };
        uint64_t now = now_ms(), left = end > now ? end - now : 0;
        int n = poll(fds, c->opt.wake_fd >= 0 ? 2 : 1, end == 0 ? -1 : left > 1 << 30 ? 1 << 30 : (int)left);
        if (n < 0 && errno != EINTR)
            return mu_fail(err, MU_IO, "poll: %s", strerror(errno));
        if (n > 0 && c->opt.wake_fd >= 0 && fds[1].revents != 0)
            return mu_fail(err, MU_AGAIN, "interrupted");
        if (n > 0 && fds[0].revents != 0) {
            *out_ready = fds[0].revents;
            return MU_OK;
        }
        if (end != 0 && now_ms() >= end)
            return mu_fail(err, MU_TIMEOUT, "%s does not answer", server_of(c)->text);
    }
}

/* -- connecting -- */

static enum mu_rc connect_to(struct mu_httpc *c, const struct sockaddr *a, socklen_t size, struct mu_err *err)
{
    const char *text = server_of(c)->text;
    uint64_t ms = c->opt.connect_ms ? c->opt.connect_ms : CONNECT_MS;
    int error = 0, on = 1;
    socklen_t error_size = sizeof error;
    char why[128];
    short ready;
    enum mu_rc rc;

    c->fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return mu_fail(err, MU_IO, "no socket: %s", strerror(errno));
    if (a->sa_family != AF_UNIX)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, a, size) != 0) {
        error = errno;
        if (error == EINPROGRESS) {
            rc = wait_for(c, POLLOUT, ms, &ready, err);
            if (rc != MU_OK) {
                hang_up(c);
                return rc == MU_TIMEOUT ? mu_fail(err, MU_IO, "no server answers at %s: time ran out", text) : rc;
            }
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
        }
    }
    if (error == 0)
        return MU_OK;
    hang_up(c);
    return mu_fail(err, MU_IO, "no server answers at %s: %s", text, reason(why, sizeof why, error));
}

static enum mu_rc connect_unix(struct mu_httpc *c, const struct mu_url *u, struct mu_err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    if (strlen(u->host) >= sizeof a.sun_path)
        return mu_fail(err, MU_INVALID, "%s: the path of a socket has at most %zu bytes", u->text, sizeof a.sun_path - 1);
    memcpy(a.sun_path, u->host, strlen(u->host) + 1);
    return connect_to(c, (struct sockaddr *)&a, sizeof a, err);
}

static enum mu_rc connect_one(struct mu_httpc *c, struct mu_err *err)
{
    const struct mu_url *u = server_of(c);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list;
    enum mu_rc rc = MU_IO;
    int no;

    if (u->is_unix)
        return connect_unix(c, u, err);
    if (u->tls)
        return mu_fail(err, MU_UNSUPPORTED, "%s: TLS is not spoken here", u->text);
    no = getaddrinfo(u->host, u->port, &hints, &list);
    if (no != 0)
        return mu_fail(err, MU_IO, "no server answers at %s: %s", u->text,
                       no == EAI_SYSTEM ? strerror(errno) : gai_strerror(no));
    for (const struct addrinfo *a = list; a != NULL && rc != MU_OK && rc != MU_AGAIN; a = a->ai_next)
        rc = connect_to(c, a->ai_addr, a->ai_addrlen, err);
    freeaddrinfo(list);
    return rc;
}

/* A kept connection on which something is to be read has ended, or is out of step. */
static bool is_stale(const struct mu_httpc *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };

    return unused(c) > 0 || poll(&p, 1, 0) != 0;
}

/* A connection to the present server or, if it does not answer, to the next that does. */
static enum mu_rc connect_any(struct mu_httpc *c, struct mu_err *err)
{
    unsigned tries = c->servers_count + (c->hop.text[0] != '\0');
    enum mu_rc rc = MU_IO;

    if (c->fd >= 0 && !is_stale(c))
        return MU_OK;
    hang_up(c);
    for (; tries > 0; tries--) {
        rc = connect_one(c, err);
        if (rc == MU_OK || rc == MU_AGAIN)
            return rc;
        if (c->hop.text[0] != '\0')
            c->hop.text[0] = '\0'; /* the server we were sent to is not there; back to the list */
        else
            c->current = (c->current + 1) % c->servers_count;
    }
    if (c->servers_count > 1 && rc == MU_IO)
        mu_fail(err, MU_IO, "no server answers at any of %u addresses, such as %s", c->servers_count,
                c->servers[0].text);
    return rc;
}

/* -- moving bytes -- */

/* Receive some; MU_CLOSED at the end. */
static enum mu_rc receive(struct mu_httpc *c, uint64_t ms, struct mu_err *err)
{
    mu_buf_drop(&c->in, c->in_at);
    c->in_at = 0;
    for (;;) {
        ssize_t n = recv(c->fd, mu_buf_room(&c->in, READ_BYTES), READ_BYTES, 0);
        char why[128];
        short ready;
        enum mu_rc rc;
        if (n > 0) {
            c->in.size += (size_t)n;
            return MU_OK;
        }
        if (n == 0)
            return mu_fail(err, MU_CLOSED, "%s closed the connection", server_of(c)->text);
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return mu_fail(err, MU_CLOSED, "%s: %s", server_of(c)->text, reason(why, sizeof why, errno));
        rc = wait_for(c, POLLIN, ms, &ready, err);
        if (rc != MU_OK)
            return rc;
    }
}

/* Send all of out. What the server says meanwhile is received, lest both wait for each other. */
static enum mu_rc send_out(struct mu_httpc *c, struct mu_err *err)
{
    uint64_t ms = c->opt.idle_ms ? c->opt.idle_ms : IDLE_MS;
    size_t at = 0;

    while (at < c->out.size) {
        ssize_t n = send(c->fd, c->out.at + at, c->out.size - at, MSG_NOSIGNAL);
        char why[128];
        short ready;
        enum mu_rc rc;
        if (n >= 0) {
            at += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return mu_fail(err, MU_CLOSED, "%s: %s", server_of(c)->text, reason(why, sizeof why, errno));
        rc = wait_for(c, POLLIN | POLLOUT, ms, &ready, err);
        if (rc == MU_OK && ready & POLLIN)
            rc = receive(c, ms, err);
        if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

static void put_request(struct mu_httpc *c, const struct mu_httpc_req *req, bool chunked)
{
    struct mu_buf *out = &c->out;

    out->size = 0;
    mu_http_put_request(out, req->method != NULL ? req->method : "GET", req->target);
    mu_http_put_field(out, "Host", mu_url_authority(server_of(c)));
    mu_http_put_field(out, "User-Agent", MU_STR_LIT("muster"));
    if (c->token != NULL)
        mu_http_put_bearer(out, c->token);
    if (req->key != NULL)
        mu_http_put_field(out, "Idempotency-Key", mu_str_of(req->key));
    if (req->type != NULL)
        mu_http_put_field(out, "Content-Type", mu_str_of(req->type));
    if (req->header != NULL) {
        struct mu_str value, name = mu_str_cut(mu_str_of(req->header), ':', &value);
        mu_buf_add(out, name.at, name.size);
        mu_http_put_field(out, "", value);
    }
    if (chunked)
        mu_http_put_field(out, "Transfer-Encoding", MU_STR_LIT("chunked"));
    else if (req->size > 0 || (req->method != NULL && strcmp(req->method, "GET") != 0))
        mu_http_put_length(out, req->size);
    mu_buf_addz(out, "\r\n");
    if (!chunked && req->size > 0)
        mu_buf_add(out, req->body, req->size);
}

/* -- the answer's head -- */

/* MU_AGAIN: it is not complete in what was received. */
static enum mu_rc parse_head(struct mu_httpc *c, struct mu_err *err)
{
    size_t used;
    enum mu_rc rc;

    do {
        rc = mu_http_head_take(&c->parser, c->in.at + c->in_at, unused(c), &used, &c->head, err);
        if (rc == MU_AGAIN)
            return rc;
        if (rc != MU_OK)
            return mu_fail(err, MU_INVALID, "%s does not speak HTTP as expected", server_of(c)->text);
        c->head_bytes.size = 0;
        mu_buf_add(&c->head_bytes, c->in.at + c->in_at, used);
        mu_http_head_rebase(&c->head, c->in.at + c->in_at, c->head_bytes.at);
        use(c, used);
    } while (c->head.status < 200 && c->head.status != 101); /* 100, 103: the answer proper follows */
    mu_http_body_init(&c->body, &c->head);
    c->have_head = true;
    return MU_OK;
}

static enum mu_rc take_head(struct mu_httpc *c, struct mu_err *err)
{
    uint64_t ms = c->opt.idle_ms ? c->opt.idle_ms : IDLE_MS;
    enum mu_rc rc = c->have_head ? MU_OK : MU_AGAIN;

    while (rc == MU_AGAIN) {
        rc = unused(c) > 0 ? parse_head(c, err) : MU_AGAIN;
        if (rc != MU_AGAIN)
            break;
        rc = receive(c, ms, err);
        if (rc != MU_OK)
            return rc;
        rc = MU_AGAIN;
    }
    if (rc == MU_OK)
        c->phase = READING;
    return rc;
}

static void expect_head(struct mu_httpc *c, const struct mu_httpc_req *req)
{
    bool is_head = req->method != NULL && strcmp(req->method, "HEAD") == 0;

    c->have_head = false;
    c->phase = SENDING;
    mu_http_parser_init(&c->parser, MU_HTTP_RESPONSE, is_head ? MU_HTTP_HEAD : MU_HTTP_GET);
}

static bool may_repeat(const struct mu_httpc_req *req)
{
    static const char *const safe[] = { "GET", "HEAD", "PUT", "DELETE" };

    if (req->again || req->method == NULL)
        return true;
    for (size_t i = 0; i < MU_COUNT(safe); i++)
        if (strcmp(req->method, safe[i]) == 0)
            return true;
    return false;
}

static enum mu_rc ask(struct mu_httpc *c, const struct mu_httpc_req *req, struct mu_err *err)
{
    enum mu_rc rc;

    for (unsigned tries = 0;; tries++) {
        rc = connect_any(c, err);
        if (rc != MU_OK)
            return rc;
        put_request(c, req, false);
        expect_head(c, req);
        rc = send_out(c, err);
        if (rc == MU_OK || rc == MU_CLOSED) /* it may have answered before it closed */
            rc = take_head(c, err);
        if (rc == MU_OK)
            return MU_OK;
        hang_up(c);
        if (rc != MU_CLOSED || tries >= c->servers_count)
            return rc;
        if (!may_repeat(req))
            return mu_fail(err, MU_UNKNOWN, "%s closed the connection: whether it took the request is not known",
                           server_of(c)->text);
    }
}

/* "http://HOST:PORT/path" of a 307: the server in it. */
static bool take_hop(struct mu_httpc *c)
{
    struct mu_str to = mu_http_find(&c->head, "location");
    const char *slashes = to.size > 0 ? memmem(to.at, to.size, "//", 2) : NULL;
    const char *end;
    struct mu_url url;

    if (slashes == NULL)
        return false;
    end = memchr(slashes + 2, '/', to.size - (size_t)(slashes + 2 - to.at));
    to.size = end != NULL ? (uint32_t)(end - to.at) : to.size;
    if (mu_url_parse(&url, to, NULL) != MU_OK)
        return false;
    hang_up(c);
    c->hop = url;
    return true;
}

/* -- exported -- */

enum mu_rc mu_httpc_open(struct mu_httpc **out_client, const struct mu_httpc_options *opt, struct mu_err *err)
{
    struct mu_httpc *c = calloc(1, sizeof *c);
    struct mu_str rest = mu_str_of(opt->servers);

    MU_ASSERT(c != NULL);
    c->fd = -1;
    c->opt = *opt;
    c->token = opt->token != NULL ? mu_str_dup(mu_str_of(opt->token)) : NULL;
    do {
        struct mu_str one = mu_str_cut(rest, ',', &rest);
        enum mu_rc rc = c->servers_count < SERVERS_MAX
                            ? mu_url_parse(&c->servers[c->servers_count++], one, err)
                            : mu_fail(err, MU_TOOBIG, "more than %d servers", SERVERS_MAX);
        if (rc != MU_OK) {
            mu_httpc_close(c);
            return rc;
        }
    } while (rest.size > 0);
    *out_client = c;
    return MU_OK;
}

void mu_httpc_close(struct mu_httpc *c)
{
    if (c == NULL)
        return;
    hang_up(c);
    mu_buf_fini(&c->in);
    mu_buf_fini(&c->out);
    mu_buf_fini(&c->head_bytes);
    free(c->token);
    free(c);
}

const char *mu_httpc_server(const struct mu_httpc *c)
{
    return server_of(c)->text;
}

enum mu_rc mu_httpc_start(struct mu_httpc *c, const struct mu_httpc_req *req, const struct mu_http_head **out_head,
                          struct mu_err *err)
{
    mu_httpc_done(c);
    for (unsigned hop = 0;; hop++) {
        enum mu_rc rc = ask(c, req, err);
        if (rc != MU_OK)
            return rc;
        if (c->head.status != 307 || hop == HOPS_MAX || !take_hop(c))
            break;
    }
    *out_head = &c->head;
    return MU_OK;
}

enum mu_rc mu_httpc_read(struct mu_httpc *c, void *bytes, size_t cap, size_t *out_size, uint64_t wait_ms,
                         struct mu_err *err)
{
    MU_ASSERT(c->phase == READING && cap > 0);
    while (!c->body.done) {
        struct mu_str piece;
        size_t used = 0;
        enum mu_rc rc;
        size_t have = unused(c);
        if (have > 0) {
            rc = mu_http_body_take(&c->body, c->in.at + c->in_at, have < cap ? have : cap, &used, &piece, err);
            if (rc != MU_OK)
                return rc;
            memcpy(bytes, piece.at, piece.size);
            *out_size = piece.size;
            use(c, used);
            if (*out_size > 0)
                return MU_OK;
            continue;
        }
        rc = receive(c, wait_ms, err);
        if (rc == MU_CLOSED)
            rc = mu_http_body_eof(&c->body, err);
        if (rc != MU_OK)
            return rc;
    }
    *out_size = 0;
    return MU_OK;
}

void mu_httpc_done(struct mu_httpc *c)
{
    bool whole = c->phase == READING && c->body.done && c->head.keep_alive && c->head.status != 101;

    if (c->phase != IDLE && !whole)
        hang_up(c);
    c->phase = IDLE;
}

static enum mu_rc read_all(struct mu_httpc *c, struct mu_buf *body, struct mu_err *err)
{
    size_t n;
    uint64_t ms = c->opt.idle_ms ? c->opt.idle_ms : IDLE_MS;

    do {
        enum mu_rc rc = mu_httpc_read(c, mu_buf_room(body, READ_BYTES), READ_BYTES, &n, ms, err);
        if (rc != MU_OK)
            return rc;
        body->size += n;
        if (body->size > body_max(c))
            return mu_fail(err, MU_TOOBIG, "the answer is larger than %zu bytes", body_max(c));
    } while (n > 0);
    return MU_OK;
}

enum mu_rc mu_httpc_call(struct mu_httpc *c, const struct mu_httpc_req *req, unsigned *out_status, struct mu_buf *body,
                         struct mu_err *err)
{
    const struct mu_http_head *head;
    enum mu_rc rc = mu_httpc_start(c, req, &head, err);

    body->size = 0;
    if (rc != MU_OK)
        return rc;
    rc = read_all(c, body, err);
    if (rc == MU_OK)
        *out_status = head->status;
    mu_httpc_done(c);
    return rc;
}

enum mu_rc mu_httpc_check(unsigned status, const struct mu_buf *body, struct mu_err *err)
{
    struct mu_str message = { NULL, 0 }, field = { "", 0 };
    struct mu_json_in in, error;
    enum mu_rc rc = mu_http_rc_of(status);
    struct json_t *root = NULL;

    if (rc == MU_OK)
        return MU_OK;
    if (mu_json_load(&root, mu_buf_str(body), NULL) == MU_OK && mu_json_in_root(&in, root, NULL) == MU_OK &&
        mu_json_in_obj(&in, "error", &error)) {
        mu_json_in_str(&error, "message", &message);
        mu_json_in_str(&error, "field", &field);
    }
    if (message.at != NULL) {
        char name[MU_ERR_FIELD];
        snprintf(name, sizeof name, "%.*s", (int)field.size, field.at);
        mu_fail_at(err, rc, name, "%.*s", (int)message.size, message.at);
    } else {
        mu_fail(err, rc, "the server answers %u %s", status, mu_http_reason(status));
    }
    mu_json_free(root);
    return rc;
}

/* -- a request in pieces -- */

enum mu_rc mu_httpc_begin(struct mu_httpc *c, const struct mu_httpc_req *req, struct mu_err *err)
{
    enum mu_rc rc;

    mu_httpc_done(c);
    rc = connect_any(c, err);
    if (rc != MU_OK)
        return rc;
    put_request(c, req, true);
    expect_head(c, req);
    rc = send_out(c, err);
    if (rc != MU_OK && rc != MU_CLOSED)
        hang_up(c);
    return rc;
}

/* What the server says while a request is being sent: its answer, if it is early, or its end. */
static enum mu_rc glance(struct mu_httpc *c, struct mu_err *err)
{
    ssize_t n = recv(c->fd, mu_buf_room(&c->in, READ_BYTES), READ_BYTES, MSG_DONTWAIT);

    if (n > 0)
        c->in.size += (size_t)n;
    if (unused(c) > body_max(c))
        return mu_fail(err, MU_TOOBIG, "the answer is larger than %zu bytes", body_max(c));
    if (!c->have_head && unused(c) > 0 && parse_head(c, err) == MU_INVALID)
        return MU_CLOSED;
    if (c->have_head && c->head.status >= 400)
        return mu_fail(err, MU_CLOSED, "%s has answered already", server_of(c)->text);
    return n == 0 ? mu_fail(err, MU_CLOSED, "%s closed the connection", server_of(c)->text) : MU_OK;
}

enum mu_rc mu_httpc_send(struct mu_httpc *c, const void *bytes, size_t size, struct mu_err *err)
{
    enum mu_rc rc;

    MU_ASSERT(c->phase == SENDING);
    if (size == 0)
        return MU_OK;
    c->out.size = 0;
    mu_http_put_chunk(&c->out, bytes, size);
    rc = send_out(c, err);
    if (rc == MU_OK)
        rc = glance(c, err);
    if (rc != MU_OK && rc != MU_CLOSED)
        hang_up(c);
    return rc;
}

enum mu_rc mu_httpc_finish(struct mu_httpc *c, const struct mu_http_head **out_head, struct mu_err *err)
{
    enum mu_rc rc;

    MU_ASSERT(c->phase == SENDING);
    c->out.size = 0;
    mu_http_put_last_chunk(&c->out);
    rc = send_out(c, err);
    if (rc == MU_OK || rc == MU_CLOSED)
        rc = take_head(c, err);
    if (rc != MU_OK) {
        hang_up(c);
        return rc;
    }
    *out_head = &c->head;
    return MU_OK;
}
