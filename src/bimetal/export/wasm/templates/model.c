/* The WebAssembly module around an exported header: rows in, points or answers out, n at a time. It
 * imports nothing; its caller writes rows into the memory behind model_heap(). */
#include <stddef.h>

#include "inner.h"

#define EXPORTED(name) __attribute__((export_name(name), visibility("default")))

extern unsigned char __heap_base;

/* Where the memory begins that the caller may use. */
EXPORTED("heap") unsigned char *model_heap(void)
{
    return &__heap_base;
}

/* The Program's id, 64 hexadecimal digits. */
EXPORTED("id") const char *model_id(void)
{
    return INNER_ID;
}

EXPORTED("points") void model_points(const float *rows, size_t n, int32_t *points)
{
    for (; n > 0; n--, rows += INNER_N_COLUMNS, points += INNER_N_POINTS) inner_points(rows, points);
}

EXPORTED("answers") void model_answers(const float *rows, size_t n, float *answers)
{
    for (; n > 0; n--, rows += INNER_N_COLUMNS, answers += INNER_N_ANSWERS) inner_answers(rows, answers);
}
