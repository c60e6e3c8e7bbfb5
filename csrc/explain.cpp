// Encode, see which terms hold, then look the values of each rule up.
#include "explain.hpp"

#include <algorithm>

#include "bimetal/bits.h"

namespace bimetal {

using std::size_t;

namespace {

template <class T>
const T* kept(Arena& arena, Span<T> values) {
    return arena.keep(std::vector<T>(values.data, values.data + values.n));
}

}  // namespace

struct Explainer::Scratch {
    explicit Scratch(const Explainer& e)
        : columns(e.n_columns_ + e.encode_.n_twins + 16),  // permutes may load one vector beyond the columns
          words(e.encode_.n_words),
          literals(2 * e.encode_.n_bits),
          holds(e.n_terms_),
          sums(e.n_players_) {}

    // literals[2 * bit + negated]
    void set(size_t bit, unsigned value) {
        literals[2 * bit] = static_cast<std::uint8_t>(value);
        literals[2 * bit + 1] = static_cast<std::uint8_t>(value ^ 1);
    }

    std::vector<float> columns;
    std::vector<std::uint64_t> words;
    std::vector<std::uint8_t> literals, holds;
    std::vector<std::int64_t> sums;
};

void Explainer::encode(Span<std::uint16_t> column, Span<std::uint8_t> kind, Span<float> value,
                       Span<std::uint16_t> special_column, Span<float> special_value) {
    encode_ = lay_out_encode(arena_, n_columns_, column, kind, value, special_column, special_value);
}

void Explainer::bits(Span<std::int64_t> start, std::int64_t points, Span<std::uint32_t> player,
                     Span<std::int64_t> numerator, Span<std::int64_t> bit_points) {
    start_.assign(start.data, start.data + start.n);
    start_points_ = points;
    player_ = kept(arena_, player);
    numerator_ = kept(arena_, numerator);
    bit_points_ = kept(arena_, bit_points);
}

void Explainer::terms(Span<std::uint32_t> starts, Span<std::uint32_t> literals) {
    n_terms_ = starts.n - 1;
    std::vector<std::uint32_t> first, second;
    for (size_t t = 0; t < n_terms_; t++) {
        const size_t from = starts[t], n = starts[t + 1] - from;
        first.push_back(literals[from]);
        second.push_back(literals[n > 1 ? from + 1 : from]);
        for (size_t i = 2; i < n; i++) further_.push_back({u32(t), literals[from + i]});
    }
    first_ = arena_.keep(first);
    second_ = arena_.keep(second);
}

Explainer::Rules Explainer::rules(size_t k, Span<std::uint32_t> terms, Span<std::uint32_t> players,
                                  Span<std::int32_t> points, std::int64_t scale) {
    Rules made{};
    made.n = points.n;
    made.k = k;
    made.scale = scale;
    made.terms = kept(arena_, terms);
    made.players = kept(arena_, players);
    made.points = kept(arena_, points);
    return made;
}

void Explainer::tabulated(size_t k, Span<std::uint32_t> terms, Span<std::uint32_t> players, Span<std::int32_t> points,
                          std::int64_t scale, Span<std::int32_t> table) {
    tabulated_.push_back(rules(k, terms, players, points, scale));
    tabulated_.back().table = kept(arena_, table);
}

void Explainer::walked(size_t k, Span<std::uint32_t> terms, Span<std::uint32_t> players, Span<std::int32_t> points,
                       std::int64_t scale, Span<std::uint32_t> starts, Span<std::uint64_t> cases,
                       Span<std::int64_t> times, Span<std::int64_t> up, Span<std::int64_t> down) {
    Rules made = rules(k, terms, players, points, scale);
    made.starts = kept(arena_, starts);
    made.cases = kept(arena_, cases);
    made.times = kept(arena_, times);
    made.up = kept(arena_, up);
    made.down = kept(arena_, down);
    walked_.push_back(made);
}

void Explainer::run(const float* rows, size_t n_rows, std::int64_t* numerators, std::int64_t* points) const {
    Scratch scratch(*this);
    for (size_t r = 0; r < n_rows; r++) {
        kernels_.encode_row(encode_, rows + r * n_columns_, scratch.columns.data(), scratch.words.data());
        for (size_t i = 0; i < encode_.n_bits; i++)
            scratch.set(i, static_cast<unsigned>(bm_bit(scratch.words.data(), i)));
        explain(scratch, numerators + r * n_players_, points + r);
    }
}

void Explainer::run_bits(const std::uint8_t* bits, size_t n_rows, std::int64_t* numerators,
                         std::int64_t* points) const {
    Scratch scratch(*this);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < encode_.n_bits; i++) scratch.set(i, bits[r * encode_.n_bits + i]);
        explain(scratch, numerators + r * n_players_, points + r);
    }
}

