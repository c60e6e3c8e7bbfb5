// How the constants of streaming lie: taken from the plans of an engine, turned so that one changed column finds its
// bits, and one changed bit the neurons, rules and points that it moves.
#include <algorithm>
#include <set>

#include "bimetal/bits.h"
#include "bimetal/engine.hpp"
#include "bimetal/stream.hpp"

namespace bimetal {

namespace {

using std::size_t;

constexpr double kCountsCycles = 60, kUnmetCycles = 20,
                 kUseCycles = 4;  // a correction's fixed cost, and of one literal

// Bit k of the weights of a neuron, from panels of eight.
bool weight(const DensePlan& plan, size_t group, size_t neuron, size_t k) {
    const size_t panel = group * plan.panels + neuron / 8;
    return plan.weights[(panel * plan.in_words + k / 64) * 8 + neuron % 8] >> (k % 64) & 1;
}

void set_planes(std::int64_t x, size_t o, const CountsPlan& plan, std::uint64_t* planes) {
    for (size_t p = 0; p < plan.n_planes; p++)
        if (x >> p & 1) planes[p * plan.n_words + o / 64] |= UINT64_C(1) << (o % 64);
}

// The literals of each rule, from the runs of the planes form.
std::vector<std::vector<size_t>> literals_of(const RulesPlan& plan) {
    std::vector<std::vector<size_t>> rules(plan.n_out);
    const std::uint16_t *bit = plan.bits, *out = plan.outs;
    for (size_t run = 0; run < plan.n_runs; run++)
        for (size_t r = 0; r < plan.runs[run].n_rules; r++) {
            auto& literals = rules[*out++];
            for (size_t k = 0; k < plan.runs[run].n_plain; k++) literals.push_back(2u * *bit++);
            for (size_t k = 0; k < plan.runs[run].n_negated; k++) literals.push_back(2u * *bit++ + 1u);
        }
    return rules;
}

template <class T>
const T* get_if_live(const std::variant<EncodePlan, DensePlan, RulesPlan, LutPlan, ReadoutPlan, LinkPlan>& plan,
                     bool is_live) {
    return is_live ? std::get_if<T>(&plan) : nullptr;
}

}  // namespace

StreamPlan::StreamPlan(const Engine& engine)
    : kernels_(engine.kernels_),
      n_columns_(engine.n_columns_),
      n_outputs_(engine.n_outputs_),
      n_words_(engine.n_words_),
      n_points_(engine.n_points_) {
    // What the last operation, a link, does not need is left out: values of bits by their first word, and one of
    // points.
    const auto& steps = engine.steps_;
    link_ = std::get<LinkPlan>(steps.back().plan), link_point_ = steps.back().in.point;
    std::set<size_t> live;
    std::vector<bool> is_live(steps.size());
    for (size_t i = steps.size() - 1; i-- > 0;) {
        const auto& step = steps[i];
        if (const auto* plan = std::get_if<ReadoutPlan>(&step.plan)) {
            is_live[i] = step.out.point == link_point_;
            if (is_live[i]) live.insert(plan->input_word, plan->input_word + plan->n_inputs);
        } else if (!std::holds_alternative<LinkPlan>(step.plan)) {
            is_live[i] = live.count(step.out.word);
            if (is_live[i] && !std::holds_alternative<EncodePlan>(step.plan)) live.insert(step.in.word);
        }
    }
    const auto add_bits = [this](const auto& out) {
        bits_.push_back({out.n, out.word, n_list_});
        n_list_ += out.n + 16;
        n_spare_ = std::max(n_spare_, out.n + 512);
        return bits_.size() - 1;
    };
    std::vector<std::pair<EncodePlan, size_t>> encodes;
    for (size_t i = 0; i < steps.size(); i++)
        if (const auto* plan = get_if_live<EncodePlan>(steps[i].plan, is_live[i]))
            encodes.emplace_back(*plan, steps[i].out.word), add_bits(steps[i].out);
    n_encoded_ = bits_.size();
    add_tests(encodes);
    n_few_columns_ = few_columns(encodes);
    for (size_t i = 0; i < steps.size(); i++) {
        const auto& step = steps[i];
        if (const auto* plan = get_if_live<DensePlan>(step.plan, is_live[i]))
            steps_.push_back(dense(*plan, value_at(step.in.word), add_bits(step.out)));
        else if (const auto* rules_plan = get_if_live<RulesPlan>(step.plan, is_live[i]))
            steps_.push_back(rules(*rules_plan, value_at(step.in.word), add_bits(step.out)));
        else if (const auto* lut_plan = get_if_live<LutPlan>(step.plan, is_live[i])) {
            const size_t in = value_at(step.in.word), out = add_bits(step.out);
            steps_.push_back(LutStep{*lut_plan, in, out});
        } else if (const auto* readout_plan = get_if_live<ReadoutPlan>(step.plan, is_live[i]))
            steps_.push_back(readout(*readout_plan, step.out.point));
    }
}

// Testing column by column costs so many cycles each, and two and a half a test.
size_t StreamPlan::few_columns(const std::vector<std::pair<EncodePlan, size_t>>& encodes) {
    double n_tests = 0, n_words = 0;
    for (const auto& encode : encodes) {
        encodes_.push_back(encode.first);
        n_tests += static_cast<double>(encode.first.n_bits), n_words += static_cast<double>(encode.first.n_words);
    }
    const double column = 12 + 2.5 * n_tests / static_cast<double>(n_columns_);
    return 1 + static_cast<size_t>((kernels_.stream->encode * n_words + static_cast<double>(n_columns_) / 8) / column);
}

size_t StreamPlan::value_at(size_t word) const {
    size_t i = 0;
    while (bits_[i].word != word) i++;
    return i;
}

// Sorted by column, then by word, then by kind of test; so the tests of one column in one word make one run.
void StreamPlan::add_tests(const std::vector<std::pair<EncodePlan, size_t>>& encodes) {
    std::vector<std::vector<Tests>> runs(n_columns_);
    std::vector<float> values, specials;
    std::vector<std::uint8_t> shifts;
    for (const auto& [plan, first_word] : encodes) {
        std::vector<size_t> order(plan.n_bits);
        for (size_t i = 0; i < plan.n_bits; i++) order[i] = i;
        const auto source = [&plan = plan](size_t i) {
            const std::uint32_t column = plan.column[i];
            return column < plan.n_columns ? column : plan.twin_source[column - plan.n_columns];
        };
        const auto key = [&plan = plan, source](size_t i) { return std::tuple(source(i), i / 64, plan.test[i], i); };
        std::sort(order.begin(), order.end(), [key](size_t a, size_t b) { return key(a) < key(b); });
        for (size_t at = 0; at < plan.n_bits;) {
            const std::uint32_t column = source(order[at]);
            const size_t word = order[at] / 64;
            Tests run{};
            run.word = u32(first_word + word), run.first_test = u32(values.size());
            run.first_special = u32(specials.size());
            for (size_t s = 0; s < plan.n_specials; s++)
                if (plan.twin_source[plan.special_twin[s] - plan.n_columns] == column)
                    specials.push_back(plan.special_value[s]);
            run.n_specials = u32(specials.size()) - run.first_special;
            for (; at < plan.n_bits && source(order[at]) == column && order[at] / 64 == word; at++) {
                const size_t i = order[at];
                (plan.test[i] == kGreaterEqual ? run.n_greater_equal
                 : plan.test[i] == kEqual      ? run.n_equal
                                               : run.n_missing)++;
                run.mask |= UINT64_C(1) << (i % 64);
                values.push_back(plan.value[i]), shifts.push_back(static_cast<std::uint8_t>(i % 64));
            }
            runs[column].push_back(run);
        }
    }
    std::vector<std::uint32_t> first{0};
    std::vector<Tests> all;
    for (const auto& of_column : runs) {
        all.insert(all.end(), of_column.begin(), of_column.end());
        first.push_back(u32(all.size()));
    }
    first_ = arena_.keep(first), tests_ = arena_.keep(all), value_ = arena_.keep(values);
    shift_ = arena_.keep(shifts), special_ = arena_.keep(specials);
}

StreamPlan::Kept StreamPlan::keep(size_t in, size_t out, double whole, double fixed, double flip) {
    const size_t snapshot = n_snapshot_;
    n_snapshot_ += bm_words(bits_[in].n);
    return {in, out, n_kept_++, snapshot, whole, fixed, flip};
}

StreamPlan::Step StreamPlan::dense(const DensePlan& plan, size_t in, size_t out) {
    const size_t lanes = kernels_.block_rows / 64, n_words = (bm_words(plan.group_out) + lanes - 1) / lanes * lanes;
    const auto n_vectors = static_cast<double>(n_words / lanes), groups = static_cast<double>(plan.groups);
    const Kept kept = keep(in, out, kernels_.stream->dense * groups * static_cast<double>(plan.panels * plan.in_words),
                           kCountsCycles * groups * n_vectors, kernels_.stream->flip * n_vectors);
    CountsPlan counts{plan.group_in, n_words, bit_length(plan.group_in) + 1, nullptr};
    auto* columns = arena_.make<std::uint64_t>(plan.groups * (plan.group_in + 1) * n_words);
    auto* rest = arena_.make<std::uint64_t>(plan.groups * counts.n_planes * n_words);
    for (size_t g = 0; g < plan.groups; g++)
        for (size_t o = 0; o < 64 * n_words; o++) {
            const bool exists = o < plan.group_out;
            // For an input of zeros the count is the weights that are set; lanes without a neuron fire at all times.
            const size_t limit = exists ? plan.limits[g * plan.panels * 8 + o] : plan.group_in + 1;
            std::int64_t count = 0;
            for (size_t k = 0; exists && k < plan.group_in; k++) {
                if (!weight(plan, g, o, k)) continue;
                columns[(g * (plan.group_in + 1) + k) * n_words + o / 64] |= UINT64_C(1) << (o % 64);
                count++;
            }
            set_planes(count - static_cast<std::int64_t>(limit), o, counts, rest + g * counts.n_planes * n_words);
        }
    counts.columns = columns;
    const size_t planes = n_planes_;
    n_planes_ += plan.groups * counts.n_planes * n_words;
    return CountsStep{kept, plan, counts, planes, rest};
}

StreamPlan::Step StreamPlan::rules(const RulesPlan& plan, size_t in, size_t out) {
    const auto rules = literals_of(plan);
    std::vector<std::uint32_t> first(2 * plan.n_in + 1);
    std::vector<std::uint8_t> rest(plan.n_out);
    for (size_t r = 0; r < plan.n_out; r++)
        for (const size_t literal : rules[r]) {
            first[literal + 1]++;
            if (literal % 2 == 0) rest[r]++;
        }
    for (size_t i = 0; i < 2 * plan.n_in; i++) first[i + 1] += first[i];
    const double uses_of_bit = static_cast<double>(first.back()) / static_cast<double>(plan.n_in);
    const Kept kept =
        keep(in, out, kernels_.stream->rules * plan.first_step[plan.n_blocks], kUnmetCycles, kUseCycles * uses_of_bit);
    std::vector<std::uint16_t> uses(first.back());
    auto next = first;
    for (size_t r = 0; r < plan.n_out; r++)
        for (const size_t literal : rules[r]) uses[next[literal]++] = static_cast<std::uint16_t>(r);
    const size_t unmet = n_unmet_;
    n_unmet_ += plan.n_out;
    return UnmetStep{kept, plan, unmet, arena_.keep(first), arena_.keep(uses), arena_.keep(rest)};
}

StreamPlan::Step StreamPlan::readout(const ReadoutPlan& plan, size_t point) {
    // One, two or four points stand in a vector of their own; more are padded to fours.
    const size_t stride = plan.n_outputs < 3 ? plan.n_outputs : (plan.n_outputs + 3) / 4 * 4;
    const double whole = kernels_.stream->readout * static_cast<double>(plan.n_words * plan.n_outputs);
    PointsStep step{plan, point, stride, whole, 4 + static_cast<double>(stride) / 2, {}, nullptr};
    auto* weights = arena_.make<std::int32_t>(64 * plan.n_words * stride);
    for (size_t o = 0; o < plan.n_outputs; o++)
        for (size_t i = 0; i < 64 * plan.n_words; i++) {
            const size_t at = o * 64 * plan.n_words + i;
            weights[i * stride + o] = plan.narrow ? plan.narrow[at] : plan.wide[at];
        }
    for (size_t i = 0; i < plan.n_inputs; i++) step.in.push_back(value_at(plan.input_word[i]));
    step.weights = weights;
    return step;
}

}  // namespace bimetal
