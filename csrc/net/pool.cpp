// Pooling: the largest, or the sum, of a window.
#include "net.hpp"

namespace bimetal {

using std::size_t;

namespace {

// The part of a window that lies on the map: [first, end) along one axis.
struct Reach {
    size_t first, end;
    Reach(size_t out, size_t stride, size_t pad, size_t kernel, size_t in)
        : first(out * stride > pad ? out * stride - pad : 0), end(std::min(out * stride + kernel - pad, in)) {}
};

// Row y of the output for maps with one element a channel: combine(so far, element), by rows of the window.
template <class To, class From, class Combine>
void pool_row(const Geometry& g, const From* in, const Layout& layout, size_t y, bool starts_at_0, To* out,
              const Combine& combine) {
    const Reach ys(y, g.stride_h, g.top, g.kernel_h, g.in.h);
    for (size_t x = 0; x < g.out_w(); x++, out += g.in.c) {
        const Reach xs(x, g.stride_w, g.left, g.kernel_w, g.in.w);
        bool is_first = !starts_at_0;
        std::fill(out, out + g.in.c, To{0});
        for (size_t v = ys.first; v < ys.end; v++)
            for (size_t u = xs.first; u < xs.end; u++, is_first = false) {
                const From* pixel = in + layout.at(v, u);
                for (size_t c = 0; c < g.in.c; c++)
                    out[c] = is_first ? static_cast<To>(pixel[c]) : combine(out[c], static_cast<To>(pixel[c]));
            }
    }
}

// OR down the rows of the window first, in one sweep, then along them.
void or_row(const NetKernels& kernels, const Geometry& g, const std::uint32_t* in, const Layout& layout, size_t y,
            std::uint32_t* column, std::uint32_t* out) {
    const Reach ys(y, g.stride_h, g.top, g.kernel_h, g.in.h);
    const size_t pixel = layout.pixel, n_words = g.in.w * pixel;
    std::vector<const std::uint32_t*> rows;
    for (size_t v = ys.first; v < ys.end; v++) rows.push_back(in + layout.at(v, 0));
    kernels.or_words(rows.data(), rows.size(), n_words, column);
    for (size_t x = 0; x < g.out_w(); x++, out += pixel) {
        const Reach xs(x, g.stride_w, g.left, g.kernel_w, g.in.w);
        for (size_t k = 0; k < pixel; k++) {
            std::uint32_t word = column[xs.first * pixel + k];
            for (size_t u = xs.first + 1; u < xs.end; u++) word |= column[u * pixel + k];
            out[k] = word;
        }
    }
}

void count_row(const Geometry& g, const std::uint32_t* in, const Layout& layout, size_t y, std::int32_t* out) {
    const Reach ys(y, g.stride_h, g.top, g.kernel_h, g.in.h);
    for (size_t x = 0; x < g.out_w(); x++, out += g.in.c) {
        const Reach xs(x, g.stride_w, g.left, g.kernel_w, g.in.w);
        std::fill(out, out + g.in.c, 0);
        for (size_t v = ys.first; v < ys.end; v++)
            for (size_t u = xs.first; u < xs.end; u++) {
                const std::uint32_t* pixel = in + layout.at(v, u);
                for (size_t c = 0; c < g.in.c; c++) out[c] += (pixel[c / 32] >> (c % 32) & 1) ? 1 : -1;
            }
    }
}

template <class T>
T larger(T a, T b) {
    return b > a ? b : a;
}

}  // namespace

void Net::pool(size_t input_value, bool is_max, const Geometry& g) {
    need(input_value, g.in);
    const Kind from = values_[input_value].kind, to = is_max || from == Kind::kFloats ? from : Kind::kInts;
    add_op(
        "pool", to, {g.out_h(), g.out_w(), g.in.c},
        [=] {
            const View in = input(input_value, {g.in, {}});
            const Buffer& out = make_output();
            const bool by_words = is_max && from == Kind::kBits;
            if (by_words) want_local(g.in.w * in.layout.pixel * 4);
            const size_t out_h = g.out_h(), out_w = g.out_w();
            const double elements =
                static_cast<double>(out_h * out_w * g.kernel_h * (by_words ? in.layout.pixel : g.in.c));
            step("row", elements * 1e-3, [=, &out](const Run& run) {
                const auto one_row = [&](size_t image, size_t y, size_t thread) {
                    const Layout& l = in.layout;
                    if (by_words) {
                        auto* row = run.at<std::uint32_t>(out, image) + out.layout.at(y * out_w);
                        return or_row(net_, g, run.at<std::uint32_t>(in, image), l, y,
                                      reinterpret_cast<std::uint32_t*>(run.local(thread)), row);
                    }
                    auto* ints = run.at<std::int32_t>(out, image) + y * out_w * g.in.c;
                    auto* floats = run.at<float>(out, image) + y * out_w * g.in.c;
                    const auto* in_bytes = run.at<std::uint8_t>(in, image);
                    const auto* in_ints = run.at<std::int32_t>(in, image);
                    const auto* in_floats = run.at<float>(in, image);
                    const auto plus = [](auto a, auto b) { return static_cast<decltype(a)>(a + b); };
                    const auto wrapped = [](std::int32_t a, std::int32_t b) {
                        return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
                    };
                    if (from == Kind::kBits) count_row(g, run.at<std::uint32_t>(in, image), l, y, ints);
                    else if (is_max && from == Kind::kBytes)
                        pool_row(g, in_bytes, l, y, false, run.at<std::uint8_t>(out, image) + out.layout.at(y * out_w),
                                 larger<std::uint8_t>);
                    else if (is_max && from == Kind::kInts)
                        pool_row(g, in_ints, l, y, false, ints, larger<std::int32_t>);
                    else if (is_max) pool_row(g, in_floats, l, y, false, floats, larger<float>);
                    else if (from == Kind::kBytes) pool_row(g, in_bytes, l, y, true, ints, wrapped);
                    else if (from == Kind::kInts) pool_row(g, in_ints, l, y, true, ints, wrapped);
                    else pool_row(g, in_floats, l, y, true, floats, plus);
                };
                const size_t n_parts = std::min(out_h, 4 * run.pool.n_threads());
                run.pool.run(run.n * n_parts, [&](size_t task, size_t thread) {
                    const size_t image = task / n_parts, part = task % n_parts;
                    for (size_t y = out_h * part / n_parts; y < out_h * (part + 1) / n_parts; y++)
                        one_row(image, y, thread);
                });
            });
        },
        false);
}

}  // namespace bimetal
