// The kernels of maps, written once: how panels and pixels are walked and results written. A tile is a few pixels by
// 32 or 64 output channels whose counts stay in registers while all the runs of a window go by.
//
// Included by each kernels/net_<isa>.cpp after it has defined, in its own anonymous namespace, a struct Isa:
//   V                     a vector of 32-bit lanes, lane = output channel; kVectorLanes of them
//   kPixels, kLanes       the tile; kLanes is 32 or 64
//   kBytePixels           pixels of a tile of byte_conv
//   count<p, v>(plan, windows, weights, V (&count)[p][v])
//       count[i][j] = popcount(window i XOR weights) for lanes j * kVectorLanes ... of `weights`, over all runs.
//       `weights` is (n_runs * run_words, 64): the lanes that are not asked for are stepped over
//   multiply<p, v>(plan, windows, weights, V (&sum)[p][v])      the same for bytes, (n_runs * run_quads, 64, 4)
//   at_most(count, limits)           bit l = count[l] <= limits[l], as uint32_t
//   not_negative(sum, limits)        bit l = sum[l] + limits[l] >= 0
//   limit_less_twice(count, limits)  limits - 2 * count
//   sum_and_limit(sum, limits)       sum + limits
//   store(to, v), store_some(to, v, n)   n of the lanes
// An instruction set with several ways to count has a struct with kPixels, kLanes and count for each, and names it as
// the Counter of bit_conv.
// Everything is in an anonymous namespace, and nothing of the standard library appears, for the reason in planes.hpp.
#pragma once

#include <string.h>

#include "../net/kernels.hpp"

namespace {

using namespace bimetal;
using std::int32_t;
using std::int8_t;
using std::size_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

template <size_t n>
struct Size {
    static constexpr size_t value = n;
};

// tile(first pixel, Size<pixels>): whole tiles, then one for the pixels that are left.
template <size_t kLeft, class Tile>
inline void rest_of_pixels(size_t n, size_t at, const Tile& tile) {
    if constexpr (kLeft > 0) {
        if (n - at == kLeft) tile(at, Size<kLeft>{});
        else rest_of_pixels<kLeft - 1>(n, at, tile);
    }
}

template <size_t kPixels, class Tile>
inline void tiles_of_pixels(size_t n, const Tile& tile) {
    size_t at = 0;
    for (; at + kPixels <= n; at += kPixels) tile(at, Size<kPixels>{});
    rest_of_pixels<kPixels - 1>(n, at, tile);
}

// tile(first pixel, Size<pixels>, panel, first lane, Size<vectors>), panel by panel, so that the weights of a panel
// stay in the nearest cache while pixels go by. A tile of 64 lanes has half its vectors where 32 are enough.
template <size_t kPixels, size_t kLanes, class Plan, class Tile>
inline void tiles_of_panels(const Plan& plan, const Pixels& pixels, size_t first, size_t end, const Tile& tile) {
    for (size_t panel = first; panel < end; panel++) {
        const size_t left = plan.n_out - panel * kPanel, n_lanes = left < kPanel ? left : kPanel;
        for (size_t lane = 0; lane < n_lanes; lane += kLanes)
            tiles_of_pixels<kPixels>(pixels.n, [&](size_t at, auto n) {
                if (kLanes > 32 && n_lanes <= 32) tile(at, n, panel, lane, Size<32 / Isa::kVectorLanes>{});
                else tile(at, n, panel, lane, Size<kLanes / Isa::kVectorLanes>{});
            });
    }
}

// One bit a lane, from test(vector, limits): one or two words.
template <size_t kVectors, class Test>
inline void write_bits(const Isa::V (&of)[kVectors], const int32_t* limits, uint32_t* out, const Test& test) {
    constexpr size_t kWordVectors = 32 / Isa::kVectorLanes;
    for (size_t word = 0; word < kVectors / kWordVectors; word++) {
        uint32_t bits = 0;
        for (size_t i = 0; i < kWordVectors; i++) {
            const size_t v = word * kWordVectors + i;
            bits |= test(of[v], limits + v * Isa::kVectorLanes) << (i * Isa::kVectorLanes);
        }
        out[word] = bits;
    }
}

// One int32 a lane, from sum(vector, limits), for the first n lanes.
template <size_t kVectors, class Sum>
inline void write_sums(const Isa::V (&of)[kVectors], const int32_t* limits, size_t n, int32_t* out, const Sum& sum) {
    constexpr size_t kStep = Isa::kVectorLanes;
    for (size_t v = 0; v < kVectors && v * kStep < n; v++) {
        const auto sums = sum(of[v], limits + v * kStep);
        if (n - v * kStep >= kStep) Isa::store(out + v * kStep, sums);
        else Isa::store_some(out + v * kStep, sums, n - v * kStep);
    }
}

template <bool kMakesBits, class Plan, class Multiply, class Test, class Sum, size_t kPixels, size_t kVectors>
inline void conv_tile(const Plan& plan, const Pixels& pixels, size_t at, Size<kPixels>, size_t panel, size_t lane,
                      Size<kVectors>, const Multiply& multiply, const Test& test, const Sum& sum) {
    typename Isa::V result[kPixels][kVectors];
    multiply(pixels.windows + at, panel, lane, result);
    const size_t channel = panel * kPanel + lane;
    for (size_t i = 0; i < kPixels; i++) {
        const int32_t* limits = pixels.limits[at + i] + channel;
        if (kMakesBits) write_bits(result[i], limits, static_cast<uint32_t*>(pixels.outs[at + i]) + channel / 32, test);
        else
            write_sums(result[i], limits, plan.n_out - channel, static_cast<int32_t*>(pixels.outs[at + i]) + channel,
                       sum);
    }
}

template <bool kMakesBits, class Counter = Isa>
void bit_conv(const BitConvPlan& plan, const Pixels& pixels, size_t first, size_t end) {
    const size_t panel_words = plan.n_runs * plan.run_words * kPanel;
    const auto multiply = [&](const void* const* windows, size_t panel, size_t lane, auto& count) {
        Counter::count(plan, windows, plan.weights + panel * panel_words + lane, count);
    };
    tiles_of_panels<Counter::kPixels, Counter::kLanes>(
        plan, pixels, first, end, [&](size_t at, auto n, size_t panel, size_t lane, auto vectors) {
            conv_tile<kMakesBits>(plan, pixels, at, n, panel, lane, vectors, multiply, Isa::at_most,
                                  Isa::limit_less_twice);
        });
}

template <bool kMakesBits>
void byte_conv(const ByteConvPlan& plan, const Pixels& pixels, size_t first, size_t end) {
    const size_t panel_bytes = plan.n_runs * plan.run_quads * kPanel * 4;
    const auto multiply = [&](const void* const* windows, size_t panel, size_t lane, auto& sum) {
        Isa::multiply(plan, windows, plan.weights + panel * panel_bytes + 4 * lane, sum);
    };
    tiles_of_panels<Isa::kBytePixels, Isa::kLanes>(
        plan, pixels, first, end, [&](size_t at, auto n, size_t panel, size_t lane, auto vectors) {
            conv_tile<kMakesBits>(plan, pixels, at, n, panel, lane, vectors, multiply, Isa::not_negative,
                                  Isa::sum_and_limit);
        });
}

}  // namespace
