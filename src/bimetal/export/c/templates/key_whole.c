#include "check.h"
#define ROW_T int32_t
#define MISSING INT32_MIN
/* template */
/* The bits of the float32 nearest to a whole number, as a whole number of the same order. The most
 * negative number means missing, and is the lowest here too. */
static int32_t name_key(const ROW_T *x)
{
    uint32_t size, rest, exponent = 158; /* of 2**31, with its bias of 127 */
    if (*x == MISSING) return INT32_MIN;
    if (*x == 0) return 0;
    size = (uint32_t)(*x < 0 ? -(int32_t)*x : (int32_t)*x);
    while (!(size >> 31)) {
        size <<= 1;
        exponent--;
    }
    rest = size & 0xFFu; /* 24 bits stay; half goes to even, and may carry into the exponent */
    size = ((exponent - 1) << 23) + (size >> 8);
    if (rest > 0x80u || (rest == 0x80u && (size & 1u))) size++;
    return *x < 0 ? -(int32_t)size : (int32_t)size;
}
