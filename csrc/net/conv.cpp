// Binary convolutions: weights laid out, thresholds worked out, a kernel chosen.
#include "conv.hpp"

#include "bimetal/bits.h"
#include "choose.hpp"

namespace bimetal {

namespace {

using std::size_t;

// The ones of every tap of every output: what a border of zeros must not count.
std::vector<std::uint32_t> ones_by_tap(const ConvWeights& weights) {
    const size_t n_taps = weights.n_taps, words = weights.tap_words;
    std::vector<std::uint32_t> ones(weights.n_out * n_taps), row(n_taps * words);
    for (size_t o = 0; o < weights.n_out; o++) {
        weights.row(o, row.data());
        for (size_t t = 0; t < n_taps; t++)
            for (size_t k = 0; k < words; k++) ones[o * n_taps + t] += bm_popcount(row[t * words + k]);
    }
    return ones;
}

// Taps that lie on the map: rows [y0, y1) and columns [x0, x1) of the kernel.
struct TapsInside {
    size_t y0, y1, x0, x1;
    size_t n() const { return (y1 - y0) * (x1 - x0); }
    bool has(size_t y, size_t x) const { return y >= y0 && y < y1 && x >= x0 && x < x1; }
};

// With n inputs on the map and m of them unlike their weights: s = bias + n - 2 * m. The kernels count `count` bits
// that differ: on a border of zeros, which lies in memory as zero bits, each weight 1 counts too often.
//   s >= 0  <=>  m <= floor((bias + n) / 2)  <=>  count <= floor((bias + n) / 2) + ones on the border
//   s = bias + n + 2 * ones on the border - 2 * count
void add_limits(const BitConv& conv, const TapsInside& inside, const std::vector<std::uint32_t>& ones,
                std::vector<std::int32_t>& limits) {
    const Geometry& g = conv.geometry;
    const size_t n_group = conv.weights.n_out / g.groups, n_taps = g.n_taps();
    const auto n = static_cast<std::int64_t>(inside.n() * g.group_in());
    for (size_t o = 0; o < conv.weights.n_out; o++) {
        std::int64_t beyond = 0;
        for (size_t t = 0; t < n_taps && !ones.empty(); t++)
            if (!inside.has(t / g.kernel_w, t % g.kernel_w)) beyond += ones[o * n_taps + t];
        const std::int64_t sum = conv.bias[o] + n, half = sum >= 0 ? sum / 2 : -((1 - sum) / 2);
        limits.push_back(static_cast<std::int32_t>(conv.makes_bits ? half + beyond : sum + 2 * beyond));
        if ((o + 1) % n_group == 0)  // groups are padded to whole panels
            limits.insert(limits.end(), (kPanel - n_group % kPanel) % kPanel, INT32_MIN);
    }
}

std::vector<std::int32_t> make_limits(const BitConv& conv, const AxisClasses& ys, const AxisClasses& xs) {
    std::vector<std::int32_t> limits;
    if (conv.pad != Pad::kZero) {
        add_limits(conv, {0, conv.geometry.kernel_h, 0, conv.geometry.kernel_w}, {}, limits);
        return limits;
    }
    const auto ones = ones_by_tap(conv.weights);
    for (const auto& y : ys.taps)
        for (const auto& x : xs.taps) add_limits(conv, {y.first, y.second, x.first, x.second}, ones, limits);
    return limits;
}

}  // namespace

void ConvWeights::row(size_t o, std::uint32_t* words) const {
    const size_t row_bytes = (n_taps * channels + 7) / 8;
    const std::uint8_t* bytes = data.data + o * row_bytes;
    for (size_t t = 0; t < n_taps; t++) {
        for (size_t k = 0; k < tap_words; k++) {
            const size_t bit = t * channels + 32 * k, n_bits = std::min<size_t>(32, channels - 32 * k);
            const std::uint64_t word = bm_load_word(bytes + bit / 8, row_bytes - bit / 8) >> (bit % 8);
            *words++ = static_cast<std::uint32_t>(word & ((UINT64_C(1) << n_bits) - 1));
        }
    }
}

Walk BitConv::walk(Arena& arena) const {
    const Geometry& g = geometry;
    const AxisClasses ys(g.out_h(), g.kernel_h, g.stride_h, g.dilation_h, g.top, g.in.h);
    const AxisClasses xs(g.out_w(), g.kernel_w, g.stride_w, g.dilation_w, g.left, g.in.w);
    Walk walk{g, in, out, 4, 0, 0, {}, {}, 1, nullptr, 0, {}};
    const auto limits = make_limits(*this, ys, xs);
    walk.limits = arena.keep(limits);
    walk.n_limits = limits.size();
    if (pad == Pad::kZero && ys.taps.size() * xs.taps.size() > 1) {
        walk.y_class = ys.class_of, walk.x_class = xs.class_of;
        walk.n_x_classes = xs.taps.size();
        walk.n_limits /= ys.taps.size() * xs.taps.size();
    }
    return walk;
}

// Panels of 64 outputs, words in the order a window is read, 64 lanes a word.
const std::uint32_t* lay_out_panels(Arena& arena, const ConvWeights& weights, size_t first, size_t n_out) {
    const size_t n_words = weights.n_taps * weights.tap_words, n_panels = (n_out + kPanel - 1) / kPanel;
    auto* panels = arena.make<std::uint32_t>(n_panels * n_words * kPanel);
    std::vector<std::uint32_t> rows(kPanel * n_words);
    for (size_t panel = 0; panel < n_panels; panel++) {
        const size_t n_lanes = std::min(kPanel, n_out - panel * kPanel);
        for (size_t lane = 0; lane < n_lanes; lane++) weights.row(first + panel * kPanel + lane, &rows[lane * n_words]);
        std::uint32_t* to = panels + panel * n_words * kPanel;
        for (size_t k0 = 0; k0 < n_words; k0 += 16)  // a cache line of every row at a time
            for (size_t lane = 0; lane < n_lanes; lane++)
                for (size_t k = k0; k < std::min(k0 + 16, n_words); k++)
                    to[k * kPanel + lane] = rows[lane * n_words + k];
    }
    return panels;
}

BitConvPlan lay_out_words(Arena& arena, const BitConv& conv, size_t group) {
    const Geometry& g = conv.geometry;
    const bool by_rows = g.dilation_w == 1 && g.groups == 1;
    const auto offsets = run_offsets(g, conv.in.layout, by_rows);
    const size_t n_out = conv.weights.n_out / g.groups;
    BitConvPlan plan{};
    plan.n_out = n_out, plan.n_panels = (n_out + kPanel - 1) / kPanel;
    plan.n_runs = offsets.size();
    plan.run_words = conv.weights.tap_words * (by_rows ? g.kernel_w : 1);
    plan.run_offset = arena.keep(offsets);
    plan.weights = lay_out_panels(arena, conv.weights, group * n_out, n_out);
    return plan;
}

std::function<void(const Run&)> words_step(const NetKernels& kernels, const BitConvPlan& plan, Walk walk,
                                           bool makes_bits) {
    const auto kernel = makes_bits ? kernels.bit_conv_bits : kernels.bit_conv_sums;
    return [kernel, plan, walk = std::move(walk)](const Run& run) {
        for_each_strip(run, walk.n_pixels() * run.n, plan.n_panels, Strip::kMost,
                       [&](size_t first, size_t n, size_t panel, size_t end, size_t) {
                           Strip strip;
                           walk.fill(run, first, n, strip);
                           kernel(plan, strip.pixels(n), panel, end);
                       });
    };
}

void Net::conv(size_t input, bool makes_bits, const Geometry& g, Pad pad, Span<std::uint8_t> weights,
               Span<std::int32_t> bias) {
    need(input, g.in, g.border({static_cast<std::uint8_t>(pad == Pad::kPlus)}));
    add_op("conv", makes_bits ? Kind::kBits : Kind::kInts, {g.out_h(), g.out_w(), bias.n},
           [=] { build_conv(input, makes_bits, g, pad, weights, bias); });
}

void Net::build_conv(size_t input_value, bool makes_bits, const Geometry& g, Pad pad, Span<std::uint8_t> weights,
                     Span<std::int32_t> bias) {
    const View in = input(input_value, {g.in, g.border({static_cast<std::uint8_t>(pad == Pad::kPlus)})});
    BitConv conv{g, in, &make_output(), makes_bits, pad, {weights, bias.n, g.n_taps(), g.group_in()}, bias};
    build_bit_conv(conv);
}

void Net::build_bit_conv(const BitConv& conv) {
    const Geometry& g = conv.geometry;
    const size_t group_out = conv.weights.n_out / g.groups;
    if (g.groups > 1 && (g.group_in() % 32 || (conv.makes_bits && group_out % 32))) return build_any_conv(conv);
    const Rates& rates = rates_of(isa());
    const ConvWork work{static_cast<double>(g.out_h() * g.out_w()), static_cast<double>(g.n_taps() * g.group_in()),
                        static_cast<double>(conv.weights.n_out), static_cast<double>(options_.batch),
                        static_cast<double>(g.n_taps() * ((g.group_in() + 63) / 64 * 64))};
    const double words = words_cost(rates, work);
    const double planes = can_use_planes(conv) ? planes_cost(rates, work) : HUGE_VAL;
    const double tiles = net_.tiles && can_use_tiles(conv) ? tiles_cost(rates, work) : HUGE_VAL;
    const std::string wanted = wanted_kernel();
    if (wanted == "planes" && planes < HUGE_VAL) return build_planes_conv(conv, planes);
    if (wanted == "tiles" && tiles < HUGE_VAL) return build_tiles_conv(conv, tiles);
    if (wanted == "any") return build_any_conv(conv);
    if (wanted.empty() && tiles < std::min(words, planes)) return build_tiles_conv(conv, tiles);
    if (wanted.empty() && planes < words) return build_planes_conv(conv, planes);
    const Walk whole = conv.walk(arena_);
    for (size_t group = 0; group < g.groups; group++) {
        Walk walk = whole;
        walk.group_in = group * g.group_in() / 32;
        walk.group_out = conv.makes_bits ? group * group_out / 32 : group * group_out;
        walk.limits += group * (walk.n_limits / g.groups);
        const BitConvPlan plan = lay_out_words(arena_, conv, group);
        if (work.pixels == 1) {
            const size_t n_bytes = plan.n_panels * plan.n_runs * plan.run_words * kPanel * 4;
            streams_.push_back({steps_.size(), {reinterpret_cast<const char*>(plan.weights), n_bytes}});
        }
        step("words", words / static_cast<double>(g.groups), words_step(net_, plan, std::move(walk), conv.makes_bits));
    }
}

}  // namespace bimetal
