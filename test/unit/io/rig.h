/* A loop and plain client sockets in one thread: the loop is turned while a client waits. Deadlines only fail a test. */
#ifndef TEST_IO_RIG_H
#define TEST_IO_RIG_H

#include "base/assert.h"
#include "base/str.h"
#include "io/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* The loop of this test; made by rig_setup, closed by rig_teardown. */
struct rig {
    struct mu_loop *loop;
};
int rig_setup(void **state);
int rig_teardown(void **state);
struct mu_loop *rig_loop(void **state);

/* Turn the loop until cond(arg), failing the test after 20 s. */
void rig_until(struct mu_loop *loop, bool (*cond)(void *arg), void *arg);
bool rig_is_set(void *flag); /* a cond: *(bool *)flag */
/* A few turns without waiting, for what must not happen. */
void rig_settle(struct mu_loop *loop);

/* A connected socket that does not block. addr "127.0.0.1:PORT" or "unix:PATH". */
int rig_dial(const char *addr);
/* All of it, turning the loop while the socket is full. */
void rig_send(struct mu_loop *loop, int fd, const void *bytes, size_t size);
/* Append to got until it ends with text; NULL: until the other side closes. A reset counts as closed. */
void rig_recv(struct mu_loop *loop, int fd, struct mu_buf *got, const char *until);
/* Send text, receive to the end of the connection, return what came (free it). */
char *rig_talk(struct mu_loop *loop, const char *addr, const char *text);
/* Does text begin with, contain? Fails with both shown. */
void rig_begins(const char *text, const char *with);
void rig_has(const char *text, const char *part);

#endif
