// What every instruction set shares beside the planes: the link, and portable pieces of the row form.
//
// Included by each kernels/<isa>.cpp and compiled with its flags; anonymous for the reason told in planes.hpp.
#pragma once

#include <string.h>

#include "../include/bimetal/bits.h"
#include "../net/kernels.hpp"
#include "../plan.hpp"

namespace {

using namespace bimetal;
using std::size_t;
using std::uint64_t;

// ---- Link: float64 in the order that docs/program.md writes down; never fused (-ffp-contract=off) ---------------

inline double clamp(double x) { return x < -700.0 ? -700.0 : x; }

// e**x for -700 <= x <= 0: x = k ln 2 + r, Taylor polynomial of degree 13 in r by Horner's rule, scaled by 2**k.
inline double exponential(double x) {
    const double t = x * 1.4426950408889634 + 0.5;
    const double truncated = static_cast<double>(static_cast<std::int32_t>(t));
    const double k = truncated - static_cast<double>(truncated > t);  // floor
    const double r = (x - k * 0.6931471803691238) - k * 1.9082149292705877e-10;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 1.0 / 2.0;
    p = p * r + 1.0;
    p = p * r + 1.0;
    // 2**k is exact, and so is the product: k >= -1010 and p >= 0.7 stay clear of subnormal numbers.
    const std::int64_t exponent = (static_cast<std::int64_t>(static_cast<std::int32_t>(k)) + 1023) << 52;
    double scale;
    memcpy(&scale, &exponent, sizeof scale);
    return p * scale;
}

inline void link_identity(const LinkPlan& plan, const std::int32_t* points, size_t stride, size_t n_rows, float* out) {
    for (size_t c = 0; c < plan.n_points; c++)
        for (size_t r = 0; r < n_rows; r++) {
            const double z = plan.offset[c] + plan.scale[c] * static_cast<double>(points[c * stride + r]);
            out[r * plan.n_points + c] = static_cast<float>(z);
        }
}

// In short plain loops, so that the compiler makes vectors of them.
inline void link_sigmoid(const LinkPlan& plan, const std::int32_t* points, size_t n_rows, float* out) {
    constexpr size_t kMost = 64;
    const double scale = plan.scale[0], offset = plan.offset[0];
    for (; n_rows; points += kMost, out += 2 * kMost) {
        const size_t n = n_rows < kMost ? n_rows : kMost;
        double z[kMost], e[kMost];
        float p[kMost], q[kMost];
        for (size_t r = 0; r < n; r++) z[r] = offset + scale * static_cast<double>(points[r]);
        for (size_t r = 0; r < n; r++) e[r] = clamp(-__builtin_fabs(z[r]));
        for (size_t r = 0; r < n; r++) e[r] = exponential(e[r]);
        for (size_t r = 0; r < n; r++) p[r] = static_cast<float>((z[r] >= 0 ? 1.0 : e[r]) / (1.0 + e[r]));
        for (size_t r = 0; r < n; r++) q[r] = static_cast<float>((z[r] >= 0 ? e[r] : 1.0) / (1.0 + e[r]));
        for (size_t r = 0; r < n; r++) out[2 * r] = q[r], out[2 * r + 1] = p[r];
        n_rows -= n;
    }
}

inline void link_sigmoid_row(const LinkPlan& plan, std::int32_t points, float* out) {
    const double z = plan.offset[0] + plan.scale[0] * static_cast<double>(points);
    const double e = exponential(clamp(-__builtin_fabs(z)));
    out[0] = static_cast<float>((z >= 0 ? e : 1.0) / (1.0 + e));
    out[1] = static_cast<float>((z >= 0 ? 1.0 : e) / (1.0 + e));
}

inline double link_z(const LinkPlan& plan, const std::int32_t* points, size_t stride, size_t c) {
    return plan.offset[c] + plan.scale[c] * static_cast<double>(points[c * stride]);
}

// Exponentials of some classes side by side, so that compilers make vectors of them; only their sum has an order.
constexpr size_t kClasses = 64;

inline size_t exponentials(const LinkPlan& plan, const std::int32_t* points, size_t stride, size_t first, double top,
                           double (&e)[kClasses]) {
    const size_t n = plan.n_points - first < kClasses ? plan.n_points - first : kClasses;
    for (size_t c = 0; c < n; c++) e[c] = clamp(link_z(plan, points, stride, first + c) - top);
    for (size_t c = 0; c < n; c++) e[c] = exponential(e[c]);
    return n;
}

inline void link_softmax(const LinkPlan& plan, const std::int32_t* points, size_t stride, float* out) {
    double e[kClasses], top = link_z(plan, points, stride, 0), total = 0;
    for (size_t c = 1; c < plan.n_points; c++) {
        const double z = link_z(plan, points, stride, c);
        top = z > top ? z : top;
    }
    for (size_t first = 0; first < plan.n_points; first += kClasses) {
        const size_t n = exponentials(plan, points, stride, first, top, e);
        for (size_t c = 0; c < n; c++) total = total + e[c];
    }
    for (size_t first = 0; first < plan.n_points; first += kClasses) {
        size_t n = plan.n_points;
        if (n > kClasses) n = exponentials(plan, points, stride, first, top, e);  // few classes are still there
        for (size_t c = 0; c < n; c++) out[first + c] = static_cast<float>(e[c] / total);
    }
}

inline void link_table(const LinkPlan& plan, std::int32_t points, float* out) {
    size_t low = 0, high = plan.n_knots;  // the number of knots <= points lies in [low, high]
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (plan.knots[middle] <= points) low = middle + 1;
        else high = middle;
    }
    out[1] = plan.values[low];
    out[0] = 1.0f - out[1];
}