// The plain loop over K terms is unrolled by the compiler: the case is a handful of loads and shifts, the look-up one
// line of memory that the next rules do not wait for.
template <size_t K>
std::int64_t Explainer::look_up(const Rules& rules, const std::uint8_t* holds, std::int64_t* sums) noexcept {
    constexpr size_t kAll = (size_t{1} << K) - 1;
    std::int64_t points = 0;
    for (size_t i = 0; i < rules.n; i++) {
        const std::uint32_t *terms = rules.terms + i * K, *players = rules.players + i * K;
        size_t which = 0;
        for (size_t j = 0; j < K; j++) which |= static_cast<size_t>(holds[terms[j]]) << j;
        const std::int32_t* values = rules.table + ((i << K) + which) * K;
        for (size_t j = 0; j < K; j++) sums[players[j]] += values[j];
        points += static_cast<std::int64_t>(which == kAll) * rules.points[i];  // no branch to guess wrong
    }
    return points;
}

std::int64_t Explainer::walk(const Rules& rules, const std::uint8_t* holds, std::int64_t* sums) noexcept {
    const size_t k = rules.k;
    const std::uint64_t all = ~std::uint64_t{0} >> (64 - k);
    std::int64_t points = 0;
    for (size_t i = 0; i < rules.n; i++) {
        const std::uint32_t *terms = rules.terms + i * k, *players = rules.players + i * k;
        std::uint64_t row = 0;
        for (size_t j = 0; j < k; j++) row |= static_cast<std::uint64_t>(holds[terms[j]]) << j;
        for (std::uint32_t c = rules.starts[i]; c < rules.starts[i + 1]; c++) {
            const std::uint64_t reference = rules.cases[c];
            if ((row | reference) != all || row == reference) continue;
            const std::uint64_t gains = row & ~reference, losses = reference & ~row;
            const size_t at = bm_popcount(gains) * (k + 1) + bm_popcount(losses);
            const std::int64_t weight = rules.times[c] * rules.points[i];
            const std::int64_t up = weight * rules.up[at], down = weight * rules.down[at];
            for (size_t j = 0; j < k; j++) sums[players[j]] += (gains >> j & 1 ? up : 0) - (losses >> j & 1 ? down : 0);
        }
        points += row == all ? rules.points[i] : 0;
    }
    return points;
}

void Explainer::explain(Scratch& scratch, std::int64_t* numerators, std::int64_t* points) const noexcept {
    const std::uint8_t* literals = scratch.literals.data();
    std::uint8_t* holds = scratch.holds.data();
    std::int64_t* sums = scratch.sums.data();
    std::copy(start_.begin(), start_.end(), numerators);
    *points = start_points_;
    for (size_t i = 0; i < encode_.n_bits; i++) {
        const std::int64_t is_set = literals[2 * i];
        numerators[player_[i]] += is_set * numerator_[i];
        *points += is_set * bit_points_[i];
    }
    for (size_t t = 0; t < n_terms_; t++) holds[t] = literals[first_[t]] & literals[second_[t]];
    for (const Further& more : further_) holds[more.term] &= literals[more.literal];
    const auto add = [&](const Rules& rules, auto* kernel) {
        std::fill_n(sums, n_players_, 0);
        *points += kernel(rules, holds, sums);
        for (size_t p = 0; p < n_players_; p++) numerators[p] += rules.scale * sums[p];
    };
    using Kernel = std::int64_t (*)(const Rules&, const std::uint8_t*, std::int64_t*);
    constexpr Kernel kLookUp[] = {nullptr,    look_up<1>, look_up<2>, look_up<3>, look_up<4>,
                                  look_up<5>, look_up<6>, look_up<7>, look_up<8>};
    for (const Rules& rules : tabulated_) add(rules, kLookUp[rules.k]);
    for (const Rules& rules : walked_) add(rules, walk);
}

}  // namespace bimetal
