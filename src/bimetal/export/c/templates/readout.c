#include "check.h"
#define WEIGHT_T int8_t
#define AT_WEIGHT ATI8
#define name_readout name_readout8
/* template */
/* Add to each of the points the weights of those bits that are 1. weights: (n_out, n_bits). */
static void name_readout(const uint32_t bits[], unsigned n_bits, const CODE WEIGHT_T weights[],
        unsigned n_out, int32_t points[])
{
    for (unsigned c = 0; c < n_out; c++) {
        int32_t sum = points[c];
        for (unsigned i = 0; i < n_bits; i += 32) {
            uint32_t word = bits[i / 32];
            for (unsigned m = n_bits - i < 32 ? n_bits - i : 32; m > 0; m--, word >>= 1, weights++)
                sum += AT_WEIGHT(weights, 0) & -(int32_t)(word & 1u);
        }
        points[c] = sum;
    }
}
