#include "check.h"
#define X_T int32_t
#define AT_X ATI32
#define name_threshold name_threshold_ints
void name_put_bit(uint32_t y[], unsigned at, uint32_t bit);
/* template */
/* Bits: (x >= threshold) of its channel, turned over where flips is 1. */
static void name_threshold(const X_T x[], const CODE X_T thresholds[], const CODE uint8_t flips[],
        unsigned channels, unsigned n, uint32_t y[])
{
    for (unsigned i = 0, c = 0; i < n; i++, c = c + 1 < channels ? c + 1 : 0)
        name_put_bit(y, i, (uint32_t)(x[i] >= AT_X(thresholds, c)) ^ AT8(flips, c));
}
