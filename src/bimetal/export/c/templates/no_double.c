#include "check.h"
/* template */
/* Define HEADER_NO_DOUBLE to go without the link, HEADER_NO_SELFTEST to go without the golden vectors. */
#if !defined(NAME_NO_DOUBLE) && defined(__SIZEOF_DOUBLE__) && __SIZEOF_DOUBLE__ < 8
#define NAME_NO_DOUBLE /* this compiler's double is a float */
#endif
