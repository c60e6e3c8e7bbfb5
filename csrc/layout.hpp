// Laying out the constants of a Program for the kernels: done once, when an engine is built.
#pragma once

#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "plan.hpp"

namespace bimetal {

// An array as it comes from Python: not owned.
template <class T>
struct Span {
    const T* data;
    std::size_t n;
    const T& operator[](std::size_t i) const { return data[i]; }
};

// Keeps constants, each on a cache line of its own, for as long as the engine lives. Large ones lie in huge pages where
// the system has them: streaming weights through 4 KiB pages costs more in address translation than in reading.
class Arena {
 public:
    // n zeros, to be filled; kernels may read one vector beyond.
    template <class T>
    T* make(std::size_t n) {
        const std::size_t n_bytes = n * sizeof(T) + 64;
        blocks_.push_back(allocate(n_bytes));
        std::memset(blocks_.back().get(), 0, n_bytes);
        n_bytes_ += n_bytes;
        return static_cast<T*>(blocks_.back().get());
    }
    template <class T>
    const T* keep(const std::vector<T>& values) {
        T* block = make<T>(values.size());
        if (!values.empty()) std::memcpy(block, values.data(), values.size() * sizeof(T));
        return block;
    }
    std::size_t n_bytes() const { return n_bytes_; }

 private:
    struct Free {
        std::size_t alignment = 64;
        void operator()(void* block) const { ::operator delete(block, std::align_val_t{alignment}); }
    };
    using Block = std::unique_ptr<void, Free>;
    static Block allocate(std::size_t n_bytes);

    std::vector<Block> blocks_;
    std::size_t n_bytes_ = 0;
};

// Where the bits of one value stand, in either form.
struct BitsAt {
    std::size_t n_bits, word, plane;
};

template <class T>
std::uint32_t u32(T x) {
    return static_cast<std::uint32_t>(x);
}

inline std::size_t bit_length(std::size_t x) {
    std::size_t n = 0;
    for (; x; x >>= 1) n++;
    return n;
}

EncodePlan lay_out_encode(Arena&, std::size_t n_columns, Span<std::uint16_t> column, Span<std::uint8_t> kind,
                          Span<float> value, Span<std::uint16_t> special_column, Span<float> special_value);
// weights: n_out rows of ceil(n_in / groups / 8) bytes
DensePlan lay_out_dense(Arena&, std::size_t n_in, std::size_t groups, Span<std::uint8_t> weights,
                        Span<std::int32_t> thresholds);
RulesPlan lay_out_rules(Arena&, std::size_t n_in, Span<std::uint16_t> literals, Span<std::uint8_t> fan_in);
// places: n_out rows of fan_in; tables: n_out rows of ceil(2**fan_in / 8) bytes
LutPlan lay_out_lut(Arena&, std::size_t n_in, std::size_t fan_in, Span<std::uint16_t> places,
                    Span<std::uint8_t> tables);
// weights: n_outputs rows, one weight for each bit of all inputs
ReadoutPlan lay_out_readout(Arena&, const std::vector<BitsAt>& inputs, Span<std::int32_t> weights,
                            Span<std::int32_t> bias);
LinkPlan lay_out_link(Arena&, LinkKind kind, Span<double> scale, Span<double> offset, Span<std::int32_t> knots,
                      Span<float> values);

}  // namespace bimetal
