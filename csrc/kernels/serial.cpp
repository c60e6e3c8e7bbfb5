// The portable kernels: plain C++ that any compiler understands, and the measure of the others.
#include <string.h>

#include "portable.hpp"

namespace {

// Two words a plane where the compiler knows vectors (SSE2, or whatever the baseline has), one word elsewhere.
#if defined(__GNUC__)
typedef std::uint64_t Plane __attribute__((vector_size(16), aligned(16)));
#else
typedef std::uint64_t Plane;
#endif

template <class Test>
inline std::uint64_t test64(const float* x, Test test) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 64; i++) bits |= static_cast<std::uint64_t>(test(x[i])) << i;
    return bits;
}

struct Isa {
    using V = Plane;
    static V load(const std::uint64_t* from) {
        V v;
        memcpy(&v, from, sizeof v);
        return v;
    }
    static void store(std::uint64_t* to, V v) { memcpy(to, &v, sizeof v); }
    static V zero() { return V{}; }
    static V ones() { return ~V{}; }
    static V and_(V a, V b) { return a & b; }
    static V xor_(V a, V b) { return a ^ b; }
    static V andnot(V a, V b) { return ~a & b; }
    static V parity3(V a, V b, V c) { return a ^ b ^ c; }
    static V majority3(V a, V b, V c) { return (a & b) | ((a ^ b) & c); }
    static std::uint64_t greater_equal64(const float* x, float value) {
        return test64(x, [value](float v) { return v >= value; });
    }
    static std::uint64_t equal64(const float* x, float value) {
        return test64(x, [value](float v) { return v == value; });
    }
    static std::uint64_t missing64(const float* x) {
        return test64(x, [](float v) { return v != v; });
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

void encode_row_serial(const EncodePlan& plan, const float* row, float* columns, uint64_t* words) {
    row_with_twins(plan, row, columns);
    for (size_t w = 0; w < plan.n_words; w++) {
        uint64_t greater_equal = 0, equal = 0, missing = 0;
        for (size_t i = 0; i < 64; i++) {
            const float x = columns[plan.column[64 * w + i]], value = plan.value[64 * w + i];
            greater_equal |= static_cast<uint64_t>(x >= value) << i;
            equal |= static_cast<uint64_t>(x == value) << i;
            missing |= static_cast<uint64_t>(x != x) << i;
        }
        words[w] =
            (greater_equal & plan.is_greater_equal[w]) | (equal & plan.is_equal[w]) | (missing & plan.is_missing[w]);
    }
}

inline uint64_t dense_word_serial(const uint64_t* weights, const uint64_t* in, size_t in_words,
                                  const std::uint16_t* limits, size_t n_panels) {
    uint64_t fires = 0;
    for (size_t o = 0; o < 8 * n_panels; o++) {
        const uint64_t* w = weights + o / 8 * in_words * 8 + o % 8;
        unsigned count = 0;
        for (size_t k = 0; k < in_words; k++) count += bm_popcount(in[k] ^ w[8 * k]);
        fires |= static_cast<uint64_t>(count < limits[o]) << o;
    }
    return fires;
}

void dense_row_serial(const DensePlan& plan, const uint64_t* in, uint64_t* out) {
    dense_groups(plan, in, out, [](auto... part) { return dense_word_serial(part...); });
}

constexpr StreamKernels kStream = {correct_counts, count_bits, list_flips_portable, 250, 24, 200, 64, 3.5};

}  // namespace

namespace bimetal {

const Kernels kSerial = {"serial",
                         kRows,
                         8,
                         encode_row_serial,
                         dense_row_serial,
                         rules_row_portable,
                         lut_row_portable,
                         readout_row_portable,
                         encode_planes,
                         dense_planes,
                         rules_planes,
                         lut_planes,
                         readout_planes,
                         link,
                         &kNetSerial,
                         &kStream};

}  // namespace bimetal
