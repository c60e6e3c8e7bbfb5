// AVX-512 with VBMI, BITALG and VPOPCNTDQ: Ice Lake, Zen 4 and later.
#include <immintrin.h>
#include <string.h>

#include <cstddef>
#include <cstdint>

namespace {

// Four masks of sixteen lanes as one word.
inline std::uint64_t join(__mmask16 a, __mmask16 b, __mmask16 c, __mmask16 d) {
    return _cvtmask64_u64(_mm512_kunpackd(_mm512_kunpackw(d, c), _mm512_kunpackw(b, a)));
}

inline __m512 floats(const float* from, std::size_t i) { return _mm512_loadu_ps(from + 16 * i); }

// A 16 x 16 matrix of floats across its diagonal: pairs, fours, then the 128-bit quarters change places.
inline void transpose16x16(__m512 r[16]) {
    __m512 t[16];
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
        r[4 * i + 2] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xDD);
        t[8 + i] = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xDD);
    }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0xDD);
    }
}

struct Isa {
    using V = __m512i;
    static V load(const std::uint64_t* from) { return _mm512_load_si512(from); }
    static void store(std::uint64_t* to, V v) { _mm512_store_si512(to, v); }
    static V zero() { return _mm512_setzero_si512(); }
    static V ones() { return _mm512_set1_epi64(-1); }
    static V and_(V a, V b) { return _mm512_and_si512(a, b); }
    static V xor_(V a, V b) { return _mm512_xor_si512(a, b); }
    static V andnot(V a, V b) { return _mm512_andnot_si512(a, b); }
    static V parity3(V a, V b, V c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
    static V majority3(V a, V b, V c) { return _mm512_ternarylogic_epi64(a, b, c, 0xE8); }
    static std::uint64_t greater_equal64(const float* x, float value) {
        const __m512 v = _mm512_set1_ps(value);
        return join(_mm512_cmp_ps_mask(floats(x, 0), v, _CMP_GE_OQ), _mm512_cmp_ps_mask(floats(x, 1), v, _CMP_GE_OQ),
                    _mm512_cmp_ps_mask(floats(x, 2), v, _CMP_GE_OQ), _mm512_cmp_ps_mask(floats(x, 3), v, _CMP_GE_OQ));
    }
    static std::uint64_t equal64(const float* x, float value) {
        const __m512 v = _mm512_set1_ps(value);
        return join(_mm512_cmp_ps_mask(floats(x, 0), v, _CMP_EQ_OQ), _mm512_cmp_ps_mask(floats(x, 1), v, _CMP_EQ_OQ),
                    _mm512_cmp_ps_mask(floats(x, 2), v, _CMP_EQ_OQ), _mm512_cmp_ps_mask(floats(x, 3), v, _CMP_EQ_OQ));
    }
    static std::uint64_t missing64(const float* x) {
        const auto missing = [x](std::size_t i) {
            return _mm512_cmp_ps_mask(floats(x, i), floats(x, i), _CMP_UNORD_Q);
        };
        return join(missing(0), missing(1), missing(2), missing(3));
    }
    static void transpose16(const float* rows, std::size_t n_columns, float* columns, std::size_t stride) {
        for (std::size_t c = 0; c < n_columns; c += 16) {
            const std::size_t n = n_columns - c < 16 ? n_columns - c : 16;
            const auto lanes = static_cast<__mmask16>((1u << n) - 1);
            __m512 block[16];
            for (std::size_t r = 0; r < 16; r++) block[r] = _mm512_maskz_loadu_ps(lanes, rows + r * n_columns + c);
            transpose16x16(block);
            for (std::size_t i = 0; i < n; i++) _mm512_storeu_ps(columns + (c + i) * stride, block[i]);
        }
    }
};

}  // namespace

#include "counts.hpp"
#include "planes.hpp"
#include "rows.hpp"

namespace {

// Sixteen bits at a time: a permute brings the columns they test from each window of sixteen columns.
inline __m512 tested_columns(const EncodePlan& plan, const float* columns, size_t n_columns, size_t group) {
    __m512 x = _mm512_setzero_ps();
    for (std::uint32_t i = plan.first_window[group]; i < plan.first_window[group + 1]; i++) {
        const size_t n = n_columns - plan.window_base[i];
        const auto exists = static_cast<__mmask16>(n < 16 ? (1u << n) - 1 : 0xFFFF);
        const __m512 window = _mm512_maskz_loadu_ps(exists, columns + plan.window_base[i]);
        const __m512i index =
            _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(plan.window_index + 16 * i)));
        x = _mm512_mask_permutexvar_ps(x, plan.window_lanes[i], index, window);
    }
    return x;
}

