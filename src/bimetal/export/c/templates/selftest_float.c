#include "check.h"
#define N_GOLDEN 1
static const uint32_t name_golden_rows[1][4] = {{0, 0, 0, 0}}, name_golden_answers[1][3] = {{0, 0, 0}};
static const int32_t name_golden_points[1][3] = {{0, 0, 0}};
void name_points(const float row[], int32_t points[]);
void name_link(const int32_t points[], float answers[]);
/* template */
/* How many golden vectors come out wrong, by points or by the bits of the answers: 0 is well. */
static inline int name_selftest(void)
{
    union { float number; uint32_t bits; } u;
    int n_wrong = 0;
    for (unsigned v = 0; v < N_GOLDEN; v++) {
        float row[NAME_N_COLUMNS];
        int32_t points[NAME_N_POINTS];
        int is_wrong = 0;
        unsigned i;
        for (i = 0; i < NAME_N_COLUMNS; i++) {
            u.bits = AT32(name_golden_rows[v], i);
            row[i] = u.number;
        }
        name_points(row, points);
        for (i = 0; i < NAME_N_POINTS; i++)
            is_wrong |= points[i] != ATI32(name_golden_points[v], i);
#ifndef NAME_NO_DOUBLE
        {
            float answers[NAME_N_ANSWERS];
            name_link(points, answers);
            for (i = 0; i < NAME_N_ANSWERS; i++) {
                u.number = answers[i];
                is_wrong |= u.bits != AT32(name_golden_answers[v], i);
            }
        }
#endif
        n_wrong += is_wrong;
    }
    return n_wrong;
}
