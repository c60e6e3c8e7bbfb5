#include "check.h"
#define WEIGHT_T int8_t
#define AT_WEIGHT ATI8
#define name_readout name_readout8
#define NAME_APART
/* template */
/* Add to each of the points the weights of those bits that are 1. weights: (n_out, n_bits). */
static NAME_APART void name_readout(const uint32_t bits[], unsigned n_bits, const CODE WEIGHT_T weights[],
        unsigned n_out, int32_t points[])
{
    do { /* one of the points */
        const uint32_t *from = bits;
        int32_t sum = *points;
        unsigned left = n_bits;
        do { /* a word of bits */
            uint32_t word = *from++;
            unsigned m = left < 32 ? left : 32;
            left -= m;
            do {
                sum += AT_WEIGHT(weights, 0) & -(int32_t)(word & 1u);
                word >>= 1;
                weights++;
            } while (--m > 0);
        } while (left > 0);
        *points++ = sum;
    } while (--n_out > 0);
}
