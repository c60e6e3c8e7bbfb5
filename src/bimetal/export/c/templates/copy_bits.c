#include "check.h"
#define NAME_APART
/* template */
/* Copy n bits from bit `start` of one row to bit `at` of another, which is filled from bit 0 on:
 * what stands beyond the copied bits in their last word becomes 0. */
static NAME_APART void name_copy_bits(const uint32_t from[], unsigned start, uint32_t to[], unsigned at, unsigned n)
{
    while (n > 0) {
        const unsigned shift = start % 32, room = 32 - at % 32, m = n < room ? n : room;
        uint32_t word = from[start / 32] >> shift;
        if (shift + m > 32) word |= from[start / 32 + 1] << (32 - shift);
        if (m < 32) word &= ((uint32_t)1 << m) - 1;
        to[at / 32] = at % 32 ? to[at / 32] | word << (at % 32) : word;
        start += m;
        at += m;
        n -= m;
    }
}
