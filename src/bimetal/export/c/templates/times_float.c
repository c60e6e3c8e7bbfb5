#include "check.h"
/* template */
/* A product, rounded before anything is added to it, whatever the compiler would rather fuse. */
static float name_times_float(float a, float b)
{
    volatile float product = a * b;
    return product;
}
