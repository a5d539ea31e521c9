/* io/stream: bounded flows over real sockets. */
#include "rig.h"

#include "io/stream.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* One accepted stream and what was heard of it. */
struct end {
    struct mu_stream *s;
    struct mu_buf got;
    size_t use_max; /* of a call of on_data; SIZE_MAX: everything */
    unsigned datas, drains, timeouts;
    bool accepted, eof, closed, drained;
    bool close_on_data, pause_on_data;
    struct mu_err err;
};

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    struct end *e = arg;
    size_t n = size < e->use_max ? size : e->use_max;

    e->datas++;
    mu_buf_add(&e->got, bytes, n);
    if (e->pause_on_data)
        mu_stream_pause(e->s);
    if (e->close_on_data) {
        mu_stream_close(e->s);
        e->closed = true;
    }
    return n;
}

static void on_eof(void *arg)
{
    ((struct end *)arg)->eof = true;
}

static void on_drain(void *arg)
{
    struct end *e = arg;

    e->drains++;
    e->drained = true;
}

static void on_close(void *arg, const struct mu_err *err)
{
    struct end *e = arg;

    assert_false(e->closed);
    e->closed = true;
    e->err = *err;
}

static void on_timeout(void *arg)
{
    ((struct end *)arg)->timeouts++;
}

static const struct mu_stream_user user = { on_data, on_eof, on_drain, NULL, on_close };
static const struct mu_stream_user patient = { on_data, on_eof, on_drain, on_timeout, on_close };

static void on_accept(void *arg, struct mu_stream *s)
{
    struct end *e = arg;

    e->s = s;
    e->accepted = true;
    mu_stream_own(s, &user, e);
}

struct pair {
    struct mu_loop *loop;
    struct mu_listener *l;
    struct end e;
    int fd;
};

static void pair_open(struct pair *p, void **state)
{
    *p = (struct pair){ .loop = rig_loop(state), .e.use_max = SIZE_MAX };
    assert_int_equal(mu_listen(&p->l, p->loop, "127.0.0.1:0", NULL, on_accept, &p->e, NULL), MU_OK);
    p->fd = rig_dial(mu_listener_addr(p->l));
    rig_until(p->loop, rig_is_set, &p->e.accepted);
}

static void pair_close(struct pair *p)
{
    if (!p->e.closed)
        mu_stream_close(p->e.s);
    mu_listener_close(p->l);
    close(p->fd);
    mu_buf_fini(&p->e.got);
}

struct want {
    struct end *e;
    size_t size;
};

static bool has_got(void *arg)
{
    struct want *w = arg;

    return w->e->got.size >= w->size;
}

static void bytes_pass_both_ways(void **state)
{
    struct pair p;
    struct mu_buf got = { 0 };

    pair_open(&p, state);
    rig_send(p.loop, p.fd, "hello", 5);
    rig_until(p.loop, has_got, &(struct want){ &p.e, 5 });
    assert_memory_equal(p.e.got.at, "hello", 5);
    assert_true(mu_stream_write(p.e.s, "you", 3));
    rig_recv(p.loop, p.fd, &got, "you");
    rig_begins(mu_stream_peer(p.e.s), "127.0.0.1:");
    assert_int_equal(mu_stream_bytes_in(p.e.s), 5);
    assert_int_equal(mu_stream_bytes_out(p.e.s), 3);
    mu_buf_fini(&got);
    pair_close(&p);
}

static void small_writes_leave_as_one(void **state)
{
    struct pair p;
    char got[4096];
    ssize_t n;

    pair_open(&p, state);
    for (int i = 0; i < 1000; i++)
        mu_stream_write(p.e.s, "ab", 2);
    assert_int_equal(recv(p.fd, got, sizeof got, 0), -1); /* nothing before the end of the turn */
    assert_int_equal(mu_stream_pending(p.e.s), 2000);
    mu_loop_turn(p.loop, 0);
    assert_int_equal(mu_stream_pending(p.e.s), 0);
    n = recv(p.fd, got, sizeof got, 0);
    assert_int_equal(n, 2000);
    pair_close(&p);
}

