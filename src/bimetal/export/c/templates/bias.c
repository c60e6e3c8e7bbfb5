#include "check.h"
#define NAME_APART
/* template */
/* Begin with the bias of each output. */
static NAME_APART void name_begin(const CODE int32_t bias[], unsigned n_out, int32_t points[])
{
    for (unsigned c = 0; c < n_out; c++) points[c] = ATI32(bias, c);
}
