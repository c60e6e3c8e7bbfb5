// What the builders of binary convolutions share.
#pragma once

#include <cmath>

#include "net.hpp"
#include "windows.hpp"

namespace bimetal {

// Weights as a Program stores them: one row of packed bits an output, tap by tap, no bits between taps.
struct ConvWeights {
    Span<std::uint8_t> data;
    std::size_t n_out, n_taps, channels;
    std::size_t tap_words = words32(channels);
    // The weights of output o, every tap padded with zeros to whole words.
    void row(std::size_t o, std::uint32_t* words) const;
};

struct BitConv {
    Geometry geometry;
    View in;
    const Buffer* out;
    bool makes_bits;
    Pad pad;
    ConvWeights weights;
    Span<std::int32_t> bias;

    Walk walk(Arena& arena) const;  // with the limits of every group, padded to whole panels
};

BitConvPlan lay_out_words(Arena& arena, const BitConv& conv, std::size_t group);
std::function<void(const Run&)> words_step(const NetKernels& kernels, const BitConvPlan& plan, Walk walk,
                                           bool makes_bits);

bool can_use_planes(const BitConv& conv);
bool can_use_tiles(const BitConv& conv);
bool can_use_byte_tiles(const Geometry& geometry, const Layout& out);

// Copies n bits from bit `first` of packed words to bit `to_first` of others, where zeros stood.
template <class Word>
void copy_bits(const std::uint32_t* from, std::size_t first, std::size_t n, Word* to, std::size_t to_first) {
    constexpr std::size_t kBits = 8 * sizeof(Word);
    while (n) {
        const std::size_t take = std::min({n, 32 - first % 32, kBits - to_first % kBits});
        const std::uint64_t bits = from[first / 32] >> (first % 32) & ((UINT64_C(1) << take) - 1);
        to[to_first / kBits] |= static_cast<Word>(bits << (to_first % kBits));
        first += take, to_first += take, n -= take;
    }
}

}  // namespace bimetal
