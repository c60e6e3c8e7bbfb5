#include "check.h"
/* template */
/* The bits of 32-bit words in 64-bit words. */
static void name_widen(const uint32_t x[], uint32_t n_words, uint64_t wide[])
{
    for (uint32_t i = 0; i < n_words; i++)
        wide[i / 2] = i % 2 ? wide[i / 2] | (uint64_t)x[i] << 32 : x[i];
}
