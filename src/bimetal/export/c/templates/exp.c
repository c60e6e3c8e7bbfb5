#include "check.h"
double name_times(double a, double b);
/* template */
/* e**x for x <= 0: with k = floor(x * log2 e + 1/2) and r = x - k * ln 2 (ln 2 in two parts), the
 * Taylor polynomial of degree 13 in r, times 2**k. Each step is rounded by itself, so that every
 * machine gives the same bits; a libm would not. */
static double name_exp(double x)
{
    static const double terms[14] = { /* 1 / 13!, 1 / 12!, ..., 1 */
        0x1.6124613a86d09p-33, 0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26, 0x1.27e4fb7789f5cp-22,
        0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10,
        0x1.1111111111111p-7,  0x1.5555555555555p-5,  0x1.5555555555555p-3,  0x1.0p-1,
        0x1.0p+0,              0x1.0p+0,
    };
    union { uint64_t bits; double number; } power;
    double t, r, p = terms[0];
    int k;
    if (x < -700.0) x = -700.0;
    t = name_times(x, 0x1.71547652b82fep+0) + 0.5;
    k = (int)t;
    if ((double)k > t) k--;
    r = x - name_times((double)k, 0x1.62e42fee00000p-1);
    r = r - name_times((double)k, 0x1.a39ef35793c76p-33);
    for (int i = 1; i < 14; i++) p = name_times(p, r) + terms[i];
    power.bits = (uint64_t)(1023 + k) << 52; /* 2**k: k >= -1010, so this is exact */
    return p * power.number;
}