static void what_is_unused_is_shown_again(void **state)
{
    struct pair p;

    pair_open(&p, state);
    p.e.use_max = 2;
    rig_send(p.loop, p.fd, "abcdef", 6);
    rig_until(p.loop, has_got, &(struct want){ &p.e, 2 });
    assert_int_equal(mu_stream_unused(p.e.s), 4);
    mu_stream_resume(p.e.s);
    rig_until(p.loop, has_got, &(struct want){ &p.e, 4 });
    rig_send(p.loop, p.fd, "gh", 2);
    rig_until(p.loop, has_got, &(struct want){ &p.e, 6 });
    p.e.use_max = SIZE_MAX;
    mu_stream_resume(p.e.s);
    rig_until(p.loop, has_got, &(struct want){ &p.e, 8 });
    assert_memory_equal(p.e.got.at, "abcdefgh", 8);
    pair_close(&p);
}

/* The client writes as much as fits while the owner uses nothing. */
static size_t stuff(struct pair *p, size_t most)
{
    static char block[65536];
    size_t sent = 0;

    for (int quiet = 0; sent < most && quiet < 50;) {
        ssize_t n = send(p->fd, block, sizeof block, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
            quiet = 0;
        } else {
            mu_loop_turn(p->loop, 1);
            quiet++;
        }
    }
    return sent;
}

static void unused_input_is_bounded(void **state)
{
    enum { MOST = 64 * 1024 * 1024 };
    struct pair p;
    size_t sent;

    pair_open(&p, state);
    p.e.use_max = 0;
    sent = stuff(&p, MOST);
    assert_true(sent < MOST); /* TCP slowed the client down */
    assert_true(mu_stream_unused(p.e.s) <= MU_STREAM_IN_MAX + MU_STREAM_READ);
    p.e.use_max = SIZE_MAX;
    mu_stream_resume(p.e.s);
    rig_until(p.loop, has_got, &(struct want){ &p.e, sent });
    pair_close(&p);
}

static void a_paused_stream_reads_nothing(void **state)
{
    struct pair p;

    pair_open(&p, state);
    p.e.pause_on_data = true;
    p.e.use_max = 1;
    rig_send(p.loop, p.fd, "abc", 3);
    rig_until(p.loop, has_got, &(struct want){ &p.e, 1 });
    rig_send(p.loop, p.fd, "def", 3);
    shutdown(p.fd, SHUT_WR);
    rig_settle(p.loop);
    assert_int_equal(p.e.datas, 1);
    assert_false(p.e.eof);
    p.e.pause_on_data = false;
    p.e.use_max = SIZE_MAX;
    mu_stream_resume(p.e.s);
    rig_until(p.loop, rig_is_set, &p.e.eof);
    assert_int_equal(p.e.got.size, 6);
    assert_memory_equal(p.e.got.at, "abcdef", 6);
    pair_close(&p);
}

static void a_slow_reader_is_waited_for(void **state)
{
    enum { BLOCK = 64 * 1024, BLOCKS = 400 };
    static char block[BLOCK];
    struct pair p;
    struct mu_buf got = { 0 };
    size_t highest = 0, got_size = 0;

    pair_open(&p, state);
    for (int i = 0; i < BLOCKS;) {
        bool more = true;
        for (; i < BLOCKS && more; i++) {
            memset(block, 'a' + i % 26, BLOCK);
            more = mu_stream_write(p.e.s, block, BLOCK);
            highest = mu_stream_pending(p.e.s) > highest ? mu_stream_pending(p.e.s) : highest;
        }
        p.e.drained = more;
        while (!p.e.drained) {
            ssize_t n = recv(p.fd, mu_buf_room(&got, BLOCK), BLOCK, 0);
            for (ssize_t k = 0; k < n; k++, got_size++)
                assert_int_equal(got.at[k], 'a' + (int)(got_size / BLOCK % 26));
            mu_loop_turn(p.loop, n > 0 ? 0 : 1);
        }
    }
    assert_true(highest <= MU_STREAM_OUT_HIGH + BLOCK);
    assert_true(p.e.drains > 1);
    mu_stream_end(p.e.s);
    rig_recv(p.loop, p.fd, &got, NULL);
    assert_int_equal(got_size + got.size, (size_t)BLOCK * BLOCKS);
    mu_buf_fini(&got);
    pair_close(&p);
}

struct filler {
    struct pair p;
    char block[10000];
    unsigned drains;
};

static void read_all(int fd)
{
    static char scratch[65536];

    while (recv(fd, scratch, sizeof scratch, 0) > 0)
        ;
}

