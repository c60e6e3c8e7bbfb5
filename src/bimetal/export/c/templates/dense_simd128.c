#include "check.h"
/* template */
#include <wasm_simd128.h>

/* Of 16 neurons, in bytes: bits counted so far, as sums and carries of full adders, and how many fours. */
typedef struct {
    v128_t ones, twos, fours;
} name_counts;

/* Adds two vectors of bits to the sums and returns the carries: a full adder in each bit. */
static inline v128_t name_carry(v128_t *sums, v128_t a, v128_t b)
{
    const v128_t odd = wasm_v128_xor(*sums, a);
    const v128_t carries = wasm_v128_or(wasm_v128_and(*sums, a), wasm_v128_and(odd, b));
    *sums = wasm_v128_xor(odd, b);
    return carries;
}

/* Counts where four bytes of the input differ from four bytes of each neuron's weights. To count the bits of a
 * vector takes many instructions on most machines, so it is done for the carries of carries only. */
static inline void name_differ(name_counts *counts, const v128_t x[4], const uint32_t weights[])
{
    const v128_t a = wasm_v128_xor(x[0], wasm_v128_load(weights));
    const v128_t b = wasm_v128_xor(x[1], wasm_v128_load(weights + 8));
    const v128_t c = wasm_v128_xor(x[2], wasm_v128_load(weights + 16));
    const v128_t d = wasm_v128_xor(x[3], wasm_v128_load(weights + 24));
    const v128_t first = name_carry(&counts->ones, a, b), second = name_carry(&counts->ones, c, d);
    const v128_t fours = name_carry(&counts->twos, first, second);
    counts->fours = wasm_i8x16_add(counts->fours, wasm_i8x16_popcnt(fours));
}

/* Takes the fours from what is left of 16 thresholds (low: neurons 0 to 7, high: 8 to 15). */
static inline void name_take_fours(name_counts *counts, v128_t *low, v128_t *high)
{
    *low = wasm_i16x8_sub(*low, wasm_i16x8_shl(wasm_u16x8_extend_low_u8x16(counts->fours), 2));
    *high = wasm_i16x8_sub(*high, wasm_i16x8_shl(wasm_u16x8_extend_high_u8x16(counts->fours), 2));
    counts->fours = wasm_i8x16_const_splat(0);
}

/* Takes the rest, and returns which of the 16 neurons have less than nothing left: those do not fire. */
static inline uint32_t name_over(const name_counts *counts, v128_t low, v128_t high)
{
    const v128_t twos = wasm_i8x16_shl(wasm_i8x16_popcnt(counts->twos), 1);
    const v128_t rest = wasm_i8x16_add(wasm_i8x16_popcnt(counts->ones), twos);
    low = wasm_i16x8_sub(low, wasm_u16x8_extend_low_u8x16(rest));
    high = wasm_i16x8_sub(high, wasm_u16x8_extend_high_u8x16(rest));
    return wasm_i8x16_bitmask(wasm_i8x16_narrow_i16x8(low, high));
}

/* Byte i of a vector of weights belongs to neuron i and meets byte after byte of the input, so no count crosses
 * lanes. Two vectors, of 32 neurons, share each byte of the input; a byte holds the fours of 31 words. */
static void name_dense_simd128(const uint32_t x[], uint32_t n_words, const uint32_t weights[],
                               const int16_t thresholds[], uint32_t n_out, v128_t spread[], uint32_t y[])
{
    uint32_t o, i, end;
    for (i = 0; i < 4 * n_words; i++) spread[i] = wasm_v128_load8_splat((const uint8_t *)x + i);
    for (o = 0; o < n_out; o += 32, thresholds += 32) {
        v128_t a = wasm_v128_load(thresholds), b = wasm_v128_load(thresholds + 8);
        v128_t c = wasm_v128_load(thresholds + 16), d = wasm_v128_load(thresholds + 24);
        name_counts first = {wasm_i8x16_const_splat(0), wasm_i8x16_const_splat(0), wasm_i8x16_const_splat(0)};
        name_counts second = first;
        for (i = 0; i < n_words;) {
            end = n_words - i > 31 ? i + 31 : n_words;
            for (; i < end; i++, weights += 32) {
                name_differ(&first, spread + 4 * i, weights);
                name_differ(&second, spread + 4 * i, weights + 4);
            }
            name_take_fours(&first, &a, &b);
            name_take_fours(&second, &c, &d);
        }
        y[o / 32] = ~(name_over(&first, a, b) | name_over(&second, c, d) << 16);
    }
}
