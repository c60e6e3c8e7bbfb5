#include "check.h"
#define PLACE_T uint8_t
#define AT_PLACE AT8
#define NAME_APART
/* template */
/* Each output is bit a of its table; the bits of a are input bits at `fan_in` places, lowest first. */
static NAME_APART void name_lut(const uint32_t x[], const CODE PLACE_T places[], const CODE uint8_t tables[],
        unsigned fan_in, unsigned n_out, uint32_t y[])
{
    const unsigned n_bytes = fan_in < 3 ? 1 : 1u << (fan_in - 3); /* of a table */
    unsigned o = 0;
    do { /* a word of tables */
        uint32_t word = 0;
        for (unsigned bit = 0; bit < 32 && o < n_out; bit++, o++, tables += n_bytes) {
            unsigned a = 0;
            for (unsigned j = 0; j < fan_in; j++, places++) {
                const unsigned place = AT_PLACE(places, 0);
                a |= (unsigned)((x[place / 32] >> (place % 32)) & 1u) << j;
            }
            word |= (uint32_t)((AT8(tables, a / 8) >> (a % 8)) & 1) << bit;
        }
        *y++ = word;
    } while (o < n_out);
}
