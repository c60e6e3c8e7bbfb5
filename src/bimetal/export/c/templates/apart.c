#include "check.h"
/* template */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8
#define NAME_APART __attribute__((noipa)) /* one body for all layers, so that its steps are known beforehand */
#elif defined(__GNUC__)
#define NAME_APART __attribute__((noinline))
#else
#define NAME_APART
#endif
