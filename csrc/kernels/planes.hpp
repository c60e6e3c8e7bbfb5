// The planes form, written once for every instruction set: one vector holds one bit of many rows.
//
// Included by each kernels/<isa>.cpp after it has defined, in its own anonymous namespace, a struct Isa:
//   V                    a vector of bits; load, store, zero, ones, and_, or_, andnot (~a & b)
//   parity3, majority3   of three bits: the sum and the carry of a full adder
//   greater_equal64, equal64, missing64   the tests of 64 floats against one value, as a word of bits
// Everything is in an anonymous namespace, so that the linker can never take a copy that was compiled for
// AVX-512 for one that baseline code uses. For the same reason nothing of the standard library appears here.
#pragma once

#include <string.h>

#include "../plan.hpp"

namespace {

using namespace bimetal;
using std::size_t;
using std::uint64_t;
using V = Isa::V;

constexpr size_t kWords = sizeof(V) / 8;  // words of one plane
constexpr size_t kRows = 64 * kWords;     // rows of one block

inline V load(const uint64_t* planes, size_t i) { return Isa::load(planes + i * kWords); }
inline void store(uint64_t* planes, size_t i, V v) { Isa::store(planes + i * kWords, v); }

// ---- Encode -------------------------------------------------------------------------------------------------

// Rows (n_rows, n_columns) to columns (n_columns, kRows), sixteen rows at a time; rows that do not exist read 0.
inline void transpose(const float* rows, size_t n_rows, size_t n_columns, float* columns) {
    size_t row = 0;
    for (; row + 16 <= n_rows; row += 16) Isa::transpose16(rows + row * n_columns, n_columns, columns + row, kRows);
    for (; row < kRows; row++)
        for (size_t c = 0; c < n_columns; c++)
            columns[c * kRows + row] = row < n_rows ? rows[row * n_columns + c] : 0.0f;
}

// A twin is its column with NaN in place of the special codes.
inline void make_twins(const EncodePlan& plan, float* columns) {
    for (size_t t = 0; t < plan.n_twins; t++)
        memcpy(columns + (plan.n_columns + t) * kRows, columns + plan.twin_source[t] * kRows, kRows * sizeof(float));
    for (size_t s = 0; s < plan.n_specials; s++) {
        const float* source = columns + plan.twin_source[plan.special_twin[s] - plan.n_columns] * kRows;
        float* twin = columns + plan.special_twin[s] * kRows;
        for (size_t r = 0; r < kRows; r++)
            if (source[r] == plan.special_value[s]) twin[r] = __builtin_nanf("");
    }
}

void encode_planes(const EncodePlan& plan, const float* rows, size_t n_rows, float* columns, uint64_t* out) {
    transpose(rows, n_rows, plan.n_columns, columns);
    make_twins(plan, columns);
    for (size_t i = 0; i < plan.n_bits; i++) {
        const float* column = columns + plan.column[i] * kRows;
        uint64_t* plane = out + i * kWords;
        for (size_t w = 0; w < kWords; w++) {
            const float* x = column + 64 * w;
            plane[w] = plan.test[i] == kGreaterEqual ? Isa::greater_equal64(x, plan.value[i])
                       : plan.test[i] == kEqual      ? Isa::equal64(x, plan.value[i])
                                                     : Isa::missing64(x);
        }
    }
    store(out, plan.n_bits, Isa::zero());
}

// ---- Rules --------------------------------------------------------------------------------------------------

// AND of n planes, or of their complements, with what came before; by twos, because the loop costs as much as its work.
template <bool kNegated>
inline V and_planes(V fires, const uint64_t* in, const std::uint16_t* bits, std::uint32_t n) {
    const auto and_plane = [in](V a, std::uint16_t bit) {
        return kNegated ? Isa::andnot(load(in, bit), a) : Isa::and_(load(in, bit), a);
    };
    std::uint32_t k = 0;
    for (; k + 2 <= n; k += 2) fires = and_plane(and_plane(fires, bits[k]), bits[k + 1]);
    return k < n ? and_plane(fires, bits[k]) : fires;
}

void rules_planes(const RulesPlan& plan, const uint64_t* in, uint64_t* out) {
    const std::uint16_t* bits = plan.bits;
    const std::uint16_t* outs = plan.outs;
    for (size_t r = 0; r < plan.n_runs; r++) {
        const RuleRun run = plan.runs[r];
        for (std::uint32_t rule = 0; rule < run.n_rules; rule++, bits += run.n_plain + run.n_negated) {
            const V fires = and_planes<false>(Isa::ones(), in, bits, run.n_plain);
            store(out, *outs++, and_planes<true>(fires, in, bits + run.n_plain, run.n_negated));
        }
    }
    store(out, plan.n_out, Isa::zero());
}

// ---- Tables -------------------------------------------------------------------------------------------------

// The sixteen functions of two bits: function f gives bit 2 * b + a of f.
inline void functions_of_two(V a, V b, V (&functions)[16]) {
    const V only_a = Isa::andnot(b, a), only_b = Isa::andnot(a, b), both = Isa::and_(a, b);
    const V none = Isa::andnot(Isa::parity3(only_a, only_b, both), Isa::ones());
    const V cases[4] = {none, only_a, only_b, both};
    functions[0] = Isa::zero();
    for (size_t c = 0; c < 4; c++)  // the four cases exclude each other: XOR joins them
        for (size_t f = 0; f < size_t{1} << c; f++) functions[f + (size_t{1} << c)] = Isa::xor_(functions[f], cases[c]);
}

// Each further input halves what is left to choose from.
void lut_planes(const LutPlan& plan, const uint64_t* in, uint64_t* out) {
    const std::uint16_t* places = plan.places;
    const size_t n_quarters = size_t{1} << (plan.fan_in - 2);
    const std::uint8_t* quarters = plan.quarters;
    for (size_t o = 0; o < plan.n_out; o++, places += plan.fan_in, quarters += n_quarters) {
        V functions[16], left[64];
        functions_of_two(load(in, places[0]), load(in, places[1]), functions);
        for (size_t q = 0; q < n_quarters; q++) left[q] = functions[quarters[q]];
        for (size_t j = 2, n = n_quarters / 2; n; j++, n /= 2) {
            const V x = load(in, places[j]);
            for (size_t q = 0; q < n; q++)
                left[q] = Isa::xor_(left[2 * q], Isa::and_(x, Isa::xor_(left[2 * q], left[2 * q + 1])));
        }
        store(out, o, left[0]);
    }
    store(out, plan.n_out, Isa::zero());
}

// ---- Counting -----------------------------------------------------------------------------------------------

// Full adder: a + b + c = sum + 2 * carry; the sum replaces a.
inline V add3(V& a, V b, V c) {
    const V carry = Isa::majority3(a, b, c);
    a = Isa::parity3(a, b, c);
    return carry;
}

// A counter holds one number a row: plane p of it has weight 2**p. Adding n planes of weight 1 takes some n full
// adders; the low six planes of the counter stay in registers meanwhile, what leaves them has weight 64.
struct Low {
    V p0, p1, p2, p3, p4, p5;
};

inline Low load_low(const uint64_t* counter) {
    return {load(counter, 0), load(counter, 1), load(counter, 2), load(counter, 3), load(counter, 4), load(counter, 5)};
}

inline void store_low(uint64_t* counter, const Low& p) {
    store(counter, 0, p.p0), store(counter, 1, p.p1), store(counter, 2, p.p2);
    store(counter, 3, p.p3), store(counter, 4, p.p4), store(counter, 5, p.p5);
}

// Half adder: a + carry = a XOR carry, and the next carry.
inline V add2(V& a, V carry) {
    const V next = Isa::and_(a, carry);
    a = Isa::xor_(a, carry);
    return next;
}

// Each of these adds the planes at(k), at(k + 1), ... and returns the carry that leaves, of weight n.
template <class Load>
inline V add4(Low& p, Load at, size_t k) {
    const V a = add3(p.p0, at(k), at(k + 1));
    const V b = add3(p.p0, at(k + 2), at(k + 3));
    return add3(p.p1, a, b);
}

template <class Load>
inline V add8(Low& p, Load at, size_t k) {
    const V a = add4(p, at, k);
    return add3(p.p2, a, add4(p, at, k + 4));
}

template <class Load>
inline V add16(Low& p, Load at, size_t k) {
    const V a = add8(p, at, k);
    return add3(p.p3, a, add8(p, at, k + 8));
}

template <class Load>
inline V add32(Low& p, Load at, size_t k) {
    const V a = add16(p, at, k);
    return add3(p.p4, a, add16(p, at, k + 16));
}

// Adds kSixteens * 16 planes and returns the carry of weight 64.
template <size_t kSixteens, class Load>
inline V add_sixteens(Low& p, Load at, size_t k) {
    if constexpr (kSixteens == 1) return add2(p.p5, add2(p.p4, add16(p, at, k)));
    if constexpr (kSixteens == 2) return add2(p.p5, add32(p, at, k));
    const V a = add32(p, at, k);
    if constexpr (kSixteens == 3) return add3(p.p5, a, add2(p.p4, add16(p, at, k + 32)));
    return add3(p.p5, a, add32(p, at, k + 32));
}

// Add a plane of weight 64 to planes 6 and up of a counter; returns what leaves the last.
inline V ripple(uint64_t* counter, size_t n_planes, V carry) {
    for (size_t i = 6; i < n_planes; i++) {
        V plane = load(counter, i);
        carry = add2(plane, carry);
        store(counter, i, plane);
    }
    return carry;
}

// ---- Dense: counting with shared parities ---------------------------------------------------------------------
//
// A neuron counts the bits a_i XOR w_i. Take three of them, x, y, z: their sum is parity(x,y,z) + 2*majority(x,y,z).
// The parity is parity(a's) XOR parity(w's): but for a constant flip it is the same plane for every neuron. So
// replace the three inputs by that one plane and go on in threes until a single node, the root, is left:
//   count = (root XOR flip) + 2 * sum over all triples of majority(a XOR w).
// A majority depends on three weight bits: eight planes a triple serve every neuron, and a neuron adds up only
// half as many planes as it has inputs, each one load and one full adder. The weights of inner nodes are the
// parities of the weights below them; layout.cpp works them out.
//
// Relatives: counting by carry-save adders (the Harley-Seal method; Mula, Kurz and Lemire 2018, "Faster population
// counts using AVX2 instructions", arXiv:1611.07612) adds up one vector and shares nothing; tables over a few inputs
// shared by all outputs are the idea of Arlazarov, Dinic, Kronrod and Faradzev (1970, "Four Russians"); lanes that are
// samples are bit slicing (Biham 1997). That parities are common to all outputs, so that only carries must be counted,
// we found described nowhere, which does not mean that it is new.

inline V node(const DensePlan& plan, const uint64_t* in, const uint64_t* parities, size_t i) {
    return i < plan.group_in ? load(in, i) : load(parities, i - plan.group_in);
}

// The eight carries of each triple of a chunk, and the parity nodes of the triples.
inline void make_table(const DensePlan& plan, const uint64_t* in, size_t chunk, uint64_t* parities, uint64_t* table) {
    const V ones = Isa::ones();
    for (size_t k = 0; k < kCarriesPerChunk; k++) {
        const size_t t = chunk * kCarriesPerChunk + k;
        if (t >= plan.n_triples) {
            if (k && k % 16 == 0) break;  // only whole sixteens are read
            for (size_t p = 0; p < 8; p++) store(table, 8 * k + p, Isa::zero());
            continue;
        }
        const V a = node(plan, in, parities, plan.triples[3 * t]);
        const V b = node(plan, in, parities, plan.triples[3 * t + 1]);
        const V c = node(plan, in, parities, plan.triples[3 * t + 2]);
        const V na = Isa::xor_(a, ones), nb = Isa::xor_(b, ones), nc = Isa::xor_(c, ones);
        for (size_t p = 0; p < 8; p++)
            store(table, 8 * k + p, Isa::majority3(p & 1 ? na : a, p & 2 ? nb : b, p & 4 ? nc : c));
        store(parities, 1 + t, Isa::parity3(a, b, c));
    }
}

// Planes that a counter needs after so many chunks.
inline size_t planes_after(size_t n_chunks) {
    size_t n = 6;
    while (n_chunks * kCarriesPerChunk >> n) n++;
    return n;
}

// count < limit, from the lowest plane up: a bit decides where it differs, else the bits below it have decided.
// less' = (~count & limit) | (~(count ^ limit) & less) = majority(~count, limit, less).
struct LessThan {
    const V* constant;  // zeros, ones
    std::uint32_t limit;
    V less;
    void next(V count) {
        less = Isa::majority3(Isa::xor_(count, constant[1]), constant[limit & 1], less);
        limit >>= 1;
    }
};

// One chunk of carries for all neurons of a group. The first chunk finds no counters, the last leaves none.
template <bool kIsFirst, bool kIsLast, size_t kSixteens>
inline void count_chunk(const DensePlan& plan, size_t group, size_t chunk, V root, const uint64_t* table,
                        uint64_t* counters, uint64_t* out) {
    const V constant[2] = {Isa::zero(), Isa::ones()};
    const size_t n_before = planes_after(chunk), n_after = planes_after(chunk + 1);
    const std::uint8_t* patterns = plan.patterns + (group * plan.n_chunks + chunk) * plan.group_out * kCarriesPerChunk;
    const std::uint8_t* flips = plan.root_flips + group * plan.group_out;
    const std::uint16_t* limits = plan.limits + group * plan.panels * 8;
    const size_t stride = kIsFirst && kIsLast ? 0 : plan.n_planes * kWords;  // a lone chunk uses one counter again
    for (size_t o = 0; o < plan.group_out; o++, patterns += kCarriesPerChunk, counters += stride) {
        // The entry of triple k and pattern q stands at byte (8 * k + q) * sizeof(V), and patterns[k] is 8 * q.
        const auto carry_at = [table, patterns](size_t k) {
            const auto* bytes = reinterpret_cast<const std::uint8_t*>(table + 8 * k * kWords);
            return Isa::load(reinterpret_cast<const uint64_t*>(bytes + size_t{patterns[k]} * kWords));
        };
        const V zero = constant[0];
        Low low = kIsFirst ? Low{zero, zero, zero, zero, zero, zero} : load_low(counters);
        const V carry = ripple(counters, n_before, add_sixteens<kSixteens>(low, carry_at, 0));
        if (n_after > n_before) store(counters, n_after - 1, carry);
        if (!kIsLast) {
            store_low(counters, low);
            continue;
        }
        LessThan compare{constant, limits[o], zero};
        compare.next(Isa::xor_(root, constant[flips[o]]));
        compare.next(low.p0), compare.next(low.p1), compare.next(low.p2);
        compare.next(low.p3), compare.next(low.p4), compare.next(low.p5);
        for (size_t i = 6; i < n_after; i++) compare.next(load(counters, i));
        store(out, o, compare.less);
    }
}

// The last chunk may be shorter than the others.
template <bool kIsFirst>
void count_last_chunk(const DensePlan& plan, size_t group, V root, const uint64_t* table, uint64_t* counters,
                      uint64_t* out) {
    const size_t last = plan.n_chunks - 1, n_carries = plan.n_triples - last * kCarriesPerChunk;
    switch ((n_carries + 15) / 16) {
        case 4: return count_chunk<kIsFirst, true, 4>(plan, group, last, root, table, counters, out);
        case 3: return count_chunk<kIsFirst, true, 3>(plan, group, last, root, table, counters, out);
        case 2: return count_chunk<kIsFirst, true, 2>(plan, group, last, root, table, counters, out);
        default: return count_chunk<kIsFirst, true, 1>(plan, group, last, root, table, counters, out);
    }
}

void dense_group(const DensePlan& plan, size_t group, const uint64_t* in, uint64_t* scratch, uint64_t* out) {
    uint64_t* parities = scratch;  // one plane of zeros, then one plane a triple
    uint64_t* table = parities + (plan.n_triples + 1) * kWords;
    uint64_t* counters = table + 8 * kCarriesPerChunk * kWords;
    constexpr size_t kAll = kCarriesPerChunk / 16;
    store(parities, 0, Isa::zero());
    const size_t last = plan.n_chunks - 1;
    for (size_t chunk = 0; chunk < last; chunk++) {
        make_table(plan, in, chunk, parities, table);
        if (chunk == 0) count_chunk<true, false, kAll>(plan, group, chunk, Isa::zero(), table, counters, out);
        else count_chunk<false, false, kAll>(plan, group, chunk, Isa::zero(), table, counters, out);
    }
    make_table(plan, in, last, parities, table);
    const V root = node(plan, in, parities, plan.root);
    if (last == 0) count_last_chunk<true>(plan, group, root, table, counters, out);
    else count_last_chunk<false>(plan, group, root, table, counters, out);
}

void dense_planes(const DensePlan& plan, const uint64_t* in, uint64_t* scratch, uint64_t* out) {
    for (size_t g = 0; g < plan.groups; g++)
        dense_group(plan, g, in + g * plan.group_in * kWords, scratch, out + g * plan.group_out * kWords);
    store(out, plan.n_out, Isa::zero());
}

// ---- Readout --------------------------------------------------------------------------------------------------
//
// Each weight is written as a few signed powers of two (layout.cpp). All planes that add 2**level are counted
// together, all that take it away likewise: no multiplication and no wide lane until the counters are summed,
// in 32 planes of two's complement. What overflows on the way cancels, because the sum itself fits int32.

inline void count_list(const uint64_t* planes, const std::uint16_t* digits, size_t n, uint64_t* counter,
                       size_t n_planes) {
    const auto plane = [planes, digits](size_t k) { return load(planes, digits[k]); };
    Low low = load_low(counter);
    size_t k = 0;
    for (; k + 64 <= n; k += 64) ripple(counter, n_planes, add_sixteens<4>(low, plane, k));
    for (; k < n; k += 16) ripple(counter, n_planes, add_sixteens<1>(low, plane, k));
    store_low(counter, low);
}

// total += counter * 2**level, or total -= it (adding the complement and 1).
inline void add_counter(V* total, const uint64_t* counter, const DigitCounter& of) {
    const V flip = of.is_negative ? Isa::ones() : Isa::zero();
    V carry = flip;
    for (size_t i = of.level; i < 32; i++) {
        const size_t plane = i - of.level;
        const V bit = plane < of.n_planes ? load(counter, plane) : Isa::zero();
        carry = add3(total[i], Isa::xor_(bit, flip), carry);
    }
}

// 32 planes of V to kRows int32: a 32 x 32 bit matrix in each 32-bit lane is transposed by swapping ever smaller
// blocks (halves, quarters, ...) across its diagonal; then lane l of word j is row 32 * l + j.
inline void planes_to_ints(const V* total, std::int32_t* points) {
    constexpr size_t kLanes = kRows / 32;
    alignas(64) std::uint32_t m[32][kLanes];
    for (size_t i = 0; i < 32; i++) {
        alignas(64) uint64_t words[kWords];
        Isa::store(words, total[i]);
        for (size_t l = 0; l < kLanes; l++) m[i][l] = static_cast<std::uint32_t>(words[l / 2] >> (32 * (l % 2)));
    }
    for (std::uint32_t half = 16, mask = 0x0000FFFF; half; half >>= 1, mask ^= mask << half)
        for (size_t i = 0; i < 32; i = ((i | half) + 1) & ~size_t{half})
            for (size_t l = 0; l < kLanes; l++) {
                const std::uint32_t swap = ((m[i][l] >> half) ^ m[i | half][l]) & mask;
                m[i][l] ^= swap << half;
                m[i | half][l] ^= swap;
            }
    for (size_t l = 0; l < kLanes; l++)
        for (size_t j = 0; j < 32; j++) points[32 * l + j] = static_cast<std::int32_t>(m[j][l]);
}

void readout_planes(const ReadoutPlan& plan, const uint64_t* planes, uint64_t* scratch, std::int32_t* points) {
    for (size_t o = 0; o < plan.n_outputs; o++) {
        const DigitCounter* counters = plan.counters + plan.first_counter[o];
        const size_t n_counters = plan.first_counter[o + 1] - plan.first_counter[o];
        memset(scratch, 0, plan.n_counter_planes * sizeof(V));
        for (std::uint32_t i = plan.first_list[o]; i < plan.first_list[o + 1]; i++) {
            const DigitList& list = plan.lists[i];
            const DigitCounter& counter = counters[list.counter];
            count_list(planes + plan.input_plane[list.input] * kWords, plan.digits + list.first, list.n,
                       scratch + counter.first_plane * kWords, counter.n_planes);
        }
        V total[32];
        for (size_t i = 0; i < 32; i++) total[i] = (plan.bias[o] >> i) & 1 ? Isa::ones() : Isa::zero();
        for (size_t i = 0; i < n_counters; i++)
            add_counter(total, scratch + counters[i].first_plane * kWords, counters[i]);
        planes_to_ints(total, points + o * kRows);
    }
}

}  // namespace
