// The kernels of maps for NEON: every 64-bit ARM.
#include <arm_neon.h>
#include <string.h>

#include <cstddef>
#include <cstdint>

#include "../net/kernels.hpp"

namespace {

struct Isa {
    using V = int32x4_t;
    static constexpr std::size_t kVectorLanes = 4, kPixels = 2, kBytePixels = 2, kLanes = 32;

    template <std::size_t n_pixels, std::size_t n_vectors>
    static void count(const bimetal::BitConvPlan& plan, const void* const* windows, const std::uint32_t* weights,
                      V (&count)[n_pixels][n_vectors]);
    template <std::size_t n_pixels, std::size_t n_vectors>
    static void multiply(const bimetal::ByteConvPlan& plan, const void* const* windows, const std::int8_t* weights,
                         V (&sum)[n_pixels][n_vectors]);

    static std::uint32_t bits(uint32x4_t holds) {
        const uint32x4_t place = {1, 2, 4, 8};
        return vaddvq_u32(vandq_u32(holds, place));
    }
    static std::uint32_t at_most(V count, const std::int32_t* limits) {
        return bits(vcleq_s32(count, vld1q_s32(limits)));
    }
    static std::uint32_t not_negative(V sum, const std::int32_t* limits) {
        return bits(vcgezq_s32(sum_and_limit(sum, limits)));
    }
    static V limit_less_twice(V count, const std::int32_t* limits) {  // unsigned: it may wrap around
        const uint32x4_t twice = vreinterpretq_u32_s32(vshlq_n_s32(count, 1));
        return vreinterpretq_s32_u32(vsubq_u32(vreinterpretq_u32_s32(vld1q_s32(limits)), twice));
    }
    static V sum_and_limit(V sum, const std::int32_t* limits) { return vaddq_s32(sum, vld1q_s32(limits)); }
    static void store(std::int32_t* to, V v) { vst1q_s32(to, v); }
    static void store_some(std::int32_t* to, V v, std::size_t n) { memcpy(to, &v, n * sizeof *to); }
};

}  // namespace

#include "net_common.hpp"
#include "net_wide.hpp"

namespace {

// ---- Bits: bytes hold the counts of up to 31 words (31 * 8 < 256) -------------------------------------------------

constexpr size_t kMostWords = 31;

template <size_t n_pixels, size_t n_vectors>
inline void Isa::count(const BitConvPlan& plan, const void* const* windows, const uint32_t* weights,
                       V (&count)[n_pixels][n_vectors]) {
    uint8x16_t bytes[n_pixels][n_vectors];
    for (size_t i = 0; i < n_pixels; i++)
        for (size_t j = 0; j < n_vectors; j++) count[i][j] = vdupq_n_s32(0), bytes[i][j] = vdupq_n_u8(0);
    const auto flush = [&] {
        for (size_t i = 0; i < n_pixels; i++)
            for (size_t j = 0; j < n_vectors; j++) {
                const uint32x4_t lanes = vpaddlq_u16(vpaddlq_u8(bytes[i][j]));
                count[i][j] = vaddq_s32(count[i][j], vreinterpretq_s32_u32(lanes));
                bytes[i][j] = vdupq_n_u8(0);
            }
    };
    size_t room = kMostWords;
    for (size_t run = 0; run < plan.n_runs; run++) {
        const uint32_t* x[n_pixels];
        for (size_t i = 0; i < n_pixels; i++) x[i] = static_cast<const uint32_t*>(windows[i]) + plan.run_offset[run];
        for (size_t k = 0; k < plan.run_words;) {
            if (room == 0) flush(), room = kMostWords;
            const size_t n = plan.run_words - k < room ? plan.run_words - k : room;
            room -= n;
            for (const size_t end = k + n; k < end; k++, weights += kPanel) {
                uint32x4_t xk[n_pixels];
                for (size_t i = 0; i < n_pixels; i++) xk[i] = vdupq_n_u32(x[i][k]);
#pragma GCC unroll 16
                for (size_t j = 0; j < n_vectors; j++) {
                    const uint32x4_t w = vld1q_u32(weights + 4 * j);
                    for (size_t i = 0; i < n_pixels; i++) {
                        const uint8x16_t differs = vreinterpretq_u8_u32(veorq_u32(xk[i], w));
                        bytes[i][j] = vaddq_u8(bytes[i][j], vcntq_u8(differs));
                    }
                }
            }
        }
    }
    flush();
}

// ---- Bytes: a product fits 16 bits; neighbours are added to 32 ----------------------------------------------------

// A sum is in two halves until the end: those of two neighbours of a quad. `kSome` vectors of channels at a time, so
// that all sums stay in registers.
template <size_t n_pixels, size_t kSome>
inline void multiply_some(const ByteConvPlan& plan, const void* const* windows, const int8_t* weights, Isa::V* sum,
                          size_t stride) {
    int32x4_t halves[n_pixels][kSome][2];
    for (size_t i = 0; i < n_pixels; i++)
        for (size_t j = 0; j < kSome; j++) halves[i][j][0] = halves[i][j][1] = vdupq_n_s32(0);
    for (size_t run = 0; run < plan.n_runs; run++) {
        const size_t offset = plan.run_offset[run];
        for (size_t quad = 0; quad < plan.run_quads; quad++, weights += 4 * kPanel) {
            int16x8_t x[n_pixels];
            for (size_t i = 0; i < n_pixels; i++) {
                uint32_t bytes;
                memcpy(&bytes, static_cast<const uint8_t*>(windows[i]) + offset + 4 * quad, sizeof bytes);
                x[i] = vreinterpretq_s16_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes))));
            }
