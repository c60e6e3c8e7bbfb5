#include "check_windows.h"
#define X_T uint8_t
#define Y_T int32_t
#define VALUE_T uint32_t
#define GET(i) (x[i])
#define STORE(at, value) y[at] = (int32_t)(value)
#define name_pool_sum name_pool_sum_bytes
/* template */
/* The sum of each window, channel by channel, place by place; outside the map there is nothing. */
static void name_pool_sum(const X_T x[], const struct name_windows *w, Y_T y[])
{
    unsigned at = 0;
    for (int32_t row = 0; row < w->rows; row++)
        for (int32_t column = 0; column < w->columns; column++)
            for (int32_t c = 0; c < w->channels; c++, at++) {
                VALUE_T sum = 0;
                for (int32_t v = 0; v < w->kernel_down; v++)
                    for (int32_t u = 0; u < w->kernel_right; u++) {
                        const int32_t pixel = name_pixel(w, row, column, v, u);
                        if (pixel >= 0) sum += GET(pixel * w->channels + c);
                    }
                STORE(at, sum);
            }
}
