#include "check.h"
#define ROW_T float
#define IS_SECOND(points) ((points) >= 3)
void name_points(const float row[], int32_t points[]);
/* template */
/* The index of the larger answer, the first if they are equal. The second answer is larger exactly
 * where the points say so: proved when this was written. No double is needed. */
static inline int name_class(const ROW_T row[NAME_N_COLUMNS])
{
    int32_t points[NAME_N_POINTS];
    name_points(row, points);
    return IS_SECOND(points[0]);
}
