/* base/err.h -- return codes and a sentence for a human.
 *
 * What       one list of outcomes for the whole program; errors of the world and refusals by the rules.
 * Ownership  struct mu_err is the caller's; NULL means "I do not want the sentence".
 * Time       none.   Threads  none.
 * Failure    mu_fail itself cannot fail; long sentences are cut.
 * Limits     MU_ERR_TEXT bytes of text, MU_ERR_FIELD bytes of field name.
 */
#ifndef MU_BASE_ERR_H
#define MU_BASE_ERR_H

#define MU_RC_MAP(X)                                                       \
    X(NOMEM, -1, "no_memory", "out of memory")                             \
    X(INVALID, -2, "invalid", "the request is malformed")                  \
    X(BUSY, -3, "busy", "a limit is reached, try again later")             \
    X(IO, -4, "io", "the operating system refused")                        \
    X(NOTFOUND, -5, "not_found", "there is no such thing")                 \
    X(CONFLICT, -6, "conflict", "it exists already and is different")      \
    X(DENIED, -7, "denied", "not allowed")                                 \
    X(UNKNOWN, -8, "unknown", "the outcome is not known; retry with the same key") \
    X(NOTLEADER, -9, "not_leader", "this server does not lead")            \
    X(TOOBIG, -10, "too_big", "larger than the limit")                     \
    X(IMPOSSIBLE, -11, "impossible", "no node could ever run this")        \
    X(STATE, -12, "wrong_state", "not possible in its present state")      \
    X(CLOSED, -13, "closed", "the other side closed")                      \
    X(AGAIN, -14, "again", "not ready yet")                                \
    X(CORRUPT, -15, "corrupt", "stored data is damaged")                   \
    X(VERSION, -16, "version", "made by another version")                  \
    X(FULL, -17, "full", "no space is left")                               \
    X(TIMEOUT, -18, "timeout", "time ran out")                             \
    X(UNAUTHORIZED, -19, "unauthorized", "a valid token is required")      \
    X(UNSUPPORTED, -20, "unsupported", "not supported here")

#define X(name, num, code, text) MU_##name = num,
enum mu_rc { MU_OK = 0, MU_RC_MAP(X) };
#undef X

enum { MU_ERR_TEXT = 240, MU_ERR_FIELD = 64 };

/* A sentence for a human, never parsed; field names the flag, key or header at fault, or is "". */
struct mu_err {
    enum mu_rc rc;
    char field[MU_ERR_FIELD];
    char text[MU_ERR_TEXT];
};

/* The stable machine word of a code ("not_found"), "ok" for MU_OK. */
const char *mu_rc_code(enum mu_rc rc);
/* The general sentence of a code. */
const char *mu_rc_text(enum mu_rc rc);

/* Fill err (may be NULL) and return rc: return mu_fail(err, MU_BUSY, "queue %s is full", name); */
__attribute__((format(printf, 3, 4)))
enum mu_rc mu_fail(struct mu_err *err, enum mu_rc rc, const char *fmt, ...);
/* The same, naming the field at fault. */
__attribute__((format(printf, 4, 5)))
enum mu_rc mu_fail_at(struct mu_err *err, enum mu_rc rc, const char *field, const char *fmt, ...);

#endif
