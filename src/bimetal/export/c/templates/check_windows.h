/* What templates about windows need when a compiler checks them by themselves. */
#include "check.h"
struct name_windows {
    int32_t height, width, channels;
    int32_t kernel_down, kernel_right, stride_down, stride_right, dilation_down, dilation_right;
    int32_t top, left, rows, columns;
};
int32_t name_pixel(const struct name_windows *w, int32_t row, int32_t column, int32_t v, int32_t u);
void name_put_bit(uint32_t y[], unsigned at, uint32_t bit);
