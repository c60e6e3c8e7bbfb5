#include "check.h"
#define WORD uint32_t
#define SPREAD(m) (m)
#define LEVELS 9
#define NAME_APART
/* template */
/* Adds two pairs of bits to a bit z of the sum, for all neurons of a word at once. A pair (a, p) stands for the
 * two bits a and a ^ p; what is carried is again a pair, worth twice as much, in (a, p). Eight operations for
 * four bits, where two full adders take ten: with the first pair the carry is z1 ^ (p | (a ^ z)), z1 = z ^ p
 * being the new sum, and with the second the two carries differ where (p | (a ^ z)) ^ (~q & (b ^ z1)) is 1.
 * (Demenkov, Kojevnikov, Kulikov and Yaroslavtsev 2010, Inf. Process. Lett. 110, 264-267.) */
#define NAME_ADD(z, a, p, b, q) \
    ((a) ^= (z), (a) |= (p), (z) ^= (p), (b) ^= (z), (b) &= ~(q), (b) ^= (a), (a) ^= (z), (z) ^= (q), (p) = (b))

/* Whether input i of the word e, from its highest bit on, differs from the weights t[i] of the neurons. */
#define NAME_MISS(i) (t[i] ^ SPREAD(0u - ((e << (i)) >> 31)))
/* NAME_ADD of the inputs i to i + 3, as p, a, q and b of a pair (a, p); those of the second pair are read late. */
#define NAME_4(a, p, i) \
    do { \
        WORD b4, q4; \
        NAME_HERE; \
        p = NAME_MISS(i), a = NAME_MISS((i) + 1); \
        a ^= z0, a |= p, z0 ^= p; \
        NAME_HERE; \
        q4 = NAME_MISS((i) + 2), b4 = NAME_MISS((i) + 3); \
        b4 ^= z0, b4 &= ~q4, p = b4 ^ a, a ^= z0, z0 ^= q4; \
    } while (0)
#ifdef __GNUC__
#define NAME_HERE __asm__ volatile("" ::: "memory") /* no loads far ahead: they would take all registers */
#else
#define NAME_HERE (void)0
#endif

/* Counts for the neurons of one word, beginning with the last inputs, four at a time: g
 * counts the fours up to 2^levels. A carry waits for the next one of its worth, so as many levels are carried as g
 * has ones at its end; the last g is all ones, which ends every wait. In `wait`, for each level: the bit of the sum
 * and the pair that waits. The table has the bits of 2^(levels + 1) - 1 - threshold, so the last carry says that the
 * count is too high; then the weights (of inputs 4 g + 3 and 4 g + 2 the latter's and their XOR with the former's,
 * and so on); then which neurons can fire at all. */
static NAME_APART WORD name_slice(const uint32_t *x, const WORD *t, uint32_t g, uint32_t levels)
{
    const WORD none = SPREAD(0u);
    WORD wait[3 * LEVELS + 3], z0 = *t++, a = none, p = none, *c = wait;
    uint32_t e, i;
    x += ((1u << levels) - g + 7u) >> 3; /* behind the last word of inputs */
    for (i = levels; i; i--, c += 3) c[0] = *t++, c[1] = c[2] = none;
#ifdef __OPTIMIZE_SIZE__
    do { /* a word of inputs, in fours */
#else
    if (g & 7u) { /* the last word of inputs, which has fewer than 32 */
#endif
        e = *--x;
        e ^= (e & 0x55555555u) << 1; /* pairs */
        e <<= (g & 7u) * 4u;
        do {
            NAME_4(a, p, 0);
            t += 4, e <<= 4;
            for (c = wait, i = g++; i & 1u; i >>= 1, c += 3) NAME_ADD(c[0], a, p, c[1], c[2]);
            c[1] = a, c[2] = p;
        } while (g & 7u);
#ifdef __OPTIMIZE_SIZE__
    } while (g >> levels == 0);
#else
    }
    levels -= 3;
    WORD z1 = wait[0], b8, q8, b16, q16, b32, q32;
    for (g >>= 3; g >> levels == 0; g++) { /* whole words: three levels without a wait */
        e = *--x;
        e ^= (e & 0x55555555u) << 1;
        NAME_4(a, p, 0);
        NAME_4(b8, q8, 4);
        NAME_ADD(z1, a, p, b8, q8);
        NAME_4(b16, q16, 8);
        NAME_4(b8, q8, 12);
        NAME_ADD(z1, b16, q16, b8, q8);
        NAME_ADD(wait[3], a, p, b16, q16);
        NAME_4(b32, q32, 16);
        NAME_4(b8, q8, 20);
        NAME_ADD(z1, b32, q32, b8, q8);
        NAME_4(b16, q16, 24);
        NAME_4(b8, q8, 28);
        NAME_ADD(z1, b16, q16, b8, q8);
        NAME_ADD(wait[3], b32, q32, b16, q16);
        NAME_ADD(wait[6], a, p, b32, q32);
        t += 32;
        for (c = wait + 9, i = g; i & 1u; i >>= 1, c += 3) NAME_ADD(c[0], a, p, c[1], c[2]);
        c[1] = a, c[2] = p;
    }
#endif
    return ~p & *t;
}