static void fill(struct filler *f)
{
    while (mu_stream_write(f->p.e.s, f->block, sizeof f->block))
        ;
}

/* Fills up again, and then the client empties the kernel's buffer before the loop looks. */
static void on_filler_drain(void *arg)
{
    struct filler *f = arg;

    if (++f->drains < 3)
        fill(f);
    read_all(f->p.fd);
}

static const struct mu_stream_user filler_user = { on_data, on_eof, on_filler_drain, NULL, on_close };

/* The kernel's buffer holds a few MB: with one of these bounds what is left behind it is between nothing and the bound. */
static void a_drain_is_not_lost_to_a_fast_reader(void **state)
{
    for (size_t high = 1 << 20; high <= 12 << 20; high += 512 << 10) {
        struct filler f = { .drains = 0 };
        pair_open(&f.p, state);
        mu_stream_own(f.p.e.s, &filler_user, &f);
        mu_stream_limit(f.p.e.s, &(struct mu_stream_limits){ .out_high = high });
        fill(&f);
        for (int i = 0; i < 500 && f.drains < 3; i++) {
            mu_loop_turn(f.p.loop, 1);
            read_all(f.p.fd);
        }
        assert_true(f.drains >= 3);
        pair_close(&f.p);
    }
}

static void a_writer_that_does_not_listen_is_cut_off(void **state)
{
    static char block[65536];
    struct pair p;
    size_t written = 0;

    pair_open(&p, state);
    mu_stream_limit(p.e.s, &(struct mu_stream_limits){ .out_max = 1024 * 1024 });
    while (!p.e.closed && written < 1u << 30) {
        mu_stream_write(p.e.s, block, sizeof block);
        written += sizeof block;
        if (written % (16 * sizeof block) == 0)
            mu_loop_turn(p.loop, 0);
    }
    assert_true(p.e.closed);
    assert_int_equal(p.e.err.rc, MU_TOOBIG);
    pair_close(&p);
}

static void half_close_leaves_the_other_half(void **state)
{
    struct pair p;
    struct mu_buf got = { 0 };

    pair_open(&p, state);
    mu_stream_write(p.e.s, "bye", 3);
    mu_stream_end(p.e.s);
    rig_recv(p.loop, p.fd, &got, NULL);
    assert_int_equal(got.size, 3);
    rig_send(p.loop, p.fd, "still here", 10);
    rig_until(p.loop, has_got, &(struct want){ &p.e, 10 });
    mu_buf_fini(&got);
    pair_close(&p);
}

static void finish_sends_what_is_pending(void **state)
{
    enum { SIZE = 8 * 1024 * 1024 };
    char *big = malloc(SIZE);
    struct pair p;
    struct mu_buf got = { 0 };

    assert_non_null(big);
    memset(big, 'x', SIZE);
    pair_open(&p, state);
    mu_stream_write(p.e.s, big, SIZE);
    rig_send(p.loop, p.fd, "unread input must not reset the connection", 42);
    mu_stream_finish(p.e.s);
    p.e.closed = true; /* no longer ours */
    rig_recv(p.loop, p.fd, &got, NULL);
    assert_int_equal(got.size, SIZE);
    mu_buf_fini(&got);
    free(big);
    pair_close(&p);
    rig_settle(p.loop);
    assert_int_equal(mu_loop_now_ms(p.loop) > 0, 1);
}

static void a_callback_may_close(void **state)
{
    struct pair p;

    pair_open(&p, state);
    p.e.close_on_data = true;
    rig_send(p.loop, p.fd, "x", 1);
    rig_until(p.loop, rig_is_set, &p.e.closed);
    pair_close(&p);
}

static void a_broken_connection_is_told_once(void **state)
{
    struct linger rst = { .l_onoff = 1 };
    struct pair p;

    pair_open(&p, state);
    setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    close(p.fd);
    p.fd = dup(0);
    rig_until(p.loop, rig_is_set, &p.e.closed);
    assert_int_equal(p.e.err.rc, MU_IO);
    pair_close(&p);
}

struct deadline {
    struct end *e;
    unsigned timeouts;
};

static bool has_timed_out(void *arg)
{
    struct deadline *d = arg;

    return d->e->timeouts >= d->timeouts;
}