void encode_row_avx512(const EncodePlan& plan, const float* row, float* columns, uint64_t* words) {
    if (plan.n_twins) row_with_twins(plan, row, columns);
    const float* from = plan.n_twins ? columns : row;
    const size_t n_columns = plan.n_columns + plan.n_twins;
    for (size_t w = 0; w < plan.n_words; w++) {
        __m512 x[4];
        for (size_t i = 0; i < 4; i++) x[i] = tested_columns(plan, from, n_columns, 4 * w + i);
        const auto test = [&](auto compare) {
            return join(compare(x[0], floats(plan.value, 4 * w)), compare(x[1], floats(plan.value, 4 * w + 1)),
                        compare(x[2], floats(plan.value, 4 * w + 2)), compare(x[3], floats(plan.value, 4 * w + 3)));
        };
        uint64_t word = 0;
        if (plan.is_greater_equal[w])
            word = test([](__m512 a, __m512 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }) &
                   plan.is_greater_equal[w];
        if (plan.is_equal[w])
            word |= test([](__m512 a, __m512 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }) & plan.is_equal[w];
        if (plan.is_missing[w])
            word |= test([](__m512 a, __m512) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }) & plan.is_missing[w];
        words[w] = word;
    }
}

// Eight neurons a vector, one a lane; kPanels vectors at once hide the latency of counting. The first word stands
// before the loop because GCC keeps an array that it must clear first in memory.
template <size_t kPanels>
inline uint64_t dense_panels(const uint64_t* weights, const uint64_t* in, size_t in_words,
                             const std::uint16_t* limits) {
    const auto differing = [=](size_t p, size_t k) {
        const __m512i x = _mm512_set1_epi64(static_cast<long long>(in[k]));
        return _mm512_popcnt_epi64(_mm512_xor_si512(x, _mm512_load_si512(weights + (p * in_words + k) * 8)));
    };
    __m512i count[kPanels];
    for (size_t p = 0; p < kPanels; p++) count[p] = differing(p, 0);
    for (size_t k = 1; k < in_words; k++)
        for (size_t p = 0; p < kPanels; p++) count[p] = _mm512_add_epi64(count[p], differing(p, k));
    uint64_t fires = 0;
    for (size_t p = 0; p < kPanels; p++) {
        const __m512i limit = _mm512_cvtepu16_epi64(_mm_load_si128(reinterpret_cast<const __m128i*>(limits + 8 * p)));
        fires |= static_cast<uint64_t>(_mm512_cmplt_epi64_mask(count[p], limit)) << (8 * p);
    }
    return fires;
}

inline uint64_t dense_word_avx512(const uint64_t* weights, const uint64_t* in, size_t in_words,
                                  const std::uint16_t* limits, size_t n_panels) {
    if (n_panels == 8) return dense_panels<8>(weights, in, in_words, limits);
    uint64_t fires = 0;
    for (size_t p = 0; p < n_panels; p++)
        fires |= dense_panels<1>(weights + p * in_words * 8, in, in_words, limits + 8 * p) << (8 * p);
    return fires;
}

void dense_row_avx512(const DensePlan& plan, const uint64_t* in, uint64_t* out) {
    dense_groups(plan, in, out, [](auto... part) { return dense_word_avx512(part...); });
}

// Sixty-four rules at a time. A step tests one literal of each: a byte permute looks up the byte that holds it
// (`lookup`), a mask picks the bit. A rule fires when no step has failed it. The first step stands before the loop:
// a mask register set to ones would wait for its last use, and blocks could not overlap.
template <size_t kStepBytes, class Lookup>
inline void rules_steps(const RulesPlan& plan, uint64_t* out, Lookup lookup) {
    const std::uint8_t* step = plan.steps;
    for (size_t block = 0; block < plan.n_blocks; block++) {
        __mmask64 fires = _mm512_test_epi8_mask(lookup(step), _mm512_load_si512(step + 64));
        step += kStepBytes;
        for (std::uint32_t n = plan.first_step[block + 1] - plan.first_step[block] - 1; n; n--, step += kStepBytes)
            fires = _mm512_mask_test_epi8_mask(fires, lookup(step), _mm512_load_si512(step + 64));
        out[block] = fires;
    }
}

__m512i load_words(const uint64_t* words, size_t n) {
    return _mm512_maskz_loadu_epi64(static_cast<__mmask8>(n < 8 ? (1u << n) - 1 : 0xFF), words);
}

