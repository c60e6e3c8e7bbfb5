// Windows of a convolution: where they begin, where their results go, and which taps lie on the map.
#pragma once

#include <algorithm>
#include <vector>

#include "net.hpp"

namespace bimetal {

// Output positions along one axis, classed by which taps lie on the map: [low, high) for each class.
struct AxisClasses {
    std::vector<std::uint32_t> class_of;  // (out,)
    std::vector<std::pair<std::size_t, std::size_t>> taps;

    AxisClasses(std::size_t out, std::size_t kernel, std::size_t stride, std::size_t dilation, std::size_t pad,
                std::size_t in) {
        for (std::size_t o = 0; o < out; o++) {
            std::size_t low = 0, high = kernel;
            while (low < kernel && o * stride + low * dilation < pad) low++;
            while (high > low && o * stride + (high - 1) * dilation >= pad + in) high--;
            const std::pair<std::size_t, std::size_t> range{low, high};
            const auto found = std::find(taps.begin(), taps.end(), range);
            class_of.push_back(static_cast<std::uint32_t>(found - taps.begin()));
            if (found == taps.end()) taps.push_back(range);
        }
    }
};

// Everything a kernel must know of some output pixels.
struct Strip {
    static constexpr std::size_t kMost = 128;
    const void* windows[kMost];
    const std::int32_t* limits[kMost];
    void* outs[kMost];
    Pixels pixels(std::size_t n) const { return {n, windows, limits, outs}; }
};

// Walks over the output pixels of all images of a run, in any order of pixels that is the same for every image.
struct Walk {
    Geometry geometry;
    View in;
    const Buffer* out;
    std::size_t in_bytes, group_in = 0, group_out = 0;  // bytes of an element; elements before those of the group
    std::vector<std::uint32_t> y_class, x_class;        // empty: one class
    std::size_t n_x_classes = 1;
    const std::int32_t* limits = nullptr;  // (classes, n_limits)
    std::size_t n_limits = 0;
    std::vector<std::uint32_t> order;  // pixels of an image, or empty: all as they come

    std::size_t n_pixels() const { return order.empty() ? geometry.out_h() * geometry.out_w() : order.size(); }

    template <class Strip>
    void fill(const Run& run, std::size_t first, std::size_t n, Strip& strip) const {
        const std::size_t n_image = n_pixels(), out_w = geometry.out_w();
        std::size_t image = first / n_image, nth = first % n_image;
        for (std::size_t i = 0; i < n;) {
            // Some pixels of one row: as many as are left of it, or one at a time where they come in an order of their
            // own.
            const std::size_t p = order.empty() ? nth : order[nth], y = p / out_w, x = p % out_w;
            const std::size_t m = order.empty() ? std::min(n - i, out_w - x) : 1;
            fill_row(run, image, y, x, m, strip, i);
            i += m, nth += m;
            if (nth == n_image) nth = 0, image++;
        }
    }

 private:
    template <class Strip>
    void fill_row(const Run& run, std::size_t image, std::size_t y, std::size_t x, std::size_t n, Strip& strip,
                  std::size_t i) const {
        const Layout &from = in.layout, &to = out->layout;
        const std::size_t at = from.from_corner(from.border.top - geometry.top + y * geometry.stride_h,
                                                from.border.left - geometry.left + x * geometry.stride_w);
        const char* window = run.at<char>(in, image) + (at + group_in) * in_bytes;
        const std::size_t step = geometry.stride_w * from.pixel * in_bytes, out_w = geometry.out_w();
        char* base = run.at<char>(*out, image) + group_out * 4;
        const bool is_one_row = to.shape.w == out_w || to.border.is_empty();
        const std::size_t first_out = to.at(y * out_w + x);
        for (std::size_t j = 0; j < n; j++, i++, window += step) {
            strip.windows[i] = window;
            strip.outs[i] = base + 4 * (is_one_row ? first_out + j * to.pixel : to.at(y * out_w + x + j));
            const std::size_t kind = y_class.empty() ? 0 : y_class[y] * n_x_classes + x_class[x + j];
            strip.limits[i] = limits + kind * n_limits;
        }
    }
};

// Offsets of the stretches of memory that a window reads, in elements: kernel rows where they are contiguous, else
// taps.
inline std::vector<std::uint32_t> run_offsets(const Geometry& g, const Layout& in, bool by_rows) {
    std::vector<std::uint32_t> offsets;
    for (std::size_t y = 0; y < g.kernel_h; y++)
        for (std::size_t x = 0; x < (by_rows ? 1 : g.kernel_w); x++)
            offsets.push_back(u32(in.from_corner(y * g.dilation_h, x * g.dilation_w)));
    return offsets;
}

// Cuts the pixels of a run, or where they are few the panels, into tasks for the threads.
template <class Work>  // work(first pixel, n pixels, first panel, end panel, thread)
void for_each_strip(const Run& run, std::size_t n_pixels, std::size_t n_panels, std::size_t most, const Work& work) {
    const std::size_t n_threads = run.pool.n_threads();
    if (n_pixels < 16 * n_threads) {
        const std::size_t n_tasks = n_threads == 1 ? 1 : std::min(n_panels, 8 * n_threads);
        run.pool.run(n_tasks, [&](std::size_t task, std::size_t thread) {
            for (std::size_t p = 0; p < n_pixels; p += most)
                work(p, std::min(most, n_pixels - p), n_panels * task / n_tasks, n_panels * (task + 1) / n_tasks,
                     thread);
        });
        return;
    }
    std::size_t n_tasks = (n_pixels + most - 1) / most;
    n_tasks = (n_tasks + n_threads - 1) / n_threads * n_threads;
    const std::size_t strip = std::min(most, ((n_pixels + n_tasks - 1) / n_tasks + 3) / 4 * 4);
    run.pool.run((n_pixels + strip - 1) / strip, [&](std::size_t task, std::size_t thread) {
        const std::size_t p = task * strip;
        work(p, std::min(strip, n_pixels - p), 0, n_panels, thread);
    });
}

}  // namespace bimetal
