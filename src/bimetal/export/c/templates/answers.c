#include "check.h"
#define ROW_T float
void name_points(const float row[], int32_t points[]);
void name_link(const int32_t points[], float answers[]);
/* template */
static inline void name_answers(const ROW_T row[NAME_N_COLUMNS], float answers[NAME_N_ANSWERS])
{
    int32_t points[NAME_N_POINTS];
    name_points(row, points);
    name_link(points, answers);
}
