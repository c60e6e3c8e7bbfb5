#include "check.h"
#define SCALE(c) (name_scale[c])
#define OFFSET(c) (name_offset[c])
static const double name_scale[3] = {1, 1, 1}, name_offset[3] = {0, 0, 0};
double name_times(double a, double b);
/* template */
/* The answers are offset + scale * points, in float64 up to one last rounding. */
static inline void name_link(const int32_t points[NAME_N_POINTS], float answers[NAME_N_ANSWERS])
{
    for (int c = 0; c < NAME_N_POINTS; c++)
        answers[c] = (float)(OFFSET(c) + name_times(SCALE(c), (double)points[c]));
}
