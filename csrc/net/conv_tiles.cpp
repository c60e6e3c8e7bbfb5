// Convolutions in matrix tiles (AMX): maps of bits are spread to bytes +1 and -1, strip by strip, just before use.
#include <cstring>

#include "conv.hpp"

namespace bimetal {

using std::size_t;

namespace {

constexpr size_t kTilePanel = 32;
constexpr size_t kStripBytes = 256 << 10;    // spread bytes that one task works on: they should stay in the L2 cache
constexpr std::int32_t kNever = -(1 << 30);  // beyond the last output: no sum of +1 and -1 reaches so far

// Steps between output pixels, where rows and pixels lie evenly.
bool is_even(const Geometry& g, const Layout& out) {
    return out.border.is_empty() || (out.shape.h == g.out_h() && out.shape.w == g.out_w());
}

TileOut tile_out(const Geometry& g, const Layout& out, bool makes_bits, const std::int32_t* bias) {
    const bool is_dense = out.border.is_empty();
    return {nullptr, out.pixel, is_dense ? g.out_w() * out.pixel : out.row(), makes_bits, bias};
}

const std::int32_t* keep_bias(Arena& arena, Span<std::int32_t> bias) {
    std::vector<std::int32_t> padded(bias.data, bias.data + bias.n);
    padded.resize((bias.n + kTilePanel - 1) / kTilePanel * kTilePanel, kNever);
    return arena.keep(padded);
}

// Word i of a tile holds the weights of channels 4 * i ... 4 * i + 3 for sixteen outputs: bit 4 * n + j.
const std::uint64_t* lay_out_tiles(Arena& arena, const ConvWeights& weights, size_t n_panels, size_t chunks) {
    const size_t n_steps = weights.n_taps * chunks;
    auto* tiles = arena.make<std::uint64_t>(n_panels * n_steps * 32);
    std::vector<std::uint32_t> row(weights.n_taps * weights.tap_words);
    for (size_t o = 0; o < weights.n_out; o++) {
        weights.row(o, row.data());
        const size_t panel = o / kTilePanel, tile = o % kTilePanel / 16, n = o % 16;
        for (size_t t = 0; t < weights.n_taps; t++)
            for (size_t w = 0; w < weights.tap_words; w++) {
                std::uint64_t* to =
                    tiles + ((panel * n_steps + w / 2 * weights.n_taps + t) * 2 + tile) * 16 + w % 2 * 8;
                for (size_t i = 0; i < 8; i++)
                    to[i] |= static_cast<std::uint64_t>(row[t * weights.tap_words + w] >> (4 * i) & 15) << (4 * n);
            }
    }
    return tiles;
}

// Zeros over the border pixels among `n_rows` spread rows that begin at row `first` of the bordered map.
void clear_border(const Layout& in, size_t first, size_t n_rows, std::int8_t* bytes) {
    const size_t row_bytes = in.row() / in.pixel * 64;
    for (size_t r = 0; r < n_rows; r++, bytes += row_bytes) {
        const size_t y = first + r;
        const bool is_beyond = y < in.border.top || y >= in.border.top + in.shape.h;
        std::fill(bytes, bytes + (is_beyond ? row_bytes : in.border.left * 64), std::int8_t{0});
        if (!is_beyond) std::fill(bytes + row_bytes - in.border.right * 64, bytes + row_bytes, std::int8_t{0});
    }
}

// Output rows cut into strips, each for one task: of equal size, few enough bytes, and as many as the threads can share
// evenly. (Threads that share out the channels of one strip would write into the same cache lines.)
struct Strips {
    size_t most_rows;  // of a strip
    size_t out_h;
    Strips(size_t out_h_, size_t fixed_bytes, size_t row_bytes) : out_h(out_h_) {
        const size_t most = fixed_bytes < kStripBytes ? (kStripBytes - fixed_bytes) / row_bytes : 0;
        most_rows = std::min(out_h, std::max<size_t>(2, most));
    }
    size_t n(const Run& run) const {
        const size_t n_threads = run.pool.n_threads();
        size_t n = (out_h + most_rows - 1) / most_rows;
        while (n < out_h && n * run.n % n_threads && n * run.n < 8 * n_threads) n++;
        return n;
    }
};

}  // namespace

bool can_use_tiles(const BitConv& conv) {
    return conv.geometry.groups == 1 && is_even(conv.geometry, conv.out->layout);
}

void Net::build_tiles_conv(const BitConv& conv, double microseconds) {
    const Geometry g = conv.geometry;
    const Layout in = conv.in.layout;
    const size_t chunks = (g.in.c + 63) / 64, width = in.row() / in.pixel;
    std::vector<std::uint32_t> taps;
    for (size_t y = 0; y < g.kernel_h; y++)
        for (size_t x = 0; x < g.kernel_w; x++) taps.push_back(u32((y * g.dilation_h * width + x * g.dilation_w) * 64));
    TileConvPlan plan{};
    plan.n_out = conv.weights.n_out, plan.n_panels = (plan.n_out + kTilePanel - 1) / kTilePanel;
    plan.n_taps = taps.size(), plan.chunks = chunks, plan.tap_offset = arena_.keep(taps);
    plan.pixel_step = g.stride_w * 64, plan.row_step = g.stride_h * width * 64;
    plan.out_h = g.out_h(), plan.out_w = g.out_w();
    plan.weights = lay_out_tiles(arena_, conv.weights, plan.n_panels, chunks);
    const TileOut out = tile_out(g, conv.out->layout, conv.makes_bits, keep_bias(arena_, conv.bias));
    if (plan.out_h * plan.out_w == 1) return build_tiles_dense(conv, plan, out, microseconds);

    const Strips strips(plan.out_h, g.reach_h() * width * 64 * chunks, g.stride_h * width * 64 * chunks);
    want_local(((strips.most_rows - 1) * g.stride_h + g.reach_h()) * width * 64 * chunks);
    const size_t dy = in.border.top - g.top, dx = in.border.left - g.left;
    const bool is_zero = conv.pad == Pad::kZero && !in.border.is_empty();
    const auto fetch = std::make_shared<Fetch>();
    fetchers_.push_back({steps_.size(), fetch});
    step("tiles", microseconds, [=, view = conv.in, buffer = conv.out](const Run& run) {
        const size_t n_strips = strips.n(run);
        const bool fetches = run.n == 1 && run.pool.n_threads() == 1;  // who fetches must be who will read
        run.pool.run(run.n * n_strips, [&](size_t task, size_t thread) {
            const size_t image = task / n_strips, first = plan.out_h * (task % n_strips) / n_strips,
                         end = plan.out_h * (task % n_strips + 1) / n_strips;
            auto* bytes = reinterpret_cast<std::int8_t*>(run.local(thread));
            const size_t top = dy + first * g.stride_h, n_rows = (end - first - 1) * g.stride_h + g.reach_h();
            TileConvPlan strip = plan;
            strip.chunk_step = n_rows * width * 64;
            if (fetches) {
                strip.next = fetch->from + fetch->n_bytes * task / n_strips;
                strip.next_bytes = fetch->n_bytes / n_strips;
            }
            net_.tiles->spread(run.at<std::uint32_t>(view, image) + top * in.row(), n_rows * width, g.in.c, chunks, 64,
                               strip.chunk_step, bytes);
            for (size_t chunk = 0; is_zero && chunk < chunks; chunk++)
                clear_border(in, top, n_rows, bytes + chunk * strip.chunk_step);
            TileOut to = out;
            to.out = run.at<std::uint32_t>(*buffer, image) + buffer->layout.at(first * plan.out_w);
            net_.tiles->conv(strip, bytes + dx * 64, to, 0, end - first, 0, plan.n_panels);
        });
    });
}

// One output pixel an image: the images of a block are the pixels of one row, and a chunk of one pixel of the map of
// all images lies together.
void Net::build_tiles_dense(const BitConv& conv, TileConvPlan plan, TileOut out, double microseconds) {
    const Layout in = conv.in.layout;
    const size_t n_pixels = in.n_elements() / in.pixel, width = in.row() / in.pixel, c = conv.geometry.in.c;
    buffers_.push_back(std::make_unique<Buffer>(
        Buffer{Kind::kBytes, {}, plan.chunks * n_pixels * 64 + 128, 0, steps_.size(), steps_.size() + 1}));
    const Buffer& spread = *buffers_.back();
    const bool is_zero = conv.pad == Pad::kZero && !in.border.is_empty();
    const size_t corner = in.from_corner(in.border.top - conv.geometry.top, in.border.left - conv.geometry.left);
    step("spread", 0, [=, &spread, view = conv.in](const Run& run) {
        auto* bytes = run.at<std::int8_t>(spread, 0);
        run.pool.run(run.n, [&](size_t image, size_t) {
            net_.tiles->spread(run.at<std::uint32_t>(view, image), n_pixels, c, plan.chunks, 64 * run.n,
                               64 * run.n * n_pixels, bytes + 64 * image);
            if (!is_zero) return;
            for (size_t chunk = 0; chunk < plan.chunks; chunk++)
                for (size_t p = 0; p < n_pixels; p++)
                    if (!in.is_inside(p / width, p % width)) {
                        auto* pixel = bytes + ((chunk * n_pixels + p) * run.n + image) * 64;
                        std::fill(pixel, pixel + 64, std::int8_t{0});
                    }
        });
    });
    plan.pixel_step = 64;
    out.pixel_step = conv.out->n_bytes / 4;
    const std::vector<std::uint32_t> taps(plan.tap_offset, plan.tap_offset + plan.n_taps);
    step("tiles", microseconds, [=, &spread, buffer = conv.out](const Run& run) {
        TileConvPlan block = plan;
        block.out_w = run.n, block.row_step = 0, block.chunk_step = 64 * run.n * n_pixels;
        std::vector<std::uint32_t> offsets;
        for (const std::uint32_t tap : taps) offsets.push_back(u32(tap * run.n));
        block.tap_offset = offsets.data();
        TileOut to = out;
        to.out = run.at<std::uint32_t>(*buffer, 0) + buffer->layout.at(0);
        const auto* bytes = run.at<std::int8_t>(spread, 0) + corner / in.pixel * 64 * run.n;
        const size_t n_tasks = run.pool.n_threads() == 1 ? 1 : std::min(plan.n_panels, 4 * run.pool.n_threads());
        run.pool.run(n_tasks, [&](size_t task, size_t) {
            net_.tiles->conv(block, bytes, to, 0, 1, plan.n_panels * task / n_tasks,
                             plan.n_panels * (task + 1) / n_tasks);
        });
    });
}

// ---- Bytes --------------------------------------------------------------------------------------------------------

namespace {

// A convolution with stride s over c channels is one with stride 1 over s * s * c: the pixels of each s x s square
// become channels of one. Where those fit 64 bytes, tiles read them in place.
struct Squares {
    size_t side, taps_h, taps_w, width;  // taps and pixels in squares
    size_t run_bytes;                    // of a square's row
    explicit Squares(const Geometry& g)
        : side(g.stride_w),
          taps_h((g.kernel_h + side - 1) / side),
          taps_w((g.kernel_w + side - 1) / side),
          width(g.out_w() + taps_w - 1),
          run_bytes(side * g.in.c) {}
    static bool fit(const Geometry& g) {
        const size_t s = g.stride_w;
        return s > 1 && g.stride_h == s && g.dilation_h == 1 && g.kernel_h > s && g.kernel_w > s &&
               s * s * g.in.c <= 64;
    }
    size_t n_bytes(size_t out_rows) const { return (out_rows + taps_h - 1) * width * 64; }

