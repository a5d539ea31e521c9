/* io/files.h -- small helpers around files, for shells.
 *
 * What       make folders, read whole, write atomically, lock, temporary names.
 * Ownership  callers own buffers and descriptors they get.
 * Time       blocking; for start-up and tools, or a pool thread.
 * Threads    any.
 * Failure    MU_IO with the path and the system's reason; MU_FULL for no space; MU_NOTFOUND; MU_TOOBIG; MU_BUSY for locks.
 * Limits     paths of PATH_MAX.
 */
#ifndef MU_IO_FILES_H
#define MU_IO_FILES_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

/* The folder and what is missing above it; existing ones are left as they are. */
enum mu_rc mu_dir_make(const char *path, mode_t mode, struct mu_err *err);
/* fsync of a folder: makes names in it durable. */
enum mu_rc mu_dir_sync(const char *path, struct mu_err *err);
/* Everything below and the folder itself; symbolic links are removed, not followed. Not there: OK. */
enum mu_rc mu_dir_remove(const char *path, struct mu_err *err);
/* Whole file appended to out; larger than max: MU_TOOBIG, out untouched. Reads pipes and /proc files too. */
enum mu_rc mu_file_read(const char *path, size_t max, struct mu_buf *out, struct mu_err *err);
/* Readers see the old or the new content, never a mixture, also after a crash: temporary name, fsync, rename, fsync of
 * the folder. */
enum mu_rc mu_file_write(const char *path, const void *bytes, size_t size, mode_t mode, struct mu_err *err);
/* All of it, whatever write(2) makes of it. */
enum mu_rc mu_fd_write(int fd, const void *bytes, size_t size, struct mu_err *err);
/* An exclusive lock held as long as the descriptor is open (and its process lives); the file holds the pid. MU_BUSY
 * names the process that has it: "DIR/lock is held by process 1234". */
enum mu_rc mu_file_lock(int *out_fd, const char *path, struct mu_err *err);
/* "PREFIX" + 16 random hex digits, into out. */
void mu_temp_name(char *out, size_t cap, const char *prefix);

#endif