void link(const LinkPlan& plan, const std::int32_t* points, size_t stride, size_t n_rows, float* out) {
    switch (plan.kind) {
        case kIdentity: link_identity(plan, points, stride, n_rows, out); break;
        case kSigmoid:
            if (n_rows == 1) link_sigmoid_row(plan, *points, out);
            else link_sigmoid(plan, points, n_rows, out);
            break;
        case kSoftmax:
            for (size_t r = 0; r < n_rows; r++) link_softmax(plan, points + r, stride, out + r * plan.n_points);
            break;
        case kTable:
            for (size_t r = 0; r < n_rows; r++) link_table(plan, points[r], out + 2 * r);
            break;
    }
}

// ---- Row form -------------------------------------------------------------------------------------------------

// The raw row, then its twins with NaN in place of special codes.
inline void row_with_twins(const EncodePlan& plan, const float* row, float* columns) {
    memcpy(columns, row, plan.n_columns * sizeof(float));
    for (size_t t = 0; t < plan.n_twins; t++) columns[plan.n_columns + t] = row[plan.twin_source[t]];
    for (size_t s = 0; s < plan.n_specials; s++) {
        const std::uint32_t twin = plan.special_twin[s];
        if (row[plan.twin_source[twin - plan.n_columns]] == plan.special_value[s]) columns[twin] = __builtin_nanf("");
    }
}

// Dense, row form: dense_word(weights, in, in_words, limits, n_panels) tests up to 64 neurons, eight a panel. It comes
// as a lambda, not as a pointer, so that it is inlined.
template <class DenseWord>
inline void dense_groups(const DensePlan& plan, const uint64_t* in, uint64_t* out, DenseWord dense_word) {
    uint64_t part[512];  // MAX_BITS / 64
    memset(out, 0, bm_words(plan.n_out) * sizeof *out);
    for (size_t g = 0; g < plan.groups; g++) {
        const uint64_t* group_in = in + g * plan.in_words;
        if (plan.group_in % 64 && plan.groups > 1) {
            bm_extract(in, g * plan.group_in, plan.group_in, part);
            group_in = part;
        }
        const uint64_t* weights = plan.weights + g * plan.panels * plan.in_words * 8;
        const std::uint16_t* limits = plan.limits + g * plan.panels * 8;
        for (size_t panel = 0; panel < plan.panels; panel += 8) {
            const size_t n = plan.panels - panel < 8 ? plan.panels - panel : 8;
            const uint64_t fires =
                dense_word(weights + panel * plan.in_words * 8, group_in, plan.in_words, limits + panel * 8, n);
            bm_deposit(out, g * plan.group_out + 8 * panel, fires);
        }
    }
}

