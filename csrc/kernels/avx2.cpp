// AVX2 with BMI and POPCNT: every x86 server and laptop since about 2015.
#include <immintrin.h>

#include "portable.hpp"

namespace {

template <int kTest>
inline std::uint64_t test64(const float* x, __m256 value) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 8; i++) {
        const __m256 holds = _mm256_cmp_ps(_mm256_loadu_ps(x + 8 * i), value, kTest);
        bits |= static_cast<std::uint64_t>(static_cast<unsigned>(_mm256_movemask_ps(holds))) << (8 * i);
    }
    return bits;
}

struct Isa {
    using V = __m256i;
    static V load(const std::uint64_t* from) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(from)); }
    static void store(std::uint64_t* to, V v) { _mm256_store_si256(reinterpret_cast<__m256i*>(to), v); }
    static V zero() { return _mm256_setzero_si256(); }
    static V ones() { return _mm256_set1_epi64x(-1); }
    static V and_(V a, V b) { return _mm256_and_si256(a, b); }
    static V xor_(V a, V b) { return _mm256_xor_si256(a, b); }
    static V andnot(V a, V b) { return _mm256_andnot_si256(a, b); }
    static V parity3(V a, V b, V c) { return xor_(xor_(a, b), c); }
    static V majority3(V a, V b, V c) { return _mm256_or_si256(and_(a, b), and_(xor_(a, b), c)); }
    static std::uint64_t greater_equal64(const float* x, float value) {
        return test64<_CMP_GE_OQ>(x, _mm256_set1_ps(value));
    }
    static std::uint64_t equal64(const float* x, float value) { return test64<_CMP_EQ_OQ>(x, _mm256_set1_ps(value)); }
    static std::uint64_t missing64(const float* x) { return test64<_CMP_UNORD_Q>(x, _mm256_setzero_ps()); }
    static void transpose16(const float* rows, std::size_t n_columns, float* columns, std::size_t stride) {
        transpose16_portable(rows, n_columns, columns, stride);
    }
};

}  // namespace

#include "counts.hpp"
#include "planes.hpp"
#include "rows.hpp"

namespace {

inline __m256i load256(const void* from) { return _mm256_load_si256(static_cast<const __m256i*>(from)); }
inline uint64_t byte_mask(__m256i bytes) { return static_cast<std::uint32_t>(_mm256_movemask_epi8(bytes)); }

void encode_row_avx2(const EncodePlan& plan, const float* row, float* columns, uint64_t* words) {
    row_with_twins(plan, row, columns);
    for (size_t w = 0; w < plan.n_words; w++) {
        uint64_t greater_equal = 0, equal = 0, missing = 0;
        for (size_t i = 0; i < 64; i += 8) {
            const __m256 x = _mm256_i32gather_ps(columns, load256(plan.column + 64 * w + i), 4);
            const __m256 value = _mm256_load_ps(plan.value + 64 * w + i);
            const auto bits = [i](__m256 m) {
                return static_cast<uint64_t>(static_cast<unsigned>(_mm256_movemask_ps(m))) << i;
            };
            greater_equal |= bits(_mm256_cmp_ps(x, value, _CMP_GE_OQ));
            equal |= bits(_mm256_cmp_ps(x, value, _CMP_EQ_OQ));
            missing |= bits(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
        }
        words[w] =
            (greater_equal & plan.is_greater_equal[w]) | (equal & plan.is_equal[w]) | (missing & plan.is_missing[w]);
    }
}

// Set bits of each byte, four bits at a time by table.
inline __m256i count_bytes(__m256i x) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble));
    return _mm256_add_epi8(low, _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble)));
}

// One panel: eight neurons in two vectors, one a 64-bit lane. Bytes hold the counts of up to 31 words (31 * 8 < 256).
inline uint64_t dense_panel(const uint64_t* weights, const uint64_t* in, size_t in_words, const std::uint16_t* limits) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i count[2] = {zero, zero};
    for (size_t begin = 0; begin < in_words; begin += 31) {
        const size_t end = begin + 31 < in_words ? begin + 31 : in_words;
        __m256i bytes[2] = {zero, zero};
        for (size_t k = begin; k < end; k++) {
            const __m256i x = _mm256_set1_epi64x(static_cast<long long>(in[k]));
            for (size_t h = 0; h < 2; h++)
                bytes[h] =
                    _mm256_add_epi8(bytes[h], count_bytes(_mm256_xor_si256(x, load256(weights + 8 * k + 4 * h))));
        }
        for (size_t h = 0; h < 2; h++) count[h] = _mm256_add_epi64(count[h], _mm256_sad_epu8(bytes[h], zero));
    }
    uint64_t fires = 0;
    for (size_t h = 0; h < 2; h++) {
        const __m256i limit = _mm256_cvtepu16_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(limits + 4 * h)));
        const __m256i less = _mm256_cmpgt_epi64(limit, count[h]);
        fires |= static_cast<uint64_t>(static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(less)))) << (4 * h);
    }
    return fires;
}

