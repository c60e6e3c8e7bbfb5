// The kernels of maps for AVX-512 with VBMI, BITALG, VPOPCNTDQ and VNNI: Ice Lake, Zen 4 and later.
#include <immintrin.h>
#include <string.h>

#include <cstddef>
#include <cstdint>

#include "../net/kernels.hpp"

namespace {

struct Isa {
    using V = __m512i;
    static constexpr std::size_t kVectorLanes = 16, kBytePixels = 4, kLanes = 64;

    template <std::size_t kPixels, std::size_t kVectors>
    static void multiply(const bimetal::ByteConvPlan& plan, const void* const* windows, const std::int8_t* weights,
                         V (&sum)[kPixels][kVectors]);

    static std::uint32_t at_most(V count, const std::int32_t* limits) {
        return _mm512_cmple_epi32_mask(count, _mm512_loadu_si512(limits));
    }
    static std::uint32_t not_negative(V sum, const std::int32_t* limits) {
        return _mm512_cmpge_epi32_mask(sum_and_limit(sum, limits), _mm512_setzero_si512());
    }
    static V limit_less_twice(V count, const std::int32_t* limits) {
        return _mm512_sub_epi32(_mm512_loadu_si512(limits), _mm512_add_epi32(count, count));
    }
    static V sum_and_limit(V sum, const std::int32_t* limits) {
        return _mm512_add_epi32(sum, _mm512_loadu_si512(limits));
    }
    static void store(std::int32_t* to, V v) { _mm512_storeu_si512(to, v); }
    static void store_some(std::int32_t* to, V v, std::size_t n) {
        _mm512_mask_storeu_epi32(to, static_cast<__mmask16>((1u << n) - 1), v);
    }
};

}  // namespace

#include "net_avx512_planes.hpp"
#include "net_common.hpp"
#include "net_portable.hpp"

namespace {

// GCC keeps an array of vectors in registers where it sees constant indices early: hence `each` instead of loops, and
// nothing left to its taste in inlining.
#define ALWAYS_INLINE __attribute__((always_inline))

// do_one(Size<i>) for each i < n.
template <size_t n, class DoOne>
ALWAYS_INLINE inline void each(const DoOne& do_one) {
    if constexpr (n > 0) {
        each<n - 1>(do_one);
        do_one(Size<n - 1>{});
    }
}

// do_one(Size<i>, Size<j>) for each pixel and vector of a tile.
template <size_t kPixels, size_t kVectors, class DoOne>
ALWAYS_INLINE inline void each_of_tile(const DoOne& do_one) {
    each<kPixels>([&](auto i) ALWAYS_INLINE { each<kVectors>([&](auto j) ALWAYS_INLINE { do_one(i, j); }); });
}

template <size_t kPixels>
struct Windows {
    const uint32_t* at[kPixels];
    Windows(const void* const* windows, size_t offset) {
        for (size_t i = 0; i < kPixels; i++) at[i] = static_cast<const uint32_t*>(windows[i]) + offset;
    }
    V word(size_t i, size_t k) const { return _mm512_set1_epi32(static_cast<int>(at[i][k])); }
};

inline V weights_of(const uint32_t* weights, size_t vector) { return _mm512_load_si512(weights + 16 * vector); }

template <size_t kPixels, size_t kVectors>
inline void clear(V (&lanes)[kPixels][kVectors]) {
    for (size_t i = 0; i < kPixels; i++)
        for (size_t j = 0; j < kVectors; j++) lanes[i][j] = _mm512_setzero_si512();
}

// Weights that only a pixel or two read stream from afar.
template <bool kIsStream, size_t kVectors>
inline void prefetch(const uint32_t* weights) {
    constexpr size_t kAhead = 1024;
    if (kIsStream)
        for (size_t j = 0; j < kVectors; j++)
            _mm_prefetch(reinterpret_cast<const char*>(weights + kAhead + 16 * j), _MM_HINT_T0);
}

// Two words at a time, by a full adder for each bit. With p and q what differs in the two words, and `parity` that of
// all words before them:
//   parity + p + q = 2 * carry + (parity ^ p ^ q),  where carry = majority(parity, p, q)
// so the count is twice the popcount of all carries, plus that of the parity in the end. With a, b and c the parity
// before the first word, after it and after the second, the carry is (b ? ~c : a): two words take three ternary
// operations, a popcount and an addition, not two of xor, popcount and addition each.
template <size_t kMostPixels, size_t kMostLanes, bool kIsStream = false>
struct ByParity {
    static constexpr size_t kPixels = kMostPixels, kLanes = kMostLanes;

