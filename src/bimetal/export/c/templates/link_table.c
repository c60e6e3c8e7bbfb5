#include "check.h"
#define N_KNOTS 2
static const int32_t name_knots[2] = {0, 1};
static const float name_values[3][2] = {{1, 0}, {1, 0}, {0, 1}};
/* template */
/* The answers stand in a table: which row, is how many of the knots the points reach. */
static inline void name_link(const int32_t points[NAME_N_POINTS], float answers[NAME_N_ANSWERS])
{
    unsigned i = 0;
    while (i < N_KNOTS && points[0] >= ATI32(name_knots, i)) i++;
    answers[0] = ATF(name_values[i], 0);
    answers[1] = ATF(name_values[i], 1);
}
