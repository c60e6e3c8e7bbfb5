#include "check.h"
/* template */
/* The bits of a float32 as a whole number of the same order, -0 as 0. Missing (NaN) is the lowest.
 * No float is computed with, or compared. */
static int32_t name_key(const float *x)
{
    union { float number; uint32_t bits; } u;
    uint32_t size;
    int32_t sign;
    u.number = *x;
    size = u.bits & 0x7FFFFFFFu;
    sign = -(int32_t)(u.bits >> 31); /* 0 or -1 */
    if (size > 0x7F800000u) return INT32_MIN; /* beyond infinity: NaN */
    return ((int32_t)size ^ sign) - sign; /* size or -size */
}
