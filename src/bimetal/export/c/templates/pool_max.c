#include "check_windows.h"
#define X_T uint8_t
#define Y_T uint8_t
#define VALUE_T uint8_t
#define GET(i) (x[i])
#define STORE(at, value) y[at] = (value)
#define name_pool_max name_pool_max_bytes
/* template */
/* The largest of each window, channel by channel: the first place on the map, replaced by each later
 * one that is larger. */
static void name_pool_max(const X_T x[], const struct name_windows *w, Y_T y[])
{
    unsigned at = 0;
    for (int32_t row = 0; row < w->rows; row++)
        for (int32_t column = 0; column < w->columns; column++)
            for (int32_t c = 0; c < w->channels; c++, at++) {
                VALUE_T best = 0;
                int is_filled = 0;
                for (int32_t v = 0; v < w->kernel_down; v++)
                    for (int32_t u = 0; u < w->kernel_right; u++) {
                        const int32_t pixel = name_pixel(w, row, column, v, u);
                        if (pixel >= 0) {
                            const VALUE_T value = GET(pixel * w->channels + c);
                            if (!is_filled || value > best) best = value;
                            is_filled = 1;
                        }
                    }
                STORE(at, best);
            }
}
