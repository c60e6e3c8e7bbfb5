#include "check.h"
#define X_T int32_t
#define name_concat name_concat_ints
/* template */
/* Put `channels` numbers of each pixel where its channels from `first` on stand among `all`. */
static void name_concat(const X_T x[], unsigned n_pixels, unsigned channels, unsigned first, unsigned all,
        X_T y[])
{
    for (unsigned p = 0; p < n_pixels; p++)
        for (unsigned c = 0; c < channels; c++) y[p * all + first + c] = x[p * channels + c];
}
