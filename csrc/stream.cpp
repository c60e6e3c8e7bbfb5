// Streaming, update by update: columns flip bits, flips correct counts and points, and so on to the answers.
#include "bimetal/stream.hpp"

#include <limits>
#include <type_traits>

#include "bimetal/bits.h"
#include "bimetal/engine.hpp"

namespace bimetal {

namespace {

using std::size_t;

void flip_at(std::uint64_t* words, size_t bit, std::uint64_t changed) {
    const size_t shift = bit % 64;
    words[bit / 64] ^= changed << shift;
    if (shift && changed >> (64 - shift)) words[bit / 64 + 1] ^= changed >> (64 - shift);
}

// weight where the bit is now set, -weight where it no longer is.
template <size_t kStride>
void add_flips(const std::uint32_t* flips, size_t n, const std::int32_t* weights, std::int32_t* points) {
    std::int32_t sum[kStride];
    for (size_t o = 0; o < kStride; o++) sum[o] = points[o];
    for (size_t i = 0; i < n; i++) {
        const std::int32_t sign = static_cast<std::int32_t>(flips[i] & 1) - 1;
        const std::int32_t* of_bit = weights + (flips[i] >> 1) * kStride;
        for (size_t o = 0; o < kStride; o++) sum[o] += (of_bit[o] ^ sign) - sign;
    }
    for (size_t o = 0; o < kStride; o++) points[o] = sum[o];
}

void add_flips(const std::uint32_t* flips, size_t n, const std::int32_t* weights, size_t stride, std::int32_t* points) {
    if (stride == 1) return add_flips<1>(flips, n, weights, points);
    if (stride == 2) return add_flips<2>(flips, n, weights, points);
    if (stride == 4) return add_flips<4>(flips, n, weights, points);
    for (size_t i = 0; i < n; i++) {
        const std::int32_t sign = static_cast<std::int32_t>(flips[i] & 1) - 1;
        const std::int32_t* of_bit = weights + (flips[i] >> 1) * stride;
        for (size_t o = 0; o < stride; o++) points[o] += (of_bit[o] ^ sign) - sign;
    }
}

}  // namespace

// Begin at rest: a state that agrees with itself, with every bit of every Encode 0. Then take the row.
Stream::Stream(const Engine& engine, const float* row)
    : plan_(engine.stream_plan()),
      row_(arena_.make<float>(plan_.n_columns_)),
      columns_(arena_.make<float>(engine.n_all_columns() + 16)),
      answers_(arena_.make<float>(plan_.n_outputs_)),
      words_(arena_.make<std::uint64_t>(plan_.n_words_)),
      changed_(arena_.make<std::uint64_t>(plan_.n_words_)),
      spare_(arena_.make<std::uint64_t>(bm_words(plan_.n_spare_))),
      fires_(arena_.make<std::uint64_t>(bm_words(plan_.n_spare_))),
      snapshots_(arena_.make<std::uint64_t>(plan_.n_snapshot_)),
      planes_(arena_.make<std::uint64_t>(plan_.n_planes_)),
      unmet_(arena_.make<std::uint8_t>(plan_.n_unmet_)),
      points_(arena_.make<std::int32_t>(plan_.n_points_)),
      group_(arena_.make<std::uint32_t>(plan_.n_spare_)),
      lists_(arena_.make<std::uint32_t>(plan_.n_list_ + plan_.n_spare_)),
      n_flips_(arena_.make<size_t>(plan_.bits_.size())),
      is_listed_(arena_.make<bool>(plan_.bits_.size())),
      syncs_(arena_.make<Sync>(plan_.n_kept_)) {
    for (const auto& step : plan_.steps_) std::visit([this](const auto& s) { rest(s); }, step);
    has_moved_ = true;
    start(row);
}

void Stream::start(const float* row) noexcept {
    std::memcpy(row_, row, plan_.n_columns_ * sizeof *row);
    encode();
    run();
}

// All tests of the row: costs less than going through many columns.
void Stream::encode() noexcept {
    for (size_t i = 0; i < plan_.n_encoded_; i++) {
        const auto& bits = plan_.bits_[i];
        plan_.kernels_.encode_row(plan_.encodes_[i], row_, columns_, spare_);
        for (size_t w = 0; w < bm_words(bits.n); w++) {
            changed_[bits.word + w] ^= spare_[w] ^ words_[bits.word + w];
            words_[bits.word + w] = spare_[w];
        }
    }
}

void Stream::test(size_t column) noexcept {
    const float value = row_[column];
    for (std::uint32_t i = plan_.first_[column]; i < plan_.first_[column + 1]; i++) {
        const auto& tests = plan_.tests_[i];
        float regular = value;  // special codes count as missing for >=
        for (std::uint32_t s = 0; s < tests.n_specials; s++)
            if (value == plan_.special_[tests.first_special + s]) regular = std::numeric_limits<float>::quiet_NaN();
        const float* than = plan_.value_ + tests.first_test;
        const std::uint8_t* shift = plan_.shift_ + tests.first_test;
        std::uint64_t bits = 0;
        size_t k = 0, end = tests.n_greater_equal;
        for (; k < end; k++) bits |= static_cast<std::uint64_t>(regular >= than[k]) << shift[k];
        for (end += tests.n_equal; k < end; k++) bits |= static_cast<std::uint64_t>(value == than[k]) << shift[k];
        for (end += tests.n_missing; k < end; k++) bits |= static_cast<std::uint64_t>(value != value) << shift[k];
        const std::uint64_t flips = (words_[tests.word] & tests.mask) ^ bits;
        words_[tests.word] ^= flips, changed_[tests.word] ^= flips;
    }
}

// A value without flips ends the wave there.
void Stream::run() noexcept {
    for (size_t i = 0; i < plan_.n_encoded_; i++) settle(i);
    for (const auto& step : plan_.steps_) std::visit([this](const auto& s) { advance(s); }, step);
    if (has_moved_) plan_.kernels_.link(plan_.link_, points_ + plan_.link_point_, 1, 1, answers_);
    has_moved_ = false;
    for (size_t i = 0; i < plan_.n_encoded_; i++)
        if (n_flips_[i]) std::memset(changed_ + plan_.bits_[i].word, 0, bm_words(plan_.bits_[i].n) * sizeof *changed_);
}

// The value and its changes are made: count them.
void Stream::settle(size_t value) noexcept {
    const auto& bits = plan_.bits_[value];
    n_flips_[value] = plan_.kernels_.stream->count_bits(changed_ + bits.word, bm_words(bits.n));
    is_listed_[value] = false;
}

std::uint32_t* Stream::flips(size_t value) noexcept {
    const auto& bits = plan_.bits_[value];
    if (!is_listed_[value])
        plan_.kernels_.stream->list_flips(changed_ + bits.word, words_ + bits.word, bm_words(bits.n),
                                          lists_ + bits.list);
    is_listed_[value] = true;
    return lists_ + bits.list;
}

// ---- Dense and Rules: corrected, or run whole where that costs less ----

// Correct what holds for an input of zeros by all bits that are set.
template <class Step>
void Stream::rest(const Step& step) noexcept {
    const auto &in = plan_.bits_[step.kept.in], &out = plan_.bits_[step.kept.out];
    begin(step);
    std::memcpy(changed_ + in.word, words_ + in.word, bm_words(in.n) * sizeof *words_);
    settle(step.kept.in);
    correct(step, flips(step.kept.in), n_flips_[step.kept.in], words_ + out.word, changed_ + out.word);
}

template <class Step>
void Stream::advance(const Step& step) noexcept {
    const StreamPlan::Kept& kept = step.kept;
    const auto &in = plan_.bits_[kept.in], &out = plan_.bits_[kept.out];
    const size_t n = n_flips_[kept.in];
    if (!n) return void(n_flips_[kept.out] = 0);
    Sync& sync = syncs_[kept.number];
    const double saves = kept.whole - kept.fixed - kept.flip * static_cast<double>(n);
    if (!sync.is_behind && saves >= 0) {
        correct(step, flips(kept.in), n, words_ + out.word, changed_ + out.word);
        return settle(kept.out);
    }
    if (!sync.is_behind) {
        for (size_t w = 0; w < bm_words(in.n); w++)
            snapshots_[kept.snapshot + w] = words_[in.word + w] ^ changed_[in.word + w];
        sync = {true, 0};
    }
    run_whole(step);
    if (saves > 0) sync.missed += saves, catch_up(step);
}

template <class Step>
void Stream::run_whole(const Step& step) noexcept {
    const auto& in = plan_.bits_[step.kept.in];
    if constexpr (std::is_same_v<Step, StreamPlan::CountsStep>)
        plan_.kernels_.dense_row(step.whole, words_ + in.word, spare_);
    else plan_.kernels_.rules_row(step.whole, words_ + in.word, spare_);
    take_spare(step.kept.out);
}

// A value has been made anew in spare_.
void Stream::take_spare(size_t value) noexcept {
    const auto& bits = plan_.bits_[value];
    for (size_t w = 0; w < bm_words(bits.n); w++) {
        changed_[bits.word + w] = spare_[w] ^ words_[bits.word + w];
        words_[bits.word + w] = spare_[w];
    }
    settle(value);
}

// Once corrections would have saved more than catching up with the snapshot costs, they will go on doing so.
template <class Step>
void Stream::catch_up(const Step& step) noexcept {
    const auto& in = plan_.bits_[step.kept.in];
    const std::uint64_t *now = words_ + in.word, *then = snapshots_ + step.kept.snapshot;
    for (size_t w = 0; w < bm_words(in.n); w++) spare_[w] = now[w] ^ then[w];
    const size_t n = plan_.kernels_.stream->count_bits(spare_, bm_words(in.n));
    Sync& sync = syncs_[step.kept.number];
    if (step.kept.fixed + step.kept.flip * static_cast<double>(n) > sync.missed) return;
    std::uint32_t* list = lists_ + plan_.n_list_;
    plan_.kernels_.stream->list_flips(spare_, now, bm_words(in.n), list);
    // The output is up to date already: what the correction says about it goes nowhere.
    correct(step, list, n, spare_, spare_);
    sync.is_behind = false;
}

// ---- Dense ----

void Stream::begin(const StreamPlan::CountsStep& step) noexcept {
    const size_t n_group = step.plan.n_planes * step.plan.n_words, group_out = step.whole.group_out;
    std::memcpy(planes_ + step.planes, step.rest, step.whole.groups * n_group * sizeof *planes_);
    for (size_t g = 0; g < step.whole.groups; g++) {
        const std::uint64_t* top = step.rest + (g + 1) * n_group - step.plan.n_words;
        for (size_t o = 0; o < group_out; o++)
            if (bm_bit(top, o)) flip_at(words_ + plan_.bits_[step.kept.out].word, g * group_out + o, 1);
    }
}

void Stream::correct(const StreamPlan::CountsStep& step, std::uint32_t* flips, size_t n, std::uint64_t* words,
                     std::uint64_t* changed) noexcept {
    const size_t groups = step.whole.groups, n_out = step.whole.n_out, group_out = step.whole.group_out;
    const auto n_literals = u32(2 * step.plan.n_in);
    if (groups == 1) {
        correct_group(step, 0, flips, n);
        for (size_t w = 0; w < bm_words(n_out); w++) words[w] ^= fires_[w], changed[w] = fires_[w];
        return;
    }
    std::memset(changed, 0, bm_words(n_out) * sizeof *changed);
    for (const std::uint32_t* end = flips + n; flips < end;) {
        const size_t group = *flips / n_literals;
        const auto first = static_cast<std::uint32_t>(group * n_literals);
        size_t n_here = 0;
        for (; flips < end && *flips - first < n_literals; flips++) group_[n_here++] = *flips - first;
        correct_group(step, group, group_, n_here);
        for (size_t w = 0; 64 * w < group_out; w++) {
            flip_at(words, group * group_out + 64 * w, fires_[w]);
            flip_at(changed, group * group_out + 64 * w, fires_[w]);
        }
    }
}

// flips has room to be padded.
void Stream::correct_group(const StreamPlan::CountsStep& step, size_t group, std::uint32_t* flips, size_t n) noexcept {
    const CountsPlan& plan = step.plan;
    for (size_t i = n; i % 8; i++) flips[i] = u32(2 * plan.n_in);
    std::uint64_t* planes = planes_ + step.planes + group * plan.n_planes * plan.n_words;
    plan_.kernels_.stream->correct_counts(plan, group, flips, n, planes, fires_);
}

// ---- Rules ----

void Stream::begin(const StreamPlan::UnmetStep& step) noexcept {
    std::memcpy(unmet_ + step.unmet, step.rest, step.whole.n_out);
    for (size_t r = 0; r < step.whole.n_out; r++)
        if (!step.rest[r]) flip_at(words_ + plan_.bits_[step.kept.out].word, r, 1);
}

void Stream::correct(const StreamPlan::UnmetStep& step, std::uint32_t* flips, size_t n, std::uint64_t* words,
                     std::uint64_t* changed) noexcept {
    std::uint8_t* unmet = unmet_ + step.unmet;
    std::memset(changed, 0, bm_words(step.whole.n_out) * sizeof *changed);
    const auto flip = [=](size_t rule) {
        words[rule / 64] ^= UINT64_C(1) << (rule % 64);
        changed[rule / 64] ^= UINT64_C(1) << (rule % 64);
    };
    for (size_t i = 0; i < n; i++) {
        const std::uint32_t fails = flips[i], holds = fails ^ 1;  // a literal is 2 * bit + negated
        for (std::uint32_t use = step.first_use[holds]; use < step.first_use[holds + 1]; use++)
            if (!--unmet[step.uses[use]]) flip(step.uses[use]);
        for (std::uint32_t use = step.first_use[fails]; use < step.first_use[fails + 1]; use++)
            if (!unmet[step.uses[use]]++) flip(step.uses[use]);
    }
}

// ---- Tables ----

void Stream::rest(const StreamPlan::LutStep& step) noexcept {
    plan_.kernels_.lut_row(step.plan, words_ + plan_.bits_[step.in].word, words_ + plan_.bits_[step.out].word);
}

void Stream::advance(const StreamPlan::LutStep& step) noexcept {
    if (!n_flips_[step.in]) return void(n_flips_[step.out] = 0);
    plan_.kernels_.lut_row(step.plan, words_ + plan_.bits_[step.in].word, spare_);
    take_spare(step.out);
}

// ---- Readout ----

void Stream::rest(const StreamPlan::PointsStep& step) noexcept {
    plan_.kernels_.readout_row(step.plan, words_, points_ + step.point);
}

void Stream::advance(const StreamPlan::PointsStep& step) noexcept {
    size_t n = 0;
    for (const size_t in : step.in) n += n_flips_[in];
    if (!n) return;
    has_moved_ = true;
    if (step.flip * static_cast<double>(n) > step.whole)
        return plan_.kernels_.readout_row(step.plan, words_, points_ + step.point);
    const std::int32_t* weights = step.weights;
    for (const size_t in : step.in) {
        const auto& bits = plan_.bits_[in];
        if (n_flips_[in]) add_flips(flips(in), n_flips_[in], weights, step.stride, points_ + step.point);
        weights += 64 * bm_words(bits.n) * step.stride;
    }
}

}  // namespace bimetal
