#include "check.h"
/* template */
/* a >= b and a == b without asking: 1 or 0 by arithmetic alone. */
static uint32_t name_is_ge(int32_t a, int32_t b)
{
    return 1u ^ (uint32_t)((uint64_t)((int64_t)a - (int64_t)b) >> 63);
}

static uint32_t name_is_equal(int32_t a, int32_t b)
{
    const uint32_t differ = (uint32_t)a ^ (uint32_t)b;
    return 1u ^ ((differ | (0u - differ)) >> 31);
}
