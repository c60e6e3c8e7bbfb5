// Explained points against the definition of Shapley's value: every coalition of players asked, with and without each.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "bimetal/bits.h"
#include "bimetal/engine.hpp"
#include "explain.hpp"
#include "tests.hpp"

namespace {

using namespace bimetal;
using std::size_t;
using Ints = std::vector<std::int64_t>;
using Bits = std::vector<std::uint8_t>;

template <class T>
Span<T> span(const std::vector<T>& values) {
    return {values.data(), values.size()};
}

constexpr std::int64_t kUnit = 840;  // lcm(1..8): whole for up to eight players

std::int64_t choose(std::int64_t n, std::int64_t k) { return k == 0 ? 1 : choose(n - 1, k - 1) * n / k; }

struct Rule {
    std::vector<std::uint32_t> players;
    std::vector<std::vector<std::uint32_t>> terms;  // literals of each player
    std::int32_t points = 0;

    bool holds(size_t term, const Bits& bits) const {
        for (const std::uint32_t literal : terms[term])
            if (bits[literal / 2] == literal % 2) return false;
        return true;
    }
    size_t which(const Bits& bits) const {
        size_t found = 0;
        for (size_t j = 0; j < terms.size(); j++) found |= static_cast<size_t>(holds(j, bits)) << j;
        return found;
    }
};

// A scorecard of one test a bit, two bits a column, and rules; player = column % n_players.
struct Card {
    size_t n_columns, n_players;
    std::vector<std::uint16_t> column;
    std::vector<std::uint32_t> player;  // of each bit
    std::vector<float> value;
    Ints direct;
    std::vector<Rule> rules;

    Card(std::mt19937& random, size_t players, size_t most) : n_columns(players + random() % 3), n_players(players) {
        for (size_t i = 0; i < 2 * n_columns; i++) {
            column.push_back(static_cast<std::uint16_t>(i / 2));
            player.push_back(u32(i / 2 % n_players));
            value.push_back(static_cast<float>(i % 2));
            direct.push_back(static_cast<std::int64_t>(random() % 9) - 4);
        }
        for (size_t r = 0; r < 12; r++) rules.push_back(rule(random, 1 + random() % std::min(most, n_players)));
    }

    Rule rule(std::mt19937& random, size_t k) const {
        Rule made;
        made.points = static_cast<std::int32_t>(random() % 200) - 100;
        for (std::uint32_t p = 0; p < n_players && made.players.size() < k; p++) {
            if (n_players - p > k - made.players.size() && random() % 2) continue;
            std::vector<std::uint32_t> own, term;
            for (std::uint32_t i = 0; i < player.size(); i++)
                if (player[i] == p) own.push_back(i);
            for (size_t n = 1 + random() % 3; n; n--)
                term.push_back(2 * own[random() % own.size()] + u32(random() % 4 / 3));
            made.players.push_back(p);
            made.terms.push_back(term);
        }
        return made;
    }

    Bits bits(const float* row) const {
        Bits found;
        for (size_t i = 0; i < value.size(); i++) found.push_back(row[column[i]] >= value[i]);
        return found;
    }

    std::int64_t points(const Bits& bits) const {
        std::int64_t sum = 10;
        for (size_t i = 0; i < bits.size(); i++) sum += bits[i] * direct[i];
        for (const Rule& rule : rules) sum += rule.which(bits) + 1 == size_t{1} << rule.terms.size() ? rule.points : 0;
        return sum;
    }

    // Times kUnit: the definition.
    Ints values(const Bits& row, const Bits& reference) const {
        Ints worth;
        for (size_t s = 0; s < size_t{1} << n_players; s++) {
            Bits mixed = reference;
            for (size_t i = 0; i < mixed.size(); i++)
                if (s >> player[i] & 1) mixed[i] = row[i];
            worth.push_back(points(mixed));
        }
        Ints found(n_players);
        const auto n = static_cast<std::int64_t>(n_players);
        for (size_t p = 0; p < n_players; p++)
            for (size_t s = 0; s < worth.size(); s++)
                if (!(s >> p & 1))
                    found[p] += kUnit / (n * choose(n - 1, bm_popcount(s))) * (worth[s | size_t{1} << p] - worth[s]);
        return found;
    }
};

// Hands a card to an explainer, its rules with or without tables.
class Filler {
 public:
    Filler(const Card& card, const std::vector<Bits>& references) : card_(card), references_(references) {}