    template <size_t kPixels, size_t kVectors>
    ALWAYS_INLINE static void add_two(const Windows<kPixels>& x, size_t k, const uint32_t* weights,
                                      V (&parity)[kPixels][kVectors], V (&carries)[kPixels][kVectors]) {
        prefetch<kIsStream, kVectors>(weights), prefetch<kIsStream, kVectors>(weights + kPanel);
        V w0[kVectors], w1[kVectors];
        each<kVectors>([&](auto j) ALWAYS_INLINE {
            w0[j.value] = weights_of(weights, j.value), w1[j.value] = weights_of(weights + kPanel, j.value);
        });
        each<kPixels>([&](auto i) ALWAYS_INLINE {
            const V x0 = x.word(i.value, k), x1 = x.word(i.value, k + 1);
            each<kVectors>([&](auto j) ALWAYS_INLINE {
                const V a = parity[i.value][j.value];
                const V b = _mm512_ternarylogic_epi32(a, x0, w0[j.value], 0x96);
                const V c = _mm512_ternarylogic_epi32(b, x1, w1[j.value], 0x96);
                const V carry = _mm512_ternarylogic_epi32(a, b, c, 0x74);
                carries[i.value][j.value] = _mm512_add_epi32(carries[i.value][j.value], _mm512_popcnt_epi32(carry));
                parity[i.value][j.value] = c;
            });
        });
    }

    template <size_t kPixels, size_t kVectors>
    ALWAYS_INLINE static void add_one(const Windows<kPixels>& x, size_t k, const uint32_t* weights,
                                      V (&parity)[kPixels][kVectors], V (&carries)[kPixels][kVectors]) {
        prefetch<kIsStream, kVectors>(weights);
        each<kPixels>([&](auto i) ALWAYS_INLINE {
            const V x0 = x.word(i.value, k);
            each<kVectors>([&](auto j) ALWAYS_INLINE {
                const V a = parity[i.value][j.value],
                        b = _mm512_ternarylogic_epi32(a, x0, weights_of(weights, j.value), 0x96);
                carries[i.value][j.value] =
                    _mm512_add_epi32(carries[i.value][j.value], _mm512_popcnt_epi32(_mm512_andnot_si512(b, a)));
                parity[i.value][j.value] = b;
            });
        });
    }

    template <size_t kPixels, size_t kVectors>
    ALWAYS_INLINE static void count(const BitConvPlan& plan, const void* const* windows, const uint32_t* weights,
                                    V (&count)[kPixels][kVectors]) {
        V parity[kPixels][kVectors], carries[kPixels][kVectors];
        each_of_tile<kPixels, kVectors>([&](auto i, auto j) ALWAYS_INLINE {
            parity[i.value][j.value] = carries[i.value][j.value] = _mm512_setzero_si512();
        });
        for (size_t run = 0; run < plan.n_runs; run++) {
            const Windows<kPixels> x(windows, plan.run_offset[run]);
            size_t k = 0;
#pragma GCC unroll 2
            for (; k + 2 <= plan.run_words; k += 2, weights += 2 * kPanel) add_two(x, k, weights, parity, carries);
            if (plan.run_words & 1) add_one(x, k, weights, parity, carries), weights += kPanel;
        }
        each_of_tile<kPixels, kVectors>([&](auto i, auto j) ALWAYS_INLINE {
            const V n = carries[i.value][j.value];
            count[i.value][j.value] =
                _mm512_add_epi32(_mm512_add_epi32(n, n), _mm512_popcnt_epi32(parity[i.value][j.value]));
        });
    }
};

// The plain way, for processors that are slow at ternary operations (Zen 4).
template <size_t kMostPixels, bool kIsStream = false>
struct OneByOne {
    static constexpr size_t kPixels = kMostPixels, kLanes = 64;

