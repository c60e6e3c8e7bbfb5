// A small model of what each kernel of a convolution costs, to choose by. Rates were measured (benchmarks/engine.py);
// they need only rank the kernels, and Engine(kernels=...) overrules them.
#pragma once

#include <cstddef>

namespace bimetal {

struct ConvWork {
    double pixels, bits, outputs;  // output pixels of one image, input bits of a window, output channels
    double images;                 // that a call usually brings
    double tile_bits;              // bits of a window, every tap padded to 64
    double macs() const { return pixels * bits * outputs; }
};

struct Rates {
    const char* isa;
    double words, planes, tiles;  // binary multiply-accumulates a microsecond in the innermost loop; 0: no such kernel
    double lanes;                 // pixels that planes work on at once
    double plane_set_up;          // microseconds to make `lanes` pixels of one input bit into a plane
};

const Rates& rates_of(const char* isa);

// Microseconds for one image on one thread.
double words_cost(const Rates&, const ConvWork&);
double planes_cost(const Rates&, const ConvWork&);
double tiles_cost(const Rates&, const ConvWork&);

}  // namespace bimetal
