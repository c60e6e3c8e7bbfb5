#include "check.h"
/* template */
/* Sums modulo 2**32. */
static void name_add_ints(const int32_t a[], const int32_t b[], unsigned n, int32_t y[])
{
    for (unsigned i = 0; i < n; i++) y[i] = (int32_t)((uint32_t)a[i] + (uint32_t)b[i]);
}