// The literals of a row as bytes: bits, then their complements; one table of 64 bytes or pages of 128.
inline void make_literals(const RulesPlan& plan, const uint64_t* in, std::uint8_t* table) {
    const size_t n_words = bm_words(plan.n_in), half = plan.n_pages ? 64 : 32;
    const size_t n_tables = plan.n_pages ? plan.n_pages : 1;
    for (size_t w = 0; w < n_tables * half / 8; w++) {
        const uint64_t word = w < n_words ? in[w] : 0;
        std::uint8_t* to = table + 8 * w / half * 2 * half + 8 * w % half;
        for (size_t b = 0; b < 8; b++) {
            to[b] = static_cast<std::uint8_t>(word >> (8 * b));
            to[half + b] = static_cast<std::uint8_t>(~word >> (8 * b));
        }
    }
}

// Tables, row form: the bits as bytes first, since each is read several times.
inline void lut_row_portable(const LutPlan& plan, const uint64_t* in, uint64_t* out) {
    std::uint8_t bits[32768];  // MAX_BITS
    for (size_t i = 0; i < plan.n_in; i++) bits[i] = static_cast<std::uint8_t>(in[i / 64] >> (i % 64) & 1u);
    memset(out, 0, bm_words(plan.n_out) * sizeof *out);
    const size_t n_words = plan.fan_in < 6 ? 1 : size_t{1} << (plan.fan_in - 6);
    const std::uint16_t* places = plan.places;
    for (size_t o = 0; o < plan.n_out; o++, places += plan.fan_in) {
        size_t address = 0;
        for (size_t j = 0; j < plan.fan_in; j++) address |= static_cast<size_t>(bits[places[j]]) << j;
        const uint64_t answer = plan.tables[o * n_words + address / 64] >> (address % 64) & 1u;
        out[o / 64] |= answer << (o % 64);
    }
}

constexpr size_t kMaxLiteralBytes = 64 * 128;  // MAX_BITS / 512 pages

inline void rules_row_portable(const RulesPlan& plan, const uint64_t* in, uint64_t* out) {
    std::uint8_t table[kMaxLiteralBytes];
    make_literals(plan, in, table);
    const size_t step_bytes = plan.n_pages > 1 ? 192 : 128;
    for (size_t block = 0; block < plan.n_blocks; block++) {
        std::uint8_t holds[64];
        memset(holds, 1, sizeof holds);
        for (size_t s = plan.first_step[block]; s < plan.first_step[block + 1]; s++) {
            const std::uint8_t* step = plan.steps + s * step_bytes;
            for (size_t r = 0; r < 64; r++) {
                const size_t page = plan.n_pages > 1 ? step[128 + r] : 0;
                holds[r] &= (table[128 * page + step[r]] & step[64 + r]) != 0;
            }
        }
        uint64_t fires = 0;
        for (size_t r = 0; r < 64; r++) fires |= static_cast<uint64_t>(holds[r]) << r;
        out[block] = fires;
    }
}

template <class Weight>
inline std::int32_t sum_of_set(const uint64_t* words, size_t n_words, const Weight* weights) {
    std::int32_t sum = 0;
    for (size_t w = 0; w < n_words; w++)
        for (size_t i = 0; i < 64; i++) sum += -static_cast<std::int32_t>((words[w] >> i) & 1) & weights[64 * w + i];
    return sum;
}

inline void readout_row_portable(const ReadoutPlan& plan, const uint64_t* words, std::int32_t* points) {
    for (size_t o = 0; o < plan.n_outputs; o++) {
        points[o] = plan.bias[o];
        size_t at = o * plan.n_words * 64;
        for (size_t i = 0; i < plan.n_inputs; at += 64 * plan.input_n_words[i], i++) {
            const uint64_t* input = words + plan.input_word[i];
            points[o] += plan.narrow ? sum_of_set(input, plan.input_n_words[i], plan.narrow + at)
                                     : sum_of_set(input, plan.input_n_words[i], plan.wide + at);
        }
    }
}

// The same where weights are narrow, with an instruction set's own way of adding up the words of one input.
template <class SumNarrow>
inline void readout_row_with(const ReadoutPlan& plan, const uint64_t* words, std::int32_t* points,
                             SumNarrow sum_narrow) {
    if (!plan.narrow) return readout_row_portable(plan, words, points);
    const std::uint32_t* safe_run = plan.safe_runs;
    const std::int16_t* weights = plan.narrow;
    for (size_t o = 0; o < plan.n_outputs; o++) {
        points[o] = plan.bias[o];
        for (size_t i = 0; i < plan.n_inputs; weights += 64 * plan.input_n_words[i], i++)
            points[o] += sum_narrow(words + plan.input_word[i], plan.input_n_words[i], weights, safe_run);
    }
}

}  // namespace