static void time_runs_out(void **state)
{
    struct pair p;

    pair_open(&p, state);
    mu_stream_own(p.e.s, &patient, &p.e);
    mu_stream_idle(p.e.s, 5);
    rig_until(p.loop, has_timed_out, &(struct deadline){ &p.e, 2 }); /* stays set */
    mu_stream_idle(p.e.s, 0);
    p.e.timeouts = 0;
    mu_stream_until(p.e.s, 5);
    rig_until(p.loop, has_timed_out, &(struct deadline){ &p.e, 1 });
    mu_stream_until(p.e.s, 3600000);
    mu_stream_own(p.e.s, &user, &p.e); /* nobody to ask: closed */
    mu_stream_until(p.e.s, 1);
    rig_until(p.loop, rig_is_set, &p.e.closed);
    assert_int_equal(p.e.err.rc, MU_TIMEOUT);
    assert_int_equal(p.e.timeouts, 1);
    pair_close(&p);
}

static void a_second_owner_gets_what_the_first_left(void **state)
{
    struct pair p;
    struct end second = { .use_max = SIZE_MAX };

    pair_open(&p, state);
    p.e.use_max = 3;
    rig_send(p.loop, p.fd, "oneTWO", 6);
    rig_until(p.loop, has_got, &(struct want){ &p.e, 3 });
    second.s = p.e.s;
    mu_stream_own(p.e.s, NULL, NULL);
    rig_send(p.loop, p.fd, "THREE", 5);
    rig_settle(p.loop);
    assert_int_equal(p.e.got.size, 3);
    mu_stream_own(p.e.s, &user, &second);
    assert_int_equal(second.got.size, 0);
    rig_until(p.loop, has_got, &(struct want){ &second, 8 });
    assert_memory_equal(second.got.at, "TWOTHREE", 8);
    mu_buf_fini(&second.got);
    pair_close(&p);
}

/* -- listening -- */

