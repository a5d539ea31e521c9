/* server/main.h -- the server role: `muster server`.
 *
 * What       the verb's flags and function: data folder, listening, running until told to stop.
 * Ownership, Time, Threads  the process is its own.
 * Failure    a sentence on stderr and exit status 1; wrong usage 2.
 * Limits     see --help.
 */
#ifndef MU_SERVER_MAIN_H
#define MU_SERVER_MAIN_H

#include "base/command.h"

extern const struct mu_command mu_server_command;

#endif
