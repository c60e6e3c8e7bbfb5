#include "check_windows.h"
#define SUM_T int32_t
#define STORE(at, sum) y[at] = (sum)
#define name_byte_conv name_byte_conv_ints
/* template */
/* A convolution of bytes with weights of -127 to 127; outside the map a byte is pad[channel]. No order
 * of additions overflows int32: 255 * the sum of |weights| + |bias| is below 2**31. weights: (n_out,
 * kernel_down, kernel_right, channels / groups). */
static void name_byte_conv(const uint8_t x[], const struct name_windows *w, unsigned groups, unsigned n_out,
        const CODE uint8_t pad[], const CODE int8_t weights[], const CODE int32_t bias[], SUM_T y[])
{
    const int32_t n = w->channels / (int32_t)groups; /* channels that an output sees */
    unsigned at = 0;
    for (int32_t row = 0; row < w->rows; row++)
        for (int32_t column = 0; column < w->columns; column++) {
            const CODE int8_t *own = weights;
            for (unsigned o = 0; o < n_out; o++, at++) {
                const int32_t first = (int32_t)(o / (n_out / groups)) * n;
                int32_t sum = ATI32(bias, o);
                for (int32_t v = 0; v < w->kernel_down; v++)
                    for (int32_t u = 0; u < w->kernel_right; u++) {
                        const int32_t pixel = name_pixel(w, row, column, v, u);
                        for (int32_t j = first; j < first + n; j++, own++)
                            sum += ATI8(own, 0) * (pixel < 0 ? AT8(pad, j) : x[pixel * w->channels + j]);
                    }
                STORE(at, sum);
            }
        }
}
