// How constants lie: plan.hpp says what each array holds, this file fills them.
#include "layout.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "bimetal/bits.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace bimetal {

namespace {

using std::size_t;

// ---- Encode ----

// Twins for the columns that have special codes: column -> index of its twin.
std::map<std::uint32_t, std::uint32_t> number_twins(size_t n_columns, Span<std::uint16_t> special_column) {
    std::map<std::uint32_t, std::uint32_t> twins;
    for (size_t s = 0; s < special_column.n; s++) twins.emplace(special_column[s], 0);
    std::uint32_t next = u32(n_columns);
    for (auto& twin : twins) twin.second = next++;
    return twins;
}

struct Windows {
    std::vector<std::uint32_t> first{0}, base;
    std::vector<std::uint16_t> lanes;
    std::vector<std::uint8_t> index;
};

// Greedy: the lowest column not yet served opens a window, which serves every column up to fifteen above it.
void add_windows(const std::uint32_t* column, size_t n_bits, Windows& windows) {
    unsigned left = (1u << n_bits) - 1;
    while (left) {
        std::uint32_t base = ~0u;
        for (size_t i = 0; i < n_bits; i++)
            if (left >> i & 1) base = std::min(base, column[i]);
        unsigned lanes = 0;
        std::array<std::uint8_t, 16> index{};
        for (size_t i = 0; i < n_bits; i++) {
            if (!(left >> i & 1) || column[i] - base > 15) continue;
            lanes |= 1u << i;
            index[i] = static_cast<std::uint8_t>(column[i] - base);
        }
        left &= ~lanes;
        windows.base.push_back(base);
        windows.lanes.push_back(static_cast<std::uint16_t>(lanes));
        windows.index.insert(windows.index.end(), index.begin(), index.end());
    }
    windows.first.push_back(u32(windows.base.size()));
}

// ---- Dense ----

struct Tree {
    std::vector<std::uint16_t> triples;
    std::uint32_t root;
};

// Three nodes become one, level by level; two left over are joined by the constant 0.
Tree grow_tree(size_t n_inputs) {
    Tree tree{};
    std::vector<std::uint16_t> level(n_inputs);
    for (size_t i = 0; i < n_inputs; i++) level[i] = static_cast<std::uint16_t>(i);
    const auto zero = static_cast<std::uint16_t>(n_inputs);
    while (level.size() > 1) {
        if (level.size() == 2) level.push_back(zero);
        std::vector<std::uint16_t> next;
        size_t i = 0;
        for (; i + 3 <= level.size(); i += 3) {
            next.push_back(static_cast<std::uint16_t>(n_inputs + 1 + tree.triples.size() / 3));
            tree.triples.insert(tree.triples.end(), &level[i], &level[i] + 3);
        }
        next.insert(next.end(), level.begin() + static_cast<std::ptrdiff_t>(i), level.end());
        level = next;
    }
    tree.root = level[0];
    return tree;
}

// The pattern of one neuron on each triple, and the parity of its weights below each node.
std::vector<std::uint8_t> walk_tree(const Tree& tree, size_t n_inputs, const std::uint8_t* weights,
                                    std::vector<std::uint8_t>& parity) {
    const size_t n_triples = tree.triples.size() / 3;
    parity.assign(n_inputs + 1 + n_triples, 0);
    for (size_t i = 0; i < n_inputs; i++) parity[i] = weights[i / 8] >> (i % 8) & 1;
    std::vector<std::uint8_t> patterns(n_triples);
    for (size_t t = 0; t < n_triples; t++) {
        const std::uint8_t a = parity[tree.triples[3 * t]], b = parity[tree.triples[3 * t + 1]],
                           c = parity[tree.triples[3 * t + 2]];
        patterns[t] = static_cast<std::uint8_t>(a | b << 1 | c << 2);
        parity[n_inputs + 1 + t] = a ^ b ^ c;
    }
    return patterns;
}

// Fill the constants of the planes form.
void lay_out_tree(Arena& arena, Span<std::uint8_t> weights, size_t row_bytes, DensePlan& plan) {
    const Tree tree = grow_tree(plan.group_in);
    plan.n_triples = tree.triples.size() / 3;
    plan.n_chunks = std::max<size_t>(1, (plan.n_triples + kCarriesPerChunk - 1) / kCarriesPerChunk);
    plan.n_planes = std::max<size_t>(6, bit_length(kCarriesPerChunk * plan.n_chunks));
    plan.n_scratch_planes = (plan.n_triples + 1) + 8 * kCarriesPerChunk + plan.group_out * plan.n_planes;
    plan.root = tree.root;
    std::vector<std::uint8_t> patterns(plan.n_chunks * plan.n_out * kCarriesPerChunk), flips(plan.n_out), parity;
    for (size_t o = 0; o < plan.n_out; o++) {
        const size_t group = o / plan.group_out, within = o % plan.group_out;
        const auto row = walk_tree(tree, plan.group_in, weights.data + o * row_bytes, parity);
        flips[o] = parity[tree.root];
        for (size_t t = 0; t < plan.n_triples; t++) {
            const size_t chunk = group * plan.n_chunks + t / kCarriesPerChunk;
            patterns[(chunk * plan.group_out + within) * kCarriesPerChunk + t % kCarriesPerChunk] =
                static_cast<std::uint8_t>(8 * row[t]);
        }
    }
    plan.triples = arena.keep(tree.triples);
    plan.patterns = arena.keep(patterns);
    plan.root_flips = arena.keep(flips);
}

// ---- Rules ----

// Steps of the row form: rule r of a block tests its k-th literal in step k, or its first one again.
void lay_out_steps(Arena& arena, Span<std::uint16_t> literals, Span<std::uint8_t> fan_in,
                   const std::vector<size_t>& begin, RulesPlan& plan) {
    const size_t table_bits = plan.n_pages ? 512 : 256, step_bytes = plan.n_pages > 1 ? 192 : 128;
    std::vector<std::uint32_t> first_step{0};
    std::vector<std::uint8_t> steps;
    for (size_t block = 0; block < plan.n_blocks; block++) {
        const size_t first = 64 * block, end = std::min(first + 64, plan.n_out);
        const size_t n_steps = *std::max_element(fan_in.data + first, fan_in.data + end);
        for (size_t k = 0; k < n_steps; k++) {
            steps.resize(steps.size() + step_bytes);  // mask 0 never holds: that is what rules beyond the end do
            std::uint8_t* step = steps.data() + steps.size() - step_bytes;
            for (size_t r = first; r < end; r++) {
                const size_t literal = literals[begin[r] + (k < fan_in[r] ? k : 0)], bit = literal / 2;
                const size_t complement = literal % 2 ? table_bits / 8 : 0;
                step[r - first] = static_cast<std::uint8_t>(bit % table_bits / 8 + complement);
                step[64 + r - first] = static_cast<std::uint8_t>(1u << (bit % 8));
                if (plan.n_pages > 1) step[128 + r - first] = static_cast<std::uint8_t>(bit / table_bits);
            }
        }
        first_step.push_back(u32(steps.size() / step_bytes));
    }
    plan.first_step = arena.keep(first_step);
    plan.steps = arena.keep(steps);
}

// Runs of the planes form: rules of one shape side by side, so that the inner loops are predictable.
void lay_out_runs(Arena& arena, Span<std::uint16_t> literals, Span<std::uint8_t> fan_in,
                  const std::vector<size_t>& begin, RulesPlan& plan) {
    std::map<std::pair<size_t, size_t>, std::vector<size_t>> shapes;
    for (size_t r = 0; r < plan.n_out; r++) {
        size_t n_negated = 0;
        for (size_t k = 0; k < fan_in[r]; k++) n_negated += literals[begin[r] + k] & 1u;
        shapes[{fan_in[r] - n_negated, n_negated}].push_back(r);
    }
    std::vector<RuleRun> runs;
    std::vector<std::uint16_t> bits, outs;
    for (const auto& [shape, rules] : shapes) {
        runs.push_back({u32(rules.size()), u32(shape.first), u32(shape.second)});
        for (const size_t r : rules) {
            outs.push_back(static_cast<std::uint16_t>(r));
            for (unsigned negated = 0; negated < 2; negated++)
                for (size_t k = 0; k < fan_in[r]; k++)
                    if ((literals[begin[r] + k] & 1u) == negated)
                        bits.push_back(static_cast<std::uint16_t>(literals[begin[r] + k] >> 1));
        }
    }
    plan.n_runs = runs.size();
    plan.runs = arena.keep(runs);
    plan.bits = arena.keep(bits);
    plan.outs = arena.keep(outs);
}

}  // namespace

