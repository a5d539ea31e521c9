/* io/httpd: requests and answers over real sockets. */
#include "app.h"
#include "rig.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define H "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" H "\r\n"
#define CLOSE(path) "GET " path " HTTP/1.1\r\n" H "Connection: close\r\n\r\n"

static void say(struct app *app, int fd, const char *text)
{
    rig_send(app->loop, fd, text, strlen(text));
}

static void answers_are_well_formed(void **state)
{
    static const struct { const char *ask, *begins, *has; } cases[] = {
        { CLOSE("/hello"), "HTTP/1.1 200 OK\r\nDate: ", "\r\nContent-Type: text/plain\r\n" },
        { CLOSE("/hello"), "HTTP/1.1 200 OK\r\n", "\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi" },
        { CLOSE("/hello"), "HTTP/1.1 200 OK\r\n", "X-Test: yesX-Injected: no\r\n" },
        { "HEAD /hello HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "HTTP/1.1 200", "Content-Length: 2\r\nConnection: close\r\n\r\n" },
        { "GET /hello HTTP/1.0\r\n\r\n", "HTTP/1.1 200", "Connection: close\r\n\r\nhi" },
        { CLOSE("/nowhere"), "HTTP/1.1 404", "{\"error\":{\"code\":\"not_found\",\"message\":\"no such path\"}}" },
        { CLOSE("/early"), "HTTP/1.1 403", "\"message\":\"not for \\\"you\\\"\",\"field\":\"token\"" },
        { CLOSE("/stream?n=3"), "HTTP/1.1 200", "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n" },
        { "GET /stream?n=3 HTTP/1.0\r\n\r\n", "HTTP/1.1 200", "Connection: close\r\n\r\n" },
        { "HEAD /stream?n=3 HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "HTTP/1.1 200", "Connection: close\r\n\r\n" },
        { CLOSE("/up"), "HTTP/1.1 426", "Upgrade: shout\r\n" },
        { "nonsense\r\n\r\n", "HTTP/1.1 400", "{\"error\":{\"code\":\"invalid\"" },
        { "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "\"field\":\"host\"" },
        { "GET / HTTP/2.0\r\n" H "\r\n", "HTTP/1.1 505", "Connection: close" },
        { "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501", "Connection: close" },
        { "POST /echo HTTP/1.1\r\n" H "Content-Length: 1048577\r\n\r\n", "HTTP/1.1 413", "larger than 1048576" },
        { "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nx\r\n", "HTTP/1.1 400", "chunked body" },
        { "POST /ignore HTTP/1.1\r\n" H "Content-Length: 99999999\r\n\r\n", "HTTP/1.1 413", "" },
        { "POST /early HTTP/1.1\r\n" H "Content-Length: 99999999\r\n\r\nabc", "HTTP/1.1 403", "Connection: close" },
        { "POST /early HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 403", "Connection: close" },
    };
    struct app app;

    app_open(&app, rig_loop(state), NULL);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        char *got = rig_talk(app.loop, app_addr(&app), cases[i].ask);
        rig_begins(got, cases[i].begins);
        rig_has(got, cases[i].has);
        if (strncmp(cases[i].ask, "HEAD", 4) == 0)
            assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
        free(got);
    }
    app_close(&app);
}

static void a_connection_is_used_again(void **state)
{
    struct app app;
    struct mu_buf got = { 0 };
    int fd;

    app_open(&app, rig_loop(state), NULL);
    fd = rig_dial(app_addr(&app));
    for (int i = 0; i < 3; i++) {
        got.size = 0;
        say(&app, fd, GET("/hello"));
        rig_recv(app.loop, fd, &got, "\r\n\r\nhi");
    }
    say(&app, fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    rig_recv(app.loop, fd, &got, "Connection: keep-alive\r\n\r\nhi");
    say(&app, fd, CLOSE("/hello"));
    rig_recv(app.loop, fd, &got, NULL);
    assert_int_equal(app.requests, 5);
    close(fd);
    mu_buf_fini(&got);
    app_close(&app);
}

/* How often part is in b. */
static unsigned count_of(const struct mu_buf *b, const char *part)
{
    const uint8_t *at = b->at, *end = b->at + b->size;
    unsigned n = 0;

    for (; (at = memmem(at, (size_t)(end - at), part, strlen(part))) != NULL; at += strlen(part))
        n++;
    return n;
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    static const char ask[] = GET("/hello") "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nfirst" GET("/nowhere")
        "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n"
        "POST /early HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nrest" CLOSE("/hello");
    static const char *const order[] = { "\r\n\r\nhi", "\r\n\r\nfirst", "404", "\r\n\r\nsecond", "403", "\r\n\r\nhi" };
    struct app app;
    char *got;

    app_open(&app, rig_loop(state), NULL);
    got = rig_talk(app.loop, app_addr(&app), ask);
    const char *at = got;
    for (size_t i = 0; i < MU_COUNT(order); i++) {
        at = strstr(at, order[i]);
        assert_non_null(at);
        at += strlen(order[i]);
    }
    assert_string_equal(at, "");
    free(got);
    app_close(&app);
}

static void the_cut_of_requests_does_not_matter(void **state)
{
    static const char ask[] = "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" CLOSE("/hello");
    struct app app;

    app_open(&app, rig_loop(state), NULL);
    for (size_t cut = 1; cut < sizeof ask - 1; cut++) {
        struct mu_buf got = { 0 };
        int fd = rig_dial(app_addr(&app));
        rig_send(app.loop, fd, ask, cut);
        rig_settle(app.loop);
        rig_send(app.loop, fd, ask + cut, sizeof ask - 1 - cut);
        rig_recv(app.loop, fd, &got, "\r\n\r\nhi");
        mu_buf_addc(&got, '\0');
        rig_has((char *)got.at, "\r\n\r\nabcHTTP/1.1 200");
        close(fd);
        mu_buf_fini(&got);
    }
    app_close(&app);
}

static void more_requests_than_fit_are_waited_for(void **state)
{
    enum { COUNT = 40000 };
    struct app app;
    struct mu_buf ask = { 0 }, got = { 0 };
    size_t sent = 0, most = 0;
    int fd;

    app_open(&app, rig_loop(state), &(struct mu_httpd_options){ .out_high = 32 * 1024 });
    for (int i = 1; i < COUNT; i++)
        mu_buf_addz(&ask, GET("/hello"));
    mu_buf_addz(&ask, CLOSE("/hello"));
    fd = rig_dial(app_addr(&app));
    while (sent < ask.size && app.requests < COUNT) { /* a client that writes and does not read */
        ssize_t n = send(fd, ask.at + sent, ask.size - sent, MSG_NOSIGNAL);
        unsigned before = app.requests;
        sent += n > 0 ? (size_t)n : 0;
        mu_loop_turn(app.loop, 1);
        most = app.requests - before > most ? app.requests - before : most;
        if (n < 0 && before == app.requests)
            break; /* both are waiting for each other, as they should */
    }
    for (ssize_t n = -1; n != 0;) {
        n = recv(fd, mu_buf_room(&got, 65536), 65536, 0);
        got.size += n > 0 ? (size_t)n : 0;
        ssize_t more = send(fd, ask.at + sent, ask.size - sent, MSG_NOSIGNAL);
        sent += more > 0 ? (size_t)more : 0;
        mu_loop_turn(app.loop, 0);
    }
    assert_int_equal(count_of(&got, "\r\n\r\nhi"), COUNT);
    assert_true(most < 2000);
    close(fd);
    mu_buf_fini(&ask);
    mu_buf_fini(&got);
    app_close(&app);
}

static void an_answer_may_come_later(void **state)
{
    struct app app;
    struct mu_buf got = { 0 };
    int fd;

    app_open(&app, rig_loop(state), NULL);
    fd = rig_dial(app_addr(&app));
    say(&app, fd, GET("/later") GET("/hello"));
    rig_until(app.loop, rig_is_set, &app.waiting);
    rig_settle(app.loop);
    assert_int_equal(recv(fd, mu_buf_room(&got, 10), 10, 0), -1); /* the second waits for the first */
    app_answer(&app, "at last");
    rig_recv(app.loop, fd, &got, "\r\n\r\nhi");
    mu_buf_addc(&got, '\0');
    rig_has((char *)got.at, "\r\n\r\nat lastHTTP/1.1 200");
    assert_int_equal(app.gones, 0);
    close(fd);
    mu_buf_fini(&got);
    app_close(&app);
}

static void a_client_that_goes_is_told_of(void **state)
{
    struct app app;
    int fd;

    app_open(&app, rig_loop(state), NULL);
    fd = rig_dial(app_addr(&app));
    say(&app, fd, GET("/later"));
    rig_until(app.loop, rig_is_set, &app.waiting);
    close(fd);
    rig_until(app.loop, rig_is_set, &app.gone);
    assert_null(app.later);

    app.gone = app.waiting = false; /* in the middle of a body */
    fd = rig_dial(app_addr(&app));
    say(&app, fd, "POST /count HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    rig_settle(app.loop);
    close(fd);
    rig_until(app.loop, rig_is_set, &app.gone);

    app.gone = app.waiting = false; /* of a streamed answer */
    fd = rig_dial(app_addr(&app));
    say(&app, fd, GET("/quiet"));
    rig_until(app.loop, rig_is_set, &app.waiting);
    close(fd);
    rig_until(app.loop, rig_is_set, &app.gone);
    assert_int_equal(app.gones, 3);

    app.gone = app.waiting = false; /* the server goes */
    fd = rig_dial(app_addr(&app));
    say(&app, fd, GET("/later"));
    rig_until(app.loop, rig_is_set, &app.waiting);
    app_close(&app);
    assert_int_equal(app.gones, 4);
    close(fd);
}

static void a_half_closed_client_gets_its_answer(void **state)
{
    struct app app;
    struct mu_buf got = { 0 };
    int fd;

    app_open(&app, rig_loop(state), NULL);
    fd = rig_dial(app_addr(&app));
    say(&app, fd, GET("/later") GET("/hello"));
    shutdown(fd, SHUT_WR);
    rig_until(app.loop, rig_is_set, &app.waiting);
    rig_settle(app.loop);
    app_answer(&app, "in time");
    rig_recv(app.loop, fd, &got, NULL);
    mu_buf_addc(&got, '\0');
    rig_has((char *)got.at, "\r\n\r\nin timeHTTP/1.1 200");
    rig_has((char *)got.at, "\r\n\r\nhi");
    close(fd);
    mu_buf_fini(&got);
    app_close(&app);
}

static void bodies_are_echoed(void **state)
{
    enum { SIZE = 1024 * 1024 };
    struct app app;
    struct mu_buf ask = { 0 }, got = { 0 };
    int fd;

    app_open(&app, rig_loop(state), NULL);
    mu_buf_printf(&ask, "POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: %d\r\n\r\n", SIZE);
    for (int i = 0; i < SIZE; i++)
        mu_buf_addc(&ask, (char)(i * 7 + i / 256));
    fd = rig_dial(app_addr(&app));
    rig_send(app.loop, fd, ask.at, ask.size);
    rig_recv(app.loop, fd, &got, NULL);
    assert_true(got.size > SIZE);
    assert_memory_equal(got.at + got.size - SIZE, ask.at + ask.size - SIZE, SIZE);
    close(fd);
    mu_buf_fini(&ask);
    mu_buf_fini(&got);
    app_close(&app);
}

static void a_chunked_body_past_its_limit_is_refused(void **state)
{
    struct app app;
    struct mu_buf ask = { 0 };
    char *got;

    app_open(&app, rig_loop(state), NULL);
    mu_buf_addz(&ask, "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 17; i++) {
        mu_buf_addz(&ask, "10000\r\n");
        memset(mu_buf_room(&ask, 65536), 'x', 65536);
        ask.size += 65536;
        mu_buf_addz(&ask, "\r\n");
    }
    mu_buf_addc(&ask, '\0');
    got = rig_talk(app.loop, app_addr(&app), (char *)ask.at);
    rig_begins(got, "HTTP/1.1 413");
    assert_int_equal(app.gones, 1);
    free(got);
    mu_buf_fini(&ask);
    app_close(&app);
}

static void a_paused_body_holds_the_client_back(void **state)
{
    enum { MOST = 64 * 1024 * 1024 };
    static char block[65536];
    struct app app;
    struct mu_buf got = { 0 };
    char head[128];
    size_t sent = 0;
    int fd, quiet = 0;

    app_open(&app, rig_loop(state), NULL);
    app.pause_each = true;
    fd = rig_dial(app_addr(&app));
    snprintf(head, sizeof head, "POST /count HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n", MOST);
    rig_send(app.loop, fd, head, strlen(head));
    for (; sent < MOST && quiet < 50; quiet++) {
        ssize_t n = send(fd, block, sizeof block < MOST - sent ? sizeof block : MOST - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet;
        mu_loop_turn(app.loop, n > 0 ? 0 : 1);
    }
    assert_true(app.paused);
    assert_true(sent < MOST);
    assert_true(app.counted <= MU_STREAM_READ);
    while (sent < MOST) {
        ssize_t n = send(fd, block, sizeof block < MOST - sent ? sizeof block : MOST - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        if (app.paused)
            app_resume(&app);
        mu_loop_turn(app.loop, 0);
    }
    app.pause_each = false;
    if (app.paused)
        app_resume(&app);
    rig_recv(app.loop, fd, &got, "\r\n\r\n67108864");
    close(fd);
    mu_buf_fini(&got);
    app_close(&app);
}

static void a_streamed_answer_waits_for_its_reader(void **state)
{
    enum { SIZE = 50 * 1000 * 1000 };
    struct app app;
    uint8_t *piece = malloc(65536);
    struct mu_http_parser parser;
    struct mu_http_head head;
    struct mu_http_body body = { .done = false };
    struct mu_buf in = { 0 };
    uint64_t total = 0;
    bool have_head = false;
    int fd;

    assert_non_null(piece);
    app_open(&app, rig_loop(state), NULL);
    mu_http_parser_init(&parser, MU_HTTP_RESPONSE, MU_HTTP_GET);
    fd = rig_dial(app_addr(&app));
    say(&app, fd, GET("/stream?n=50000000"));
    while (!body.done) {
        ssize_t n = recv(fd, piece, 65536, 0);
        assert_int_not_equal(n, 0);
        if (n < 0) {
            mu_loop_turn(app.loop, 1);
            continue;
        }
        mu_buf_add(&in, piece, (size_t)n);
        for (size_t used = 1; used > 0 && in.size > 0 && !body.done;) {
            struct mu_str part = { NULL, 0 };
            used = 0;
            if (!have_head) {
                have_head = mu_http_head_take(&parser, in.at, in.size, &used, &head, NULL) == MU_OK;
                if (have_head)
                    mu_http_body_init(&body, &head);
            } else {
                assert_int_equal(mu_http_body_take(&body, in.at, in.size, &used, &part, NULL), MU_OK);
            }
            total += part.size;
            mu_buf_drop(&in, used);
        }
    }
    assert_int_equal(total, SIZE);
    assert_true(app.most_pending <= MU_STREAM_OUT_HIGH + 10000);
    free(piece);
    mu_buf_fini(&in);
    close(fd);
    app_close(&app);
}

static void an_expectant_client_is_told_to_go_on(void **state)
{
    static const char ask[] = "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    struct app app;
    struct mu_buf got = { 0 };
    int fd;

    app_open(&app, rig_loop(state), NULL);
    fd = rig_dial(app_addr(&app));
    rig_send(app.loop, fd, ask, sizeof ask - 1);
    rig_recv(app.loop, fd, &got, "HTTP/1.1 100 Continue\r\n\r\n");
    say(&app, fd, "abc");
    rig_recv(app.loop, fd, &got, "\r\n\r\nabc");
    got.size = 0; /* one that does not wait is not told */
    rig_send(app.loop, fd, ask, sizeof ask - 1 - 1);
    say(&app, fd, "\nabc");
    rig_recv(app.loop, fd, &got, "\r\n\r\nabc");
    close(fd);
    mu_buf_fini(&got);
    app_close(&app);
}

static void an_upgrade_hands_the_stream_over(void **state)
{
    static const char ask[] = "GET /up HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: shout\r\n\r\n";
    struct app app;
    struct mu_buf got = { 0 };
    struct mu_httpd_stats stats;

    app_open(&app, rig_loop(state), NULL);
    for (size_t ahead = 0; ahead <= 3; ahead += 3) { /* bytes behind the head, in the same packet */
        char both[sizeof ask + 3];
        int fd = rig_dial(app_addr(&app));
        got.size = 0;
        snprintf(both, sizeof both, "%s%.*s", ask, (int)ahead, "abc");
        rig_send(app.loop, fd, both, strlen(both));
        rig_recv(app.loop, fd, &got, ahead ? "\r\n\r\nABC" : "Upgrade: shout\r\n\r\n");
        rig_begins((char *)got.at, "HTTP/1.1 101 Switching Protocols\r\n");
        say(&app, fd, "more");
        rig_recv(app.loop, fd, &got, "MORE");
        mu_httpd_stats_get(app.d, &stats);
        assert_int_equal(stats.conns, 0);
        app.up_closed = false;
        close(fd);
        rig_until(app.loop, rig_is_set, &app.up_closed);
    }
    mu_buf_fini(&got);
    app_close(&app);
}

static void slow_heads_and_idle_connections_end(void **state)
{
    struct app app;
    char *got;

    app_open(&app, rig_loop(state), &(struct mu_httpd_options){ .head_ms = 20, .idle_ms = 40 });
    got = rig_talk(app.loop, app_addr(&app), "GET /hello HT");
    rig_begins(got, "HTTP/1.1 408");
    free(got);
    got = rig_talk(app.loop, app_addr(&app), "");
    assert_string_equal(got, "");
    free(got);
    got = rig_talk(app.loop, app_addr(&app), GET("/hello"));
    rig_has(got, "\r\n\r\nhi");
    free(got);
    got = rig_talk(app.loop, app_addr(&app), "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nab");
    rig_begins(got, "HTTP/1.1 408");
    assert_int_equal(app.gones, 1);
    free(got);
    app_close(&app);
}

static void a_reader_that_stalls_is_dropped_and_a_quiet_stream_is_not(void **state)
{
    struct app app;
    int fd;

    app_open(&app, rig_loop(state), &(struct mu_httpd_options){ .idle_ms = 20 });
    fd = rig_dial(app_addr(&app));
    say(&app, fd, GET("/stream?n=500000000"));
    rig_until(app.loop, rig_is_set, &app.gone); /* it reads nothing */
    close(fd);
    fd = rig_dial(app_addr(&app));
    say(&app, fd, GET("/quiet"));
    rig_until(app.loop, rig_is_set, &app.waiting);
    for (int i = 0; i < 20; i++)
        mu_loop_turn(app.loop, 5);
    assert_non_null(app.later);
    free(app.later_call);
    mu_req_abort(app.later); /* the client sees a cut, the owner hears nothing */
    app.later = NULL;
    assert_int_equal(app.gones, 1);
    close(fd);
    app_close(&app);
}

static void draining_answers_what_is_under_way(void **state)
{
    struct app app;
    struct mu_buf got = { 0 }, none = { 0 };
    struct mu_httpd_stats stats;
    int busy, idle;

    app_open(&app, rig_loop(state), NULL);
    busy = rig_dial(app_addr(&app));
    idle = rig_dial(app_addr(&app));
    say(&app, busy, GET("/later"));
    rig_until(app.loop, rig_is_set, &app.waiting);
    mu_httpd_drain(app.d);
    rig_recv(app.loop, idle, &none, NULL);
    assert_int_equal(none.size, 0);
    app_answer(&app, "done");
    rig_recv(app.loop, busy, &got, NULL);
    mu_httpd_stats_get(app.d, &stats);
    assert_int_equal(stats.conns, 0);
    assert_int_equal(stats.requests, 1);
    close(busy);
    close(idle);
    mu_buf_fini(&got);
    mu_buf_fini(&none);
    app_close(&app);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(answers_are_well_formed),
        T(a_connection_is_used_again),
        T(pipelined_requests_are_answered_in_order),
        T(the_cut_of_requests_does_not_matter),
        T(more_requests_than_fit_are_waited_for),
        T(an_answer_may_come_later),
        T(a_client_that_goes_is_told_of),
        T(a_half_closed_client_gets_its_answer),
        T(bodies_are_echoed),
        T(a_chunked_body_past_its_limit_is_refused),
        T(a_paused_body_holds_the_client_back),
        T(a_streamed_answer_waits_for_its_reader),
        T(an_expectant_client_is_told_to_go_on),
        T(an_upgrade_hands_the_stream_over),
        T(slow_heads_and_idle_connections_end),
        T(a_reader_that_stalls_is_dropped_and_a_quiet_stream_is_not),
        T(draining_answers_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
