// Kernels of maps that read the same for vectors of any width, by the vectors of the compiler. Anonymous, as in
// planes.hpp.
#pragma once

#include "net_portable.hpp"

namespace {

// ---- Rows of words to bit planes and back: 32 rows in each 32-bit lane of a vector --------------------------------

template <size_t kGroups>
union Transposer {
    typedef uint64_t Vector __attribute__((vector_size(4 * kGroups)));
    Vector vectors[32];
    uint32_t lanes[32][kGroups];
};

// A plane has 32 * kGroups rows, one vector: before transposing, row 32 * l + i is lane l of vector i.
template <size_t kGroups>
void gather_planes_wide(const uint32_t* const* rows, size_t n_rows, size_t n_words, size_t n_lanes, uint64_t* planes) {
    if (n_lanes != 32 * kGroups) return gather_planes_portable(rows, n_rows, n_words, n_lanes, planes);
    for (size_t w = 0; w < n_words; w++) {
        Transposer<kGroups> m;
        if (n_rows < n_lanes) memset(&m, 0, sizeof m);
        for (size_t l = 0; 32 * l < n_rows; l++)
            for (size_t i = 0; i < 32 && 32 * l + i < n_rows; i++) m.lanes[i][l] = rows[32 * l + i][w];
        transpose32(m.vectors);
        memcpy(planes + w * sizeof m / 8, &m, sizeof m);
    }
}

template <size_t kGroups>
void scatter_planes_wide(const uint64_t* planes, size_t n_bits, size_t n_lanes, size_t n_rows, uint32_t* const* rows) {
    if (n_lanes != 32 * kGroups) return scatter_planes_portable(planes, n_bits, n_lanes, n_rows, rows);
    for (size_t w = 0; 32 * w < n_bits; w++) {
        Transposer<kGroups> m;
        const size_t n_left = n_bits - 32 * w, n = n_left < 32 ? n_left : 32;
        if (n < 32) memset(&m, 0, sizeof m);
        memcpy(&m, planes + w * sizeof m / 8, n * sizeof m.vectors[0]);
        transpose32(m.vectors);
        for (size_t l = 0; 32 * l < n_rows; l++)
            for (size_t i = 0; i < 32 && 32 * l + i < n_rows; i++) rows[32 * l + i][w] = m.lanes[i][l];
    }
}

// ---- One element at a time ------------------------------------------------------------------------------------------

template <size_t kBytes>
void or_words_wide(const uint32_t* const* rows, size_t n_rows, size_t n_words, uint32_t* out) {
    typedef uint32_t Vector __attribute__((vector_size(kBytes)));
    size_t w = 0;
    for (; w + kBytes / 4 <= n_words; w += kBytes / 4) {
        Vector all = {};
        for (size_t r = 0; r < n_rows; r++) {
            Vector row;
            memcpy(&row, rows[r] + w, kBytes);
            all |= row;
        }
        memcpy(out + w, &all, kBytes);
    }
    for (; w < n_words; w++) {
        uint32_t word = 0;
        for (size_t r = 0; r < n_rows; r++) word |= rows[r][w];
        out[w] = word;
    }
}

// quantize_each(x, n, scale, offset, bytes) has a scale and an offset for each of n floats and likes n to be a multiple
// of kStep: few channels are repeated until they fill whole steps.
template <size_t kStep, class Quantize>
inline void quantize_wide(const float* x, size_t n, size_t channels, const float* scale, const float* offset,
                          uint8_t* bytes, const Quantize& quantize_each) {
    constexpr size_t kFew = 32;
    float scales[kFew * kStep], offsets[kFew * kStep];
    size_t stretch = channels;
    if (channels <= kFew) {
        stretch = channels * kStep < n ? channels * kStep : n;
        for (size_t i = 0; i < stretch; i += channels) {
            memcpy(scales + i, scale, channels * sizeof(float));
            memcpy(offsets + i, offset, channels * sizeof(float));
        }
        scale = scales, offset = offsets;
    }
    for (size_t i = 0; i < n; i += stretch)
        quantize_each(x + i, n - i < stretch ? n - i : stretch, scale, offset, bytes + i);
}

}  // namespace
