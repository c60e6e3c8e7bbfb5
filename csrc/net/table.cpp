// The operations on rows of a table, inside a net: image by image with the kernels of csrc/plan.hpp, but for what fully
// connected layers spend their time on.
#include "conv.hpp"

#include "bimetal/bits.h"

namespace bimetal {

using std::size_t;

namespace {

void for_each_image(const Run& run, const std::function<void(size_t, size_t)>& work) { run.pool.run(run.n, work); }

const std::uint64_t* words64(const Run& run, const View& view, size_t image) {
    return reinterpret_cast<const std::uint64_t*>(run.at<std::uint32_t>(view, image));
}

}  // namespace

void Net::encode(Span<std::uint16_t> column, Span<std::uint8_t> kind, Span<float> value,
                 Span<std::uint16_t> special_column, Span<float> special_value) {
    add_op("encode", Kind::kBits, {1, 1, column.n}, [=] {
        const auto plan = lay_out_encode(arena_, n_columns_, column, kind, value, special_column, special_value);
        const Buffer& out = make_output(true);
        want_local((n_columns_ + plan.n_twins + 16) * sizeof(float));
        step("row", 1e-4 * static_cast<double>(n_columns_ + column.n), [this, plan, &out](const Run& run) {
            for_each_image(run, [&](size_t image, size_t thread) {
                kernels_.encode_row(plan, run.rows + image * n_columns_, reinterpret_cast<float*>(run.local(thread)),
                                    run.at<std::uint64_t>(out, image));
            });
        });
    });
}

void Net::dense(size_t input, size_t groups, Span<std::uint8_t> weights, Span<std::int32_t> thresholds) {
    need_flat(input);
    add_op("dense", Kind::kBits, {1, 1, thresholds.n}, [=] { build_dense(input, groups, weights, thresholds); });
}

// One group is a convolution over one pixel; members side by side are small and go row by row.
void Net::build_dense(size_t input_value, size_t groups, Span<std::uint8_t> weights, Span<std::int32_t> thresholds) {
    const View in = flat(input_value);
    const size_t n_in = in.layout.shape.c;
    if (groups == 1) {
        // s = bias + n - 2 * count >= 0 exactly when count <= threshold
        std::vector<std::int32_t> bias;
        for (size_t o = 0; o < thresholds.n; o++) bias.push_back(2 * thresholds[o] - static_cast<std::int32_t>(n_in));
        const Geometry g{{1, 1, n_in}, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1};
        return build_bit_conv(
            {g, in, &make_output(), true, Pad::kMinus, {weights, thresholds.n, 1, n_in}, {bias.data(), bias.size()}});
    }
    const auto plan = lay_out_dense(arena_, n_in, groups, weights, thresholds);
    const Buffer& out = make_output(true);
    step("row", 1e-4 * static_cast<double>(plan.in_words * plan.n_out), [this, plan, in, &out](const Run& run) {
        for_each_image(run, [&](size_t image, size_t) {
            kernels_.dense_row(plan, words64(run, in, image), run.at<std::uint64_t>(out, image));
        });
    });
}

void Net::rules(size_t input_value, Span<std::uint16_t> literals, Span<std::uint8_t> fan_in) {
    need_flat(input_value);
    add_op("rules", Kind::kBits, {1, 1, fan_in.n}, [=] {
        const View in = flat(input_value);
        const auto plan = lay_out_rules(arena_, in.layout.shape.c, literals, fan_in);
        const Buffer& out = make_output(true);
        step("row", 2e-5 * static_cast<double>(literals.n), [this, plan, in, &out](const Run& run) {
            for_each_image(run, [&](size_t image, size_t) {
                kernels_.rules_row(plan, words64(run, in, image), run.at<std::uint64_t>(out, image));
            });
        });
    });
}

void Net::lut(size_t input_value, size_t fan_in, Span<std::uint16_t> places, Span<std::uint8_t> tables) {
    need_flat(input_value);
    add_op("lut", Kind::kBits, {1, 1, places.n / fan_in}, [=] {
        const View in = flat(input_value);
        const auto plan = lay_out_lut(arena_, in.layout.shape.c, fan_in, places, tables);
        const Buffer& out = make_output(true);
        step("row", 5e-4 * static_cast<double>(places.n), [this, plan, in, &out](const Run& run) {
            for_each_image(run, [&](size_t image, size_t) {
                kernels_.lut_row(plan, words64(run, in, image), run.at<std::uint64_t>(out, image));
            });
        });
    });
}

void Net::readout(const std::vector<size_t>& inputs, Span<std::int32_t> weights, Span<std::int32_t> bias) {
    for (const size_t input : inputs) need_flat(input);
    add_op("readout", Kind::kInts, {1, 1, bias.n}, [=] { build_readout(inputs, weights, bias); });
}

// Points are a product of bytes 0 and 1 with int8 weights where the weights are that small.
void Net::build_readout(const std::vector<size_t>& inputs, Span<std::int32_t> weights, Span<std::int32_t> bias) {
    std::vector<View> views;
    std::vector<BitsAt> at;
    size_t n_words = 0;
    for (const size_t input : inputs) {
        views.push_back(flat(input));
        at.push_back({n_of(input), n_words, 0});
        n_words += bm_words(n_of(input));
    }
    const bool is_small =
        std::all_of(weights.data, weights.data + weights.n, [](std::int32_t w) { return w >= -128 && w <= 127; });
    if (is_small) return build_byte_readout(views, at, weights, bias);
    const Buffer& out = make_output();
    const auto plan = lay_out_readout(arena_, at, weights, bias);
    want_local(n_words * 8);
    step("row", 1e-4 * static_cast<double>(weights.n), [this, plan, at, views, &out](const Run& run) {
        for_each_image(run, [&](size_t image, size_t thread) {
            auto* words = reinterpret_cast<std::uint64_t*>(run.local(thread));
            for (size_t i = 0; i < views.size(); i++) {
                const auto* from = words64(run, views[i], image);
                std::copy(from, from + bm_words(at[i].n_bits), words + at[i].word);
            }
            kernels_.readout_row(plan, words, run.at<std::int32_t>(out, image));
        });
    });
}

void Net::build_byte_readout(const std::vector<View>& views, const std::vector<BitsAt>& at, Span<std::int32_t> weights,
                             Span<std::int32_t> bias) {
    const size_t n_out = bias.n, n_in = weights.n / n_out, n_quads = (n_in + 3) / 4,
                 n_panels = (n_out + kPanel - 1) / kPanel;
    auto* packed = arena_.make<std::int8_t>(n_panels * n_quads * kPanel * 4);
    for (size_t o = 0; o < n_out; o++)
        for (size_t k = 0; k < n_in; k++)
            packed[((o / kPanel * n_quads + k / 4) * kPanel + o % kPanel) * 4 + k % 4] =
                static_cast<std::int8_t>(weights[o * n_in + k]);
    std::vector<std::int32_t> limits(bias.data, bias.data + bias.n);
    limits.resize(n_panels * kPanel, INT32_MIN);
    const auto* kept = arena_.keep(limits);
    const ByteConvPlan plan{n_out, n_panels, 1, n_quads, arena_.keep(std::vector<std::uint32_t>{0}), packed};
    buffers_.push_back(std::make_unique<Buffer>(
        Buffer{Kind::kBytes, {}, (n_in + 191) / 64 * 64, 0, steps_.size(), steps_.size() + 2}));
    const Buffer& bytes = *buffers_.back();
    step("spread", 3e-5 * static_cast<double>(n_in), [this, views, at, &bytes](const Run& run) {
        for_each_image(run, [&](size_t image, size_t) {
            auto* to = run.at<std::uint8_t>(bytes, image);
            for (size_t i = 0; i < views.size(); to += at[i].n_bits, i++)
                net_.bits_to_bytes(run.at<std::uint32_t>(views[i], image), at[i].n_bits, to);
            std::fill(to, to + 8, 0);
        });
    });
    const Buffer& out = make_output();
    step("bytes", static_cast<double>(weights.n) * 3e-5, [this, plan, kept, &bytes, &out](const Run& run) {
        for_each_strip(run, run.n, plan.n_panels, Strip::kMost,
                       [&](size_t first, size_t n, size_t panel, size_t end, size_t) {
                           Strip strip;
                           for (size_t i = 0; i < n; i++) {
                               strip.windows[i] = run.at<std::uint8_t>(bytes, first + i);
                               strip.limits[i] = kept;
                               strip.outs[i] = run.at<std::int32_t>(out, first + i);
                           }
                           net_.byte_conv_sums(plan, strip.pixels(n), panel, end);
                       });
    });
}

void Net::link(size_t input_value, LinkKind kind, Span<double> scale, Span<double> offset, Span<std::int32_t> knots,
               Span<float> values) {
    need_flat(input_value);
    const size_t n_outputs = kind == kSigmoid || kind == kTable ? 2 : scale.n;
    add_op("link", Kind::kFloats, {1, 1, n_outputs}, [=] {
        const View in = flat(input_value);
        const auto plan = lay_out_link(arena_, kind, scale, offset, knots, values);
        const Buffer& out = make_output();
        step("row", 0.01 * static_cast<double>(plan.n_outputs), [this, plan, in, &out](const Run& run) {
            for_each_image(run, [&](size_t image, size_t) {
                kernels_.link(plan, run.at<std::int32_t>(in, image), 1, 1, run.at<float>(out, image));
            });
        });
    });
}

}  // namespace bimetal
