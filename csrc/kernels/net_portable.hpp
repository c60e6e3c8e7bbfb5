// Plain C++ for the kernels of maps that look at one element at a time; an instruction set takes what it does not do
// better. Anonymous, as in planes.hpp.
#pragma once

#include "net_common.hpp"

namespace {

// Transposes 32 x 32 bit matrices by swapping ever smaller blocks (halves, quarters, ...) across the diagonal. T has
// 32-bit lanes, any number of them: lane l of m[i] is row i of matrix l. Works for unsigned words, two lanes in a
// uint64_t, and vectors of them.
template <class T>
inline void transpose32(T (&m)[32]) {
    const uint64_t masks[5] = {0x0000FFFF0000FFFF, 0x00FF00FF00FF00FF, 0x0F0F0F0F0F0F0F0F, 0x3333333333333333,
                               0x5555555555555555};
    for (size_t stage = 0; stage < 5; stage++) {
        const size_t half = size_t{16} >> stage;
        for (size_t i = 0; i < 32; i = ((i | half) + 1) & ~half) {
            const T swap = ((m[i] >> half) ^ m[i | half]) & masks[stage];
            m[i] ^= swap << half;
            m[i | half] ^= swap;
        }
    }
}

// Sixty-four rows at a time: row i and row 32 + i in one word, so that a transposed word is one of the plane.
inline void gather_planes_portable(const uint32_t* const* rows, size_t n_rows, size_t n_words, size_t n_lanes,
                                   uint64_t* planes) {
    const size_t plane_words = n_lanes / 64;
    const auto row_word = [=](size_t row, size_t w) { return uint64_t{row < n_rows ? rows[row][w] : 0}; };
    for (size_t group = 0; group < plane_words; group++)
        for (size_t w = 0; w < n_words; w++) {
            uint64_t m[32];
            for (size_t i = 0; i < 32; i++) m[i] = row_word(64 * group + i, w) | row_word(64 * group + 32 + i, w) << 32;
            transpose32(m);
            for (size_t i = 0; i < 32; i++) planes[(32 * w + i) * plane_words + group] = m[i];
        }
}

inline void scatter_planes_portable(const uint64_t* planes, size_t n_bits, size_t n_lanes, size_t n_rows,
                                    uint32_t* const* rows) {
    const size_t plane_words = n_lanes / 64;
    for (size_t group = 0; 64 * group < n_rows; group++)
        for (size_t w = 0; 32 * w < n_bits; w++) {
            uint64_t m[32];
            for (size_t i = 0; i < 32; i++) m[i] = 32 * w + i < n_bits ? planes[(32 * w + i) * plane_words + group] : 0;
            transpose32(m);
            for (size_t i = 0; i < 64 && 64 * group + i < n_rows; i++)
                rows[64 * group + i][w] = static_cast<uint32_t>(m[i % 32] >> (i / 32 * 32));
        }
}

inline void bits_to_bytes_portable(const uint32_t* words, size_t n, uint8_t* bytes) {
    for (size_t first = 0; first < n; first += 32, words++) {
        const size_t n_bits = n - first < 32 ? n - first : 32;
        for (size_t i = 0; i < n_bits; i++) bytes[first + i] = *words >> i & 1;
    }
}

inline void or_words_portable(const uint32_t* const* rows, size_t n_rows, size_t n_words, uint32_t* out) {
    for (size_t w = 0; w < n_words; w++) {
        uint32_t word = 0;
        for (size_t r = 0; r < n_rows; r++) word |= rows[r][w];
        out[w] = word;
    }
}

// Adding 2**23 leaves no room for a fraction: the sum is rounded, half to even, and its low bits are the integer.
// Clamping first changes nothing, because 0 and 255 are whole; no comparison with NaN is true, and it becomes 0.
inline uint8_t quantize_one(float x, float scale, float offset) {
    const float product = x * scale;
    float y = product + offset;
    y = y > 0.0f ? y : 0.0f;
    y = y < 255.0f ? y : 255.0f;
    y += 8388608.0f;
    uint32_t bits;
    memcpy(&bits, &y, sizeof bits);
    return static_cast<uint8_t>(bits);
}

inline void quantize_portable(const float* x, size_t n, size_t channels, const float* scale, const float* offset,
                              uint8_t* bytes) {
    for (size_t i = 0; i < n; i += channels)
        for (size_t c = 0; c < channels && i + c < n; c++) bytes[i + c] = quantize_one(x[i + c], scale[c], offset[c]);
}

// A square is a product of unsigned numbers: SSE2 has that one for vectors. No sum of any of the elements, in any
// order, leaves int32, as they are n within +-most.
inline Moments moments_portable(const int32_t* x, size_t n, int32_t most) {
    Moments of{0, 0};
    for (size_t i = 0; i < n; i++) {
        const int32_t raised = x[i] < -most ? -most : x[i], v = raised > most ? most : raised;
        const uint32_t magnitude = static_cast<uint32_t>(v < 0 ? -v : v);
        of.sum += v;
        of.squares += uint64_t{magnitude} * magnitude;
    }
    return of;
}

}  // namespace
