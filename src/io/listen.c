/* Listening: addresses, who may be listened to, connections counted per listener and peer. */
#include "io/inside.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, CONNS_MAX = 10000 };

struct mu_listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct mu_loop *loop;
    struct mu_listen_options opt;
    void (*on_accept)(void *arg, struct mu_stream *s);
    void *arg;
    struct mu_map peers; /* key of an address -> connections */
    uint32_t conns;
    unsigned refs; /* itself while open, and each stream */
    bool is_unix, waiting, closed;
    char addr[MU_ADDR_TEXT];
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
};

enum mu_rc mu_addr_parse(struct mu_url *out, const char *addr, struct mu_err *err)
{
    char text[MU_URL_HOST + 32];
    int n;

    if (strncmp(addr, "unix:", 5) == 0)
        return mu_url_parse(out, mu_str_of(addr), err);
    n = snprintf(text, sizeof text, "http://%s%s", addr[0] == ':' ? "127.0.0.1" : "", addr);
    if (n < 0 || (size_t)n >= sizeof text || strstr(addr, "//") != NULL || mu_url_parse(out, mu_str_of(text), NULL))
        return mu_fail(err, MU_INVALID, "%s: not an address of the form HOST:PORT or unix:PATH", addr);
    return MU_OK;
}

void mu_addr_text(char *out, size_t cap, const struct sockaddr *a)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(out, cap, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)a;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(out, cap, "%s:%u", host, ntohs(four->sin_port));
    }
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
    return a->sa_family == AF_INET && ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
}

static enum mu_rc resolve(const struct mu_url *u, struct addrinfo **out, struct mu_err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    int rc = getaddrinfo(u->host, u->port, &hints, out);

    if (rc != 0)
        return mu_fail(err, MU_IO, "%s: %s", u->host, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return MU_OK;
}

enum mu_rc mu_listen_allowed(const char *addr, const struct mu_tls *tls, struct mu_err *err)
{
    struct addrinfo *list;
    struct mu_url u;
    bool good = true;

    if (mu_addr_parse(&u, addr, err) != MU_OK)
        return MU_INVALID;
    if (u.is_unix || tls != NULL)
        return MU_OK;
    if (resolve(&u, &list, err) != MU_OK)
        return MU_IO;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        good = good && is_loopback(a->ai_addr);
    freeaddrinfo(list);
    if (!good)
        return mu_fail(err, MU_DENIED, "%s is not a loopback address: without TLS only loopback is listened on, "
                       "such as 127.0.0.1:%s", addr, u.port);
    return MU_OK;
}

static void listener_unref(struct mu_listener *l)
{
    if (--l->refs > 0)
        return;
    mu_map_fini(&l->peers);
    free(l);
}

static void on_listener_closed(uv_handle_t *h)
{
    listener_unref(h->data);
}

static uint64_t peer_key(struct mu_stream *s)
{
    struct sockaddr_storage a = { 0 };
    int size = sizeof a;

    if (s->is_unix || uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&a, &size) != 0)
        return 0;
    if (a.ss_family == AF_INET6)
        return mu_hash(&((struct sockaddr_in6 *)&a)->sin6_addr, sizeof(struct in6_addr), 6);
    return mu_hash(&((struct sockaddr_in *)&a)->sin_addr, sizeof(struct in_addr), 4);
}

static void count_in(struct mu_listener *l, struct mu_stream *s)
{
    l->refs++;
    l->conns++;
    s->from = l;
    if (l->opt.per_peer_max == 0)
        return;
    s->peer_key = peer_key(s);
    uint64_t *n = mu_map_find(&l->peers, s->peer_key);
    mu_map_put(&l->peers, s->peer_key, n ? *n + 1 : 1);
}

static void accept_one(struct mu_listener *l)
{
    struct mu_stream *s;
    uint64_t *of_peer;

    if (l->conns >= l->opt.conns_max) {
        l->waiting = true; /* libuv asks for no other one until this one is accepted */
        return;
    }
    s = mu_stream_new(l->loop, l->is_unix);
    if (uv_accept(&l->uv.stream, &s->uv.stream) != 0) {
        mu_stream_close(s);
        return;
    }
    count_in(l, s);
    of_peer = l->opt.per_peer_max > 0 && !l->is_unix ? mu_map_find(&l->peers, s->peer_key) : NULL;
    if (of_peer != NULL && *of_peer > l->opt.per_peer_max) {
        mu_stream_close(s);
        return;
    }
    mu_stream_start(s);
    l->on_accept(l->arg, s);
}

static void on_connection(uv_stream_t *h, int status)
{
    if (status == 0)
        accept_one(h->data);
}

static void on_room(void *arg)
{
    struct mu_listener *l = arg;

    if (!l->closed)
        accept_one(l);
    listener_unref(l);
}

