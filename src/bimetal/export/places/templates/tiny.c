/* A small chip under a simulator that writes a row into its memory, lets it run, and reads the points:
   no input, no output, nothing beside the model. */
#include "model.h"

#ifdef __SDCC
#define WHERE __xdata
#define PAUSE __asm__("nop")
#else
#define WHERE
#define PAUSE __asm__ volatile("")
#endif

WHERE MODEL_ROW place_row[MODEL_COLUMNS];
WHERE int32_t place_sums[MODEL_POINTS];
WHERE int32_t place_failures;

/* Where the simulator stops: the last row's points are there, the next row may be written. */
#ifndef __SDCC
__attribute__((noinline))
#endif
void place_pause(void) {
    PAUSE;
}

int main(void) {
#ifndef PLACE_NO_SELFTEST
    place_failures = place_selftest();
#endif
    place_pause();
    for (;;) {
        place_points(place_row, place_sums);
        place_pause(); /* the very next instruction */
    }
}
