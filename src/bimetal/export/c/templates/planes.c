#include "check.h"
#define PLACE_T uint8_t
#define AT_PLACE AT8
void name_put_bit(uint32_t y[], unsigned at, uint32_t bit);
/* template */
/* Bits of bytes, pixel by pixel: bit o is (x[channel[o]] & mask[o]) >= level[o]. */
static void name_planes(const uint8_t x[], unsigned n_pixels, unsigned channels, const CODE PLACE_T channel[],
        const CODE uint8_t mask[], const CODE uint8_t level[], unsigned n_out, uint32_t y[])
{
    unsigned at = 0;
    for (unsigned p = 0; p < n_pixels; p++, x += channels)
        for (unsigned o = 0; o < n_out; o++, at++)
            name_put_bit(y, at, (x[AT_PLACE(channel, o)] & AT8(mask, o)) >= AT8(level, o));
}
