#include "check.h"
#define LITERAL_T uint8_t
#define AT_LITERAL AT8
#define NAME_APART
/* template */
/* A rule holds when all its literals do. A literal is 2 * bit, + 1 where the bit must be 0. */
static NAME_APART void name_rules(const uint32_t x[], const CODE LITERAL_T literals[], const CODE uint8_t fan_in[],
        unsigned n_out, uint32_t y[])
{
    unsigned o = 0;
    do { /* a word of rules */
        uint32_t word = 0;
        for (unsigned bit = 0; bit < 32 && o < n_out; bit++, o++) {
            uint32_t holds = 1;
            for (unsigned i = AT8(fan_in, o); i > 0; i--, literals++) {
                const unsigned literal = AT_LITERAL(literals, 0);
                holds &= (x[literal / 64] >> (literal / 2 % 32)) ^ literal;
            }
            word |= (holds & 1u) << bit;
        }
        *y++ = word;
    } while (o < n_out);
}
