#include "check.h"
/* template */
/* Of each pixel of n numbers, those that stand out by top / bottom standard deviations or more: with
 * S the sum, Q the sum of squares, d = n * x - S and q = n * Q - S * S, that is d >= 0 and
 * bottom**2 * d**2 >= top**2 * q and q > 0; with top 0 it is d >= 0. Numbers are brought into
 * +-(2**31 - 1) / n first, so that |S| < 2**31, d < 2**32 and q < 2**62: nothing leaves 64 bits. */
static void name_row_threshold(const int32_t x[], unsigned n_pixels, unsigned n, unsigned top, unsigned bottom,
        uint32_t y[])
{
    const int32_t most = (int32_t)(INT32_MAX / (int32_t)n);
    unsigned at = 0;
    uint32_t word = 0;
    for (unsigned p = 0; p < n_pixels; p++, x += n) {
        int64_t sum = 0;
        uint64_t squares = 0, q, whole, root = 0;
        int is_possible = 1;
        unsigned i;
        for (i = 0; i < n; i++) {
            const int64_t v = x[i] > most ? most : x[i] < -most ? -most : x[i];
            sum += v;
            squares += (uint64_t)(v * v);
        }
        if (top > 0) { /* root = the least whole number with bottom**2 * root**2 >= top**2 * q */
            const uint64_t a = (uint64_t)top * top, b = (uint64_t)bottom * bottom;
            const uint64_t largest = (uint64_t)0xFFFFFFFEu * 0xFFFFFFFEu; /* no d is beyond its root */
            q = n * squares - (uint64_t)(sum * sum);
            whole = q / b;
            is_possible = q > 0 && whole <= largest / a;
            if (is_possible) {
                const uint64_t r = a * whole + (a * (q % b) + b - 1) / b; /* top**2 q / bottom**2, up */
                uint64_t step = (uint64_t)1 << 31;
                for (; step > 0; step >>= 1) /* the largest root with root**2 < r, or 0 */
                    if ((root + step) * (root + step) < r) root += step;
                root += 1; /* r > 0 as q > 0 */
            }
        }
        for (i = 0; i < n; i++, at++) {
            const int64_t v = x[i] > most ? most : x[i] < -most ? -most : x[i];
            const int fires = is_possible && (int64_t)n * v - sum >= (int64_t)root;
            word |= (uint32_t)fires << (at % 32);
            if (at % 32 == 31 || at + 1 == n_pixels * n) {
                y[at / 32] = word;
                word = 0;
            }
        }
    }
}
