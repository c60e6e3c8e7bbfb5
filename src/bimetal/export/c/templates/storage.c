#include "check.h"
/* template */
#ifndef NAME_STORAGE
#define NAME_STORAGE static /* VALUES are much for a stack; so threads must take turns */
#endif
