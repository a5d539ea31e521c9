/* io/httpc: the blocking client against a server in another thread. */
#include "app.h"
#include "rig.h"

#include "io/httpc.h"

#include <pthread.h>
#include <unistd.h>

struct host { /* the server's thread */
    struct app app;
    struct mu_loop *loop;
    pthread_t thread;
    char url[80], addr[64];
};

static void *run_loop(void *arg)
{
    mu_loop_run(arg);
    return NULL;
}

static void stop_loop(void *arg)
{
    mu_loop_stop(arg);
}

static void host_start(struct host *h)
{
    pthread_create(&h->thread, NULL, run_loop, h->loop);
}

static void host_open(struct host *h, const struct mu_httpd_options *opt)
{
    assert_int_equal(mu_loop_open(&h->loop, NULL), MU_OK);
    app_open(&h->app, h->loop, opt);
    snprintf(h->addr, sizeof h->addr, "%s", app_addr(&h->app));
    snprintf(h->url, sizeof h->url, "http://%s", h->addr);
    host_start(h);
}

static void host_stop(struct host *h)
{
    mu_loop_post(h->loop, stop_loop, h->loop);
    pthread_join(h->thread, NULL);
}

static void host_close(struct host *h)
{
    host_stop(h);
    app_close(&h->app);
    mu_loop_close(h->loop);
}

static struct mu_httpc *client_of(const char *servers)
{
    struct mu_httpc *c = NULL;
    struct mu_err err = { 0 };
    struct mu_httpc_options opt = { .servers = servers, .token = "secret", .wake_fd = -1 };

    if (mu_httpc_open(&c, &opt, &err) != MU_OK)
        fail_msg("%s", err.text);
    return c;
}

static unsigned get(struct mu_httpc *c, const char *target, struct mu_buf *body)
{
    struct mu_err err = { 0 };
    unsigned status = 0;
    enum mu_rc rc = mu_httpc_call(c, &(struct mu_httpc_req){ .target = target }, &status, body, &err);

    if (rc != MU_OK)
        fail_msg("%s: %s", target, err.text);
    mu_buf_addc(body, '\0');
    return status;
}

static void calls_share_a_connection(void **state)
{
    struct mu_httpc *c;
    struct mu_buf body = { 0 };
    struct mu_err err;
    struct host h;
    unsigned status;

    (void)state;
    host_open(&h, NULL);
    c = client_of(h.url);
    assert_int_equal(get(c, "/hello", &body), 200);
    assert_string_equal((char *)body.at, "hi");
    assert_int_equal(get(c, "/stream?n=1000000", &body), 200);
    assert_int_equal(body.size, 1000001);
    assert_int_equal(get(c, "/early", &body), 403);
    assert_int_equal(mu_httpc_check(403, &body, &err), MU_DENIED);
    body.size--; /* the NUL */
    assert_int_equal(mu_httpc_check(403, &body, &err), MU_DENIED);
    assert_string_equal(err.text, "not for \"you\"");
    assert_string_equal(err.field, "token");
    body.size = 0;
    assert_int_equal(mu_httpc_check(503, &body, &err), MU_NOTLEADER);
    rig_has(err.text, "503");
    assert_int_equal(mu_httpc_call(c, &(struct mu_httpc_req){ .method = "POST", .target = "/echo", .body = "abc", .size = 3,
                                   .key = "k", .header = "X-More: 1" }, &status, &body, &err), MU_OK);
    assert_int_equal(body.size, 3);
    assert_int_equal(mu_httpc_call(c, &(struct mu_httpc_req){ .method = "HEAD", .target = "/hello" }, &status, &body, &err),
                     MU_OK);
    assert_int_equal(body.size, 0);
    assert_int_equal(get(c, "/hello", &body), 200);
    assert_string_equal(mu_httpc_server(c), h.url);
    host_stop(&h);
    struct mu_httpd_stats stats;
    mu_httpd_stats_get(h.app.d, &stats);
    assert_int_equal(stats.conns, 1);
    assert_int_equal(stats.requests, 6);
    host_start(&h);
    mu_httpc_close(c);
    mu_buf_fini(&body);
    host_close(&h);
}

