#include "check.h"
#define ROW_T float
void name_answers(const float row[], float answers[]);
/* template */
/* The index of the largest answer, the lowest among equals. */
static inline int name_class(const ROW_T row[NAME_N_COLUMNS])
{
    float answers[NAME_N_ANSWERS];
    int best = 0;
    name_answers(row, answers);
    for (int c = 1; c < NAME_N_ANSWERS; c++)
        if (answers[c] > answers[best]) best = c;
    return best;
}