    std::unique_ptr<Explainer> made(const Kernels& kernels, bool is_tabulated) {
        auto explainer = std::make_unique<Explainer>(kernels, card_.n_columns, card_.n_players);
        const std::vector<std::uint8_t> kind(card_.column.size(), kGreaterEqual);
        explainer->encode(span(card_.column), span(kind), span(card_.value), {nullptr, 0}, {nullptr, 0});
        Ints start(card_.n_players), numerator;
        for (size_t i = 0; i < card_.direct.size(); i++) {
            for (const Bits& bits : references_) start[card_.player[i]] -= kUnit * card_.direct[i] * bits[i];
            numerator.push_back(kUnit * card_.direct[i] * static_cast<std::int64_t>(references_.size()));
        }
        explainer->bits(span(start), 10, span(card_.player), span(numerator), span(card_.direct));
        std::vector<std::uint32_t> starts{0}, literals;
        for (const Rule& rule : card_.rules)
            for (const auto& term : rule.terms) {
                literals.insert(literals.end(), term.begin(), term.end());
                starts.push_back(u32(literals.size()));
            }
        explainer->terms(span(starts), span(literals));
        std::uint32_t term = 0;
        for (const Rule& rule : card_.rules) add(*explainer, rule, term, is_tabulated);
        return explainer;
    }

 private:
    void add(Explainer& explainer, const Rule& rule, std::uint32_t& term, bool is_tabulated) const {
        const size_t k = rule.terms.size(), n_cases = size_t{1} << k;
        std::vector<std::uint32_t> terms, starts{0, u32(references_.size())};
        for (size_t j = 0; j < k; j++) terms.push_back(term++);
        const std::vector<std::int32_t> points{rule.points};
        Ints up((k + 1) * (k + 1)), down(up);
        for (size_t a = 0; a <= k; a++)
            for (size_t b = 0; a + b <= k; b++) {
                const auto n = static_cast<std::int64_t>(a + b), in_a = static_cast<std::int64_t>(a);
                if (a) up[a * (k + 1) + b] = kUnit / (in_a * choose(n, in_a));
                if (b) down[a * (k + 1) + b] = kUnit / ((n - in_a) * choose(n, in_a));
            }
        std::vector<std::uint64_t> cases;
        for (const Bits& bits : references_) cases.push_back(rule.which(bits));
        if (!is_tabulated) {
            const Ints times(cases.size(), 1);
            return explainer.walked(k, span(terms), span(rule.players), span(points), 1, span(starts), span(cases),
                                    span(times), span(up), span(down));
        }
        std::vector<std::int32_t> table(n_cases * k);
        for (size_t row = 0; row < n_cases; row++)
            for (const std::uint64_t reference : cases) {
                if ((row | reference) + 1 != n_cases) continue;
                const size_t gains = row & ~reference, losses = reference & ~row;
                const size_t at = bm_popcount(gains) * (k + 1) + bm_popcount(losses);
                for (size_t j = 0; j < k; j++)
                    table[row * k + j] += static_cast<std::int32_t>(
                        rule.points * ((gains >> j & 1 ? up[at] : 0) - (losses >> j & 1 ? down[at] : 0)));
            }
        explainer.tabulated(k, span(terms), span(rule.players), span(points), 1, span(table));
    }

    const Card& card_;
    const std::vector<Bits>& references_;
};

bool is_right(unsigned seed) {
    std::mt19937 random(seed);
    const Card card(random, 1 + random() % 8, 8);
    std::vector<float> rows(5 * card.n_columns);
    for (float& x : rows) x = static_cast<float>(random() % 3) - 1;
    std::vector<Bits> bits;
    for (size_t r = 0; r < 5; r++) bits.push_back(card.bits(&rows[r * card.n_columns]));
    const std::vector<Bits> references(bits.begin() + 2, bits.end());
    Ints expected, points;
    for (size_t r = 0; r < 5; r++) {
        points.push_back(card.points(bits[r]));
        Ints sum(card.n_players);
        for (const Bits& reference : references) {
            const Ints values = card.values(bits[r], reference);
            for (size_t p = 0; p < sum.size(); p++) sum[p] += values[p];
        }
        expected.insert(expected.end(), sum.begin(), sum.end());
    }
    Bits all;
    for (const Bits& row : bits) all.insert(all.end(), row.begin(), row.end());
    for (const Kernels* kernels : available_kernels())
        for (const bool is_tabulated : {true, false}) {
            const auto explainer = Filler(card, references).made(*kernels, is_tabulated);
            Ints found(expected.size()), found_points(points.size());
            explainer->run(rows.data(), 5, found.data(), found_points.data());
            if (found != expected || found_points != points) return false;
            explainer->run_bits(all.data(), 5, found.data(), found_points.data());
            if (found != expected || found_points != points) return false;
        }
    return true;
}

}  // namespace

int test_explain(long n_cases) {
    int n_wrong = 0;
    for (unsigned seed = 0; seed < static_cast<unsigned>(n_cases); seed++) {
        if (is_right(seed)) continue;
        std::printf("seed %u: contributions are no Shapley values\n", seed);
        n_wrong++;
    }
    std::printf("%ld random scorecards explained, %d wrong\n", n_cases, n_wrong);
    return n_wrong;
}
