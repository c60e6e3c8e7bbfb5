#include "check.h"
#define SCALE(c) (name_scale[c])
#define OFFSET(c) (name_offset[c])
static const double name_scale[3] = {1, 1, 1}, name_offset[3] = {0, 0, 0};
double name_times(double a, double b);
double name_exp(double x);
/* template */
/* The answers are exp(z[c] - max z), each over their sum (taken in order), with z[c] = offset + scale
 * * points[c], in float64 up to one last rounding. */
static inline void name_link(const int32_t points[NAME_N_POINTS], float answers[NAME_N_ANSWERS])
{
    double z[NAME_N_POINTS];
    double largest, total = 0;
    int c;
    for (c = 0; c < NAME_N_POINTS; c++) z[c] = OFFSET(c) + name_times(SCALE(c), (double)points[c]);
    largest = z[0];
    for (c = 1; c < NAME_N_POINTS; c++)
        if (z[c] > largest) largest = z[c];
    for (c = 0; c < NAME_N_POINTS; c++) {
        z[c] = name_exp(z[c] - largest);
        total += z[c];
    }
    for (c = 0; c < NAME_N_POINTS; c++) answers[c] = (float)(z[c] / total);
}