    template <size_t kPixels, size_t kVectors>
    static void count(const BitConvPlan& plan, const void* const* windows, const uint32_t* weights,
                      V (&count)[kPixels][kVectors]) {
        clear(count);
        for (size_t run = 0; run < plan.n_runs; run++) {
            const Windows<kPixels> x(windows, plan.run_offset[run]);
#pragma GCC unroll 2
            for (size_t k = 0; k < plan.run_words; k++, weights += kPanel) {
                prefetch<kIsStream, kVectors>(weights);
                V w[kVectors];
                for (size_t j = 0; j < kVectors; j++) w[j] = weights_of(weights, j);
                for (size_t i = 0; i < kPixels; i++)
                    for (size_t j = 0; j < kVectors; j++)
                        count[i][j] =
                            _mm512_add_epi32(count[i][j], _mm512_popcnt_epi32(_mm512_xor_si512(x.word(i, k), w[j])));
            }
        }
    }
};

template <bool kMakesBits>
void conv_one_by_one(const BitConvPlan& plan, const Pixels& pixels, size_t first, size_t end) {
    if (pixels.n <= 2) bit_conv<kMakesBits, OneByOne<2, true>>(plan, pixels, first, end);
    else bit_conv<kMakesBits, OneByOne<4>>(plan, pixels, first, end);
}

template <bool kMakesBits>
void conv_by_parity(const BitConvPlan& plan, const Pixels& pixels, size_t first, size_t end) {
    constexpr size_t kNear = 24 * 1024;  // so much stays in the first cache; of a larger panel, half may
    const size_t panel_bytes = plan.n_runs * plan.run_words * kPanel * 4;
    if (plan.run_words == 1 || plan.run_words == 3) return conv_one_by_one<kMakesBits>(plan, pixels, first, end);
    if (pixels.n <= 2) bit_conv<kMakesBits, ByParity<2, 64, true>>(plan, pixels, first, end);
    else if (panel_bytes <= kNear) bit_conv<kMakesBits, ByParity<2, 64>>(plan, pixels, first, end);
    else bit_conv<kMakesBits, ByParity<4, 32>>(plan, pixels, first, end);
}

template <size_t kPixels, size_t kVectors>
inline void Isa::multiply(const ByteConvPlan& plan, const void* const* windows, const int8_t* weights,
                          V (&sum)[kPixels][kVectors]) {
    clear(sum);
    for (size_t run = 0; run < plan.n_runs; run++) {
        const uint8_t* x[kPixels];
        for (size_t i = 0; i < kPixels; i++) x[i] = static_cast<const uint8_t*>(windows[i]) + plan.run_offset[run];
        for (size_t k = 0; k < plan.run_quads; k++, weights += 4 * kPanel) {
            V w[kVectors];
            for (size_t j = 0; j < kVectors; j++) w[j] = _mm512_load_si512(weights + 64 * j);
            for (size_t i = 0; i < kPixels; i++) {
                int quad;
                memcpy(&quad, x[i] + 4 * k, sizeof quad);
                const V xi = _mm512_set1_epi32(quad);
                for (size_t j = 0; j < kVectors; j++) sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], xi, w[j]);
            }
        }
    }
}

// ---- One element at a time
// -------------------------------------------------------------------------------------------

