#include "check.h"
#define SCALE(c) (name_scale[c])
#define OFFSET(c) (name_offset[c])
static const double name_scale[3] = {1, 1, 1}, name_offset[3] = {0, 0, 0};
double name_times(double a, double b);
double name_exp(double x);
/* template */
/* The answers are 1 - p and p with p = 1 / (1 + exp(-z)), z = offset + scale * points, in float64 up
 * to one last rounding. */
static inline void name_link(const int32_t points[NAME_N_POINTS], float answers[NAME_N_ANSWERS])
{
    const double z = OFFSET(0) + name_times(SCALE(0), (double)points[0]);
    const double e = name_exp(z < 0 ? z : -z);
    const double large = 1.0 / (1.0 + e), small = e / (1.0 + e);
    answers[0] = (float)(z >= 0 ? small : large);
    answers[1] = (float)(z >= 0 ? large : small);
}