#pragma GCC unroll 8
            for (size_t j = 0; j < kSome; j++) {
                const int8x16_t quads = vld1q_s8(weights + 16 * j);
                const int16x8_t w[2] = {vmovl_s8(vget_low_s8(quads)), vmovl_high_s8(quads)};
                for (size_t h = 0; h < 2; h++)
                    for (size_t i = 0; i < n_pixels; i++)
                        halves[i][j][h] = vpadalq_s16(halves[i][j][h], vmulq_s16(x[i], w[h]));
            }
        }
    }
    for (size_t i = 0; i < n_pixels; i++)
        for (size_t j = 0; j < kSome; j++) sum[i * stride + j] = vpaddq_s32(halves[i][j][0], halves[i][j][1]);
}

template <size_t n_pixels, size_t n_vectors>
inline void Isa::multiply(const ByteConvPlan& plan, const void* const* windows, const int8_t* weights,
                          V (&sum)[n_pixels][n_vectors]) {
    constexpr size_t kSome = 4;
    for (size_t j = 0; j < n_vectors; j += kSome)
        multiply_some<n_pixels, kSome>(plan, windows, weights + 16 * j, &sum[0][j], n_vectors);
}

// ---- The rest -----------------------------------------------------------------------------------------------

void bits_to_bytes_neon(const uint32_t* words, size_t n, uint8_t* bytes) {
    const uint8x16_t place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128}, one = vdupq_n_u8(1);
    for (; n >= 32; n -= 32, words++, bytes += 32)
        for (size_t half = 0; half < 2; half++) {
            const auto low = static_cast<uint8_t>(*words >> (16 * half));
            const auto high = static_cast<uint8_t>(*words >> (16 * half + 8));
            const uint8x16_t all = vcombine_u8(vdup_n_u8(low), vdup_n_u8(high));
            vst1q_u8(bytes + 16 * half, vandq_u8(vtstq_u8(all, place), one));
        }
    bits_to_bytes_portable(words, n, bytes);
}

// The conversion rounds half to even, clamps to the range of the type, and makes 0 of NaN.
inline uint16x4_t quantize4(const float* x, const float* scale, const float* offset) {
    const float32x4_t product = vmulq_f32(vld1q_f32(x), vld1q_f32(scale));
    return vqmovn_u32(vcvtnq_u32_f32(vaddq_f32(product, vld1q_f32(offset))));
}

// A scale and an offset for each of n floats.
inline void quantize_each(const float* x, size_t n, const float* scale, const float* offset, uint8_t* bytes) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const uint16x4_t low = quantize4(x + i, scale + i, offset + i);
        const uint16x4_t high = quantize4(x + i + 4, scale + i + 4, offset + i + 4);
        vst1_u8(bytes + i, vqmovn_u16(vcombine_u16(low, high)));
    }
    for (; i < n; i++) bytes[i] = quantize_one(x[i], scale[i], offset[i]);
}

void quantize_neon(const float* x, size_t n, size_t channels, const float* scale, const float* offset, uint8_t* bytes) {
    quantize_wide<8>(x, n, channels, scale, offset, bytes, quantize_each);
}

}  // namespace

namespace bimetal {

const NetKernels kNetNeon = {bit_conv<true>,
                             bit_conv<false>,
                             byte_conv<true>,
                             byte_conv<false>,
                             gather_planes_wide<4>,
                             scatter_planes_wide<4>,
                             bits_to_bytes_neon,
                             or_words_wide<16>,
                             quantize_neon,
                             moments_portable,
                             nullptr};

}  // namespace bimetal
