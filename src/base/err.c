#include "base/err.h"

#include "base/assert.h"

#include <stdarg.h>

static const struct {
    const char *code, *text;
} codes[] = {
    [0] = { "ok", "done" },
#define X(name, num, code_, text_) [-(num)] = { code_, text_ },
    MU_RC_MAP(X)
#undef X
};

const char *mu_rc_code(enum mu_rc rc)
{
    MU_ASSERT(rc <= 0 && -rc < (int)MU_COUNT(codes));
    return codes[-rc].code;
}

const char *mu_rc_text(enum mu_rc rc)
{
    MU_ASSERT(rc <= 0 && -rc < (int)MU_COUNT(codes));
    return codes[-rc].text;
}

__attribute__((format(printf, 4, 0)))
static enum mu_rc fail(struct mu_err *err, enum mu_rc rc, const char *field, const char *fmt, va_list ap)
{
    char text[MU_ERR_TEXT];

    if (err == NULL)
        return rc;
    vsnprintf(text, sizeof text, fmt, ap); /* apart: the arguments may point into err */
    err->rc = rc;
    snprintf(err->field, sizeof err->field, "%s", field);
    memcpy(err->text, text, sizeof text);
    return rc;
}

enum mu_rc mu_fail(struct mu_err *err, enum mu_rc rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fail(err, rc, "", fmt, ap);
    va_end(ap);
    return rc;
}

enum mu_rc mu_fail_at(struct mu_err *err, enum mu_rc rc, const char *field, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fail(err, rc, field, fmt, ap);
    va_end(ap);
    return rc;
}