inline uint64_t dense_word_avx2(const uint64_t* weights, const uint64_t* in, size_t in_words,
                                const std::uint16_t* limits, size_t n_panels) {
    uint64_t fires = 0;
    for (size_t p = 0; p < n_panels; p++)
        fires |= dense_panel(weights + p * in_words * 8, in, in_words, limits + 8 * p) << (8 * p);
    return fires;
}

void dense_row_avx2(const DensePlan& plan, const uint64_t* in, uint64_t* out) {
    dense_groups(plan, in, out, [](auto... part) { return dense_word_avx2(part...); });
}

// Bytes of a table by index, sixteen entries a shuffle. A shuffle gives 0 where bit 7 of the index is set; adding
// 0x70 with saturation sets it for every index that is not below 16, those that were below 0 included.
template <size_t kTables>
inline __m256i lookup(const __m256i* table, __m256i index) {
    __m256i found = _mm256_setzero_si256();
    for (size_t t = 0; t < kTables; t++) {
        const __m256i here = _mm256_sub_epi8(index, _mm256_set1_epi8(static_cast<char>(16 * t)));
        found = _mm256_or_si256(found, _mm256_shuffle_epi8(table[t], _mm256_adds_epu8(here, _mm256_set1_epi8(0x70))));
    }
    return found;
}

// Rules of up to 512 bits, thirty-two at a time: see rules_steps in avx512.cpp.
template <size_t kTables>
void rules_steps(const RulesPlan& plan, const std::uint8_t* bytes, uint64_t* out) {
    __m256i table[kTables];
    for (size_t t = 0; t < kTables; t++)
        table[t] = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes + 16 * t)));
    for (size_t block = 0; block < plan.n_blocks; block++) {
        uint64_t fires = 0;
        for (size_t half = 0; half < 64; half += 32) {
            __m256i fails = _mm256_setzero_si256();
            for (size_t s = plan.first_step[block]; s < plan.first_step[block + 1]; s++) {
                const std::uint8_t* step = plan.steps + 128 * s + half;
                const __m256i bit = _mm256_and_si256(lookup<kTables>(table, load256(step)), load256(step + 64));
                fails = _mm256_or_si256(fails, _mm256_cmpeq_epi8(bit, _mm256_setzero_si256()));
            }
            fires |= (byte_mask(fails) ^ 0xFFFFFFFFu) << half;
        }
        out[block] = fires;
    }
}

void rules_row_avx2(const RulesPlan& plan, const uint64_t* in, uint64_t* out) {
    if (plan.n_pages > 1) return rules_row_portable(plan, in, out);
    alignas(32) std::uint8_t bytes[128];
    make_literals(plan, in, bytes);
    plan.n_pages ? rules_steps<8>(plan, bytes, out) : rules_steps<4>(plan, bytes, out);
}

// Sixty-four lanes of int16 in four vectors; within a safe run they cannot overflow.
std::int32_t sum_narrow(const uint64_t* words, size_t n_words, const std::int16_t* weights,
                        const std::uint32_t*& safe_run) {
    const __m256i lane = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
                                           static_cast<short>(0x8000));
    __m256i sum = _mm256_setzero_si256();
    for (size_t w = 0; w < n_words;) {
        __m256i part[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                           _mm256_setzero_si256()};
        for (const size_t end = w + *safe_run++; w < end; w++, weights += 64)
            for (size_t i = 0; i < 4; i++) {
                const __m256i bits = _mm256_set1_epi16(static_cast<short>(words[w] >> (16 * i)));
                const __m256i is_set = _mm256_cmpeq_epi16(_mm256_and_si256(bits, lane), lane);
                part[i] = _mm256_add_epi16(part[i], _mm256_and_si256(is_set, load256(weights + 16 * i)));
            }
        for (size_t i = 0; i < 4; i++) sum = _mm256_add_epi32(sum, _mm256_madd_epi16(part[i], _mm256_set1_epi16(1)));
    }
    alignas(32) std::int32_t lanes[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
    return lanes[0] + lanes[1] + lanes[2] + lanes[3] + lanes[4] + lanes[5] + lanes[6] + lanes[7];
}

void readout_row_avx2(const ReadoutPlan& plan, const uint64_t* words, std::int32_t* points) {
    readout_row_with(plan, words, points, sum_narrow);
}

constexpr StreamKernels kStream = {correct_counts, count_bits, list_flips_portable, 100, 4, 30, 10, 3.5};

}  // namespace

namespace bimetal {

const Kernels kAvx2 = {
    "avx2",           kRows,         56,           encode_row_avx2, dense_row_avx2, rules_row_avx2, lut_row_portable,
    readout_row_avx2, encode_planes, dense_planes, rules_planes,    lut_planes,     readout_planes, link,
    &kNetAvx2,        &kStream};

}  // namespace bimetal
