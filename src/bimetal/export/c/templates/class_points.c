#include "check.h"
#define ROW_T float
void name_points(const float row[], int32_t points[]);
/* template */
/* The index of the largest answer, the lowest among equals: that of the largest points, as the link
 * raises all of them alike and merges no two. No double is needed. */
static inline int name_class(const ROW_T row[NAME_N_COLUMNS])
{
    int32_t points[NAME_N_POINTS];
    int best = 0;
    name_points(row, points);
    for (int c = 1; c < NAME_N_POINTS; c++)
        if (points[c] > points[best]) best = c;
    return best;
}
