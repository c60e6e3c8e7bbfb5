#include "check.h"
#define X_T float
#define IS_NUMBER(x) 1
#define name_quantize name_quantize_row
float name_times_float(float a, float b);
/* template */
/* Bytes: scale * x + offset, rounded to a whole number, halves to the even one, within 0 to 255.
 * What is missing becomes 0. */
static void name_quantize(const X_T x[], const CODE float scale[], const CODE float offset[],
        unsigned channels, unsigned n, uint8_t y[])
{
    for (unsigned i = 0, c = 0; i < n; i++, c = c + 1 < channels ? c + 1 : 0) {
        const float t = name_times_float((float)x[i], ATF(scale, c)) + ATF(offset, c);
        int whole = 0;
        if (IS_NUMBER(x[i]) && t > 0.0f) {
            const float rest = t < 255.0f ? t - (float)(int)t : 0.0f;
            whole = t < 255.0f ? (int)t : 255;
            if (rest > 0.5f || (rest == 0.5f && whole % 2 == 1)) whole++;
        }
        y[i] = (uint8_t)whole;
    }
}