static void a_kept_connection_may_be_gone(void **state)
{
    struct mu_httpc *c;
    struct mu_buf body = { 0 };
    struct host h;

    (void)state;
    host_open(&h, &(struct mu_httpd_options){ .idle_ms = 5 });
    c = client_of(h.url);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(get(c, "/hello", &body), 200);
        usleep(10000); /* it may or may not be closed by now: either must do */
    }
    mu_httpc_close(c);
    mu_buf_fini(&body);
    host_close(&h);
}

static void servers_are_tried_in_turn(void **state)
{
    struct mu_httpc *c;
    struct mu_buf body = { 0 };
    struct mu_err err;
    struct host dead, h;
    char list[256], target[128];
    unsigned status;

    (void)state;
    host_open(&dead, NULL);
    host_close(&dead);
    c = client_of(dead.url);
    assert_int_equal(mu_httpc_call(c, &(struct mu_httpc_req){ .target = "/" }, &status, &body, &err), MU_IO);
    snprintf(list, sizeof list, "no server answers at %s: connection refused", dead.url);
    assert_string_equal(err.text, list);
    mu_httpc_close(c);

    host_open(&h, NULL);
    snprintf(list, sizeof list, "%s,unix:/nowhere,%s", dead.url, h.url);
    c = client_of(list);
    assert_int_equal(get(c, "/hello", &body), 200);
    assert_string_equal(mu_httpc_server(c), h.url);
    mu_httpc_close(c);

    c = client_of(h.url); /* a 307 to a server that is not there, then to itself */
    snprintf(target, sizeof target, "/away?to=%s%%2Fhello", dead.url);
    assert_int_equal(mu_httpc_call(c, &(struct mu_httpc_req){ .target = target }, &status, &body, &err), MU_OK);
    assert_int_equal(status, 307); /* back at the list, which says so again */
    mu_httpc_close(c);
    mu_buf_fini(&body);
    host_close(&h);
}

static void an_answer_is_read_in_pieces(void **state)
{
    const struct mu_http_head *head;
    struct mu_httpc *c;
    struct mu_buf body = { 0 };
    struct mu_err err;
    struct host h;
    char piece[3000];
    size_t n, total = 0;

    (void)state;
    host_open(&h, NULL);
    c = client_of(h.url);
    assert_int_equal(mu_httpc_start(c, &(struct mu_httpc_req){ .target = "/stream?n=3000000" }, &head, &err), MU_OK);
    assert_int_equal(head->status, 200);
    assert_true(mu_str_is(mu_http_find(head, "content-type"), "application/octet-stream"));
    do {
        assert_int_equal(mu_httpc_read(c, piece, sizeof piece, &n, 10000, &err), MU_OK);
        total += n;
    } while (n > 0);
    assert_int_equal(total, 3000000);
    mu_httpc_done(c);
    assert_int_equal(mu_httpc_start(c, &(struct mu_httpc_req){ .target = "/quiet" }, &head, &err), MU_OK);
    assert_int_equal(mu_httpc_read(c, piece, sizeof piece, &n, 10, &err), MU_TIMEOUT);
    assert_int_equal(mu_httpc_read(c, piece, sizeof piece, &n, 10, &err), MU_TIMEOUT);
    mu_httpc_done(c); /* not read to its end */
    assert_int_equal(get(c, "/hello", &body), 200);
    mu_httpc_close(c);
    mu_buf_fini(&body);
    host_close(&h);
}

static void a_wait_can_be_interrupted(void **state)
{
    const struct mu_http_head *head;
    struct mu_httpc *c = NULL;
    struct mu_buf body = { 0 };
    struct mu_err err;
    struct host h;
    char piece[16];
    size_t n;
    int fds[2];

    (void)state;
    host_open(&h, NULL);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(mu_httpc_open(&c, &(struct mu_httpc_options){ .servers = h.url, .wake_fd = fds[0] }, &err), MU_OK);
    assert_int_equal(mu_httpc_start(c, &(struct mu_httpc_req){ .target = "/quiet" }, &head, &err), MU_OK);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(mu_httpc_read(c, piece, sizeof piece, &n, 0, &err), MU_AGAIN);
    assert_int_equal(read(fds[0], piece, 1), 1);
    assert_int_equal(get(c, "/hello", &body), 200);
    mu_httpc_close(c);
    mu_buf_fini(&body);
    close(fds[0]);
    close(fds[1]);
    host_close(&h);
}

