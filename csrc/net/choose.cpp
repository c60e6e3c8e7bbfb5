#include "choose.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

namespace bimetal {

namespace {

constexpr Rates kRates[] = {
    {"amx", 1.2e6, 1.6e6, 3.0e6, 512, 0.010}, {"avx512", 1.2e6, 1.8e6, 0, 512, 0.010},
    {"avx2", 0.42e6, 1.0e6, 0, 256, 0.010},   {"neon", 0.3e6, 0.5e6, 0, 128, 0.010},
    {"serial", 0.08e6, 0.15e6, 0, 64, 0.015},
};
constexpr double kBytesPerMicrosecond = 15e3;  // weights that a call reads once, from the outer cache or memory

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

// Sixteen pixels of a row and thirty-two channels at once; weights are expanded to bytes for every image.
double tiles_cost(const Rates& rates, const ConvWork& work) {
    if (rates.tiles == 0) return HUGE_VAL;
    const double expand = work.bits * std::ceil(work.outputs / 32) * 32 / 6e4;
    return work.macs() / rates.tiles + expand + work.pixels * work.bits / 9 / 6e4;
}

}  // namespace bimetal
