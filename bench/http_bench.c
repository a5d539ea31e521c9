/* Requests a second of the HTTP server, and what one costs it.
 *
 *   http_bench [SECONDS]    default 1 for each row
 *
 * The server's loop has one thread, the load another; both use plain loopback sockets. "per core" is requests for each
 * second of CPU time of the server's thread, its system calls included: what one core would do with load from elsewhere.
 * The last rows are the parser alone, and bytes streamed through a connection.
 */
#include "base/assert.h"
#include "io/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNS_MAX = 256, READ = 256 * 1024 };

#define HEADERS                                                                                  \
    "Host: 127.0.0.1:7788\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"          \
    "Authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef\r\n"

struct server {
    struct mu_loop *loop;
    struct mu_httpd *d;
    pthread_t thread;
    double cpu_s; /* of its thread, so far */
    uint64_t streamed;
};

struct row {
    const char *what, *request;
    unsigned conns, depth; /* requests under way on each */
};

static const char get[] = "GET /hello HTTP/1.1\r\n" HEADERS "\r\n";
static char post[2048];

static double now_s(void)
{
    return (double)mu_boot_ns() / 1e9;
}

static double thread_cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* -- the server -- */

static void on_gone(void *arg, struct mu_req *req)
{
    (void)arg, (void)req;
}

static void on_post_end(void *arg, struct mu_req *req)
{
    (void)arg;
    MU_ASSERT(mu_req_body(req).size > 0);
    mu_req_reply(req, 201, "application/json", "{\"id\":42}\n", 10);
}

static void on_upload(void *arg, struct mu_req *req, const void *bytes, size_t size)
{
    struct server *s = arg;

    (void)req, (void)bytes;
    s->streamed += size;
}

static void stream_on(void *arg, struct mu_req *req)
{
    static const char block[16384];
    struct server *s = arg;

    while (mu_req_write(req, block, sizeof block))
        s->streamed += sizeof block;
}

static const struct mu_req_ops post_ops = { .on_end = on_post_end, .on_gone = on_gone };
static const struct mu_req_ops upload_ops = { .on_body = on_upload, .on_end = on_post_end, .on_gone = on_gone };
static const struct mu_req_ops stream_ops = { .on_drain = stream_on, .on_gone = on_gone };

static void on_request(void *arg, struct mu_req *req)
{
    struct mu_str path = mu_req_head(req)->path;

    if (mu_str_is(path, "/hello")) {
        mu_req_reply(req, 200, "text/plain", "Hello, world!", 13);
    } else if (mu_str_is(path, "/jobs")) {
        mu_req_take(req, &post_ops, arg);
        mu_req_collect(req, 65536);
    } else if (mu_str_is(path, "/upload")) {
        mu_req_take(req, &upload_ops, arg);
        mu_req_stream(req, UINT64_MAX);
    } else {
        mu_req_take(req, &stream_ops, arg);
        mu_req_begin(req, 200, "application/octet-stream");
        stream_on(arg, req);
    }
}

static void *server_main(void *arg)
{
    struct server *s = arg;

    mu_loop_run(s->loop);
    return NULL;
}

static void stop(void *arg)
{
    mu_loop_stop(arg);
}

struct sample {
    struct server *s;
    double cpu_s;
    uint64_t streamed;
    bool done;
};

static void on_sample(void *arg)
{
    struct sample *p = arg;

    p->cpu_s = thread_cpu_s();
    p->streamed = p->s->streamed;
    __atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
}

/* What the server's thread has used and moved; asked of that thread itself. */
static struct sample sample_of(struct server *s)
{
    struct sample p = { .s = s };

    mu_loop_post(s->loop, on_sample, &p);
    while (!__atomic_load_n(&p.done, __ATOMIC_ACQUIRE))
        usleep(100);
    return p;
}

static void server_open(struct server *s)
{
    struct mu_err err;

    MU_ASSERT(mu_loop_open(&s->loop, &err) == MU_OK);
    MU_ASSERT(mu_httpd_open(&s->d, s->loop, NULL, on_request, s, &err) == MU_OK);
    MU_ASSERT(mu_httpd_listen(s->d, "127.0.0.1:0", NULL, &err) == MU_OK);
    pthread_create(&s->thread, NULL, server_main, s);
}

static void server_close(struct server *s)
{
    mu_loop_post(s->loop, stop, s->loop);
    pthread_join(s->thread, NULL);
    mu_httpd_close(s->d);
    mu_loop_close(s->loop);
}

/* -- the load -- */

