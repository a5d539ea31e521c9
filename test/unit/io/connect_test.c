/* io/connect: connections and upgrades on the loop, each with one end. */
#include "app.h"
#include "rig.h"

#include "io/connect.h"

#include <sys/socket.h>
#include <unistd.h>

struct attempt {
    struct mu_stream *s;
    struct mu_connect_end end;
    bool done, closed, eof;
    unsigned ends;
    struct mu_buf got;
};

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    mu_buf_add(&((struct attempt *)arg)->got, bytes, size);
    return size;
}

static void on_close(void *arg, const struct mu_err *err)
{
    struct attempt *a = arg;

    (void)err;
    a->closed = true;
    a->s = NULL;
}

static const struct mu_stream_user user = { .on_data = on_data, .on_close = on_close };

static void on_end(void *arg, struct mu_stream *s, const struct mu_connect_end *end)
{
    struct attempt *a = arg;

    a->ends++;
    a->done = true;
    a->end = *end;
    a->s = s;
    if (s != NULL)
        mu_stream_own(s, &user, a);
}

/* An address where nobody listens. */
static void dead_address(struct mu_loop *loop, char *out, size_t cap)
{
    struct app app;

    app_open(&app, loop, NULL);
    snprintf(out, cap, "%s", app_addr(&app));
    app_close(&app);
    rig_settle(loop);
}

static void attempt_close(struct attempt *a)
{
    mu_stream_close(a->s);
    mu_buf_fini(&a->got);
}

static bool has_four(void *arg)
{
    return ((struct attempt *)arg)->got.size >= 4;
}

static void a_plain_connection_carries_bytes(void **state)
{
    struct app app;
    struct attempt a = { .done = false };

    app_open(&app, rig_loop(state), NULL);
    mu_connect(app.loop, app_addr(&app), 5000, NULL, on_end, &a);
    assert_false(a.done);
    rig_until(app.loop, rig_is_set, &a.done);
    assert_non_null(a.s);
    mu_stream_write(a.s, "x\r\n\r\n", 5);
    rig_until(app.loop, has_four, &a);
    rig_begins((char *)a.got.at, "HTTP/1.1 400");
    attempt_close(&a);
    app_close(&app);
}

static void an_upgrade_becomes_a_stream(void **state)
{
    struct app app;
    struct attempt a = { .done = false };
    char url[80];

    app_open(&app, rig_loop(state), NULL);
    snprintf(url, sizeof url, "http://%s", app_addr(&app));
    mu_upgrade(app.loop, &(struct mu_upgrade_options){ .url = url, .target = "/up", .protocol = "shout", .token = "t" },
               on_end, &a);
    rig_until(app.loop, rig_is_set, &a.done);
    assert_non_null(a.s);
    assert_int_equal(a.end.err.rc, MU_OK);
    mu_stream_write(a.s, "abcd", 4);
    rig_until(app.loop, has_four, &a);
    assert_memory_equal(a.got.at, "ABCD", 4);
    mu_stream_close(app.up); /* the server goes */
    app.up = NULL;
    rig_until(app.loop, rig_is_set, &a.closed);
    attempt_close(&a);
    app_close(&app);
}

