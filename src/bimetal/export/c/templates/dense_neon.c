#include "check.h"
#define NAME_APART
/* template */
#include <arm_neon.h>

/* Counts, in bytes, where 128 weights of a neuron differ from the input. */
static inline uint8x16_t name_misses(uint32x4_t x, const uint32_t weights[4])
{
    return vcntq_u8(vreinterpretq_u8_u32(veorq_u32(x, vld1q_u32(weights))));
}

/* Adds the bytes of four counts to the four sums. */
static inline uint32x4_t name_gather(uint32x4_t sums, uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    return vpadalq_u16(sums, vpaddlq_u8(vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d))));
}

/* Which of four neurons fire: their places where the sum is at most the threshold. */
static inline uint32x4_t name_fires(uint32x4_t sums, const int32_t thresholds[4], uint32x4_t places)
{
    return vandq_u32(places, vcleq_s32(vreinterpretq_s32_u32(sums), vld1q_s32(thresholds)));
}

/* Eight neurons, whose weights lie 128 by 128 side by side, read each vector of the input once. Bytes hold the
 * counts of 7 vectors: 4 lanes of at most 7 * 8 are added before they widen. */
static NAME_APART void name_dense_neon(const uint32_t x[], uint32_t n_words, const uint32_t weights[],
                                       const int32_t thresholds[], uint32_t n_out, uint32x4_t vectors[], uint32_t y[])
{
    static const uint32_t places[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint32_t rest[4] = {0, 0, 0, 0}, i, o, n;
    const uint32x4_t *end = vectors, *v, *stop;
    for (i = 0; i + 4 <= n_words; i += 4) vectors[i / 4] = vld1q_u32(x + i);
    end += (n_words + 3) / 4;
    for (; i < n_words; i++) rest[i % 4] = x[i];
    if (n_words % 4) vectors[n_words / 4] = vld1q_u32(rest);
    for (o = 0; o < n_out; o += 32) {
        uint32x4_t fired = vdupq_n_u32(0), low = vld1q_u32(places), high = vld1q_u32(places + 4);
        for (n = o; n < o + 32 && n < n_out; n += 8, thresholds += 8) {
            uint32x4_t low_sums = vdupq_n_u32(0), high_sums = low_sums;
            v = vectors;
            do {
                uint8x16_t a = name_misses(*v, weights);
                uint8x16_t b = name_misses(*v, weights + 4);
                uint8x16_t c = name_misses(*v, weights + 8);
                uint8x16_t d = name_misses(*v, weights + 12);
                uint8x16_t e = name_misses(*v, weights + 16);
                uint8x16_t f = name_misses(*v, weights + 20);
                uint8x16_t g = name_misses(*v, weights + 24);
                uint8x16_t h = name_misses(*v, weights + 28);
                stop = end - v > 7 ? v + 7 : end;
                for (v++, weights += 32; v != stop; v++, weights += 32) {
                    a = vaddq_u8(a, name_misses(*v, weights));
                    b = vaddq_u8(b, name_misses(*v, weights + 4));
                    c = vaddq_u8(c, name_misses(*v, weights + 8));
                    d = vaddq_u8(d, name_misses(*v, weights + 12));
                    e = vaddq_u8(e, name_misses(*v, weights + 16));
                    f = vaddq_u8(f, name_misses(*v, weights + 20));
                    g = vaddq_u8(g, name_misses(*v, weights + 24));
                    h = vaddq_u8(h, name_misses(*v, weights + 28));
                }
                low_sums = name_gather(low_sums, a, b, c, d);
                high_sums = name_gather(high_sums, e, f, g, h);
            } while (v != end);
            fired = vorrq_u32(fired, name_fires(low_sums, thresholds, low));
            fired = vorrq_u32(fired, name_fires(high_sums, thresholds + 4, high));
            low = vshlq_n_u32(low, 8);
            high = vshlq_n_u32(high, 8);
        }
        *y++ = vaddvq_u32(fired);
    }
}
