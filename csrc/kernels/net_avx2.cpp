// The kernels of maps for AVX2 with BMI and POPCNT. Bits are counted after full adders, four words of a lane at a
// time: that is cheaper than a look-up for each word.
#include <immintrin.h>
#include <string.h>

#include <cstddef>
#include <cstdint>

#include "../net/kernels.hpp"

namespace {

inline __m256i load256(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline std::uint32_t lane_signs(__m256i v) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(v)));
}

struct Isa {
    using V = __m256i;
    static constexpr std::size_t kVectorLanes = 8, kPixels = 1, kBytePixels = 3, kLanes = 64;

    template <std::size_t n_vectors>
    static void count(const bimetal::BitConvPlan& plan, const void* const* windows, const std::uint32_t* weights,
                      V (&count)[1][n_vectors]);
    template <std::size_t n_pixels, std::size_t n_vectors>
    static void multiply(const bimetal::ByteConvPlan& plan, const void* const* windows, const std::int8_t* weights,
                         V (&sum)[n_pixels][n_vectors]);

    static std::uint32_t at_most(V count, const std::int32_t* limits) {
        return 0xFF ^ lane_signs(_mm256_cmpgt_epi32(count, load256(limits)));
    }
    static std::uint32_t not_negative(V sum, const std::int32_t* limits) {
        return 0xFF ^ lane_signs(sum_and_limit(sum, limits));
    }
    static V limit_less_twice(V count, const std::int32_t* limits) {
        return _mm256_sub_epi32(load256(limits), _mm256_add_epi32(count, count));
    }
    static V sum_and_limit(V sum, const std::int32_t* limits) { return _mm256_add_epi32(sum, load256(limits)); }
    static void store(std::int32_t* to, V v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v); }
    static void store_some(std::int32_t* to, V v, std::size_t n) {
        const V lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_maskstore_epi32(to, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane), v);
    }
};

}  // namespace

#include "net_common.hpp"
#include "net_wide.hpp"

namespace {

// ---- Bits ---------------------------------------------------------------------------------------------------

// Where the words of a window lie, one after the other: offsets from its first word.
struct WindowWords {
    const uint32_t* run;
    size_t run_words, at, left;

    explicit WindowWords(const BitConvPlan& plan) : run(plan.run_offset), run_words(plan.run_words), at(0), left(0) {}
    size_t next() {
        if (left == 0) at = *run++, left = run_words;
        left--;
        return at++;
    }
};

// Set bits of each byte, four bits at a time by table.
inline __m256i count_bytes(__m256i x) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble));
    return _mm256_add_epi8(low, _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble)));
}

// A full adder on every bit: `sum` becomes sum + a + b, of which the carry is returned.
inline __m256i add_bits(__m256i& sum, __m256i a, __m256i b) {
    const __m256i either = _mm256_xor_si256(sum, a), carry = _mm256_and_si256(sum, a);
    sum = _mm256_xor_si256(either, b);
    return _mm256_or_si256(carry, _mm256_and_si256(either, b));
}

