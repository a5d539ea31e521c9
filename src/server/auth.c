/* server/auth.c -- see auth.h. */
#include "server/auth.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/log.h"
#include "io/files.h"
#include "io/loop.h"

#include <strings.h>
#include <sys/stat.h>

enum source { GIVEN, TOKEN_FILE, DATA_FILE, USER_FILE, SOURCES };

struct secret {
    char *path; /* NULL: not from a file */
    char text[MU_TOKEN_MAX + 1];
    struct timespec changed;
    ino_t inode;
};

struct mu_auth {
    struct secret from[SOURCES];
};

void mu_token_text(char out[MU_TOKEN_MADE + 1], const uint8_t bytes[32])
{
    struct mu_buf b = { 0 };

    mu_base64_put(&b, bytes, 32, true);
    MU_ASSERT(b.size == MU_TOKEN_MADE);
    memcpy(out, b.at, b.size);
    out[MU_TOKEN_MADE] = '\0';
    explicit_bzero(b.at, b.size);
    mu_buf_fini(&b);
}

bool mu_token_is_valid(struct mu_str token)
{
    for (uint32_t i = 0; i < token.size; i++)
        if (token.at[i] <= ' ' || token.at[i] > '~')
            return false;
    return token.size >= MU_TOKEN_MIN && token.size <= MU_TOKEN_MAX;
}

bool mu_token_equal(struct mu_str a, struct mu_str b)
{
    volatile uint8_t differs = a.size != b.size;

    for (uint32_t i = 0; i < a.size; i++)
        differs = (uint8_t)(differs | ((uint8_t)a.at[i] ^ (uint8_t)(b.size ? b.at[i % b.size] : 1)));
    return differs == 0;
}

static struct mu_str trimmed(struct mu_str s)
{
    while (s.size > 0 && (s.at[s.size - 1] == '\n' || s.at[s.size - 1] == '\r'))
        s.size--;
    return s;
}

static enum mu_rc secret_set(struct secret *s, struct mu_str token, const char *where, struct mu_err *err)
{
    token = trimmed(token);
    if (!mu_token_is_valid(token))
        return mu_fail_at(err, MU_INVALID, "token", "%s: a token is %d to %d visible ASCII characters", where, MU_TOKEN_MIN,
                          MU_TOKEN_MAX);
    memcpy(s->text, token.at, token.size);
    s->text[token.size] = '\0';
    return MU_OK;
}

static void secret_stamp(struct secret *s)
{
    struct stat st;

    if (s->path == NULL || stat(s->path, &st) != 0)
        return;
    s->changed = st.st_mtim;
    s->inode = st.st_ino;
}

static enum mu_rc secret_read(struct secret *s, struct mu_err *err)
{
    struct mu_buf b = { 0 };
    enum mu_rc rc;

    secret_stamp(s);
    rc = mu_file_read(s->path, 4 * MU_TOKEN_MAX, &b, err);
    if (rc == MU_OK)
        rc = secret_set(s, mu_buf_str(&b), s->path, err);
    if (b.size > 0)
        explicit_bzero(b.at, b.size);
    mu_buf_fini(&b);
    return rc;
}

static enum mu_rc secret_write(struct secret *s, const char *text, struct mu_err *err)
{
    char line[MU_TOKEN_MAX + 2];
    char *slash = strrchr(s->path, '/');
    enum mu_rc rc = MU_OK;

    if (slash != NULL && slash != s->path) {
        *slash = '\0';
        rc = mu_dir_make(s->path, 0700, err);
        *slash = '/';
    }
    snprintf(line, sizeof line, "%s\n", text);
    if (rc == MU_OK)
        rc = mu_file_write(s->path, line, strlen(line), 0600, err);
    explicit_bzero(line, sizeof line);
    return rc == MU_OK ? secret_read(s, err) : rc; /* somebody may have written at the same time: what is there counts */
}

