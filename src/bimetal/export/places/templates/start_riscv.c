/* The first steps of a RISC-V hart: a trap handler, floating point switched on, a stack. */
#include "bare.h"

__attribute__((aligned(4), used)) static void fault(void) {
    place_fail("a trap: an address or an instruction that the chip refuses\n");
}

__attribute__((naked, section(".vectors"), used)) void reset(void) {
    __asm__ volatile(
        ".option arch, +zicsr\n"
        "la t0, fault\n"
        "csrw mtvec, t0\n"
#ifdef __riscv_flen
        "li t0, 0x2000\n" /* mstatus.FS = initial */
        "csrs mstatus, t0\n"
#endif
        "la sp, stack_top\n"
        "j place_begin\n");
}
