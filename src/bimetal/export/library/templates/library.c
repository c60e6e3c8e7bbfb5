/* The shared library around an exported header: a plain C interface for any language. MODEL(x) is
 * credit_x for a model named credit. */
#include <stddef.h>

#include "inner.h"

#define JOINED(a, b) a##_##b
#define NAMED(a, b) JOINED(a, b)
#define MODEL(name) NAMED(MODEL_NAME, name)

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
int _fltused = 0; /* the linker asks for it wherever floats are used */

/* What Windows calls when a library is loaded, for linkers that insist on one: there is nothing to do. */
int __stdcall DllMainCRTStartup(void *library, unsigned long reason, void *reserved);
int __stdcall DllMainCRTStartup(void *library, unsigned long reason, void *reserved)
{
    (void)library, (void)reason, (void)reserved;
    return 1;
}
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

EXPORTED int32_t MODEL(n_columns)(void) { return INNER_N_COLUMNS; }
EXPORTED int32_t MODEL(n_points)(void) { return INNER_N_POINTS; }
EXPORTED int32_t MODEL(n_answers)(void) { return INNER_N_ANSWERS; }
EXPORTED const char *MODEL(id)(void) { return INNER_ID; }
EXPORTED int32_t MODEL(selftest)(void) { return inner_selftest(); }
EXPORTED int32_t MODEL(class)(const float *row) { return inner_class(row); }
EXPORTED void MODEL(points)(const float *row, int32_t *points) { inner_points(row, points); }
EXPORTED void MODEL(answers)(const float *row, float *answers) { inner_answers(row, answers); }

EXPORTED void MODEL(points_many)(const float *rows, size_t n, int32_t *points)
{
    for (; n > 0; n--, rows += INNER_N_COLUMNS, points += INNER_N_POINTS) inner_points(rows, points);
}

EXPORTED void MODEL(answers_many)(const float *rows, size_t n, float *answers)
{
    for (; n > 0; n--, rows += INNER_N_COLUMNS, answers += INNER_N_ANSWERS) inner_answers(rows, answers);
}
