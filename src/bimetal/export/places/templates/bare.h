/* What a chip without an operating system needs before and after the rows. */
#ifndef PLACE_BARE_H
#define PLACE_BARE_H

#include <stdint.h>

/* Set up memory, run, and leave; start_*.c calls it with a stack and the floating-point unit on. */
void place_begin(void);
/* Leave the emulator with an exit status. */
void place_exit(int status);
/* Say why and leave. */
void place_fail(const char* why);

#endif