// Bytes, all below 256, to the sums of the four in each lane.
inline __m256i add_bytes(__m256i bytes) {
    const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// What has been counted for eight channels: ones + 2 * twos + 4 * the counts in bytes + 4 * count.
struct Counter {
    __m256i ones, twos, fours, count;

    void add4(const __m256i (&x)[4]) {
        const __m256i a = add_bits(ones, x[0], x[1]), b = add_bits(ones, x[2], x[3]);
        fours = _mm256_add_epi8(fours, count_bytes(add_bits(twos, a, b)));
    }
    void flush() {
        count = _mm256_add_epi32(count, add_bytes(fours));
        fours = _mm256_setzero_si256();
    }
    // All of it but count, which is in 32-bit lanes, once fours are flushed: bytes of at most 24.
    __m256i rest() const {
        const __m256i n_twos = count_bytes(twos);
        return _mm256_add_epi8(count_bytes(ones), _mm256_add_epi8(n_twos, n_twos));
    }
};

inline __m256i differs(const void* window, size_t word, const uint32_t* weights) {
    int x;
    memcpy(&x, static_cast<const uint32_t*>(window) + word, sizeof x);
    return _mm256_xor_si256(_mm256_set1_epi32(x), load256(weights));
}

// More weights than the nearest cache keeps come from afar for every window: they are called for early, a line of
// sixteen lanes at a time.
inline void prefetch_weights(const uint32_t* weights) {
    constexpr size_t kAhead = 4096;
    for (size_t lane = 0; lane < 4 * kPanel; lane += 16)
        _mm_prefetch(reinterpret_cast<const char*>(weights + lane) + kAhead, _MM_HINT_T0);
}

constexpr size_t kMostSteps = 31;       // a byte holds the counts of so many: 8 * 31 < 256
constexpr size_t kPrefetchWords = 128;  // 32 KiB

// All words but the last n_words % 4. Inlined by force: else the cursor lives in memory, 5 to 20 % slower.
template <size_t n_vectors>
__attribute__((always_inline)) inline void count_fours(const void* window, const uint32_t*& weights, size_t n_words,
                                                       WindowWords& words, Counter (&counters)[n_vectors]) {
    for (size_t steps = n_words / 4, room = kMostSteps; steps; steps -= room) {
        room = steps < kMostSteps ? steps : kMostSteps;
        for (size_t step = 0; step < room; step++, weights += 4 * kPanel) {
            if (n_words >= kPrefetchWords) prefetch_weights(weights);
            const size_t word[4] = {words.next(), words.next(), words.next(), words.next()};
#pragma GCC unroll 8
            for (size_t j = 0; j < n_vectors; j++) {
                __m256i x[4];
#pragma GCC unroll 4
                for (size_t k = 0; k < 4; k++) x[k] = differs(window, word[k], weights + k * kPanel + 8 * j);
                counters[j].add4(x);
            }
        }
        for (auto& counter : counters) counter.flush();
    }
}

template <size_t n_vectors>
inline void Isa::count(const BitConvPlan& plan, const void* const* windows, const uint32_t* weights,
                       V (&count)[1][n_vectors]) {
    const V zero = _mm256_setzero_si256();
    const size_t n_words = plan.n_runs * plan.run_words;
    WindowWords words(plan);
    Counter counters[n_vectors];
    for (auto& counter : counters) counter = {zero, zero, zero, zero};
    count_fours(*windows, weights, n_words, words, counters);
    V rest[n_vectors];
    for (size_t j = 0; j < n_vectors; j++) rest[j] = counters[j].rest();
    for (size_t k = 0; k < n_words % 4; k++, weights += kPanel) {
        const size_t word = words.next();
        for (size_t j = 0; j < n_vectors; j++)
            rest[j] = _mm256_add_epi8(rest[j], count_bytes(differs(*windows, word, weights + 8 * j)));
    }
    for (size_t j = 0; j < n_vectors; j++)
        count[0][j] = _mm256_add_epi32(_mm256_slli_epi32(counters[j].count, 2), add_bytes(rest[j]));
}

// ---- Bytes --------------------------------------------------------------------------------------------------

// Bytes are widened to 16 bits, because the sums of vpmaddubsw saturate. A sum is in two halves until the end: those
// of two neighbours of a quad. `kSome` vectors of channels at a time, so that all sums stay in registers.
template <size_t n_pixels, size_t kSome>
inline void multiply_some(const ByteConvPlan& plan, const void* const* windows, const int8_t* weights, Isa::V* sum,
                          size_t stride) {
    __m256i halves[n_pixels][kSome][2];
    for (size_t i = 0; i < n_pixels; i++)
        for (size_t j = 0; j < kSome; j++) halves[i][j][0] = halves[i][j][1] = _mm256_setzero_si256();
    for (size_t run = 0; run < plan.n_runs; run++) {
        const size_t offset = plan.run_offset[run];
        for (size_t quad = 0; quad < plan.run_quads; quad++, weights += 4 * kPanel) {
            __m256i x[n_pixels];
            for (size_t i = 0; i < n_pixels; i++) {
                int bytes;
                memcpy(&bytes, static_cast<const uint8_t*>(windows[i]) + offset + 4 * quad, sizeof bytes);
                x[i] = _mm256_cvtepu8_epi16(_mm_set1_epi32(bytes));
            }
#pragma GCC unroll 8
            for (size_t h = 0; h < 2 * kSome; h++) {
                const __m256i w =
                    _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(weights + 16 * h)));
#pragma GCC unroll 4
                for (size_t i = 0; i < n_pixels; i++)
                    halves[i][h / 2][h % 2] = _mm256_add_epi32(halves[i][h / 2][h % 2], _mm256_madd_epi16(x[i], w));
            }
        }
    }
    for (size_t i = 0; i < n_pixels; i++)
        for (size_t j = 0; j < kSome; j++) {
            const __m256i lanes = _mm256_hadd_epi32(halves[i][j][0], halves[i][j][1]);  // 0 1 4 5, 2 3 6 7
            sum[i * stride + j] = _mm256_permute4x64_epi64(lanes, 0xD8);
        }
}

