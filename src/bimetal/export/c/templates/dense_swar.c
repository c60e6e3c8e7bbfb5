#include "check.h"
#define LIMIT_T int16_t
#define AT_LIMIT ATI16
#define NAME_APART
/* template */
/* A neuron fires when at most `thresholds` of its weights differ from the input bits. Two words at a time:
 * neighbouring bits are added to twos and fours, those of both words to bytes, and bytes of up to 15 pairs of
 * words (15 * 16 < 256) before they are added up. */
static NAME_APART void name_dense_swar(const uint32_t x[], uint32_t n_words, const CODE uint32_t weights[],
                                       const CODE LIMIT_T thresholds[], uint32_t n_out, uint32_t y[])
{
    uint32_t o, n, pairs, u, v, sum, left, fired = 0;
    const uint32_t *word;
    for (o = 0; o < n_out; o++) {
        left = (uint32_t)(int32_t)(LIMIT_T)AT_LIMIT(thresholds, o);
        word = x;
        n = n_words;
        do {
            sum = 0;
            pairs = n > 30u ? 15u : n >> 1;
            n -= pairs << 1;
            for (; pairs; pairs--, word += 2, weights += 2) {
                u = word[0] ^ AT32(weights, 0);
                v = word[1] ^ AT32(weights, 1);
                u -= (u >> 1) & 0x55555555u;
                v -= (v >> 1) & 0x55555555u;
                u = (u & 0x33333333u) + ((u >> 2) & 0x33333333u);
                u += (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
                sum += (u & 0x0F0F0F0Fu) + ((u >> 4) & 0x0F0F0F0Fu);
            }
            if (n == 1u) {
                u = *word ^ AT32(weights, 0);
                u -= (u >> 1) & 0x55555555u;
                u = (u & 0x33333333u) + ((u >> 2) & 0x33333333u);
                sum += (u & 0x0F0F0F0Fu) + ((u >> 4) & 0x0F0F0F0Fu);
                weights++;
                n = 0;
            }
            sum = (sum & 0x00FF00FFu) + ((sum >> 8) & 0x00FF00FFu);
            left -= (sum + (sum >> 16)) & 0xFFFFu;
        } while (n);
        fired |= (~left >> 31) << (o & 31u);
        if ((o & 31u) == 31u || o + 1 == n_out) {
            y[o / 32] = fired;
            fired = 0;
        }
    }
}
