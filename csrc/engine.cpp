// Walks a Program: row by row in packed words, or a block of rows at once in planes, whichever is faster.
#include "bimetal/engine.hpp"

#include <algorithm>
#include <utility>

#include "bimetal/bits.h"
#include "bimetal/stream.hpp"

namespace bimetal {

namespace {

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

// Cuts one block of scratch into parts, each on a cache line of its own; begun at null, it only measures.
class Cutter {
 public:
    explicit Cutter(void* begin) : begin_(static_cast<char*>(begin)) {}
    template <class T>
    T* cut(std::size_t n) {
        char* part = begin_ ? begin_ + used_ : nullptr;
        used_ += (n * sizeof(T) + 63) / 64 * 64;
        return reinterpret_cast<T*>(part);
    }
    std::size_t used() const { return used_; }

 private:
    char* begin_;
    std::size_t used_ = 0;
};

}  // namespace

void Engine::add_bits(Plan plan, std::size_t input, std::size_t n_bits) {
    const Value out{n_bits, n_words_, n_planes_, 0};
    steps_.push_back({std::move(plan), values_[input], out});
    values_.push_back(out);
    n_words_ += bm_words(n_bits);
    n_planes_ += n_bits + 1;  // one more plane of zeros
}

void Engine::encode(Span<std::uint16_t> column, Span<std::uint8_t> kind, Span<float> value,
                    Span<std::uint16_t> special_column, Span<float> special_value) {
    const auto plan = lay_out_encode(arena_, n_columns_, column, kind, value, special_column, special_value);
    n_all_columns_ = std::max(n_all_columns_, n_columns_ + plan.n_twins);
    row_nanoseconds_ += 0.1 * static_cast<double>(n_columns_ + column.n);
    add_bits(plan, 0, column.n);
}

void Engine::dense(std::size_t input, std::size_t groups, Span<std::uint8_t> weights, Span<std::int32_t> thresholds) {
    const auto plan = lay_out_dense(arena_, values_[input].n, groups, weights, thresholds);
    n_scratch_planes_ = std::max(n_scratch_planes_, plan.n_scratch_planes);
    row_nanoseconds_ += 0.1 * static_cast<double>(plan.in_words * plan.n_out);
    add_bits(plan, input, thresholds.n);
}

void Engine::rules(std::size_t input, Span<std::uint16_t> literals, Span<std::uint8_t> fan_in) {
    const auto plan = lay_out_rules(arena_, values_[input].n, literals, fan_in);
    row_nanoseconds_ += 0.02 * static_cast<double>(literals.n);
    add_bits(plan, input, fan_in.n);
}

void Engine::lut(std::size_t input, std::size_t fan_in, Span<std::uint16_t> places, Span<std::uint8_t> tables) {
    const auto plan = lay_out_lut(arena_, values_[input].n, fan_in, places, tables);
    row_nanoseconds_ += 0.5 * static_cast<double>(places.n);
    add_bits(plan, input, plan.n_out);
}

void Engine::readout(Span<std::size_t> inputs, Span<std::int32_t> weights, Span<std::int32_t> bias) {
    std::vector<BitsAt> at;
    for (std::size_t i = 0; i < inputs.n; i++) {
        const Value& input = values_[inputs[i]];
        at.push_back({input.n, input.word, input.plane});
    }
    const auto plan = lay_out_readout(arena_, at, weights, bias);
    n_scratch_planes_ = std::max(n_scratch_planes_, plan.n_counter_planes);
    row_nanoseconds_ += 0.02 * static_cast<double>(weights.n);
    const Value out{bias.n, 0, 0, n_points_};
    steps_.push_back({plan, Value{}, out});
    values_.push_back(out);
    n_points_ += bias.n;
}

void Engine::link(std::size_t input, LinkKind kind, Span<double> scale, Span<double> offset, Span<std::int32_t> knots,
                  Span<float> values) {
    const auto plan = lay_out_link(arena_, kind, scale, offset, knots, values);
    row_nanoseconds_ += 20 * static_cast<double>(plan.n_outputs);
    n_outputs_ = plan.n_outputs;  // the last operation is a link: its answers are those of the Program
    steps_.push_back({plan, values_[input], Value{}});
    values_.push_back(Value{});
}

const StreamPlan& Engine::stream_plan() const {
    std::call_once(has_stream_plan_, [this] { stream_plan_ = std::make_shared<const StreamPlan>(*this); });
    return *stream_plan_;
}

// Rows are independent: threads take whole blocks of them. Fewer than two blocks, or so little work that waking a
// thread costs more than it saves, is for the caller alone.
std::size_t Engine::rows_a_task(std::size_t n_rows) const {
    const std::size_t block = std::max<std::size_t>(kernels_.block_rows, 1);
    if (!pool_ || n_rows < 2 * block || static_cast<double>(n_rows) * row_nanoseconds_ < 100e3) return n_rows;
    const std::size_t n_tasks = 4 * pool_->n_threads();
    return std::max(block, (n_rows / n_tasks + block - 1) / block * block);
}

std::size_t Engine::scratch_bytes(std::size_t n_rows) const {
    const std::size_t rows = rows_a_task(n_rows);
    return task_bytes(rows) * (rows < n_rows ? pool_->n_threads() : 1);
}

void Engine::run(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept {
    const std::size_t part = rows_a_task(n_rows), n_bytes = task_bytes(part);
    if (part == n_rows) return run_rows(rows, n_rows, out, scratch);
    const ThreadPool::Lease lease(pool_.get(), true);
    lease.run((n_rows + part - 1) / part, [&](std::size_t task, std::size_t thread) {
        const std::size_t first = task * part;
        run_rows(rows + first * n_columns_, std::min(part, n_rows - first), out + first * n_outputs_,
                 static_cast<char*>(scratch) + thread * n_bytes);
    });
}

std::size_t Engine::task_bytes(std::size_t n_rows) const {
    Cutter row(nullptr), block(nullptr);
    row.cut<float>(n_all_columns_ + 16), row.cut<std::uint64_t>(n_words_), row.cut<std::int32_t>(n_points_);
    if (n_rows < kernels_.min_rows) return row.used();
    const std::size_t rows = kernels_.block_rows, words = rows / 64;
    block.cut<float>(n_all_columns_ * rows), block.cut<std::int32_t>(n_points_ * rows);
    block.cut<std::uint64_t>(n_planes_ * words), block.cut<std::uint64_t>(n_scratch_planes_ * words);
    return std::max(row.used(), block.used());
}

void Engine::run_rows(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept {
    while (n_rows >= kernels_.min_rows) {
        const std::size_t n = std::min(n_rows, kernels_.block_rows);
        run_block(rows, n, out, scratch);
        rows += n * n_columns_, out += n * n_outputs_, n_rows -= n;
    }
    for (; n_rows; n_rows--, rows += n_columns_, out += n_outputs_) run_row(rows, out, scratch);
}

void Engine::run_row(const float* row, float* out, void* scratch) const noexcept {
    Cutter cutter(scratch);
    auto* columns = cutter.cut<float>(n_all_columns_ + 16);  // permutes may load one vector beyond the columns
    auto* words = cutter.cut<std::uint64_t>(n_words_);
    auto* points = cutter.cut<std::int32_t>(n_points_);
    for (const Step& step : steps_) {
        const std::uint64_t* from = words + step.in.word;
        std::uint64_t* to = words + step.out.word;
        std::visit(Overloaded{
                       [&](const EncodePlan& plan) { kernels_.encode_row(plan, row, columns, to); },
                       [&](const DensePlan& plan) { kernels_.dense_row(plan, from, to); },
                       [&](const RulesPlan& plan) { kernels_.rules_row(plan, from, to); },
                       [&](const LutPlan& plan) { kernels_.lut_row(plan, from, to); },
                       [&](const ReadoutPlan& plan) { kernels_.readout_row(plan, words, points + step.out.point); },
                       [&](const LinkPlan& plan) {
                           if (&step == &steps_.back()) kernels_.link(plan, points + step.in.point, 1, 1, out);
                       },
                   },
                   step.plan);
    }
}

void Engine::run_block(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept {
    const std::size_t n = kernels_.block_rows, n_plane_words = n / 64;
    Cutter cutter(scratch);
    auto* columns = cutter.cut<float>(n_all_columns_ * n);
    auto* points = cutter.cut<std::int32_t>(n_points_ * n);
    auto* planes = cutter.cut<std::uint64_t>(n_planes_ * n_plane_words);
    auto* counters = cutter.cut<std::uint64_t>(n_scratch_planes_ * n_plane_words);
    for (const Step& step : steps_) {
        const std::uint64_t* from = planes + step.in.plane * n_plane_words;
        std::uint64_t* to = planes + step.out.plane * n_plane_words;
        std::visit(Overloaded{
                       [&](const EncodePlan& plan) { kernels_.encode_planes(plan, rows, n_rows, columns, to); },
                       [&](const DensePlan& plan) { kernels_.dense_planes(plan, from, counters, to); },
                       [&](const RulesPlan& plan) { kernels_.rules_planes(plan, from, to); },
                       [&](const LutPlan& plan) { kernels_.lut_planes(plan, from, to); },
                       [&](const ReadoutPlan& plan) {
                           kernels_.readout_planes(plan, planes, counters, points + step.out.point * n);
                       },
                       [&](const LinkPlan& plan) {
                           if (&step == &steps_.back()) kernels_.link(plan, points + step.in.point * n, n, n_rows, out);
                       },
                   },
                   step.plan);
    }
}

}  // namespace bimetal