void rules_row_avx512(const RulesPlan& plan, const uint64_t* in, uint64_t* out) {
    const size_t n_words = bm_words(plan.n_in);
    const __m512i x = load_words(in, n_words), not_x = _mm512_xor_si512(x, Isa::ones());
    if (plan.n_pages == 0) {
        const __m512i table = _mm512_inserti64x4(x, _mm512_castsi512_si256(not_x), 1);
        rules_steps<128>(plan, out, [table](const std::uint8_t* step) {
            return _mm512_permutexvar_epi8(_mm512_load_si512(step), table);
        });
    } else if (plan.n_pages == 1) {
        rules_steps<128>(plan, out, [x, not_x](const std::uint8_t* step) {
            return _mm512_permutex2var_epi8(x, _mm512_load_si512(step), not_x);
        });
    } else {
        rules_steps<192>(plan, out, [&plan, in, n_words](const std::uint8_t* step) {
            const __m512i index = _mm512_load_si512(step), of_page = _mm512_load_si512(step + 128);
            __m512i found = _mm512_setzero_si512();
            for (size_t p = 0; p < plan.n_pages; p++) {
                const __m512i page = load_words(in + 8 * p, n_words - 8 * p);
                const __m512i here = _mm512_permutex2var_epi8(page, index, _mm512_xor_si512(page, Isa::ones()));
                const __mmask64 lanes = _mm512_cmpeq_epi8_mask(of_page, _mm512_set1_epi8(static_cast<char>(p)));
                found = _mm512_mask_mov_epi8(found, lanes, here);
            }
            return found;
        });
    }
}

// Points that the set bits of some words bring, in sixteen lanes of int32. Within a safe run int16 is enough.
inline __m512i sum_narrow(const uint64_t* words, size_t n_words, const std::int16_t* weights,
                          const std::uint32_t*& safe_run) {
    const __m512i one = _mm512_set1_epi16(1);
    __m512i sum = _mm512_setzero_si512();
    for (size_t w = 0; w < n_words;) {
        __m512i low = _mm512_setzero_si512(), high = low;
        for (const size_t end = w + *safe_run++; w < end; w++, weights += 64) {
            __mmask32 set[2];  // two narrow loads cost less than one and a shift
            memcpy(set, words + w, sizeof set);
            low = _mm512_mask_add_epi16(low, set[0], low, _mm512_load_si512(weights));
            high = _mm512_mask_add_epi16(high, set[1], high, _mm512_load_si512(weights + 32));
        }
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(low, one));  // adds neighbours, exactly
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(high, one));
    }
    return sum;
}

inline __m512i sum_wide(const uint64_t* words, size_t n_words, const std::int32_t* weights) {
    __m512i sum = _mm512_setzero_si512();
    for (size_t w = 0; w < n_words; w++)
        for (size_t i = 0; i < 4; i++, weights += 16)
            sum = _mm512_mask_add_epi32(sum, static_cast<__mmask16>(words[w] >> (16 * i)), sum,
                                        _mm512_load_si512(weights));
    return sum;
}

void readout_row_avx512(const ReadoutPlan& plan, const uint64_t* words, std::int32_t* points) {
    const std::uint32_t* safe_run = plan.safe_runs;
    for (size_t o = 0; o < plan.n_outputs; o++) {
        __m512i sum = _mm512_setzero_si512();
        size_t at = o * plan.n_words * 64;
        for (size_t i = 0; i < plan.n_inputs; at += 64 * plan.input_n_words[i], i++) {
            const uint64_t* input = words + plan.input_word[i];
            sum =
                _mm512_add_epi32(sum, plan.narrow ? sum_narrow(input, plan.input_n_words[i], plan.narrow + at, safe_run)
                                                  : sum_wide(input, plan.input_n_words[i], plan.wide + at));
        }
        points[o] = plan.bias[o] + _mm512_reduce_add_epi32(sum);
    }
}

void list_flips_avx512(const uint64_t* changed, const uint64_t* now, size_t n_words, std::uint32_t* flips) {
    const __m512i lane = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    for (size_t w = 0; w < n_words; w++) {
        if (!changed[w]) continue;
        for (size_t i = 0; i < 64; i += 16) {
            const auto here = static_cast<__mmask16>(changed[w] >> i), is_set = static_cast<__mmask16>(now[w] >> i);
            const __m512i bit = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(2 * (64 * w + i))));
            const __m512i flip = _mm512_mask_add_epi32(bit, is_set, bit, _mm512_set1_epi32(1));
            _mm512_storeu_si512(flips, _mm512_maskz_compress_epi32(here, flip));
            flips += popcount(here);
        }
    }
}

constexpr StreamKernels kStream = {correct_counts, count_bits, list_flips_avx512, 25, 1.4, 3, 3, 4};

}  // namespace

namespace bimetal {

const Kernels kAvx512 = {"avx512",
                         kRows,
                         112,
                         encode_row_avx512,
                         dense_row_avx512,
                         rules_row_avx512,
                         lut_row_portable,
                         readout_row_avx512,
                         encode_planes,
                         dense_planes,
                         rules_planes,
                         lut_planes,
                         readout_planes,
                         link,
                         &kNetAvx512,
                         &kStream};

}  // namespace bimetal
