/* A process of its own that writes to a journal, so that it can be killed, starved of space, or given a broken disk. */
#ifndef MU_TEST_JOURNAL_CHILD_H
#define MU_TEST_JOURNAL_CHILD_H

#include "journal/rig.h"

#include <sys/types.h>

enum child_exit {
    CHILD_DONE = 0,   /* all was written and the journal closed */
    CHILD_FATAL = 3,  /* on_fatal came */
    CHILD_REFUSED = 4, /* the journal did not open, or gave no lead */
    CHILD_WRONG = 5,  /* something was acknowledged that must not be */
};

struct child {
    pid_t pid;
    int acks; /* the child writes each acknowledged seq here, 8 bytes */
    uint64_t last_ack;
};

/* What the child does: "endless" records with snapshots between, or the "short" scenario once. */
int child_main(int argc, char **argv);
/* env: "NAME=value" strings, NULL at the end; faults: with the preload helper. */
void child_start(struct child *c, const char *what, const char *url, bool faults, const char *const *env);
/* Read acks until seq or the end. */
void child_read(struct child *c, uint64_t until);
/* All acks that were written, and how it ended: an exit code, or 128 + signal. */
int child_end(struct child *c);
/* The helper is where the build said. */
bool child_has_faults(void);

#endif