static int dial(const struct server *s, bool block)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_port = htons((uint16_t)strtoul(strrchr(mu_httpd_addr(s->d, 0), ':') + 1, NULL, 10));
    MU_ASSERT(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    if (!block)
        MU_ASSERT(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

static void send_requests(int fd, const struct mu_buf *batch, size_t one, unsigned count)
{
    MU_ASSERT(send(fd, batch->at, one * count, MSG_NOSIGNAL) == (ssize_t)(one * count));
}

/* Size of one answer, learnt from the first: they are all alike. */
static size_t answer_size(const struct server *s, const char *request)
{
    static char got[4096];
    int fd = dial(s, true);
    ssize_t n;

    MU_ASSERT(send(fd, request, strlen(request), 0) == (ssize_t)strlen(request));
    n = recv(fd, got, sizeof got, 0);
    MU_ASSERT(n > 0 && memcmp(got, "HTTP/1.1 2", 10) == 0);
    close(fd);
    return (size_t)n;
}

static void run_row(struct server *s, const struct row *row, double seconds)
{
    static char scratch[READ];
    size_t one = strlen(row->request), answer = answer_size(s, row->request), part[CONNS_MAX] = { 0 };
    int epoll = epoll_create1(0), fds[CONNS_MAX];
    struct epoll_event events[CONNS_MAX];
    struct mu_buf batch = { 0 };
    uint64_t done = 0;

    for (unsigned i = 0; i < row->depth; i++)
        mu_buf_add(&batch, row->request, one);
    for (unsigned i = 0; i < row->conns; i++) {
        struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };
        fds[i] = dial(s, false);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &e);
        send_requests(fds[i], &batch, one, row->depth);
    }
    struct sample before = sample_of(s);
    double start = now_s(), end = start;
    while ((end = now_s()) - start < seconds) {
        int n = epoll_wait(epoll, events, CONNS_MAX, 100);
        for (int k = 0; k < n; k++) {
            uint32_t i = events[k].data.u32;
            ssize_t size = recv(fds[i], scratch, sizeof scratch, 0);
            MU_ASSERT(size > 0);
            part[i] += (size_t)size;
            unsigned answers = (unsigned)(part[i] / answer);
            part[i] %= answer;
            done += answers;
            if (answers > 0)
                send_requests(fds[i], &batch, one, answers);
        }
    }
    double cpu = sample_of(s).cpu_s - before.cpu_s;
    printf("%-44s %9.0f requests/s  %6.2f us CPU each  %9.0f per core\n", row->what, (double)done / (end - start),
           cpu / (double)done * 1e6, (double)done / cpu);
    for (unsigned i = 0; i < row->conns; i++)
        close(fds[i]);
    close(epoll);
    mu_buf_fini(&batch);
}

static void run_flow(struct server *s, const char *what, const char *head, bool up, double seconds)
{
    static char block[READ];
    int fd = dial(s, true);
    struct mu_buf chunk = { 0 };
    struct sample before = sample_of(s), after;
    double start = now_s();

    mu_http_put_chunk(&chunk, block, 65536);
    MU_ASSERT(send(fd, head, strlen(head), 0) > 0);
    while (now_s() - start < seconds)
        MU_ASSERT(up ? send(fd, chunk.at, chunk.size, 0) == (ssize_t)chunk.size : recv(fd, block, sizeof block, 0) > 0);
    after = sample_of(s);
    double bytes = (double)(after.streamed - before.streamed), took = now_s() - start;
    printf("%-44s %9.0f MB/s        %6.2f ns CPU a byte\n", what, bytes / took / 1e6,
           (after.cpu_s - before.cpu_s) / bytes * 1e9);
    close(fd);
    mu_buf_fini(&chunk);
}

static void run_parser(double seconds)
{
    struct mu_http_parser p;
    struct mu_http_head head;
    uint64_t n = 0;
    double start = thread_cpu_s(), took;
    size_t used;

    mu_http_parser_init(&p, MU_HTTP_REQUEST, MU_HTTP_OTHER);
    do {
        for (int i = 0; i < 1000; i++, n++)
            MU_ASSERT(mu_http_head_take(&p, get, sizeof get - 1, &used, &head, NULL) == MU_OK);
        took = thread_cpu_s() - start;
    } while (took < seconds);
    printf("%-44s %9.0f heads/s     %6.0f ns each, %.0f MB/s\n", "parser alone, head of 210 bytes", (double)n / took,
           took / (double)n * 1e9, (double)n * (sizeof get - 1) / took / 1e6);
}

int main(int argc, char **argv)
{
    static const struct row rows[] = {
        { "GET, 1 connection", get, 1, 1 },
        { "GET, 64 connections", get, 64, 1 },
        { "GET, 64 connections, 16 pipelined on each", get, 64, 16 },
        { "POST of 864 bytes, 64 connections", post, 64, 1 },
        { "POST of 864 bytes, 64 x 16 pipelined", post, 64, 16 },
    };
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    struct server s = { 0 };
    struct mu_httpd_stats stats;

    snprintf(post, sizeof post, "POST /jobs HTTP/1.1\r\n" HEADERS "Content-Type: application/json\r\nContent-Length: 864\r\n\r\n"
             "%0864d", 7);
    server_open(&s);
    for (size_t i = 0; i < MU_COUNT(rows); i++)
        run_row(&s, &rows[i], seconds);
    run_flow(&s, "upload, chunks of 64 KiB", "POST /upload HTTP/1.1\r\n" HEADERS "Transfer-Encoding: chunked\r\n\r\n", true,
             seconds);
    run_flow(&s, "streamed answer, pieces of 16 KiB", "GET /stream HTTP/1.1\r\n" HEADERS "\r\n", false, seconds);
    run_parser(seconds);
    mu_httpd_stats_get(s.d, &stats);
    server_close(&s);
    return 0;
}