void bits_to_bytes_avx512(const uint32_t* words, size_t n, uint8_t* bytes) {
    const V one = _mm512_set1_epi8(1);
    size_t i = 0;
    for (; i + 64 <= n; i += 64, words += 2) {
        __mmask64 bits;
        memcpy(&bits, words, sizeof bits);
        _mm512_storeu_si512(bytes + i, _mm512_maskz_mov_epi8(bits, one));
    }
    if (i == n) return;
    const uint64_t bits = words[0] | (n - i > 32 ? uint64_t{words[1]} << 32 : 0);
    _mm512_mask_storeu_epi8(bytes + i, (uint64_t{1} << (n - i)) - 1, _mm512_maskz_mov_epi8(bits, one));
}

inline __mmask16 first_of_vector(size_t n) { return static_cast<__mmask16>(n < 16 ? (1u << n) - 1 : 0xFFFF); }

void or_words_avx512(const uint32_t* const* rows, size_t n_rows, size_t n_words, uint32_t* out) {
    for (size_t w = 0; w < n_words; w += 16) {
        const __mmask16 exist = first_of_vector(n_words - w);
        V words = _mm512_setzero_si512();
        for (size_t r = 0; r < n_rows; r++)
            words = _mm512_or_si512(words, _mm512_maskz_loadu_epi32(exist, rows[r] + w));
        _mm512_mask_storeu_epi32(out + w, exist, words);
    }
}

// The maximum with NaN is its second operand.
inline __m128i quantize_vector(__m512 x, __m512 scale, __m512 offset) {
    const __m512 y = _mm512_add_ps(_mm512_mul_ps(x, scale), offset);
    const __m512 clamped = _mm512_min_ps(_mm512_max_ps(y, _mm512_setzero_ps()), _mm512_set1_ps(255.0f));
    return _mm512_cvtepi32_epi8(_mm512_cvt_roundps_epi32(clamped, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// Few channels are written out until they fill whole vectors.
void quantize_avx512(const float* x, size_t n, size_t channels, const float* scale, const float* offset,
                     uint8_t* bytes) {
    float scales[16 * 16], offsets[16 * 16];
    size_t period = channels;
    if (channels < 16) {
        period = 16 * channels;
        for (size_t i = 0; i < period && i < n; i += channels) {
            memcpy(scales + i, scale, channels * sizeof(float));
            memcpy(offsets + i, offset, channels * sizeof(float));
        }
        scale = scales, offset = offsets;
    }
    for (size_t first = 0; first < n; first += period, x += period, bytes += period) {
        const size_t end = n - first < period ? n - first : period;
        size_t i = 0;
        for (; i + 16 <= end; i += 16) {
            const auto load = [=](const float* from) { return _mm512_loadu_ps(from + i); };
            _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + i),
                             quantize_vector(load(x), load(scale), load(offset)));
        }
        if (i == end) continue;
        const __mmask16 exist = first_of_vector(end - i);
        const auto load = [=](const float* from) { return _mm512_maskz_loadu_ps(exist, from + i); };
        _mm_mask_storeu_epi8(bytes + i, exist, quantize_vector(load(x), load(scale), load(offset)));
    }
}

}  // namespace

namespace bimetal {

const NetKernels kNetAvx512 = {conv_by_parity<true>,
                               conv_by_parity<false>,
                               byte_conv<true>,
                               byte_conv<false>,
                               gather_planes_avx512,
                               scatter_planes_avx512,
                               bits_to_bytes_avx512,
                               or_words_avx512,
                               quantize_avx512,
                               moments_portable,
                               nullptr};

extern const NetKernels kNetAvx512Zen4;
const NetKernels kNetAvx512Zen4 = {conv_one_by_one<true>,
                                   conv_one_by_one<false>,
                                   byte_conv<true>,
                                   byte_conv<false>,
                                   gather_planes_avx512,
                                   scatter_planes_avx512,
                                   bits_to_bytes_avx512,
                                   or_words_avx512,
                                   quantize_avx512,
                                   moments_portable,
                                   nullptr};

}  // namespace bimetal
