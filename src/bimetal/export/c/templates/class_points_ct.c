#include "check.h"
#define ROW_T float
void name_points(const float row[], int32_t points[]);
/* template */
/* The index of the largest answer, the lowest among equals: that of the largest points, as the link
 * raises all of them alike and merges no two. No double is needed, and the steps are always the same. */
static inline int name_class(const ROW_T row[NAME_N_COLUMNS])
{
    int32_t points[NAME_N_POINTS];
    int32_t largest, best = 0;
    name_points(row, points);
    largest = points[0];
    for (int c = 1; c < NAME_N_POINTS; c++) {
        const uint64_t differ = (uint64_t)((int64_t)largest - (int64_t)points[c]);
        const int32_t is_larger = -(int32_t)(differ >> 63); /* -1 where points[c] > largest, else 0 */
        largest = (points[c] & is_larger) | (largest & ~is_larger);
        best = ((int32_t)c & is_larger) | (best & ~is_larger);
    }
    return (int)best;
}
