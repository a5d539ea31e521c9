/* agent/main.h -- the agent role: `muster agent`.
 *
 * What       the verb's flags and function: a node that runs until told to stop.
 * Ownership, Time, Threads  the process is its own.
 * Failure    a sentence on stderr and exit status 1; wrong usage 2.
 * Limits     see --help.
 */
#ifndef MU_AGENT_MAIN_H
#define MU_AGENT_MAIN_H

#include "base/command.h"

extern const struct mu_command mu_agent_command;

#endif