void mu_listener_left(struct mu_listener *l, uint64_t key)
{
    uint64_t *n = l->opt.per_peer_max > 0 ? mu_map_find(&l->peers, key) : NULL;

    if (n != NULL && --*n == 0)
        mu_map_remove(&l->peers, key);
    l->conns--;
    if (l->waiting && !l->closed) {
        l->waiting = false;
        l->refs++;
        mu_loop_post(l->loop, on_room, l); /* not from inside whoever closes */
    }
    listener_unref(l);
}

static enum mu_rc bind_tcp(struct mu_listener *l, const struct mu_url *u, struct mu_err *err)
{
    struct sockaddr_storage have;
    int size = sizeof have, rc;
    struct addrinfo *list;

    if (resolve(u, &list, err) != MU_OK)
        return MU_IO;
    uv_tcp_init(&l->loop->uv, &l->uv.tcp);
    rc = uv_tcp_bind(&l->uv.tcp, list->ai_addr, 0);
    freeaddrinfo(list);
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&have, &size);
    if (rc == UV_EADDRINUSE)
        return mu_fail(err, MU_BUSY, "%s:%s is in use by another process", u->host, u->port);
    if (rc == UV_EACCES)
        return mu_fail(err, MU_DENIED, "%s:%s: ports below 1024 need privileges", u->host, u->port);
    if (rc != 0)
        return mu_fail(err, MU_IO, "%s:%s: %s", u->host, u->port, uv_strerror(rc));
    mu_addr_text(l->addr, sizeof l->addr, (struct sockaddr *)&have);
    return MU_OK;
}

/* Does anybody answer at the socket? If not, what is left of it is removed. */
static bool unix_in_use(const struct sockaddr_un *a)
{
    struct stat st;
    bool live;
    int fd;

    if (lstat(a->sun_path, &st) != 0)
        return false;
    if (!S_ISSOCK(st.st_mode))
        return true;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    live = fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof *a) == 0 || errno != ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    if (!live)
        unlink(a->sun_path);
    return live;
}

static enum mu_rc bind_unix(struct mu_listener *l, const struct mu_url *u, struct mu_err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    mode_t mask;
    int rc;

    uv_pipe_init(&l->loop->uv, &l->uv.pipe, 0);
    if (strlen(u->host) >= sizeof a.sun_path)
        return mu_fail(err, MU_INVALID, "%s: the path of a socket has at most %zu bytes", u->text, sizeof a.sun_path - 1);
    memcpy(a.sun_path, u->host, strlen(u->host) + 1);
    if (unix_in_use(&a))
        return mu_fail(err, MU_BUSY, "%s is in use by another process", u->text);
    mask = umask(0177); /* the file's rights are the only guard of a unix socket */
    rc = uv_pipe_bind(&l->uv.pipe, u->host);
    umask(mask);
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
    if (rc != 0)
        return mu_fail(err, MU_IO, "%s: %s", u->text, uv_strerror(rc));
    memcpy(l->path, u->host, strlen(u->host) + 1);
    snprintf(l->addr, sizeof l->addr, "%.*s", (int)sizeof l->addr - 1, u->text);
    return MU_OK;
}

enum mu_rc mu_listen(struct mu_listener **out_listener, struct mu_loop *loop, const char *addr,
                     const struct mu_listen_options *opt, void (*on_accept)(void *arg, struct mu_stream *s), void *arg,
                     struct mu_err *err)
{
    struct mu_listener *l;
    struct mu_url u;
    enum mu_rc rc = mu_listen_allowed(addr, opt != NULL ? opt->tls : NULL, err);

    if (rc != MU_OK)
        return rc;
    if (mu_addr_parse(&u, addr, err) != MU_OK)
        return MU_INVALID;
    if (opt != NULL && opt->tls != NULL)
        return mu_fail(err, MU_UNSUPPORTED, "%s: TLS is not spoken here", addr);
    l = mu_io_alloc(sizeof *l);
    l->loop = loop;
    l->on_accept = on_accept;
    l->arg = arg;
    l->opt = opt != NULL ? *opt : (struct mu_listen_options){ 0 };
    l->opt.conns_max = l->opt.conns_max ? l->opt.conns_max : CONNS_MAX;
    l->refs = 1;
    l->is_unix = u.is_unix;
    l->uv.handle.data = l;
    rc = u.is_unix ? bind_unix(l, &u, err) : MU_OK;
    if (!u.is_unix)
        rc = bind_tcp(l, &u, err);
    if (rc != MU_OK) {
        mu_listener_close(l);
        return rc;
    }
    *out_listener = l;
    return MU_OK;
}

const char *mu_listener_addr(const struct mu_listener *l)
{
    return l->addr;
}

uint32_t mu_listener_conns(const struct mu_listener *l)
{
    return l->conns;
}

void mu_listener_close(struct mu_listener *l)
{
    if (l == NULL || l->closed)
        return;
    l->closed = true;
    if (l->uv.handle.type == UV_UNKNOWN_HANDLE) {
        listener_unref(l);
        return;
    }
    if (l->path[0] != '\0')
        unlink(l->path);
    uv_close(&l->uv.handle, on_listener_closed);
}
