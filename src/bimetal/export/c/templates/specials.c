#include "check.h"
#define RUN_T uint8_t
#define AT_RUN AT8
#define CUT_T int16_t
#define AT_CUT ATI16
#define CUT_KEY(x) ((int32_t)(x) * 65536)
#define MISSING INT32_MIN
int32_t name_take(int32_t x, const RUN_T runs[][4], const CUT_T cuts[]);
int32_t name_take(int32_t x, const RUN_T runs[][4], const CUT_T cuts[])
{
/* template */
        int32_t regular = x; /* missing where x is a special code */
        for (unsigned i = AT_RUN(runs[0], 1); i > 0; i--, cuts++)
            if (x == CUT_KEY(AT_CUT(cuts, 0))) regular = MISSING;
/* end */
        return regular;
}