static void what_goes_wrong_is_said_once(void **state)
{
    char dead[64], dead_url[80], live[80];
    struct app app;
    const struct {
        struct mu_upgrade_options opt;
        unsigned status;
        uint64_t retry_ms;
        const char *says;
    } cases[] = {
        { { .url = live, .target = "/up", .protocol = "whisper" }, 426, 2000, "this place is for shouting" },
        { { .url = live, .target = "/nowhere", .protocol = "shout" }, 404, 0, "no such path" },
        { { .url = live, .target = "/hello", .protocol = "shout" }, 200, 0, "answers 200 instead of changing to shout" },
        { { .url = live, .target = "/later", .protocol = "shout", .timeout_ms = 30 }, 0, 0, "time ran out" },
        { { .url = dead_url, .target = "/up", .protocol = "shout" }, 0, 0, "connection refused" },
        { { .url = "http://", .target = "/up", .protocol = "shout" }, 0, 0, "not an address" },
        { { .url = "https://127.0.0.1:1", .target = "/up", .protocol = "shout" }, 0, 0, "TLS" },
        { { .url = "unix:/nowhere/at/all", .target = "/up", .protocol = "shout" }, 0, 0, "no such file" },
        { { .url = "http://host.invalid:1", .target = "/up", .protocol = "shout" }, 0, 0, "no server answers at http://host.invalid:1: " },
    };

    dead_address(rig_loop(state), dead, sizeof dead);
    snprintf(dead_url, sizeof dead_url, "http://%s", dead);
    app_open(&app, rig_loop(state), NULL);
    snprintf(live, sizeof live, "http://%s", app_addr(&app));
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct attempt a = { .done = false };
        mu_upgrade(app.loop, &cases[i].opt, on_end, &a);
        rig_until(app.loop, rig_is_set, &a.done);
        rig_settle(app.loop);
        assert_null(a.s);
        assert_int_equal(a.ends, 1);
        assert_int_equal(a.end.status, cases[i].status);
        assert_int_equal(a.end.retry_ms, cases[i].retry_ms);
        assert_int_not_equal(a.end.err.rc, MU_OK);
        rig_has(a.end.err.text, cases[i].says);
    }
    app_close(&app);
}

static void a_silent_or_foolish_server_is_left(void **state)
{
    static const char *const says[] = { "", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "SSH-2.0-x\r\n", "HTTP/1.1 5" };
    struct sockaddr_storage have;
    socklen_t size = sizeof have;
    struct app app;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    app_open(&app, rig_loop(state), NULL);
    assert_int_equal(listen(server, 8), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&have, &size), 0);
    for (size_t i = 0; i < MU_COUNT(says); i++) {
        struct attempt a = { .done = false };
        char url[64];
        const uint8_t *port = (const uint8_t *)&have + 2;
        int fd;
        snprintf(url, sizeof url, "http://127.0.0.1:%u", port[0] * 256u + port[1]);
        mu_upgrade(app.loop, &(struct mu_upgrade_options){ .url = url, .target = "/", .protocol = "shout", .timeout_ms = 500 },
                   on_end, &a);
        mu_loop_turn(app.loop, 10);
        mu_loop_turn(app.loop, 10);
        fd = accept(server, NULL, NULL);
        assert_true(fd >= 0);
        assert_int_equal(send(fd, says[i], strlen(says[i]), 0), (ssize_t)strlen(says[i]));
        if (i != 0)
            shutdown(fd, SHUT_WR);
        rig_until(app.loop, rig_is_set, &a.done);
        assert_null(a.s);
        assert_int_equal(a.ends, 1);
        close(fd);
    }
    close(server);
    app_close(&app);
}

static void giving_up_is_silent(void **state)
{
    struct app app;
    struct attempt a = { .done = false };
    char live[80];

    app_open(&app, rig_loop(state), NULL);
    snprintf(live, sizeof live, "http://%s", app_addr(&app));
    for (int turns = 0; turns < 4; turns++) { /* at each stage */
        struct mu_connect *c = mu_upgrade(app.loop, &(struct mu_upgrade_options){ .url = live, .target = "/later",
                                          .protocol = "shout" }, on_end, &a);
        for (int i = 0; i < turns; i++)
            mu_loop_turn(app.loop, 5);
        mu_connect_cancel(c);
    }
    mu_connect_cancel(NULL);
    rig_settle(app.loop);
    assert_int_equal(a.ends, 0);
    app_close(&app);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(a_plain_connection_carries_bytes),   T(an_upgrade_becomes_a_stream), T(what_goes_wrong_is_said_once),
        T(a_silent_or_foolish_server_is_left), T(giving_up_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
