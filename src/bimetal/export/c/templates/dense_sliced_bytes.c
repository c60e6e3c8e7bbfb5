#include "check.h"
/* template */
/* Adds two pairs of bits to a bit z of the sum, for the eight neurons of a byte at once. A pair (a, p) stands for
 * the two bits a and a ^ p; what is carried is again a pair, worth twice as much, in (a, p). Eight operations for
 * four bits, where two full adders take ten: with the first pair the carry is z1 ^ (p | (a ^ z)), z1 = z ^ p
 * being the new sum, and with the second the two carries differ where (p | (a ^ z)) ^ (~q & (b ^ z1)) is 1.
 * (Demenkov, Kojevnikov, Kulikov and Yaroslavtsev 2010, Inf. Process. Lett. 110, 264-267.) */
#define NAME_ADD(z, a, p, b, q) \
    ((a) ^= (z), (a) |= (p), (z) ^= (p), (b) ^= (z), (b) &= (uint8_t)~(q), (b) ^= (a), (a) ^= (z), (z) ^= (q), (p) = (b))

/* Whether an input, the highest bit of e, differs from the weights w of the neurons. (To shift a negative number
 * right copies its sign with every compiler of these chips, and takes no branch.) */
#define NAME_MISS(w, e) ((uint8_t)((w) ^ (uint8_t)((int8_t)(e) >> 7)))

/* Counts for eight neurons, beginning with the last inputs, four at a time: g counts the fours up to 2^levels.
 * A carry waits for the next one of its worth, so as many levels are carried as g has ones at its end; the last g
 * is all ones, which ends every wait. In `wait`, for each level: the bit of the sum and the pair that waits. The
 * table has the bits of 2^(levels + 1) - 1 - threshold, so the last carry says that the count is too high; then
 * the weights (of inputs 4 g + 3 and 4 g + 2 the latter and its XOR with the former, and so on); then which
 * neurons can fire at all. The answer comes in wait[0]; what is returned is the table of the next eight. */
static const CODE uint8_t *name_slice(const uint32_t *x, const CODE uint8_t *t, uint16_t g, uint8_t levels,
                                      uint8_t *wait)
{
    uint8_t *c = wait;
    uint8_t z0, a = 0, p = 0, b, q, byte, n;
    uint16_t i;
    uint32_t e;
    x += ((1u << levels) - g + 7u) >> 3; /* behind the last word of inputs */
    z0 = AT8(t, 0);
    t++;
    for (n = levels; n; n--, t++, c += 3) c[0] = AT8(t, 0), c[1] = c[2] = 0;
    do {
        e = *--x;
        e ^= (e & 0x55555555u) << 1; /* pairs */
        for (n = g & 6u; n; n = (uint8_t)(n - 2)) e <<= 8;
        do {
            byte = (uint8_t)(e >> 24);
            e <<= 8;
            if (g & 1u) byte = (uint8_t)(byte << 4);
            do {
                p = NAME_MISS(AT8(t, 0), byte);
                byte = (uint8_t)(byte << 1);
                a = NAME_MISS(AT8(t, 1), byte);
                byte = (uint8_t)(byte << 1);
                q = NAME_MISS(AT8(t, 2), byte);
                byte = (uint8_t)(byte << 1);
                b = NAME_MISS(AT8(t, 3), byte);
                byte = (uint8_t)(byte << 1);
                t += 4;
                NAME_ADD(z0, a, p, b, q);
                for (c = wait, i = g++; i & 1u; i >>= 1, c += 3) NAME_ADD(c[0], a, p, c[1], c[2]);
                c[1] = a, c[2] = p;
            } while (g & 1u);
        } while (g & 7u);
    } while (g >> levels == 0);
    wait[0] = (uint8_t)(AT8(t, 0) & ~p);
    return t + 1;
}

/* Neurons side by side: bit i of a byte belongs to neuron i, and all eight are counted at once. */
static void name_dense_sliced(const uint32_t *x, const CODE uint8_t *table, uint16_t n_bytes, uint16_t g,
                              uint8_t levels, uint8_t *wait, uint32_t *y)
{
    uint8_t at = 0;
    for (; n_bytes; n_bytes--) {
        table = name_slice(x, table, g, levels, wait);
        if (at == 0) *y = 0;
        *y |= (uint32_t)wait[0] << at;
        at = (at + 8u) & 31u;
        if (at == 0) y++;
    }
}
