#include "check.h"
/* template */
/* Define HEADER_NO_SELFTEST to go without the golden vectors. */
#ifndef NAME_NO_DOUBLE
#define NAME_NO_DOUBLE /* this core's double is a float */
#endif