Arena::Block Arena::allocate(size_t n_bytes) {
    constexpr size_t kHuge = size_t{2} << 20;
    const size_t alignment = n_bytes < kHuge ? 64 : kHuge;
    Block block(::operator new(n_bytes, std::align_val_t{alignment}), Free{alignment});
#if defined(__linux__)
    if (alignment == kHuge) madvise(block.get(), n_bytes, MADV_HUGEPAGE);  // advice: without it only slower
#endif
    return block;
}

EncodePlan lay_out_encode(Arena& arena, size_t n_columns, Span<std::uint16_t> column, Span<std::uint8_t> kind,
                          Span<float> value, Span<std::uint16_t> special_column, Span<float> special_value) {
    const size_t n = column.n, n_words = bm_words(n);
    const auto twins = number_twins(n_columns, special_column);
    std::vector<std::uint32_t> twin_source, special_twin, columns(64 * n_words);
    for (const auto& twin : twins) twin_source.push_back(twin.first);
    for (size_t s = 0; s < special_column.n; s++) special_twin.push_back(twins.at(special_column[s]));
    std::vector<float> values(64 * n_words);
    std::array<std::vector<std::uint64_t>, 3> masks;
    for (auto& mask : masks) mask.assign(n_words, 0);
    for (size_t i = 0; i < n; i++) {
        const auto twin = twins.find(column[i]);
        columns[i] = kind[i] == kGreaterEqual && twin != twins.end() ? twin->second : column[i];
        values[i] = value[i];
        masks[kind[i]][i / 64] |= UINT64_C(1) << (i % 64);
    }
    Windows windows;
    for (size_t i = 0; i < 64 * n_words; i += 16)
        add_windows(&columns[i], i < n ? std::min<size_t>(16, n - i) : 0, windows);
    const std::vector<std::uint8_t> tests(kind.data, kind.data + n);
    return {n,
            n_words,
            n_columns,
            twins.size(),
            special_column.n,
            arena.keep(twin_source),
            arena.keep(special_twin),
            arena.keep(std::vector<float>(special_value.data, special_value.data + special_value.n)),
            arena.keep(columns),
            arena.keep(values),
            arena.keep(tests),
            arena.keep(masks[kGreaterEqual]),
            arena.keep(masks[kEqual]),
            arena.keep(masks[kMissing]),
            arena.keep(windows.first),
            arena.keep(windows.base),
            arena.keep(windows.lanes),
            arena.keep(windows.index)};
}

