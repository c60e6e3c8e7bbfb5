#include "check.h"
/* template */
/* Put the next bit of a row: they come in order, so that bit 0 of each word clears the rest of it. */
static void name_put_bit(uint32_t y[], unsigned at, uint32_t bit)
{
    y[at / 32] = at % 32 ? y[at / 32] | (bit << (at % 32)) : bit;
}
