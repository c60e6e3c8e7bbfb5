// NEON: every 64-bit ARM.
#include <arm_neon.h>

#include "portable.hpp"

namespace {

// Sixty-four bytes of 0 or 255 as a word of bits: each keeps the bit of its place, neighbours are added three times.
inline std::uint64_t byte_mask(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
    const uint8x16_t place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t ab = vpaddq_u8(vandq_u8(a, place), vandq_u8(b, place));
    const uint8x16_t cd = vpaddq_u8(vandq_u8(c, place), vandq_u8(d, place));
    const uint8x16_t abcd = vpaddq_u8(ab, cd);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(abcd, abcd)), 0);
}

inline uint8x16_t narrow(uint32x4_t a, uint32x4_t b, uint32x4_t c, uint32x4_t d) {
    const uint16x8_t ab = vcombine_u16(vmovn_u32(a), vmovn_u32(b)), cd = vcombine_u16(vmovn_u32(c), vmovn_u32(d));
    return vcombine_u8(vmovn_u16(ab), vmovn_u16(cd));
}

// test(i) gives the truth of floats 4 * i to 4 * i + 3 in 32-bit lanes.
template <class Test>
inline std::uint64_t test64(Test test) {
    uint8x16_t bytes[4];
    for (std::size_t i = 0; i < 4; i++)
        bytes[i] = narrow(test(4 * i), test(4 * i + 1), test(4 * i + 2), test(4 * i + 3));
    return byte_mask(bytes[0], bytes[1], bytes[2], bytes[3]);
}

struct Isa {
    using V = uint64x2_t;
    static V load(const std::uint64_t* from) { return vld1q_u64(from); }
    static void store(std::uint64_t* to, V v) { vst1q_u64(to, v); }
    static V zero() { return vdupq_n_u64(0); }
    static V ones() { return vdupq_n_u64(~std::uint64_t{0}); }
    static V and_(V a, V b) { return vandq_u64(a, b); }
    static V xor_(V a, V b) { return veorq_u64(a, b); }
    static V andnot(V a, V b) { return vbicq_u64(b, a); }
    static V parity3(V a, V b, V c) { return veorq_u64(veorq_u64(a, b), c); }
    static V majority3(V a, V b, V c) { return vbslq_u64(veorq_u64(a, b), c, a); }  // where a and b differ, c decides
    static std::uint64_t greater_equal64(const float* x, float value) {
        const float32x4_t v = vdupq_n_f32(value);
        return test64([x, v](std::size_t i) { return vcgeq_f32(vld1q_f32(x + 4 * i), v); });
    }
    static std::uint64_t equal64(const float* x, float value) {
        const float32x4_t v = vdupq_n_f32(value);
        return test64([x, v](std::size_t i) { return vceqq_f32(vld1q_f32(x + 4 * i), v); });
    }
    static std::uint64_t missing64(const float* x) {
        return ~test64([x](std::size_t i) { return vceqq_f32(vld1q_f32(x + 4 * i), vld1q_f32(x + 4 * i)); });
    }
    static void transpose16(const float* rows, std::size_t n_columns, float* columns, std::size_t stride) {
        transpose16_portable(rows, n_columns, columns, stride);
    }
};

}  // namespace

#include "counts.hpp"
#include "planes.hpp"
#include "rows.hpp"

namespace {

void encode_row_neon(const EncodePlan& plan, const float* row, float* columns, uint64_t* words) {
    row_with_twins(plan, row, columns);
    for (size_t w = 0; w < plan.n_words; w++) {
        float x[64];
        for (size_t i = 0; i < 64; i++) x[i] = columns[plan.column[64 * w + i]];
        const float* value = plan.value + 64 * w;
        const auto at = [](const float* from, size_t i) { return vld1q_f32(from + 4 * i); };
        const uint64_t greater_equal = test64([&](size_t i) { return vcgeq_f32(at(x, i), at(value, i)); });
        const uint64_t equal = test64([&](size_t i) { return vceqq_f32(at(x, i), at(value, i)); });
        words[w] = (greater_equal & plan.is_greater_equal[w]) | (equal & plan.is_equal[w]) |
                   (Isa::missing64(x) & plan.is_missing[w]);
    }
}

// One panel: eight neurons in four vectors, one a 64-bit lane. Bytes hold the counts of up to 31 words (31 * 8 < 256).
inline uint64_t dense_panel(const uint64_t* weights, const uint64_t* in, size_t in_words, const std::uint16_t* limits) {
    uint64x2_t count[4] = {Isa::zero(), Isa::zero(), Isa::zero(), Isa::zero()};
    for (size_t begin = 0; begin < in_words; begin += 31) {
        const size_t end = begin + 31 < in_words ? begin + 31 : in_words;
        uint8x16_t bytes[4] = {vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0)};
        for (size_t k = begin; k < end; k++) {
            const uint64x2_t x = vdupq_n_u64(in[k]);
            for (size_t q = 0; q < 4; q++) {
                const uint64x2_t differs = veorq_u64(x, vld1q_u64(weights + 8 * k + 2 * q));
                bytes[q] = vaddq_u8(bytes[q], vcntq_u8(vreinterpretq_u8_u64(differs)));
            }
        }
        for (size_t q = 0; q < 4; q++) count[q] = vaddq_u64(count[q], vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(bytes[q]))));
    }
    uint64_t fires = 0;
    for (size_t q = 0; q < 4; q++) {
        const uint64x2_t limit = {limits[2 * q], limits[2 * q + 1]}, less = vcltq_u64(count[q], limit);
        fires |= ((vgetq_lane_u64(less, 0) & 1) | (vgetq_lane_u64(less, 1) & 2)) << (2 * q);
    }
    return fires;
}