DensePlan lay_out_dense(Arena& arena, size_t n_in, size_t groups, Span<std::uint8_t> weights,
                        Span<std::int32_t> thresholds) {
    DensePlan plan{};
    plan.n_in = n_in, plan.n_out = thresholds.n, plan.groups = groups;
    plan.group_in = n_in / groups, plan.group_out = plan.n_out / groups;
    plan.in_words = bm_words(plan.group_in), plan.panels = (plan.group_out + 7) / 8;
    const size_t row_bytes = (plan.group_in + 7) / 8;
    std::vector<std::uint64_t> words(groups * plan.panels * plan.in_words * 8);
    std::vector<std::uint16_t> limits(groups * plan.panels * 8);  // limit 0, never fires, beyond the end of a group
    for (size_t o = 0; o < plan.n_out; o++) {
        const size_t lane = o / plan.group_out * plan.panels * 8 + o % plan.group_out;
        limits[lane] = static_cast<std::uint16_t>(thresholds[o] + 1);
        for (size_t k = 0; k < plan.in_words; k++)
            words[(lane / 8 * plan.in_words + k) * 8 + lane % 8] =
                bm_load_word(weights.data + o * row_bytes + 8 * k, row_bytes - 8 * k);
    }
    plan.weights = arena.keep(words);
    plan.limits = arena.keep(limits);
    lay_out_tree(arena, weights, row_bytes, plan);
    return plan;
}

