#include "check.h"
#define NAME_APART
#define WORD uint64_t
#define AT_WORD AT64
#define COUNT __builtin_popcountll
#define LIMIT_T int16_t
#define AT_LIMIT ATI16
/* template */
#if defined(__GNUC__) && defined(__x86_64__)
#define NAME_POPCNT __attribute__((target("popcnt"))) /* an instruction of every x86-64 since 2008 */
#else
#define NAME_POPCNT
#endif

/* A neuron fires when at most `thresholds` of its weights differ from the input bits; four neurons, whose weights
 * lie word by word side by side, read each word of the input once. */
static NAME_APART NAME_POPCNT void name_dense_row4(const WORD x[], uint32_t n_words, const CODE WORD weights[],
                                        const CODE LIMIT_T thresholds[], uint32_t n_out, uint32_t y[])
{
    uint32_t o, i, a, b, c, d, fired = 0;
    for (o = 0; o < n_out; o += 4) {
        a = (uint32_t)(int32_t)(LIMIT_T)AT_LIMIT(thresholds, o);
        b = (uint32_t)(int32_t)(LIMIT_T)AT_LIMIT(thresholds, o + 1);
        c = (uint32_t)(int32_t)(LIMIT_T)AT_LIMIT(thresholds, o + 2);
        d = (uint32_t)(int32_t)(LIMIT_T)AT_LIMIT(thresholds, o + 3);
        for (i = 0; i < n_words; i++, weights += 4) {
            const WORD word = x[i];
            a -= (uint32_t)COUNT(word ^ AT_WORD(weights, 0));
            b -= (uint32_t)COUNT(word ^ AT_WORD(weights, 1));
            c -= (uint32_t)COUNT(word ^ AT_WORD(weights, 2));
            d -= (uint32_t)COUNT(word ^ AT_WORD(weights, 3));
        }
        a = a >> 31 | b >> 31 << 1 | c >> 31 << 2 | d >> 31 << 3;
        fired |= (a ^ 15u) << (o & 31u);
        if ((o & 31u) == 28u || o + 4 >= n_out) {
            y[o / 32] = fired;
            fired = 0;
        }
    }
}
