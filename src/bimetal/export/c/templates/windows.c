#include "check.h"
/* template */
/* How windows move over a map of height * width pixels, by rows; `tap` rows and columns see a pixel
 * each, or a place outside. */
struct name_windows {
    int32_t height, width, channels;
    int32_t kernel_down, kernel_right, stride_down, stride_right, dilation_down, dilation_right;
    int32_t top, left;     /* padding */
    int32_t rows, columns; /* of windows */
};

/* The pixel that a tap of a window sees, or -1 outside the map. */
static int32_t name_pixel(const struct name_windows *w, int32_t row, int32_t column, int32_t v, int32_t u)
{
    const int32_t y = row * w->stride_down + v * w->dilation_down - w->top;
    const int32_t x = column * w->stride_right + u * w->dilation_right - w->left;
    return y < 0 || y >= w->height || x < 0 || x >= w->width ? -1 : y * w->width + x;
}
