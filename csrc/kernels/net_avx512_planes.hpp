// Rows of packed words to bit planes and back, for AVX-512: a vector holds one row each of sixteen 32 x 32 bit
// matrices, lane l that of rows 32 * l ... 32 * l + 31. Included by net_avx512.cpp; anonymous, as in planes.hpp.
#pragma once

#include <immintrin.h>

#include "net_common.hpp"

namespace {

using V = Isa::V;

constexpr size_t kRows = 512, kPlaneWords = kRows / 64;
static_assert(sizeof(V) == kRows / 8, "a plane is a vector");

// Swaps the blocks of bytes beside the diagonal: each byte of the result is one of a's or of b's.
inline void swap_bytes(V& a, V& b, __mmask64 of_a, V from_b, V from_a) {
    const V a_new = _mm512_mask_shuffle_epi8(a, ~of_a, b, from_b);
    b = _mm512_mask_shuffle_epi8(b, of_a, a, from_a);
    a = a_new;
}

template <int kHalf>
inline void swap_bits(V& a, V& b, int mask) {
    const V low = _mm512_set1_epi32(mask);
    const V a_new = _mm512_ternarylogic_epi32(low, a, _mm512_slli_epi32(b, kHalf), 0xCA);  // low ? a : b << half
    b = _mm512_ternarylogic_epi32(low, _mm512_srli_epi32(a, kHalf), b, 0xCA);
    a = a_new;
}

// Transposes as transpose32 does; what comes out goes to write(row, vector).
template <class Write>
inline void transpose_lanes(V (&m)[32], const Write& write) {
    const V from_b16 = _mm512_set4_epi32(0x0D0C0000, 0x09080000, 0x05040000, 0x01000000);
    const V from_a16 = _mm512_set4_epi32(0x00000F0E, 0x00000B0A, 0x00000706, 0x00000302);
    const V from_b8 = _mm512_set4_epi32(0x0E000C00, 0x0A000800, 0x06000400, 0x02000000);
    const V from_a8 = _mm512_set4_epi32(0x000F000D, 0x000B0009, 0x00070005, 0x00030001);
    for (size_t i = 0; i < 8; i++) {
        V a = m[i], b = m[i + 8], c = m[i + 16], d = m[i + 24];
        swap_bytes(a, c, 0x3333333333333333, from_b16, from_a16);
        swap_bytes(b, d, 0x3333333333333333, from_b16, from_a16);
        swap_bytes(a, b, 0x5555555555555555, from_b8, from_a8);
        swap_bytes(c, d, 0x5555555555555555, from_b8, from_a8);
        m[i] = a, m[i + 8] = b, m[i + 16] = c, m[i + 24] = d;
    }
    for (size_t i = 0; i < 32; i += 8) {
        V r[8];
        for (size_t k = 0; k < 8; k++) r[k] = m[i + k];
        for (size_t k = 0; k < 4; k++) swap_bits<4>(r[k], r[k + 4], 0x0F0F0F0F);
        for (size_t k = 0; k < 4; k++) swap_bits<2>(r[k + k / 2 * 2], r[k + k / 2 * 2 + 2], 0x33333333);
        for (size_t k = 0; k < 8; k += 2) swap_bits<1>(r[k], r[k + 1], 0x55555555);
        for (size_t k = 0; k < 8; k++) write(i + k, r[k]);
    }
}

// 4 x 4 matrices of words, one in each quarter of four vectors.
inline void transpose_quarters(V (&t)[4]) {
    const V a = _mm512_unpacklo_epi32(t[0], t[1]), b = _mm512_unpackhi_epi32(t[0], t[1]);
    const V c = _mm512_unpacklo_epi32(t[2], t[3]), d = _mm512_unpackhi_epi32(t[2], t[3]);
    t[0] = _mm512_unpacklo_epi64(a, c), t[1] = _mm512_unpackhi_epi64(a, c);
    t[2] = _mm512_unpacklo_epi64(b, d), t[3] = _mm512_unpackhi_epi64(b, d);
}

// Words w ... w + 3 of row 32 * l + i for each lane l, word by word.
inline void load_quads(const uint32_t* const* rows, size_t i, size_t w, V (&t)[4]) {
    for (size_t r = 0; r < 4; r++) {
        const auto quad = [=](size_t quarter) {
            return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[32 * (4 * quarter + r) + i] + w));
        };
        t[r] = _mm512_maskz_broadcast_i32x4(0x000F, quad(0));
        t[r] = _mm512_mask_broadcast_i32x4(t[r], 0x00F0, quad(1));
        t[r] = _mm512_mask_broadcast_i32x4(t[r], 0x0F00, quad(2));
        t[r] = _mm512_mask_broadcast_i32x4(t[r], 0xF000, quad(3));
    }
    transpose_quarters(t);
}

