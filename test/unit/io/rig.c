#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000 };

int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    assert_int_equal(mu_loop_open(&rig->loop, NULL), MU_OK);
    *state = rig;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;

    mu_loop_close(rig->loop);
    free(rig);
    return 0;
}

struct mu_loop *rig_loop(void **state)
{
    return ((struct rig *)*state)->loop;
}

void rig_until(struct mu_loop *loop, bool (*cond)(void *arg), void *arg)
{
    uint64_t end = mu_boot_ms() + DEADLINE_MS;

    while (!cond(arg)) {
        mu_loop_turn(loop, 10);
        if (mu_boot_ms() > end)
            fail_msg("the condition did not come true");
    }
}

bool rig_is_set(void *flag)
{
    return *(bool *)flag;
}

void rig_settle(struct mu_loop *loop)
{
    for (int i = 0; i < 5; i++)
        mu_loop_turn(loop, 0);
}

static socklen_t address_of(struct sockaddr_storage *out, const char *addr)
{
    struct sockaddr_un *un = (struct sockaddr_un *)out;
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    const char *colon = strrchr(addr, ':');
    uint64_t port;

    *out = (struct sockaddr_storage){ 0 };
    if (strncmp(addr, "unix:", 5) == 0) {
        un->sun_family = AF_UNIX;
        snprintf(un->sun_path, sizeof un->sun_path, "%s", addr + 5);
        return sizeof *un;
    }
    assert_non_null(colon);
    assert_true(mu_str_u64(mu_str_of(colon + 1), &port));
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof *in;
}

int rig_dial(const char *addr)
{
    struct sockaddr_storage a;
    socklen_t size = address_of(&a, addr);
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, size), 0); /* the kernel's queue takes it */
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void rig_send(struct mu_loop *loop, int fd, const void *bytes, size_t size)
{
    uint64_t end = mu_boot_ms() + DEADLINE_MS;
    const char *at = bytes;

    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* closed: what was answered before is still to be read */
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        } else {
            mu_loop_turn(loop, 1);
        }
        if (mu_boot_ms() > end)
            fail_msg("the other side does not read");
    }
}

static bool ends_with(const struct mu_buf *b, const char *text)
{
    size_t n = strlen(text);

    return b->size >= n && memcmp(b->at + b->size - n, text, n) == 0;
}

void rig_recv(struct mu_loop *loop, int fd, struct mu_buf *got, const char *until)
{
    uint64_t end = mu_boot_ms() + DEADLINE_MS;

    while (until == NULL || !ends_with(got, until)) {
        ssize_t n = recv(fd, mu_buf_room(got, 65536), 65536, 0);
        if (n > 0)
            got->size += (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            break;
        else
            mu_loop_turn(loop, 1);
        if (mu_boot_ms() > end)
            fail_msg("nothing more came after: %.*s", MU_STR_ARG(mu_buf_str(got)));
    }
    if (until != NULL && !ends_with(got, until))
        fail_msg("closed after: %.*s; no %s", MU_STR_ARG(mu_buf_str(got)), until);
}

char *rig_talk(struct mu_loop *loop, const char *addr, const char *text)
{
    struct mu_buf got = { 0 };
    int fd = rig_dial(addr);

    rig_send(loop, fd, text, strlen(text));
    rig_recv(loop, fd, &got, NULL);
    close(fd);
    mu_buf_addc(&got, '\0');
    return (char *)got.at;
}

void rig_begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0)
        fail_msg("does not begin with %s: %s", with, text);
}

void rig_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in: %s", part, text);
}
