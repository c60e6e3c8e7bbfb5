#include "check.h"
/* template */
/* A product, rounded before anything is added to it, whatever the compiler would rather fuse. */
static double name_times(double a, double b)
{
    volatile double product = a * b;
    return product;
}
