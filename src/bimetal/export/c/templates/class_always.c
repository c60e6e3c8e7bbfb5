#include "check.h"
#define ROW_T float
#define ALWAYS 0
/* template */
/* The index of the largest answer: the same for every row. */
static inline int name_class(const ROW_T row[NAME_N_COLUMNS])
{
    (void)row;
    return ALWAYS;
}
