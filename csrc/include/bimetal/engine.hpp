// The engine: runs a Program over raw rows. It owns the constants; whoever calls brings the scratch memory, so that
// one engine serves any number of threads at once.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "../../layout.hpp"
#include "../../pool.hpp"
#include "../../runner.hpp"

namespace bimetal {

// The instruction sets of this machine, best first.
std::vector<const Kernels*> available_kernels();

class StreamPlan;

class Engine final : public Runner {
 public:
    Engine(const Kernels& kernels, std::size_t n_columns, std::size_t n_threads = 1, const std::vector<int>& cpus = {})
        : kernels_(kernels), n_columns_(n_columns) {
        if (n_threads > 1) pool_.reset(new ThreadPool(n_threads, cpus));
    }

    // One call for each operation, in order: value 0 is the raw row, each call makes the next value. The arguments
    // are those of a Program that has been validated; they are not checked again.
    void encode(Span<std::uint16_t> column, Span<std::uint8_t> kind, Span<float> value,
                Span<std::uint16_t> special_column, Span<float> special_value);
    void dense(std::size_t input, std::size_t groups, Span<std::uint8_t> weights, Span<std::int32_t> thresholds);
    void rules(std::size_t input, Span<std::uint16_t> literals, Span<std::uint8_t> fan_in);
    void lut(std::size_t input, std::size_t fan_in, Span<std::uint16_t> places, Span<std::uint8_t> tables);
    void readout(Span<std::size_t> inputs, Span<std::int32_t> weights, Span<std::int32_t> bias);
    void link(std::size_t input, LinkKind kind, Span<double> scale, Span<double> offset, Span<std::int32_t> knots,
              Span<float> values);

    const char* isa() const { return kernels_.name; }
    std::size_t n_columns() const override { return n_columns_; }
    std::size_t n_all_columns() const { return n_all_columns_; }  // with their twins, see EncodePlan
    std::size_t n_outputs() const override { return n_outputs_; }

    bool is_long(std::size_t n_rows) const override { return static_cast<double>(n_rows) * row_nanoseconds_ > 20e3; }

    std::size_t scratch_bytes(std::size_t n_rows) const override;
    void run(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept override;

    // Laid out by the first stream that asks.
    const StreamPlan& stream_plan() const;

 private:
    friend class StreamPlan;
    using Plan = std::variant<EncodePlan, DensePlan, RulesPlan, LutPlan, ReadoutPlan, LinkPlan>;

    // Where a value stands: its first bit in words and planes, or its first int32 among the points.
    struct Value {
        std::size_t n, word, plane, point;
    };
    struct Step {
        Plan plan;
        Value in, out;
    };

    void add_bits(Plan plan, std::size_t input, std::size_t n_bits);
    std::size_t rows_a_task(std::size_t n_rows) const;
    std::size_t task_bytes(std::size_t n_rows) const;
    void run_rows(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept;
    void run_row(const float* row, float* out, void* scratch) const noexcept;
    void run_block(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept;

    const Kernels& kernels_;
    std::size_t n_columns_;
    std::size_t n_outputs_ = 0, n_all_columns_ = 0, n_words_ = 0, n_planes_ = 0, n_points_ = 0, n_scratch_planes_ = 0;
    double row_nanoseconds_ = 50;
    ThreadPool::Owner pool_;
    Arena arena_;
    std::vector<Value> values_{Value{}};
    std::vector<Step> steps_;
    mutable std::once_flag has_stream_plan_;
    mutable std::shared_ptr<const StreamPlan> stream_plan_;
};

}  // namespace bimetal