    // Squares of `n` rows; `rows_left` rows of bytes exist from `from` on, the weights of others are 0.
    void gather(const std::uint8_t* from, size_t row_bytes, size_t rows_left, size_t n, std::uint8_t* to) const {
        constexpr size_t kStretch = 16;  // longer than a run: what it spills the next run overwrites
        const bool may_spill = run_bytes <= kStretch && (side - 1) * run_bytes + kStretch <= 64;
        for (size_t y = 0; y < n; y++)
            for (size_t r = 0; r < side && y * side + r < rows_left; r++) {
                const std::uint8_t* in = from + (y * side + r) * row_bytes;
                std::uint8_t* out = to + y * width * 64 + r * run_bytes;
                for (size_t x = 0; x < width; x++, in += run_bytes, out += 64)
                    std::memcpy(out, in, may_spill ? kStretch : run_bytes);
            }
    }
};

}  // namespace

void Net::build_tiles_squares(const Geometry& g, const View& view, const Buffer& buffer, bool makes_bits,
                              Span<std::int8_t> weights, Span<std::int32_t> bias, double microseconds) {
    const Layout in = view.layout;
    const Squares squares(g);
    const size_t n_taps = squares.taps_h * squares.taps_w;
    std::vector<std::uint32_t> taps;
    for (size_t t = 0; t < n_taps; t++)
        taps.push_back(u32((t / squares.taps_w * squares.width + t % squares.taps_w) * 64));
    TileTapsPlan plan{bias.n,    (bias.n + kTilePanel - 1) / kTilePanel,
                      n_taps,    arena_.keep(taps),
                      64,        squares.width * 64,
                      g.out_h(), g.out_w(),
                      nullptr};
    auto* tiles = arena_.make<std::int8_t>(plan.n_panels * n_taps * 2048);
    for (size_t o = 0, k = 0; o < bias.n; o++)
        for (size_t y = 0; y < g.kernel_h; y++)
            for (size_t x = 0; x < g.kernel_w; x++)
                for (size_t c = 0; c < g.in.c; c++, k++) {
                    const size_t tap = y / squares.side * squares.taps_w + x / squares.side,
                                 b = (y % squares.side * squares.side + x % squares.side) * g.in.c + c;
                    tiles[((o / kTilePanel * n_taps + tap) * 2 + o % kTilePanel / 16) * 1024 + b / 4 * 64 + o % 16 * 4 +
                          b % 4] = weights[k];
                }
    plan.weights = tiles;
    const TileOut out = tile_out(g, buffer.layout, makes_bits, keep_bias(arena_, bias));
    const Strips strips(plan.out_h, squares.n_bytes(0), squares.width * 64);
    want_local(squares.n_bytes(strips.most_rows));
    const size_t dy = in.border.top - g.top, dx = in.border.left - g.left, in_h = in.n_elements() / in.row();
    step("tiles", microseconds, [=, &buffer](const Run& run) {
        const size_t n_strips = strips.n(run);
        run.pool.run(run.n * n_strips, [&](size_t task, size_t thread) {
            const size_t image = task / n_strips, strip = task % n_strips, first = plan.out_h * strip / n_strips,
                         n = plan.out_h * (strip + 1) / n_strips - first, top = dy + first * g.stride_h;
            auto* bytes = reinterpret_cast<std::uint8_t*>(run.local(thread));
            squares.gather(run.at<std::uint8_t>(view, image) + in.from_corner(top, dx), in.row(), in_h - top,
                           n + squares.taps_h - 1, bytes);
            TileOut to = out;
            to.out = run.at<std::uint32_t>(buffer, image) + buffer.layout.at(first * plan.out_w);
            net_.tiles->byte_taps(plan, bytes, to, 0, n, 0, plan.n_panels);
        });
    });
}

bool can_use_byte_tiles(const Geometry& g, const Layout& out) {
    return g.groups == 1 && g.dilation_w == 1 && is_even(g, out);
}

void Net::build_tiles_byte_conv(const Geometry& g, const View& view, const Buffer& buffer, bool makes_bits,
                                Span<std::int8_t> weights, Span<std::int32_t> bias, double microseconds) {
    if (Squares::fit(g)) return build_tiles_squares(g, view, buffer, makes_bits, weights, bias, microseconds);
    const Layout in = view.layout;
    const size_t n_out = bias.n, run_bytes = g.kernel_w * g.in.c;
    const auto runs = run_offsets(g, in, true);
    TileByteConvPlan plan{};
    plan.n_out = n_out, plan.n_panels = (n_out + kTilePanel - 1) / kTilePanel;
    plan.n_runs = runs.size(), plan.run_bytes = run_bytes, plan.run_offset = arena_.keep(runs);
    plan.pixel_step = g.stride_w * g.in.c, plan.row_step = g.stride_h * in.row();
    plan.out_h = g.out_h(), plan.out_w = g.out_w();
    const size_t n_in = plan.n_runs * run_bytes;
    plan.n_steps = (n_in + 63) / 64;
    auto* tiles = arena_.make<std::int8_t>(plan.n_panels * plan.n_steps * 2048);
    for (size_t o = 0; o < n_out; o++)
        for (size_t k = 0; k < n_in; k++)
            tiles[((o / kTilePanel * plan.n_steps + k / 64) * 2 + o % kTilePanel / 16) * 1024 + k % 64 / 4 * 64 +
                  o % 16 * 4 + k % 4] = weights[o * n_in + k];
    plan.weights = tiles;
    want_local(plan.scratch_bytes());
    const TileOut out = tile_out(g, buffer.layout, makes_bits, keep_bias(arena_, bias));
    const size_t corner = in.from_corner(in.border.top - g.top, in.border.left - g.left);
    const Strips strips(plan.out_h, g.reach_h() * in.row(), g.stride_h * in.row());
    step("tiles", microseconds, [=, &buffer](const Run& run) {
        const size_t n_strips = strips.n(run);
        run.pool.run(run.n * n_strips, [&](size_t task, size_t thread) {
            const size_t image = task / n_strips, strip = task % n_strips;
            TileOut to = out;
            to.out = run.at<std::uint32_t>(buffer, image) + buffer.layout.at(0);
            net_.tiles->byte_conv(plan, run.at<std::uint8_t>(view, image) + corner, to, plan.out_h * strip / n_strips,
                                  plan.out_h * (strip + 1) / n_strips, 0, plan.n_panels, run.local(thread));
        });
    });
}

}  // namespace bimetal
