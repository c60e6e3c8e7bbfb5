#include "check.h"
unsigned name_popcount(uint32_t x);
#define NAME_APART
/* template */
/* Add to each of the points the weights of those bits that are 1, plane by plane: plane b holds bit b of
 * all weights (two's complement, the highest plane first and negative), so that Horner's rule over the
 * counts of (bits AND plane) gives their sum. planes: (n_out, n_planes, n_words). */
static NAME_APART void name_readout_planes(const uint32_t bits[], unsigned n_words, const CODE uint32_t planes[],
        unsigned n_planes, unsigned n_out, int32_t points[])
{
    for (unsigned c = 0; c < n_out; c++) {
        int32_t sum = 0;
        for (unsigned b = 0; b < n_planes; b++) {
            int32_t count = 0;
            for (unsigned i = 0; i < n_words; i++, planes++)
                count += (int32_t)name_popcount(bits[i] & AT32(planes, 0));
            sum = b > 0 ? 2 * sum + count : -count;
        }
        points[c] += sum;
    }
}
