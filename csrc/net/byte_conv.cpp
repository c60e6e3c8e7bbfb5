// Convolutions of bytes with int8 weights: the first layer of most nets, and small real-valued layers within.
#include "conv.hpp"

namespace bimetal {

using std::size_t;

namespace {

std::vector<std::uint8_t> pad_bytes(Span<std::uint8_t> pad) { return {pad.data, pad.data + pad.n}; }

std::vector<std::int32_t> padded_bias(Span<std::int32_t> bias) {
    std::vector<std::int32_t> limits(bias.data, bias.data + bias.n);
    limits.resize((bias.n + kPanel - 1) / kPanel * kPanel, INT32_MIN);
    return limits;
}

// Weights in the order a window is read, run by run, four bytes at a time, 64 outputs side by side.
ByteConvPlan lay_out_bytes(Arena& arena, const Geometry& g, const Layout& in, Span<std::int8_t> weights, size_t n_out) {
    const bool by_rows = g.dilation_w == 1;
    const auto offsets = run_offsets(g, in, by_rows);
    const size_t run_bytes = by_rows ? g.kernel_w * g.in.c : g.in.c, n_quads = (run_bytes + 3) / 4;
    ByteConvPlan plan{n_out, (n_out + kPanel - 1) / kPanel, offsets.size(), n_quads, arena.keep(offsets), nullptr};
    auto* packed = arena.make<std::int8_t>(plan.n_panels * plan.n_runs * n_quads * kPanel * 4);
    const size_t n_in = plan.n_runs * run_bytes;
    for (size_t o = 0; o < n_out; o++)
        for (size_t k = 0; k < n_in; k++) {
            const size_t quad = k / run_bytes * n_quads + k % run_bytes / 4;
            const size_t at = ((o / kPanel * plan.n_runs * n_quads + quad) * kPanel + o % kPanel) * 4;
            packed[at + k % run_bytes % 4] = weights[o * n_in + k];
        }
    plan.weights = packed;
    return plan;
}

// Groups: one multiplication after another.
void grouped_pixel(const Geometry& g, const std::vector<std::uint32_t>& taps, const std::int8_t* weights, size_t n_out,
                   const std::uint8_t* window, const std::int32_t* bias, bool makes_bits, void* out) {
    auto* words = static_cast<std::uint32_t*>(out);
    auto* sums = static_cast<std::int32_t*>(out);
    if (makes_bits) std::fill(words, words + words32(n_out), 0);
    for (size_t o = 0; o < n_out; o++) {
        const size_t first = o / (n_out / g.groups) * g.group_in();
        std::int32_t sum = bias[o];
        for (const std::uint32_t tap : taps)
            for (size_t c = 0; c < g.group_in(); c++) sum += window[tap + first + c] * *weights++;
        if (!makes_bits) sums[o] = sum;
        else if (sum >= 0) words[o / 32] |= 1u << (o % 32);
    }
}

}  // namespace

void Net::byte_conv(size_t input, bool makes_bits, const Geometry& g, Span<std::uint8_t> pad, Span<std::int8_t> weights,
                    Span<std::int32_t> bias) {
    need(input, g.in, g.border(pad_bytes(pad)));
    add_op("byteconv", makes_bits ? Kind::kBits : Kind::kInts, {g.out_h(), g.out_w(), bias.n},
           [=] { build_byte_conv(input, makes_bits, g, pad, weights, bias); });
}

void Net::build_byte_conv(size_t input_value, bool makes_bits, const Geometry& g, Span<std::uint8_t> pad,
                          Span<std::int8_t> weights, Span<std::int32_t> bias) {
    const View in = input(input_value, {g.in, g.border(pad_bytes(pad))});
    const Buffer& out = make_output();
    const auto limits = padded_bias(bias);
    Walk walk{g, in, &out, 1, 0, 0, {}, {}, 1, arena_.keep(limits), limits.size(), {}};
    const double macs = static_cast<double>(g.out_h() * g.out_w() * weights.n);
    const std::string wanted = wanted_kernel();
    if (net_.tiles && can_use_byte_tiles(g, out.layout) && (wanted.empty() || wanted == "tiles"))
        return build_tiles_byte_conv(g, in, out, makes_bits, weights, bias, macs / 1e6);
    if (g.groups == 1) {
        const ByteConvPlan plan = lay_out_bytes(arena_, g, in.layout, weights, bias.n);
        const auto kernel = makes_bits ? net_.byte_conv_bits : net_.byte_conv_sums;
        step("bytes", macs / 2e5, [kernel, plan, walk = std::move(walk)](const Run& run) {
            for_each_strip(run, walk.n_pixels() * run.n, plan.n_panels, Strip::kMost,
                           [&](size_t first, size_t n, size_t panel, size_t end, size_t) {
                               Strip strip;
                               walk.fill(run, first, n, strip);
                               kernel(plan, strip.pixels(n), panel, end);
                           });
        });
        return;
    }
    const auto taps = run_offsets(g, in.layout, false);
    const auto* kept = arena_.keep(std::vector<std::int8_t>(weights.data, weights.data + weights.n));
    step("any", macs / 1e3, [=, walk = std::move(walk)](const Run& run) {
        for_each_strip(run, walk.n_pixels() * run.n, 1, Strip::kMost,
                       [&](size_t first, size_t n, size_t panel, size_t end, size_t) {
                           if (panel == end) return;
                           Strip strip;
                           walk.fill(run, first, n, strip);
                           for (size_t i = 0; i < n; i++)
                               grouped_pixel(g, taps, kept, bias.n, static_cast<const std::uint8_t*>(strip.windows[i]),
                                             strip.limits[i], makes_bits, strip.outs[i]);
                       });
    });
}

}  // namespace bimetal
