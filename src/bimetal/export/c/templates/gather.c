#include "check_windows.h"
void name_copy_bits(const uint32_t from[], unsigned start, uint32_t to[], unsigned at, unsigned n);
/* template */
/* Append n equal bits, each as the lowest of `bit`. */
static void name_fill_bits(uint32_t bit, uint32_t to[], unsigned at, unsigned n)
{
    const uint32_t word = 0u - bit;
    while (n > 0) {
        const unsigned room = 32 - at % 32, m = n < room ? n : room;
        name_copy_bits(&word, 0, to, at, m);
        at += m;
        n -= m;
    }
}

/* Lay the bits of a window side by side, tap by tap, n channels from `first` on. Places outside the
 * map become `pad`; `inside`, where it is wanted, has 1 for each bit of the map. Return how many. */
static int32_t name_gather(const uint32_t x[], const struct name_windows *w, int32_t row, int32_t column,
        unsigned first, unsigned n, uint32_t pad, uint32_t bits[], uint32_t inside[])
{
    unsigned at = 0, n_inside = 0;
    for (int32_t v = 0; v < w->kernel_down; v++)
        for (int32_t u = 0; u < w->kernel_right; u++, at += n) {
            const int32_t pixel = name_pixel(w, row, column, v, u);
            if (inside) name_fill_bits(pixel >= 0, inside, at, n);
            if (pixel < 0) {
                name_fill_bits(pad, bits, at, n);
                continue;
            }
            name_copy_bits(x, (unsigned)(pixel * w->channels) + first, bits, at, n);
            n_inside += n;
        }
    return (int32_t)n_inside;
}