static void only_loopback_without_tls(void **state)
{
    static const struct { const char *addr; enum mu_rc want; } cases[] = {
        { "127.0.0.1:7788", MU_OK },   { "127.1.2.3:1", MU_OK },      { "[::1]:7788", MU_OK },
        { "localhost:7788", MU_OK },   { ":7788", MU_OK },            { "unix:/tmp/x", MU_OK },
        { "0.0.0.0:7788", MU_DENIED }, { "[::]:7788", MU_DENIED },    { "10.0.0.1:7788", MU_DENIED },
        { "192.168.1.1:1", MU_DENIED }, { "nonsense::1", MU_INVALID }, { "", MU_INVALID },
        { "127.0.0.1:x", MU_INVALID }, { "127.0.0.1:99999", MU_INVALID }, { "http://127.0.0.1:1", MU_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_err err = { 0 };
        enum mu_rc rc = mu_listen_allowed(cases[i].addr, NULL, &err);
        if (rc != cases[i].want)
            fail_msg("%s: %d %s", cases[i].addr, rc, err.text);
    }
}

static void a_port_in_use_is_named(void **state)
{
    struct mu_listener *l = NULL, *second = NULL;
    struct end e = { 0 };
    struct mu_err err;
    char want[MU_ADDR_TEXT + 32];

    assert_int_equal(mu_listen(&l, rig_loop(state), "127.0.0.1:0", NULL, on_accept, &e, NULL), MU_OK);
    assert_int_equal(mu_listen(&second, rig_loop(state), mu_listener_addr(l), NULL, on_accept, &e, &err), MU_BUSY);
    assert_null(second);
    snprintf(want, sizeof want, "%s is in use", mu_listener_addr(l));
    rig_begins(err.text, want);
    mu_listener_close(l);
    mu_listener_close(NULL);
}

struct crowd {
    struct mu_stream *s[8];
    struct end e[8];
    unsigned count;
};

static void on_crowd(void *arg, struct mu_stream *s)
{
    struct crowd *c = arg;
    struct end *e = &c->e[c->count];

    e->s = c->s[c->count++] = s;
    e->use_max = SIZE_MAX;
    mu_stream_own(s, &user, e);
}

static bool two_are_in(void *arg)
{
    return ((struct crowd *)arg)->count == 2;
}

static bool three_are_in(void *arg)
{
    return ((struct crowd *)arg)->count == 3;
}

static void a_stale_unix_socket_is_replaced(void **state)
{
    char path[64], addr[80];
    struct mu_listener *l = NULL, *second = NULL;
    struct crowd c = { .count = 0 };
    struct stat st;
    int fd;

    snprintf(path, sizeof path, "/tmp/muster-test-%ld.sock", (long)getpid());
    snprintf(addr, sizeof addr, "unix:%s", path);
    unlink(path);
    assert_int_equal(mu_listen(&l, rig_loop(state), addr, NULL, on_crowd, &c, NULL), MU_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(mu_listen(&second, rig_loop(state), addr, NULL, on_crowd, &c, NULL), MU_BUSY);
    fd = rig_dial(addr);
    rig_until(rig_loop(state), two_are_in, &c); /* the other one asked whether anybody is there */
    assert_string_equal(mu_stream_peer(c.s[1]), "unix");
    mu_stream_close(c.s[0]);
    mu_stream_close(c.s[1]);
    close(fd);
    mu_listener_close(l);
    assert_int_equal(stat(path, &st), -1);

    mu_buf_fini(&c.e[1].got);

    fd = socket(AF_UNIX, SOCK_STREAM, 0); /* a dead one, left behind */
    struct { unsigned short family; char path[108]; } a = { AF_UNIX, "" };
    snprintf(a.path, sizeof a.path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    l = NULL;
    assert_int_equal(mu_listen(&l, rig_loop(state), addr, NULL, on_crowd, &c, NULL), MU_OK);
    mu_listener_close(l);
}

static void connections_have_limits(void **state)
{
    struct mu_listener *l = NULL;
    struct crowd c = { .count = 0 };
    struct mu_buf got = { 0 };
    int fds[4];

    assert_int_equal(mu_listen(&l, rig_loop(state), "127.0.0.1:0", &(struct mu_listen_options){ .conns_max = 2 },
                               on_crowd, &c, NULL), MU_OK);
    for (int i = 0; i < 3; i++)
        fds[i] = rig_dial(mu_listener_addr(l));
    rig_until(rig_loop(state), two_are_in, &c);
    rig_settle(rig_loop(state));
    assert_int_equal(c.count, 2);
    assert_int_equal(mu_listener_conns(l), 2);
    mu_stream_close(c.s[0]); /* the one that waits comes in */
    rig_until(rig_loop(state), three_are_in, &c);
    mu_stream_close(c.s[1]);
    mu_stream_close(c.s[2]);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    mu_listener_close(l);

    c.count = 0;
    assert_int_equal(mu_listen(&l, rig_loop(state), "127.0.0.1:0", &(struct mu_listen_options){ .per_peer_max = 2 },
                               on_crowd, &c, NULL), MU_OK);
    for (int i = 0; i < 3; i++)
        fds[i] = rig_dial(mu_listener_addr(l));
    rig_recv(rig_loop(state), fds[2], &got, NULL); /* closed at once */
    assert_int_equal(c.count, 2);
    mu_stream_close(c.s[0]);
    fds[3] = rig_dial(mu_listener_addr(l));
    rig_until(rig_loop(state), three_are_in, &c);
    mu_listener_close(l); /* its streams live on */
    rig_send(rig_loop(state), fds[3], "x", 1);
    rig_until(rig_loop(state), has_got, &(struct want){ &c.e[2], 1 });
    mu_stream_close(c.s[1]);
    mu_stream_close(c.s[2]);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    for (int i = 0; i < 8; i++)
        mu_buf_fini(&c.e[i].got);
    mu_buf_fini(&got);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(bytes_pass_both_ways),
        T(small_writes_leave_as_one),
        T(what_is_unused_is_shown_again),
        T(unused_input_is_bounded),
        T(a_paused_stream_reads_nothing),
        T(a_slow_reader_is_waited_for),
        T(a_drain_is_not_lost_to_a_fast_reader),
        T(a_writer_that_does_not_listen_is_cut_off),
        T(half_close_leaves_the_other_half),
        T(finish_sends_what_is_pending),
        T(a_callback_may_close),
        T(a_broken_connection_is_told_once),
        T(time_runs_out),
        T(a_second_owner_gets_what_the_first_left),
        T(only_loopback_without_tls),
        T(a_port_in_use_is_named),
        T(a_stale_unix_socket_is_replaced),
        T(connections_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