template <size_t n_pixels, size_t n_vectors>
inline void Isa::multiply(const ByteConvPlan& plan, const void* const* windows, const int8_t* weights,
                          V (&sum)[n_pixels][n_vectors]) {
    constexpr size_t kSome = 2;
    for (size_t j = 0; j < n_vectors; j += kSome)
        multiply_some<n_pixels, kSome>(plan, windows, weights + 32 * j, &sum[0][j], n_vectors);
}

// ---- The rest -----------------------------------------------------------------------------------------------

// A word is copied to every byte that wants one of its bits.
void bits_to_bytes_avx2(const uint32_t* words, size_t n, uint8_t* bytes) {
    const __m256i source = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                            2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i place = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    for (; n >= 32; n -= 32, bytes += 32) {
        const __m256i all = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(*words++)), source);
        const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(all, place), place);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes), _mm256_and_si256(is_set, _mm256_set1_epi8(1)));
    }
    bits_to_bytes_portable(words, n, bytes);
}

// The maximum of NaN and 0 is its second operand, 0; the conversion rounds half to even.
inline __m256i quantize8(const float* x, const float* scale, const float* offset) {
    const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(scale));
    const __m256 y = _mm256_add_ps(product, _mm256_loadu_ps(offset));
    const __m256 most = _mm256_set1_ps(255.0f);
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(y, _mm256_setzero_ps()), most));
}

// A scale and an offset for each of n floats.
inline void quantize_each(const float* x, size_t n, const float* scale, const float* offset, uint8_t* bytes) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i y[4];
        for (size_t k = 0; k < 4; k++) y[k] = quantize8(x + i + 8 * k, scale + i + 8 * k, offset + i + 8 * k);
        const __m256i low = _mm256_packs_epi32(y[0], y[1]), high = _mm256_packs_epi32(y[2], y[3]);
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // packing works in halves of a vector
        const __m256i all = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes + i), all);
    }
    for (; i < n; i++) bytes[i] = quantize_one(x[i], scale[i], offset[i]);
}

void quantize_avx2(const float* x, size_t n, size_t channels, const float* scale, const float* offset, uint8_t* bytes) {
    quantize_wide<32>(x, n, channels, scale, offset, bytes, quantize_each);
}

}  // namespace

namespace bimetal {

const NetKernels kNetAvx2 = {bit_conv<true>,
                             bit_conv<false>,
                             byte_conv<true>,
                             byte_conv<false>,
                             gather_planes_wide<8>,
                             scatter_planes_wide<8>,
                             bits_to_bytes_avx2,
                             or_words_wide<32>,
                             quantize_avx2,
                             moments_portable,
                             nullptr};

}  // namespace bimetal
