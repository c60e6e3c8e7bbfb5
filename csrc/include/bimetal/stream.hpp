// Streaming: one row that changes a little at a time. Everything between the raw row and the answers is kept, and an
// update corrects what depends on the columns that changed; where nothing changes, the wave ends.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "../../layout.hpp"

namespace bimetal {

class Engine;

// The constants of streaming, laid out once for each engine, which must outlive them.
class StreamPlan {
 public:
    explicit StreamPlan(const Engine& engine);

 private:
    friend class Stream;

    // The tests of one column within one word of bits: >= first, then ==, then missing.
    struct Tests {
        std::uint64_t mask;
        std::uint32_t word, first_test, first_special, n_specials;
        std::uint8_t n_greater_equal, n_equal, n_missing;
    };
    // A value of bits: where its words begin, and the list of its flips.
    struct Bits {
        std::size_t n, word, list;
    };
    // A step that keeps what it counted, and can also be run whole; costs in cycles, about.
    struct Kept {
        std::size_t in, out, number, snapshot;  // values; which of the kept steps; where its snapshot begins
        double whole, fixed, flip;              // cost of a whole run, of a correction, and of each flip in it
    };
    // Dense: the counts of its neurons.
    struct CountsStep {
        Kept kept;
        DensePlan whole;
        CountsPlan plan;
        std::size_t planes;
        const std::uint64_t* rest;  // planes for an input of zeros
    };
    // Rules: how many of its literals each rule lacks, and for each literal the rules that hold it.
    struct UnmetStep {
        Kept kept;
        RulesPlan whole;
        std::size_t unmet;
        const std::uint32_t* first_use;  // (2 * n_in + 1,)
        const std::uint16_t* uses;
        const std::uint8_t* rest;  // (n_out,) for an input of zeros
    };
    // Lut: always run whole, when any of its input has changed.
    struct LutStep {
        LutPlan plan;
        std::size_t in, out;
    };
    struct PointsStep {
        ReadoutPlan plan;
        std::size_t point, stride;
        double whole, flip;
        std::vector<std::size_t> in;
        const std::int32_t* weights;  // bit by bit, each (stride,)
    };
    using Step = std::variant<CountsStep, UnmetStep, LutStep, PointsStep>;

    std::size_t value_at(std::size_t word) const;
    std::size_t few_columns(const std::vector<std::pair<EncodePlan, std::size_t>>& encodes);
    void add_tests(const std::vector<std::pair<EncodePlan, std::size_t>>& encodes);
    Kept keep(std::size_t in, std::size_t out, double whole, double fixed, double flip);
    Step dense(const DensePlan& plan, std::size_t in, std::size_t out);
    Step rules(const RulesPlan& plan, std::size_t in, std::size_t out);
    Step readout(const ReadoutPlan& plan, std::size_t point);

    const Kernels& kernels_;
    std::size_t n_columns_, n_outputs_, n_words_, n_points_;
    std::size_t n_list_ = 0, n_planes_ = 0, n_unmet_ = 0, n_kept_ = 0, n_snapshot_ = 0, n_spare_ = 0;
    Arena arena_;
    std::vector<Bits> bits_;         // those of Encode first
    std::size_t n_encoded_ = 0;      // how many are
    std::size_t n_few_columns_ = 0;  // up to so many changes go column by column
    std::vector<EncodePlan> encodes_;
    const std::uint32_t* first_ = nullptr;  // (n_columns + 1,) into tests_
    const Tests* tests_ = nullptr;
    const float* value_ = nullptr;  // of each test, and which bit of the word it makes
    const std::uint8_t* shift_ = nullptr;
    const float* special_ = nullptr;
    std::vector<Step> steps_;
    LinkPlan link_{};
    std::size_t link_point_ = 0;
};

// The state. One thread at a time.
class Stream {
 public:
    Stream(const Engine& engine, const float* row);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Take a whole row: (n_columns,).
    void start(const float* row) noexcept;

    // columns[i], below n_columns, now holds values[i]; of several values for one column the last counts.
    template <class Index>
    void update(const Index* columns, const float* values, std::size_t n) noexcept {
        if (n > plan_.n_few_columns_) {
            for (std::size_t i = 0; i < n; i++) row_[columns[i]] = values[i];
            encode();
        } else {
            for (std::size_t i = 0; i < n; i++) set(static_cast<std::size_t>(columns[i]), values[i]);
        }
        run();
    }

    std::size_t n_columns() const { return plan_.n_columns_; }
    std::size_t n_outputs() const { return plan_.n_outputs_; }
    const float* row() const { return row_; }
    const float* answers() const { return answers_; }

 private:
    void set(std::size_t column, float value) noexcept {
        if (std::memcmp(row_ + column, &value, sizeof value) == 0) return;
        row_[column] = value;
        test(column);
    }
    void test(std::size_t column) noexcept;
    void encode() noexcept;
    void run() noexcept;
    void settle(std::size_t value) noexcept;
    std::uint32_t* flips(std::size_t value) noexcept;

    template <class Step>
    void rest(const Step& step) noexcept;
    void rest(const StreamPlan::LutStep& step) noexcept;
    void rest(const StreamPlan::PointsStep& step) noexcept;
    void begin(const StreamPlan::CountsStep& step) noexcept;
    void begin(const StreamPlan::UnmetStep& step) noexcept;

    template <class Step>
    void advance(const Step& step) noexcept;
    void advance(const StreamPlan::LutStep& step) noexcept;
    void advance(const StreamPlan::PointsStep& step) noexcept;
    template <class Step>
    void run_whole(const Step& step) noexcept;
    void take_spare(std::size_t value) noexcept;
    template <class Step>
    void catch_up(const Step& step) noexcept;
    void correct(const StreamPlan::CountsStep& step, std::uint32_t* flips, std::size_t n, std::uint64_t* words,
                 std::uint64_t* changed) noexcept;
    void correct_group(const StreamPlan::CountsStep& step, std::size_t group, std::uint32_t* flips,
                       std::size_t n) noexcept;
    void correct(const StreamPlan::UnmetStep& step, std::uint32_t* flips, std::size_t n, std::uint64_t* words,
                 std::uint64_t* changed) noexcept;

    // What a kept step has counted holds for its input as it is, or for a snapshot from before the last whole run;
    // `missed` is how many cycles corrections would have saved since then.
    struct Sync {
        bool is_behind;
        double missed;
    };

    const StreamPlan& plan_;
    Arena arena_;
    float* row_;
    float* columns_;  // scratch of encode
    float* answers_;
    std::uint64_t* words_;    // the bits of all values
    std::uint64_t* changed_;  // which of them this update has flipped, of values that have flips
    std::uint64_t* spare_;    // words for one moment
    std::uint64_t* fires_;
    std::uint64_t* snapshots_;
    std::uint64_t* planes_;
    std::uint8_t* unmet_;
    std::int32_t* points_;
    std::uint32_t* group_;  // flips of one group of a Dense
    std::uint32_t* lists_;  // of each value, 2 * bit + what it is now: made when somebody asks
    std::size_t* n_flips_;
    bool* is_listed_;
    Sync* syncs_;
    bool has_moved_ = false;  // have any points?
};

}  // namespace bimetal
