#include "check.h"
float name_times_float(float a, float b);
/* template */
/* Floats: t = x - before, times slope where it is not at least 0, + after, of its channel. */
static void name_prelu(const float x[], const CODE float before[], const CODE float slope[],
        const CODE float after[], unsigned channels, unsigned n, float y[])
{
    for (unsigned i = 0, c = 0; i < n; i++, c = c + 1 < channels ? c + 1 : 0) {
        const float t = x[i] - ATF(before, c);
        y[i] = (t >= 0.0f ? t : name_times_float(ATF(slope, c), t)) + ATF(after, c);
    }
}