inline uint64_t dense_word_neon(const uint64_t* weights, const uint64_t* in, size_t in_words,
                                const std::uint16_t* limits, size_t n_panels) {
    uint64_t fires = 0;
    for (size_t p = 0; p < n_panels; p++)
        fires |= dense_panel(weights + p * in_words * 8, in, in_words, limits + 8 * p) << (8 * p);
    return fires;
}

void dense_row_neon(const DensePlan& plan, const uint64_t* in, uint64_t* out) {
    dense_groups(plan, in, out, [](auto... part) { return dense_word_neon(part...); });
}

// Rules of up to 512 bits, sixty-four at a time: see rules_steps in avx512.cpp. A table lookup gives 0 for an index
// beyond its sixty-four bytes.
template <bool kHasSecond>
void rules_steps(const RulesPlan& plan, const std::uint8_t* bytes, uint64_t* out) {
    const uint8x16x4_t first = vld1q_u8_x4(bytes);
    const uint8x16x4_t second = kHasSecond ? vld1q_u8_x4(bytes + 64) : first;
    for (size_t block = 0; block < plan.n_blocks; block++) {
        uint8x16_t holds[4] = {vdupq_n_u8(255), vdupq_n_u8(255), vdupq_n_u8(255), vdupq_n_u8(255)};
        for (size_t s = plan.first_step[block]; s < plan.first_step[block + 1]; s++)
            for (size_t q = 0; q < 4; q++) {
                const std::uint8_t* step = plan.steps + 128 * s + 16 * q;
                const uint8x16_t index = vld1q_u8(step);
                uint8x16_t found = vqtbl4q_u8(first, index);
                if (kHasSecond) found = vorrq_u8(found, vqtbl4q_u8(second, vsubq_u8(index, vdupq_n_u8(64))));
                holds[q] = vandq_u8(holds[q], vtstq_u8(found, vld1q_u8(step + 64)));
            }
        out[block] = byte_mask(holds[0], holds[1], holds[2], holds[3]);
    }
}

void rules_row_neon(const RulesPlan& plan, const uint64_t* in, uint64_t* out) {
    if (plan.n_pages > 1) return rules_row_portable(plan, in, out);
    std::uint8_t bytes[128];
    make_literals(plan, in, bytes);
    plan.n_pages ? rules_steps<true>(plan, bytes, out) : rules_steps<false>(plan, bytes, out);
}

// Sixty-four lanes of int16 in eight vectors; within a safe run they cannot overflow.
std::int32_t sum_narrow(const uint64_t* words, size_t n_words, const std::int16_t* weights,
                        const std::uint32_t*& safe_run) {
    const uint16x8_t lane = {1, 2, 4, 8, 16, 32, 64, 128};
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t w = 0; w < n_words;) {
        int16x8_t part[8];
        for (auto& p : part) p = vdupq_n_s16(0);
        for (const size_t end = w + *safe_run++; w < end; w++, weights += 64)
            for (size_t i = 0; i < 8; i++) {
                const uint16x8_t bits = vdupq_n_u16(static_cast<std::uint16_t>(words[w] >> (8 * i)));
                const int16x8_t is_set = vreinterpretq_s16_u16(vtstq_u16(bits, lane));
                part[i] = vaddq_s16(part[i], vandq_s16(is_set, vld1q_s16(weights + 8 * i)));
            }
        for (const auto& p : part) sum = vpadalq_s16(sum, p);  // adds neighbours, exactly
    }
    return vaddvq_s32(sum);
}

void readout_row_neon(const ReadoutPlan& plan, const uint64_t* words, std::int32_t* points) {
    readout_row_with(plan, words, points, sum_narrow);
}

constexpr StreamKernels kStream = {correct_counts, count_bits, list_flips_portable, 150, 6, 30, 12, 3.5};

}  // namespace

namespace bimetal {

const Kernels kNeon = {
    "neon",           kRows,         28,           encode_row_neon, dense_row_neon, rules_row_neon, lut_row_portable,
    readout_row_neon, encode_planes, dense_planes, rules_planes,    lut_planes,     readout_planes, link,
    &kNetNeon,        &kStream};

}  // namespace bimetal
