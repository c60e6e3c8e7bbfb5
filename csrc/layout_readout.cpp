// How the constants of a Readout lie: plan.hpp says what each array holds, this file fills them.
#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "bimetal/bits.h"
#include "layout.hpp"

namespace bimetal {

namespace {

using std::size_t;

constexpr size_t kPlanesPerChunk = 768;  // 16 KB of AVX-512 planes: they stay in the first cache

struct Digit {
    std::uint8_t level, is_negative;
    bool operator<(const Digit& other) const {
        return std::tie(level, is_negative) < std::tie(other.level, other.is_negative);
    }
};

// The non-adjacent form: a sum of the fewest signed powers of two.
std::vector<Digit> signed_digits(std::int64_t weight) {
    std::vector<Digit> digits;
    for (std::uint8_t level = 0; weight != 0; level++, weight /= 2) {
        if (weight % 2 == 0) continue;
        const std::int64_t digit = (weight & 3) == 3 ? -1 : 1;
        digits.push_back({level, digit < 0});
        weight -= digit;
    }
    return digits;
}

struct Lists {
    std::vector<DigitList> lists;
    std::vector<DigitCounter> counters;
    std::vector<std::uint16_t> digits;
    std::vector<std::uint32_t> first_list{0}, first_counter{0};
    size_t n_counter_planes = 0;
};

// Lists of one output: for each chunk of planes, for each power of two, the planes that add it.
void add_output(const std::vector<BitsAt>& inputs, const std::int32_t* weights, Lists& all) {
    std::map<Digit, size_t> totals;
    std::vector<std::pair<Digit, size_t>> owner;  // of each new list
    for (size_t i = 0; i < inputs.size(); weights += inputs[i].n_bits, i++)
        for (size_t chunk = 0; chunk < inputs[i].n_bits; chunk += kPlanesPerChunk) {
            std::map<Digit, std::vector<std::uint16_t>> planes;
            for (size_t b = chunk; b < std::min(chunk + kPlanesPerChunk, inputs[i].n_bits); b++)
                for (const Digit digit : signed_digits(weights[b]))
                    planes[digit].push_back(static_cast<std::uint16_t>(b));
            for (auto& [digit, list] : planes) {
                totals[digit] += list.size();
                while (list.size() % 16) list.push_back(static_cast<std::uint16_t>(inputs[i].n_bits));  // zeros
                owner.emplace_back(digit, all.lists.size());
                all.lists.push_back({u32(all.digits.size()), u32(list.size()), static_cast<std::uint16_t>(i), 0});
                all.digits.insert(all.digits.end(), list.begin(), list.end());
            }
        }
    std::map<Digit, std::uint16_t> counters;
    size_t plane = 0;
    for (const auto& [digit, total] : totals) {
        const size_t n_planes = std::max<size_t>(6, bit_length(total));
        counters.emplace(digit, static_cast<std::uint16_t>(counters.size()));
        all.counters.push_back({u32(plane), static_cast<std::uint8_t>(n_planes), digit.level, digit.is_negative});
        plane += n_planes;
    }
    for (const auto& [digit, list] : owner) all.lists[list].counter = counters[digit];
    all.first_list.push_back(u32(all.lists.size()));
    all.first_counter.push_back(u32(all.counters.size()));
    all.n_counter_planes = std::max(all.n_counter_planes, plane);
}

// Row form: sixty-four int16 lanes add up one word of bits after another. A run of words is safe while in every
// lane the sum of |weight| is at most 32767: then no partial sum of the run can leave int16.
void add_safe_runs(const std::int16_t* weights, size_t n_words, std::vector<std::uint32_t>& runs) {
    for (size_t w = 0; w < n_words;) {
        std::array<std::int32_t, 64> used{};
        std::uint32_t n = 0;
        for (bool fits = true; w < n_words && fits;) {
            for (size_t i = 0; i < 64; i++) {
                used[i] += std::abs(weights[64 * w + i]);
                fits = fits && used[i] <= 32767;
            }
            if (fits) n++, w++;
        }
        runs.push_back(n);
    }
}

}  // namespace

ReadoutPlan lay_out_readout(Arena& arena, const std::vector<BitsAt>& inputs, Span<std::int32_t> weights,
                            Span<std::int32_t> bias) {
    ReadoutPlan plan{};
    std::vector<std::uint32_t> word, n_words, plane;
    for (const BitsAt& input : inputs) {
        word.push_back(u32(input.word)), plane.push_back(u32(input.plane));
        n_words.push_back(u32(bm_words(input.n_bits)));
        plan.n_words += bm_words(input.n_bits);
    }
    const size_t n_in = weights.n / bias.n, n_padded = 64 * plan.n_words;
    std::vector<std::int32_t> wide(bias.n * n_padded);
    Lists lists;
    for (size_t o = 0; o < bias.n; o++) {
        size_t from = o * n_in, to = o * n_padded;
        for (const BitsAt& input : inputs) {
            std::copy_n(weights.data + from, input.n_bits, wide.data() + to);
            from += input.n_bits, to += 64 * bm_words(input.n_bits);
        }
        add_output(inputs, weights.data + o * n_in, lists);
    }
    const auto fits = [](std::int32_t w) { return -32767 <= w && w <= 32767; };
    std::vector<std::uint32_t> safe_runs;
    if (std::all_of(wide.begin(), wide.end(), fits)) {
        std::vector<std::int16_t> narrow(wide.size());
        std::transform(wide.begin(), wide.end(), narrow.begin(),
                       [](std::int32_t w) { return static_cast<std::int16_t>(w); });
        const std::int16_t* at = narrow.data();
        for (size_t o = 0; o < bias.n; o++)
            for (const std::uint32_t n : n_words) add_safe_runs(at, n, safe_runs), at += 64 * n;
        plan.narrow = arena.keep(narrow);
    } else {
        plan.wide = arena.keep(wide);
    }
    plan.n_outputs = bias.n, plan.n_inputs = inputs.size();
    plan.input_word = arena.keep(word), plan.input_n_words = arena.keep(n_words), plan.input_plane = arena.keep(plane);
    plan.bias = arena.keep(std::vector<std::int32_t>(bias.data, bias.data + bias.n));
    plan.safe_runs = arena.keep(safe_runs);
    plan.first_list = arena.keep(lists.first_list), plan.lists = arena.keep(lists.lists);
    plan.digits = arena.keep(lists.digits), plan.first_counter = arena.keep(lists.first_counter);
    plan.counters = arena.keep(lists.counters), plan.n_counter_planes = lists.n_counter_planes;
    return plan;
}

}  // namespace bimetal
