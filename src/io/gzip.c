/* io/gzip.c -- see gzip.h. */
#include "io/gzip.h"

#include <errno.h>
#include <zlib.h>

enum mu_rc mu_gzip_read(const char *path, size_t max, struct mu_buf *out, struct mu_err *err)
{
    enum { PIECE = 1 << 18 };
    gzFile f;
    int n, code;

    errno = 0;
    f = gzopen(path, "rbe");
    if (f == NULL)
        return mu_fail(err, errno == ENOENT ? MU_NOTFOUND : MU_IO, "%s: %s", path, errno ? strerror(errno) : "out of memory");
    while ((n = gzread(f, mu_buf_room(out, PIECE), PIECE)) > 0) {
        out->size += (size_t)n;
        if (out->size > max) {
            gzclose(f);
            return mu_fail(err, MU_TOOBIG, "%s has more than %zu bytes", path, max);
        }
    }
    code = gzclose(f);
    if (n < 0 || code == Z_BUF_ERROR)
        return mu_fail(err, MU_IO, "%s: the file is damaged or cut short", path);
    return MU_OK;
}
