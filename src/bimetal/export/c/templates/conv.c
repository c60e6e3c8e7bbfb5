#include "check_windows.h"
#define SUM_T int32_t
#define STORE(at, sum) y[at] = (sum)
#define name_conv name_conv_ints
int32_t name_gather(const uint32_t x[], const struct name_windows *w, int32_t row, int32_t column,
        unsigned first, unsigned n, uint32_t pad, uint32_t bits[], uint32_t inside[]);
unsigned name_popcount(uint32_t x);
/* template */
/* A convolution of +-1 with +-1. Each window is laid out in bits[] and compared with the weights of one
 * output after the other: sum = bias + places - 2 * places that differ. Places outside the map are
 * `pad`, or count for nothing where inside[] is given. weights: (n_out, n_words). */
static void name_conv(const uint32_t x[], const struct name_windows *w, unsigned groups, unsigned n_out,
        uint32_t pad, const CODE uint32_t weights[], const CODE int32_t bias[], unsigned n_words,
        uint32_t bits[], uint32_t inside[], SUM_T y[])
{
    const unsigned n = (unsigned)w->channels / groups; /* channels that an output sees */
    unsigned at = 0;
    for (int32_t row = 0; row < w->rows; row++)
        for (int32_t column = 0; column < w->columns; column++) {
            int32_t places = 0;
            for (unsigned o = 0; o < n_out; o++, at++) {
                const CODE uint32_t *own = weights + (uint32_t)o * n_words;
                const unsigned group = o / (n_out / groups);
                int32_t differ = 0;
                if (o % (n_out / groups) == 0)
                    places = name_gather(x, w, row, column, group * n, n, pad, bits, inside);
                if (!inside) places = w->kernel_down * w->kernel_right * (int32_t)n;
                for (unsigned i = 0; i < n_words; i++) {
                    const uint32_t miss = bits[i] ^ AT32(own, i);
                    differ += (int32_t)name_popcount(inside ? miss & inside[i] : miss);
                }
                STORE(at, ATI32(bias, o) + places - 2 * differ);
            }
        }
}
