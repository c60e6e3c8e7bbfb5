#include "check.h"
#define X_T int32_t
#define NUMBER(x) ((float)(x))
#define name_affine name_affine_ints
float name_times_float(float a, float b);
/* template */
/* Floats: scale * x + offset of its channel. */
static void name_affine(const X_T x[], const CODE float scale[], const CODE float offset[],
        unsigned channels, unsigned n, float y[])
{
    for (unsigned i = 0, c = 0; i < n; i++, c = c + 1 < channels ? c + 1 : 0)
        y[i] = name_times_float(NUMBER(x[i]), ATF(scale, c)) + ATF(offset, c);
}