// The inverse, for the rows that exist.
inline void store_quads(V (&t)[4], size_t i, size_t w, size_t n_rows, uint32_t* const* rows) {
    transpose_quarters(t);
    const auto store = [=](size_t lane, __m128i quad) {
        if (32 * lane + i < n_rows) _mm_storeu_si128(reinterpret_cast<__m128i*>(rows[32 * lane + i] + w), quad);
    };
    for (size_t r = 0; r < 4; r++) {
        store(r, _mm512_castsi512_si128(t[r]));
        store(4 + r, _mm512_extracti32x4_epi32(t[r], 1));
        store(8 + r, _mm512_extracti32x4_epi32(t[r], 2));
        store(12 + r, _mm512_extracti32x4_epi32(t[r], 3));
    }
}

// Where rows have fewer than four words, each word goes through memory by itself.
inline void load_words(const uint32_t* const* rows, size_t w, V (&m)[32]) {
    alignas(64) uint32_t words[32][16];
    for (size_t i = 0; i < 32; i++)
        for (size_t l = 0; l < 16; l++) words[i][l] = rows[32 * l + i][w];
    for (size_t i = 0; i < 32; i++) m[i] = _mm512_load_si512(words[i]);
}

inline void store_words(const V (&m)[32], size_t w, size_t n_rows, uint32_t* const* rows) {
    alignas(64) uint32_t words[32][16];
    for (size_t i = 0; i < 32; i++) _mm512_store_si512(words[i], m[i]);
    for (size_t row = 0; row < n_rows; row++) rows[row][w] = words[row % 32][row / 32];
}

inline V first_lanes(size_t n_rows) {
    alignas(64) uint64_t words[kPlaneWords];
    for (size_t i = 0; i < kPlaneWords; i++)
        words[i] = n_rows >= 64 * (i + 1) ? ~uint64_t{0} : n_rows <= 64 * i ? 0 : (uint64_t{1} << n_rows % 64) - 1;
    return _mm512_load_si512(words);
}

// Quads of words overlap where the words are no multiple of four.
inline size_t quad_at(size_t w, size_t n_words) { return w + 4 <= n_words ? w : n_words - 4; }

void gather_planes_avx512(const uint32_t* const* rows, size_t n_rows, size_t n_words, size_t, uint64_t* planes) {
    if (n_rows == 0) return static_cast<void>(memset(planes, 0, n_words * 32 * sizeof(V)));
    const uint32_t* all[kRows];
    if (n_rows < kRows) {  // read some row for those that do not exist, and clear its bits later
        memcpy(all, rows, n_rows * sizeof *rows);
        for (size_t i = n_rows; i < kRows; i++) all[i] = rows[0];
        rows = all;
    }
    const V exist = first_lanes(n_rows);
    const auto write_word = [&](V(&m)[32], size_t w) {
        transpose_lanes(m, [&](size_t plane, V v) {
            _mm512_storeu_si512(planes + (32 * w + plane) * kPlaneWords, _mm512_and_si512(v, exist));
        });
    };
    V m[4][32];
    for (size_t w = 0; n_words < 4 && w < n_words; w++) load_words(rows, w, m[0]), write_word(m[0], w);
    for (size_t next = 0; n_words >= 4 && next < n_words; next += 4) {
        const size_t w = quad_at(next, n_words);
        for (size_t i = 0; i < 32; i++) {
            V t[4];
            load_quads(rows, i, w, t);
            for (size_t k = 0; k < 4; k++) m[k][i] = t[k];
        }
        for (size_t k = 0; k < 4; k++) write_word(m[k], w + k);
    }
}

void scatter_planes_avx512(const uint64_t* planes, size_t n_bits, size_t, size_t n_rows, uint32_t* const* rows) {
    const size_t n_words = (n_bits + 31) / 32;
    const auto read_word = [=](V(&m)[32], size_t w) {
        for (size_t i = 0; i < 32; i++)
            m[i] =
                32 * w + i < n_bits ? _mm512_loadu_si512(planes + (32 * w + i) * kPlaneWords) : _mm512_setzero_si512();
        transpose_lanes(m, [&](size_t row, V v) { m[row] = v; });
    };
    V m[4][32];
    for (size_t w = 0; n_words < 4 && w < n_words; w++) read_word(m[0], w), store_words(m[0], w, n_rows, rows);
    for (size_t next = 0; n_words >= 4 && next < n_words; next += 4) {
        const size_t w = quad_at(next, n_words);
        for (size_t k = 0; k < 4; k++) read_word(m[k], w + k);
        for (size_t i = 0; i < 32 && i < n_rows; i++) {
            V t[4] = {m[0][i], m[1][i], m[2][i], m[3][i]};
            store_quads(t, i, w, n_rows, rows);
        }
    }
}

}  // namespace
