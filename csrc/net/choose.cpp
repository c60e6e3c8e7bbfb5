#include "choose.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

namespace bimetal {

namespace {

constexpr Rates kRates[] = {
    {"amx", 1.4e6, 2.0e6, 2.5e6, 512, 0.010}, {"avx512", 1.4e6, 2.0e6, 0, 512, 0.010},
    {"avx2", 0.42e6, 1.0e6, 0, 256, 0.010},   {"neon", 0.3e6, 0.5e6, 0, 128, 0.010},
    {"serial", 0.13e6, 0.5e6, 0, 64, 0.015},
};
constexpr double kBytesPerMicrosecond = 30e3;  // weights that a call reads once, from the outer cache or memory

// Reading the weights is paid once a call, whatever it brings.
double weights_cost(const ConvWork& work) { return work.bits * work.outputs / 8 / kBytesPerMicrosecond / work.images; }

}  // namespace

const Rates& rates_of(const char* isa) {
    for (const Rates& rates : kRates)
        if (!std::strcmp(rates.isa, isa)) return rates;
    return kRates[std::size(kRates) - 1];
}

double words_cost(const Rates& rates, const ConvWork& work) {
    return std::max(work.macs() / rates.words, weights_cost(work));
}

// A block of lanes costs the same however few pixels are in it.
double planes_cost(const Rates& rates, const ConvWork& work) {
    const double blocks = std::ceil(work.pixels * work.images / rates.lanes) / work.images;
    return blocks * work.bits * (rates.lanes * work.outputs / rates.planes + rates.plane_set_up);
}

// Sixteen pixels by sixty-four bits by sixteen outputs at a time. Weights are expanded from bits for every few tiles of
// pixels, which counts where there are no more: where one output pixel an image makes a batch a row of pixels.
double tiles_cost(const Rates& rates, const ConvWork& work) {
    if (rates.tiles == 0) return HUGE_VAL;
    const auto whole = [](double x, double unit) { return std::ceil(x / unit) * unit; };
    const double weights = work.tile_bits * whole(work.outputs, 16);
    if (work.pixels > 1) return whole(work.pixels, 16) * weights / rates.tiles;
    constexpr double kExpand = 6.5e-6;
    return weights * (kExpand + whole(work.images, 16) / (1.3 * rates.tiles)) / work.images;
}

}  // namespace bimetal
