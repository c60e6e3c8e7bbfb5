#include "check.h"
/* template */
typedef uint32_t name_vector __attribute__((vector_size(16), aligned(4), may_alias)); /* four words */
