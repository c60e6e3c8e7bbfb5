#include "check.h"
/* template */
static void name_add_floats(const float a[], const float b[], unsigned n, float y[])
{
    for (unsigned i = 0; i < n; i++) y[i] = a[i] + b[i];
}
