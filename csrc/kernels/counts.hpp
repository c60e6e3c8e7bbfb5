// Counts that are kept from row to row and corrected: written once for every instruction set, see planes.hpp.
//
// A neuron that reads n_in bits keeps u = count - threshold - 1 in two's complement, bit p of it in plane p, one neuron
// a lane: the top plane, the sign, is what fires. When k bits of the input flip, x = bit XOR weight becomes 1 (the
// count grows by 1) or 0 (it falls by 1), so u grows by 2 * (sum of the new x) - k. The sum is made by full adders,
// eight flips at a time: ones, twos, fours, and what they carry into higher planes; then one ripple adds both terms.
#pragma once

#include "../include/bimetal/bits.h"
#include "planes.hpp"

namespace {

constexpr size_t kMaxCountPlanes = 20;  // 17 hold counts of 32768 bits

// Sum and carry of a full adder; the sum may replace one of the three.
inline V add3(V& sum, V a, V b, V c) {
    const V carry = Isa::majority3(a, b, c);
    sum = Isa::parity3(a, b, c);
    return carry;
}

// Half adders from plane `p` up to plane n - 1.
inline void ripple(V* sum, V carry, size_t p, size_t n) {
    for (; p < n; p++) {
        const V old = sum[p];
        sum[p] = Isa::xor_(old, carry);
        carry = Isa::and_(old, carry);
    }
}

// Planes 1, 2, ... of twice the sum of x over the flips, which are padded to a multiple of eight with an x of 0.
inline void sum_flips(const uint64_t* columns, size_t n_words, const std::uint32_t* flips, size_t n, size_t n_planes,
                      V* sum) {
    alignas(64) uint64_t of_bit[2 * kWords];
    store(of_bit, 0, Isa::zero()), store(of_bit, 1, Isa::ones());
    const auto x = [&](size_t i) {
        return Isa::xor_(Isa::load(columns + (flips[i] >> 1) * n_words), load(of_bit, flips[i] & 1));
    };
    for (size_t p = 0; p < n_planes; p++) sum[p] = Isa::zero();
    size_t n_used = 4, i = 0;
    while (n >> (n_used - 1)) n_used++;  // planes that twice a sum of n can reach
    n_used = n_used < n_planes ? n_used : n_planes;
    V ones = Isa::zero(), twos = ones, fours = ones;
    for (; i + 4 < n; i += 8) {
        const V two_a = add3(ones, ones, x(i), x(i + 1)), two_b = add3(ones, ones, x(i + 2), x(i + 3));
        const V four_a = add3(twos, twos, two_a, two_b);
        const V two_c = add3(ones, ones, x(i + 4), x(i + 5)), two_d = add3(ones, ones, x(i + 6), x(i + 7));
        const V four_b = add3(twos, twos, two_c, two_d);
        ripple(sum, add3(fours, fours, four_a, four_b), 4, n_used);
    }
    if (i < n) {
        const V two_a = add3(ones, ones, x(i), x(i + 1)), two_b = add3(ones, ones, x(i + 2), x(i + 3));
        ripple(sum, add3(fours, fours, add3(twos, twos, two_a, two_b), Isa::zero()), 4, n_used);
    }
    const V low[3] = {ones, twos, fours};
    for (size_t p = 1; p < 4 && p < n_planes; p++) sum[p] = low[p - 1];
}

// flips: (n rounded up to 8,) 2 * bit + its new value, bits counted within the group; beyond n entries of 2 * n_in.
void correct_counts(const CountsPlan& plan, size_t group, const std::uint32_t* flips, size_t n, uint64_t* planes,
                    uint64_t* changed) {
    const uint64_t* columns = plan.columns + group * (plan.n_in + 1) * plan.n_words;
    const size_t minus_n = 0 - n;
    for (size_t w = 0; w < plan.n_words; w += kWords) {
        V sum[kMaxCountPlanes], carry = Isa::zero(), borrow = carry, top = carry, old = carry;
        sum_flips(columns + w, plan.n_words, flips, n, plan.n_planes, sum);
        for (size_t p = 0; p < plan.n_planes; p++) {
            uint64_t* plane = planes + p * plan.n_words + w;
            old = Isa::load(plane);
            V grown;
            carry = add3(grown, old, sum[p], carry);
            borrow = add3(top, grown, minus_n >> p & 1 ? Isa::ones() : Isa::zero(), borrow);
            Isa::store(plane, top);
        }
        Isa::store(changed + w, Isa::xor_(old, top));
    }
}

// ---- Flips ----

inline size_t popcount(uint64_t x) {
#if defined(__POPCNT__) || defined(__aarch64__)
    return static_cast<size_t>(__builtin_popcountll(x));
#else
    return bm_popcount(x);
#endif
}

size_t count_bits(const uint64_t* words, size_t n_words) {
    size_t n = 0;
    for (size_t w = 0; w < n_words; w++) n += popcount(words[w]);
    return n;
}

// Eight at a time, whether there are as many or not: how many a word has is hard to predict.
inline void list_flips_portable(const uint64_t* changed, const uint64_t* now, size_t n_words, std::uint32_t* flips) {
    for (size_t w = 0; w < n_words; w++) {
        uint64_t left = changed[w];
        const size_t n = popcount(left);
        for (size_t i = 0; i < n; i += 8)
            for (size_t k = 0; k < 8; k++, left &= left - 1) {
                const auto bit = static_cast<size_t>(__builtin_ctzll(left | UINT64_C(1) << 63));
                flips[i + k] = static_cast<std::uint32_t>(2 * (64 * w + bit) + (now[w] >> bit & 1));
            }
        flips += n;
    }
}

}  // namespace
