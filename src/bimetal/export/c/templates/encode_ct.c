#include "check.h"
#define ROW_T float
#define RUN_T uint8_t
#define AT_RUN AT8
#define CUT_T int16_t
#define AT_CUT ATI16
#define CUT_KEY(x) ((int32_t)(x) * 65536)
#define KEY(row, j) name_key(&(row)[j])
#define REGULAR x
#define TAKE_SPECIALS
int32_t name_key(const float *x);
uint32_t name_is_ge(int32_t a, int32_t b);
uint32_t name_is_equal(int32_t a, int32_t b);
#define NAME_APART
/* template */
/* Ask the questions of the encoder. A run is about one column: how many special codes it has, how
 * many questions ">=" follow, and how many "==". A special code counts as missing for ">=" alone.
 * Missing is the lowest number there is: it reaches no cut-point, and to ask for it is one more "==".
 * The steps depend on the runs alone, never on the row. */
static NAME_APART void name_encode(const ROW_T row[], const CODE RUN_T runs[][4], unsigned n_runs,
        const CODE CUT_T cuts[], uint32_t bits[])
{
    uint32_t word = 0, mask = 1; /* the last bits, and where in them the next one goes */
    for (; n_runs > 0; n_runs--, runs++) {
        const int32_t x = KEY(row, AT_RUN(runs[0], 0));
        const unsigned n_ge = AT_RUN(runs[0], 2), n_all = n_ge + AT_RUN(runs[0], 3);
        TAKE_SPECIALS
        for (unsigned i = 0; i < n_all; i++, cuts++) {
            const int32_t cut = CUT_KEY(AT_CUT(cuts, 0));
            const uint32_t bit = i < n_ge ? name_is_ge(REGULAR, cut) : name_is_equal(x, cut);
            word |= mask & (0u - bit);
            *bits = word;
            mask <<= 1;
            if (mask == 0) {
                bits++;
                word = 0;
                mask = 1;
            }
        }
    }
}
