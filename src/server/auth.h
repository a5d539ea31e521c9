/* server/auth.h -- the secret that opens the API, and where it is kept.
 *
 * What       a set of accepted tokens; made, read and written as doc/api.md says.
 * Ownership  struct mu_auth owns copies; they are wiped when freed.
 * Time       none. A wrong token makes the files be looked at again, when they changed.
 * Threads    none.
 * Failure    MU_INVALID names the file or variable whose token is malformed; MU_IO, MU_FULL as files.
 * Limits     tokens of MU_TOKEN_MIN to MU_TOKEN_MAX visible ASCII characters.
 */
#ifndef MU_SERVER_AUTH_H
#define MU_SERVER_AUTH_H

#include "base/err.h"
#include "base/str.h"

enum { MU_TOKEN_MIN = 16, MU_TOKEN_MAX = 512, MU_TOKEN_MADE = 43 };

struct mu_auth;

/* given: from MUSTER_TOKEN; file: --token-file or MUSTER_TOKEN_FILE. Either may be NULL; with both NULL the token files of
 * the data folder and of the user (user_file, NULL: none) are used and made. */
struct mu_auth_options {
    const char *given, *file, *data_file, *user_file;
};
enum mu_rc mu_auth_open(struct mu_auth **out_auth, const struct mu_auth_options *opt, struct mu_err *err);
void mu_auth_close(struct mu_auth *a); /* accepts NULL */
/* Is this the value of an Authorization header that opens? Takes the same time for every wrong token of a length. */
bool mu_auth_check(struct mu_auth *a, struct mu_str authorization);

/* 32 bytes as base64url without padding, NUL behind. */
void mu_token_text(char out[MU_TOKEN_MADE + 1], const uint8_t bytes[32]);
bool mu_token_is_valid(struct mu_str token);
/* Equal? The time depends on the sizes only. */
bool mu_token_equal(struct mu_str a, struct mu_str b);

#endif
