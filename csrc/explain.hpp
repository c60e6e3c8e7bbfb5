// Exact Shapley values of points: for each row, what each player (a group of columns) adds to its points compared with
// the mean of some reference rows. The mathematics stands in src/bimetal/explain/conjunctions.py; this is its fast
// form.
#pragma once

#include <vector>

#include "layout.hpp"

namespace bimetal {

// A rule is a conjunction of terms, one for each of its players, and a term a conjunction of literals. A row matters
// to a rule only through which of its terms hold: one of 2**k cases for k players. The values of each case, summed
// over all references, are tabulated by who builds the explainer, so that a rule costs one look-up whatever the number
// of references. Rules of many players go through their references instead ("walked").
class Explainer {
 public:
    Explainer(const Kernels& kernels, std::size_t n_columns, std::size_t n_players)
        : kernels_(kernels), n_columns_(n_columns), n_players_(n_players), start_(n_players) {}
    Explainer(const Explainer&) = delete;
    Explainer& operator=(const Explainer&) = delete;

    // The arguments are those of a Program that has been validated; they are not checked again. Numerators are over one
    // denominator, and whoever builds has proved that no sum of them overflows.
    void encode(Span<std::uint16_t> column, Span<std::uint8_t> kind, Span<float> value,
                Span<std::uint16_t> special_column, Span<float> special_value);
    // What a row of zeros has; then what each bit adds to its player and to the points.
    void bits(Span<std::int64_t> start, std::int64_t points, Span<std::uint32_t> player, Span<std::int64_t> numerator,
              Span<std::int64_t> bit_points);
    // Term t holds when literals[starts[t]..starts[t + 1]] do: 2 * bit + negated.
    void terms(Span<std::uint32_t> starts, Span<std::uint32_t> literals);
    // Rules of k players each. terms, players: (n_rules, k); table: (n_rules, 2**k, k), bit j of a case says whether
    // term j holds; values of the table count `scale` each.
    void tabulated(std::size_t k, Span<std::uint32_t> terms, Span<std::uint32_t> players, Span<std::int32_t> points,
                   std::int64_t scale, Span<std::int32_t> table);
    // The same without a table. Rule i meets cases[starts[i]..starts[i + 1]] among the references, so many times each;
    // up[a * (k + 1) + b] and down[...] are the values of the a players that only the row satisfies, and of the b that
    // only the reference does.
    void walked(std::size_t k, Span<std::uint32_t> terms, Span<std::uint32_t> players, Span<std::int32_t> points,
                std::int64_t scale, Span<std::uint32_t> starts, Span<std::uint64_t> cases, Span<std::int64_t> times,
                Span<std::int64_t> up, Span<std::int64_t> down);

    std::size_t n_columns() const { return n_columns_; }
    std::size_t n_players() const { return n_players_; }
    std::size_t n_bits() const { return encode_.n_bits; }

    // numerators: (n_rows, n_players); points: (n_rows,). Any number of threads may call at once.
    void run(const float* rows, std::size_t n_rows, std::int64_t* numerators, std::int64_t* points) const;
    // The same for rows that are encoded already: one byte a bit, 0 or 1.
    void run_bits(const std::uint8_t* bits, std::size_t n_rows, std::int64_t* numerators, std::int64_t* points) const;

 private:
    struct Rules {
        std::size_t n, k;
        std::int64_t scale;
        const std::uint32_t *terms, *players;
        const std::int32_t *points, *table;
        const std::uint32_t* starts;
        const std::uint64_t* cases;
        const std::int64_t *times, *up, *down;
    };
    struct Scratch;

    Rules rules(std::size_t k, Span<std::uint32_t> terms, Span<std::uint32_t> players, Span<std::int32_t> points,
                std::int64_t scale);
    void explain(Scratch& scratch, std::int64_t* numerators, std::int64_t* points) const noexcept;
    template <std::size_t K>
    static std::int64_t look_up(const Rules& rules, const std::uint8_t* holds, std::int64_t* sums) noexcept;
    static std::int64_t walk(const Rules& rules, const std::uint8_t* holds, std::int64_t* sums) noexcept;

    const Kernels& kernels_;
    std::size_t n_columns_, n_players_, n_terms_ = 0;
    std::int64_t start_points_ = 0;
    Arena arena_;
    EncodePlan encode_{};
    std::vector<std::int64_t> start_;
    const std::uint32_t* player_ = nullptr;
    const std::int64_t *numerator_ = nullptr, *bit_points_ = nullptr;
    // Most terms have one or two literals: both stand here, one of them twice if need be; the rest are listed.
    const std::uint32_t *first_ = nullptr, *second_ = nullptr;
    struct Further {
        std::uint32_t term, literal;
    };
    std::vector<Further> further_;
    std::vector<Rules> tabulated_, walked_;
};

}  // namespace bimetal
