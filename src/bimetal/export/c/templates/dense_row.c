#include "check.h"
#define NAME_APART
#define LIMIT_T int16_t
#define AT_LIMIT ATI16
unsigned name_popcount(uint32_t x);
/* template */
/* A neuron fires when at most `thresholds` of its weights differ from the input bits. */
static NAME_APART void name_dense_row(const uint32_t x[], unsigned n_words, const CODE uint32_t weights[],
        const CODE LIMIT_T thresholds[], unsigned n_out, uint32_t y[])
{
    for (unsigned o = 0; o < n_out; o++) {
        int32_t left = AT_LIMIT(thresholds, o);
        for (unsigned i = 0; i < n_words; i++, weights++)
            left -= (int32_t)name_popcount(x[i] ^ AT32(weights, 0));
        if (o % 32 == 0) y[o / 32] = 0;
        y[o / 32] |= (1u ^ (uint32_t)left >> 31) << (o % 32);
    }
}