RulesPlan lay_out_rules(Arena& arena, size_t n_in, Span<std::uint16_t> literals, Span<std::uint8_t> fan_in) {
    RulesPlan plan{};
    plan.n_in = n_in, plan.n_out = fan_in.n, plan.n_blocks = bm_words(fan_in.n);
    plan.n_pages = n_in <= 256 ? 0 : (n_in + 511) / 512;
    std::vector<size_t> begin(fan_in.n);
    for (size_t r = 1; r < fan_in.n; r++) begin[r] = begin[r - 1] + fan_in[r - 1];
    lay_out_steps(arena, literals, fan_in, begin, plan);
    lay_out_runs(arena, literals, fan_in, begin, plan);
    return plan;
}

// A table of one input becomes one of two that reads the same bit twice: addresses 1 and 2 never come up.
LutPlan lay_out_lut(Arena& arena, size_t n_in, size_t fan_in, Span<std::uint16_t> places, Span<std::uint8_t> tables) {
    const size_t n_out = places.n / fan_in, row_bytes = ((size_t{1} << fan_in) + 7) / 8,
                 k = std::max<size_t>(2, fan_in);
    const size_t n_words = k < 6 ? 1 : size_t{1} << (k - 6), n_quarters = size_t{1} << (k - 2);
    std::vector<std::uint16_t> wired(n_out * k);
    std::vector<std::uint64_t> words(n_out * n_words);
    std::vector<std::uint8_t> quarters(n_out * n_quarters);
    for (size_t o = 0; o < n_out; o++) {
        for (size_t j = 0; j < k; j++) wired[o * k + j] = places[o * fan_in + std::min(j, fan_in - 1)];
        for (size_t w = 0; w < n_words; w++)
            words[o * n_words + w] = bm_load_word(tables.data + o * row_bytes + 8 * w, row_bytes - 8 * w);
        if (fan_in == 1) words[o] = (words[o] & 1u) | (words[o] & 2u) << 2;
        for (size_t q = 0; q < n_quarters; q++)
            quarters[o * n_quarters + q] =
                static_cast<std::uint8_t>(words[o * n_words + q / 16] >> (4 * (q % 16)) & 15u);
    }
    return {n_in, n_out, k, arena.keep(wired), arena.keep(words), arena.keep(quarters)};
}

LinkPlan lay_out_link(Arena& arena, LinkKind kind, Span<double> scale, Span<double> offset, Span<std::int32_t> knots,
                      Span<float> values) {
    const auto copy = [&arena](auto span) {
        using T = std::decay_t<decltype(span[0])>;
        return arena.keep(std::vector<T>(span.data, span.data + span.n));
    };
    const size_t n_outputs = kind == kSigmoid || kind == kTable ? 2 : scale.n;
    return {kind, scale.n, n_outputs, knots.n, copy(scale), copy(offset), copy(knots), copy(values)};
}

}  // namespace bimetal
