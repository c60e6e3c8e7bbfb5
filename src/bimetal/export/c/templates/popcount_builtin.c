#include "check.h"
/* template */
/* How many bits of a word are 1: an instruction where the compiler may use it, else by adding neighbours. */
static unsigned name_popcount(uint32_t x)
{
#if defined(__POPCNT__) || defined(__aarch64__) || defined(__riscv_zbb) || defined(__wasm__)
    return (unsigned)__builtin_popcount(x);
#else
    x -= (x >> 1) & 0x55555555u;
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0Fu;
    return (unsigned)((x * 0x01010101u) >> 24);
#endif
}
