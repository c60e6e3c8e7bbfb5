/* Memory set up as C expects it, and the stack measured by painting. */
#include "bare.h"

#include "stream.h"

enum { PAINT = 0xa5, MOST_PAINT = 65536 };

/* board.ld */
extern uint8_t data_start[], data_stop[], data_load[], bss_start[], bss_stop[], stack_limit[];

static uint8_t* stack_pointer(void) {
    uint8_t* sp;
#ifdef __riscv
    __asm__ volatile("mv %0, sp" : "=r"(sp));
#else
    __asm__ volatile("mov %0, sp" : "=r"(sp));
#endif
    return sp;
}

/* Nothing interrupts, so nobody but place_points writes below the stack pointer of its caller. */
__attribute__((noinline)) int32_t place_stack(const MODEL_ROW row[MODEL_COLUMNS], int32_t points[MODEL_POINTS]) {
    uint8_t* top = stack_pointer();
    uint8_t* low = top - stack_limit > MOST_PAINT ? top - MOST_PAINT : stack_limit;
    volatile uint8_t* p;
    for (p = low; p < top; p++) {
        *p = PAINT;
    }
    place_points(row, points);
    if (low == stack_limit && *low != PAINT) {
        place_fail("the stack ran into the variables\n");
    }
    for (p = low; p < top && *p == PAINT; p++) {
    }
    return (int32_t)(top - p);
}

void place_begin(void) {
    uint8_t* p;
    const uint8_t* from = data_load;
    for (p = data_start; p < data_stop; p++) {
        *p = *from++;
    }
    for (p = bss_start; p < bss_stop; p++) {
        *p = 0;
    }
    place_exit(place_stream());
}
