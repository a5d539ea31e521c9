/* agent/spawner/slots.h -- the output files of tasks, used again and again.
 *
 * What       slot N is slots/N.out and slots/N.err below the working directory.
 * Ownership  a slot is free, a task's, or the agent's (it has bytes that must be taken first).
 * Time, Threads  none.
 * Failure    take answers -errno.
 * Limits     MU_SP_TASKS_MAX slots; the first SLOTS_OPEN keep their files open, the rest open them when needed,
 *            so that descriptors do not run out and clone does not copy many.
 */
#ifndef MU_AGENT_SPAWNER_SLOTS_H
#define MU_AGENT_SPAWNER_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

enum { SLOTS_OPEN = 64 };

void slots_init(void);
/* A free slot with both files open for uid; its number, or -errno. */
long slot_take(uint32_t uid);
int slot_fd(uint32_t slot, int stream); /* 1 stdout, 2 stderr; -1 when not open */
/* The child has its copies. */
void slot_started(uint32_t slot);
uint32_t slot_generation(uint32_t slot);
void slot_sizes(uint32_t slot, uint64_t *out, uint64_t *err);
void slot_note(uint32_t slot, const char *text); /* append to its stderr */
/* Free again. drop: bit 0 .out, bit 1 .err: the file was renamed away, or must not be used again: make a new one. */
void slot_give(uint32_t slot, unsigned drop);

#endif
