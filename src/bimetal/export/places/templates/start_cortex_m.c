/* The first steps of a Cortex-M: its vectors, and the floating-point unit switched on before any code
   that a compiler may have turned into vector instructions. */
#include "bare.h"

enum { CPACR = 0xe000ed88u, FULL_ACCESS_CP10_CP11 = 0xfu << 20 };

extern uint8_t stack_top[]; /* board.ld */

static void fault(void) { place_fail("a fault: an address or an instruction that the chip refuses\n"); }

void reset(void) {
#ifndef __ARM_ARCH_6M__
    *(volatile uint32_t*)CPACR |= FULL_ACCESS_CP10_CP11;
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    place_begin();
}

__attribute__((section(".vectors"), used)) static const void* const vectors[16] = {
    stack_top,          (const void*)reset, (const void*)fault, (const void*)fault,
    (const void*)fault, (const void*)fault, (const void*)fault, (const void*)fault,
    (const void*)fault, (const void*)fault, (const void*)fault, (const void*)fault,
    (const void*)fault, (const void*)fault, (const void*)fault, (const void*)fault,
};