static enum mu_rc open_given(struct mu_auth *a, const struct mu_auth_options *opt, struct mu_err *err)
{
    if (opt->file == NULL)
        return secret_set(&a->from[GIVEN], mu_str_of(opt->given), "MUSTER_TOKEN", err);
    a->from[TOKEN_FILE].path = mu_str_dup(mu_str_of(opt->file));
    return secret_read(&a->from[TOKEN_FILE], err);
}

/* Read what is there, then write what is missing. The user's file is a convenience: to fail there is no reason to stop. */
static enum mu_rc open_kept(struct mu_auth *a, const struct mu_auth_options *opt, struct mu_err *err)
{
    struct secret *data = &a->from[DATA_FILE], *user = &a->from[USER_FILE];
    enum mu_rc data_rc, user_rc = MU_NOTFOUND;
    struct mu_err user_err = { 0 };
    char made[MU_TOKEN_MADE + 1];
    uint8_t bytes[32];

    data->path = mu_str_dup(mu_str_of(opt->data_file));
    data_rc = secret_read(data, err);
    if (data_rc != MU_OK && data_rc != MU_NOTFOUND)
        return data_rc;
    if (opt->user_file != NULL) {
        user->path = mu_str_dup(mu_str_of(opt->user_file));
        user_rc = secret_read(user, &user_err);
    }
    mu_random(bytes, sizeof bytes);
    mu_token_text(made, bytes);
    explicit_bzero(bytes, sizeof bytes);
    if (user->path != NULL && user_rc == MU_NOTFOUND)
        user_rc = secret_write(user, data_rc == MU_OK ? data->text : made, &user_err);
    if (user->path != NULL && user_rc != MU_OK)
        mu_log(MU_LOG_WARN, "auth", "the user's token file cannot be used: %s", user_err.text);
    return data_rc == MU_OK ? MU_OK : secret_write(data, user_rc == MU_OK ? user->text : made, err);
}

enum mu_rc mu_auth_open(struct mu_auth **out_auth, const struct mu_auth_options *opt, struct mu_err *err)
{
    struct mu_auth *a = calloc(1, sizeof *a);
    enum mu_rc rc;

    if (a == NULL)
        return mu_fail(err, MU_NOMEM, "auth: no memory");
    rc = opt->given != NULL || opt->file != NULL ? open_given(a, opt, err) : open_kept(a, opt, err);
    if (rc != MU_OK) {
        mu_auth_close(a);
        return rc;
    }
    *out_auth = a;
    return MU_OK;
}

void mu_auth_close(struct mu_auth *a)
{
    if (a == NULL)
        return;
    for (int i = 0; i < SOURCES; i++)
        free(a->from[i].path);
    explicit_bzero(a, sizeof *a);
    free(a);
}

static bool matches(const struct mu_auth *a, struct mu_str token)
{
    bool any = false;

    for (int i = 0; i < SOURCES; i++)
        any |= a->from[i].text[0] != '\0' && mu_token_equal(mu_str_of(a->from[i].text), token);
    return any;
}

/* True: a token file is not the one that was read. */
static bool reread(struct mu_auth *a)
{
    bool any = false;

    for (int i = 0; i < SOURCES; i++) {
        struct secret *s = &a->from[i];
        struct stat st;
        if (s->path == NULL || stat(s->path, &st) != 0 ||
            (st.st_ino == s->inode && st.st_mtim.tv_sec == s->changed.tv_sec && st.st_mtim.tv_nsec == s->changed.tv_nsec))
            continue;
        struct mu_err err;
        if (secret_read(s, &err) == MU_OK)
            any = true;
        else
            mu_log(MU_LOG_WARN, "auth", "the old token stays: %s", err.text);
    }
    return any;
}

bool mu_auth_check(struct mu_auth *a, struct mu_str authorization)
{
    static const char scheme[] = "Bearer ";
    struct mu_str token = authorization;

    if (token.size < sizeof scheme - 1 || strncasecmp(token.at, scheme, sizeof scheme - 1) != 0)
        return false;
    token.at += sizeof scheme - 1;
    token.size -= (uint32_t)sizeof scheme - 1;
    return matches(a, token) || (reread(a) && matches(a, token));
}
