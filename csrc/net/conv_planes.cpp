// Binary convolutions in bit planes: a lane is an output pixel, and the counting is that of dense rows (planes.hpp).
//
// A block of pixels (512 on AVX-512) is gathered run by run into planes: plane i holds input bit i of every pixel's
// window. From there on a convolution is a dense layer. Only thresholds of the border differ from pixel to pixel (where
// the padding is exact zero); those few pixels take the words kernel instead.
#include "conv.hpp"

namespace bimetal {

namespace {

using std::size_t;

constexpr size_t kMostLanes = 512;

struct PlanesStrip {
    const void* windows[kMostLanes];
    const std::int32_t* limits[kMostLanes];
    void* outs[kMostLanes];
};

struct PlanesConv {
    DensePlan dense;
    size_t n_lanes, n_runs, run_words;
    const std::uint32_t* run_offset;
    const Kernels* kernels;

    size_t plane_words() const { return n_lanes / 64; }
    size_t in_words() const { return (dense.n_in + 1) * plane_words(); }
    size_t out_words() const { return (dense.n_out + 1) * plane_words(); }
    size_t scratch_bytes() const { return 8 * (in_words() + out_words() + dense.n_scratch_planes * plane_words()); }

    void run(const PlanesStrip& strip, size_t n, char* local) const {
        auto* in = reinterpret_cast<std::uint64_t*>(local);
        std::uint64_t *out = in + in_words(), *scratch = out + out_words();
        const std::uint32_t* rows[kMostLanes];
        for (size_t r = 0; r < n_runs; r++) {
            for (size_t i = 0; i < n; i++)
                rows[i] = static_cast<const std::uint32_t*>(strip.windows[i]) + run_offset[r];
            kernels->net->gather_planes(rows, n, run_words, n_lanes, in + r * run_words * 32 * plane_words());
        }
        std::fill(in + dense.n_in * plane_words(), in + in_words(), 0);
        kernels->dense_planes(dense, in, scratch, out);
        kernels->net->scatter_planes(out, dense.n_out, n_lanes, n, reinterpret_cast<std::uint32_t* const*>(strip.outs));
    }
};

// Pixels whose windows lie wholly on the map, and the others.
std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> part_pixels(const Geometry& g) {
    std::vector<std::uint32_t> inner, outer;
    for (size_t p = 0; p < g.out_h() * g.out_w(); p++) {
        const size_t y = p / g.out_w() * g.stride_h, x = p % g.out_w() * g.stride_w;
        const bool is_inner =
            y >= g.top && y + g.reach_h() <= g.top + g.in.h && x >= g.left && x + g.reach_w() <= g.left + g.in.w;
        (is_inner ? inner : outer).push_back(u32(p));
    }
    return {inner, outer};
}

// The weights as rows of a dense layer, one bit for each bit of the runs.
DensePlan lay_out_as_dense(Arena& arena, const BitConv& conv, const std::int32_t* limits) {
    const size_t n_words = conv.weights.n_taps * conv.weights.tap_words, n_out = conv.weights.n_out;
    std::vector<std::uint32_t> row(n_words);
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> thresholds;
    bytes.reserve(n_out * n_words * 4);
    for (size_t o = 0; o < n_out; o++) {
        conv.weights.row(o, row.data());
        for (const std::uint32_t word : row)
            for (unsigned b = 0; b < 32; b += 8) bytes.push_back(static_cast<std::uint8_t>(word >> b));
        thresholds.push_back(std::clamp(limits[o], -1, static_cast<std::int32_t>(32 * n_words)));
    }
    return lay_out_dense(arena, 32 * n_words, 1, {bytes.data(), bytes.size()}, {thresholds.data(), thresholds.size()});
}

}  // namespace

bool can_use_planes(const BitConv& conv) {
    const size_t n_bits = 32 * conv.weights.n_taps * conv.weights.tap_words;
    return conv.makes_bits && conv.geometry.groups == 1 && n_bits <= 32768;
}

void Net::build_planes_conv(const BitConv& conv, double microseconds) {
    const Geometry& g = conv.geometry;
    Walk walk = conv.walk(arena_);
    const std::int32_t* limits = walk.limits;
    if (!walk.y_class.empty()) {
        auto [inner, outer] = part_pixels(g);
        Walk edge = walk;
        edge.order = outer;
        if (!outer.empty()) step("words", 0, words_step(net_, lay_out_words(arena_, conv, 0), std::move(edge), true));
        if (inner.empty()) return;
        limits += walk.n_limits *
                  (walk.y_class[inner[0] / g.out_w()] * walk.n_x_classes + walk.x_class[inner[0] % g.out_w()]);
        walk.order = std::move(inner);
    }
    const auto offsets = run_offsets(g, conv.in.layout, g.dilation_w == 1);
    const PlanesConv planes{lay_out_as_dense(arena_, conv, limits),
                            kernels_.block_rows,
                            offsets.size(),
                            conv.weights.tap_words * (g.dilation_w == 1 ? g.kernel_w : 1),
                            arena_.keep(offsets),
                            &kernels_};
    want_local(planes.scratch_bytes());
    step("planes", microseconds, [planes, walk = std::move(walk)](const Run& run) {
        const size_t n_pixels = walk.n_pixels() * run.n, lanes = planes.n_lanes;
        run.pool.run((n_pixels + lanes - 1) / lanes, [&](size_t task, size_t thread) {
            PlanesStrip strip;
            const size_t n = std::min(lanes, n_pixels - task * lanes);
            walk.fill(run, task * lanes, n, strip);
            planes.run(strip, n, run.local(thread));
        });
    });
}

}  // namespace bimetal
