#include "check.h"
#define NAME_APART
typedef uint32_t name_vector __attribute__((vector_size(16), aligned(4), may_alias));
name_vector name_slice_v(const uint32_t *x, const name_vector *t, uint32_t g, uint32_t levels);
/* template */
/* Neurons side by side: bit i of a vector belongs to neuron i, and all 128 are counted at once. */
static NAME_APART void name_dense_sliced_v(const uint32_t *x, const uint32_t *table, uint32_t n_vectors,
                                           uint32_t stride, uint32_t g, uint32_t levels, uint32_t *y)
{
    do {
        const name_vector fired = name_slice_v(x, (const name_vector *)table, g, levels);
        for (uint32_t i = 0; i < 4; i++) *y++ = fired[i];
        table += stride;
    } while (--n_vectors);
}
