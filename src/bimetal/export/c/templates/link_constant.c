#include "check.h"
static const float name_values[1][2] = {{1, 0}};
/* template */
/* The answers are the same for all points. */
static inline void name_link(const int32_t points[NAME_N_POINTS], float answers[NAME_N_ANSWERS])
{
    (void)points;
    answers[0] = ATF(name_values[0], 0);
    answers[1] = ATF(name_values[0], 1);
}