static void a_request_is_sent_in_pieces(void **state)
{
    enum { PIECES = 3000, PIECE = 7000 };
    static char piece[PIECE];
    const struct mu_http_head *head;
    struct mu_httpc *c;
    struct mu_buf body = { 0 };
    struct mu_err err;
    struct host h;
    char got[4096];
    size_t n, lines = 0;
    uint64_t bytes = 0;

    (void)state;
    host_open(&h, NULL);
    c = client_of(h.url);
    assert_int_equal(mu_httpc_begin(c, &(struct mu_httpc_req){ .method = "POST", .target = "/count" }, &err), MU_OK);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(mu_httpc_send(c, piece, PIECE, &err), MU_OK);
    assert_int_equal(mu_httpc_finish(c, &head, &err), MU_OK);
    assert_int_equal(mu_httpc_read(c, got, sizeof got, &n, 10000, &err), MU_OK);
    assert_int_equal(n, 8);
    assert_memory_equal(got, "21000000", 8);

    /* answers that come while the request is still being sent */
    assert_int_equal(mu_httpc_begin(c, &(struct mu_httpc_req){ .method = "POST", .target = "/lines" }, &err), MU_OK);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(mu_httpc_send(c, piece, PIECE, &err), MU_OK);
    assert_int_equal(mu_httpc_finish(c, &head, &err), MU_OK);
    do {
        assert_int_equal(mu_httpc_read(c, got, sizeof got - 1, &n, 10000, &err), MU_OK);
        mu_buf_add(&body, got, n);
    } while (n > 0);
    mu_buf_addc(&body, '\0');
    for (char *at = (char *)body.at, *end; (end = strchr(at, '\n')) != NULL; at = end + 1, lines++) {
        uint64_t one = 0;
        assert_true(mu_str_u64((struct mu_str){ at, (uint32_t)(end - at) }, &one));
        bytes += one;
    }
    assert_true(lines > 10);
    assert_int_equal(bytes, (uint64_t)PIECES * PIECE);

    /* refused before it is through */
    enum mu_rc rc = mu_httpc_begin(c, &(struct mu_httpc_req){ .method = "POST", .target = "/early" }, &err);
    for (int i = 0; i < PIECES && rc == MU_OK; i++)
        rc = mu_httpc_send(c, piece, PIECE, &err);
    assert_int_equal(rc, MU_CLOSED);
    assert_int_equal(mu_httpc_finish(c, &head, &err), MU_OK);
    assert_int_equal(head->status, 403);
    mu_httpc_close(c);
    mu_buf_fini(&body);
    host_close(&h);
}

static void bad_lists_are_refused(void **state)
{
    static const char *const lists[] = { "", "nonsense", "http://a:1,", "http://a:1,x", "ftp://a" };
    struct mu_httpc *c = NULL;

    (void)state;
    for (size_t i = 0; i < MU_COUNT(lists); i++) {
        struct mu_err err = { 0 };
        enum mu_rc rc = mu_httpc_open(&c, &(struct mu_httpc_options){ .servers = lists[i], .wake_fd = -1 }, &err);
        if (rc == MU_OK && i == 2) { /* a comma at the end is forgiven */
            mu_httpc_close(c);
            c = NULL;
            continue;
        }
        assert_int_equal(rc, MU_INVALID);
        assert_null(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_share_a_connection),    cmocka_unit_test(a_kept_connection_may_be_gone),
        cmocka_unit_test(servers_are_tried_in_turn),   cmocka_unit_test(an_answer_is_read_in_pieces),
        cmocka_unit_test(a_wait_can_be_interrupted),   cmocka_unit_test(a_request_is_sent_in_pieces),
        cmocka_unit_test(bad_lists_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
