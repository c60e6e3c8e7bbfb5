// Operations that look at one element, pixel or small window at a time.
#include "bimetal/bits.h"
#include "conv.hpp"
#include "row_threshold.hpp"

namespace bimetal {

using std::size_t;

namespace {

// Cuts the pixels of every image into parts for the threads: work(image, first pixel, end).
template <class Work>
void for_each_part(const Run& run, size_t n_pixels, size_t elements, const Work& work) {
    const size_t part = std::max<size_t>(1, 8192 / std::max<size_t>(1, elements));
    const size_t n_parts = (n_pixels + part - 1) / part;
    run.pool.run(n_parts * run.n, [&](size_t task, size_t) {
        const size_t first = task % n_parts * part;
        work(task / n_parts, first, std::min(first + part, n_pixels));
    });
}

std::vector<float> kept(Span<float> span) { return {span.data, span.data + span.n}; }

double microseconds_of(const Shape& shape, double each = 2e-4) {
    return each * static_cast<double>(shape.n_pixels() * shape.c);
}

// Bits of one pixel into whole words. The tests come first, as bytes, so that compilers make vectors of them; eight
// bytes of 0 or 1 become a byte of bits by one multiplication, which brings bit 8 * i to bit 56 + i.
template <class Test>
void write_bits(std::uint32_t* to, size_t n, const Test& test) {
    for (size_t first = 0; first < n; first += 32) {
        std::uint8_t flags[32] = {};
        const size_t n_bits = std::min<size_t>(32, n - first);
        for (size_t i = 0; i < n_bits; i++) flags[i] = static_cast<std::uint8_t>(test(first + i));
        std::uint32_t word = 0;
        for (size_t i = 0; i < 4; i++)
            word |= static_cast<std::uint32_t>(bm_load_word(flags + 8 * i, 8) * UINT64_C(0x0102040810204080) >> 56)
                    << (8 * i);
        *to++ = word;
    }
}

}  // namespace

void Net::quantize(size_t input_value, Span<float> scale, Span<float> offset) {
    const size_t n = n_of(input_value), c = scale.n;
    if (input_value) need_flat(input_value);
    add_op("quantize", Kind::kBytes, {1, n / c, c}, [=] {
        const View in = input_value ? flat(input_value) : View{nullptr, {}};
        const Buffer& out = make_output();
        // Few channels are written out until they fill whole vectors: the kernels then need not.
        const size_t period = c < 64 ? 64 * c : c;
        std::vector<float> scales, offsets;
        for (size_t i = 0; i < period; i++) scales.push_back(scale[i % c]), offsets.push_back(offset[i % c]);
        step("row", 1e-4 * static_cast<double>(n), [=, &out](const Run& run) {
            const size_t w = out.layout.shape.w;
            for_each_part(run, out.layout.shape.h, w * c, [&](size_t image, size_t y, size_t end) {
                const float* from = in.buffer ? run.at<float>(in, image) : run.rows + image * n_columns_;
                for (; y < end; y++)
                    net_.quantize(from + y * w * c, w * c, period, scales.data(), offsets.data(),
                                  run.at<std::uint8_t>(out, image) + out.layout.at(y, 0));
            });
        });
    });
}

void Net::planes(size_t input_value, size_t channels, Span<std::uint16_t> channel, Span<std::uint8_t> mask,
                 Span<std::uint8_t> level) {
    const Shape in_shape{1, n_of(input_value) / channels, channels};
    need_own(input_value, channels);
    add_op("planes", Kind::kBits, {1, in_shape.w, channel.n}, [=] {
        const View in = own(input_value, channels);
        const Buffer& out = make_output();
        struct Test {
            std::uint16_t channel;
            std::uint8_t mask, level;
        };
        std::vector<Test> tests;
        for (size_t o = 0; o < channel.n; o++) tests.push_back({channel[o], mask[o], level[o]});
        step("row", microseconds_of({1, in_shape.w, channel.n}, 1e-3), [=, &out](const Run& run) {
            for_each_part(run, in_shape.w, tests.size(), [&](size_t image, size_t p, size_t end) {
                for (; p < end; p++) {
                    const auto* pixel = run.at<std::uint8_t>(in, image) + in.layout.at(p);
                    write_bits(run.at<std::uint32_t>(out, image) + out.layout.at(p), tests.size(),
                               [&](size_t o) { return (pixel[tests[o].channel] & tests[o].mask) >= tests[o].level; });
                }
            });
        });
    });
}

void Net::threshold(size_t input_value, Span<std::int32_t> ints, Span<float> floats, Span<std::uint8_t> flips) {
    const size_t c = flips.n, n_pixels = n_of(input_value) / c;
    need_flat(input_value);
    add_op("threshold", Kind::kBits, {1, n_pixels, c}, [=] {
        const View in = flat(input_value);
        const Buffer& out = make_output();
        const std::vector<std::int32_t> int_limits(ints.data, ints.data + ints.n);
        const auto float_limits = kept(floats);
        const std::vector<std::uint8_t> flip(flips.data, flips.data + flips.n);
        step("row", microseconds_of({1, n_pixels, c}, 5e-4), [=, &out](const Run& run) {
            for_each_part(run, n_pixels, c, [&](size_t image, size_t p, size_t end) {
                for (; p < end; p++) {
                    auto* to = run.at<std::uint32_t>(out, image) + out.layout.at(p);
                    if (!int_limits.empty()) {
                        const auto* x = run.at<std::int32_t>(in, image) + p * c;
                        write_bits(to, c, [&](size_t i) { return (x[i] >= int_limits[i]) != flip[i]; });
                    } else {
                        const auto* x = run.at<float>(in, image) + p * c;
                        write_bits(to, c, [&](size_t i) { return (x[i] >= float_limits[i]) != flip[i]; });
                    }
                }
            });
        });
    });
}

void Net::row_threshold(size_t input_value, size_t channels, std::uint32_t top, std::uint32_t bottom) {
    const size_t c = channels, n_pixels = n_of(input_value) / c;
    const auto most = static_cast<std::int32_t>(INT32_MAX / static_cast<std::int32_t>(c));
    need_flat(input_value);
    add_op("row_threshold", Kind::kBits, {1, n_pixels, c}, [=] {
        const View in = flat(input_value);
        const Buffer& out = make_output();
        step("row", microseconds_of({1, n_pixels, c}, 1e-3), [=, &out](const Run& run) {
            for_each_part(run, n_pixels, c, [&](size_t image, size_t p, size_t end) {
                for (; p < end; p++) {
                    const auto* x = run.at<std::int32_t>(in, image) + p * c;
                    const Moments of = net_.moments(x, c, most);
                    const std::int64_t least =
                        first_to_fire(static_cast<std::int64_t>(c), of.sum, of.squares, top, bottom);
                    // x brought into +-most reaches `least` where x itself does; but all do where it is -most, and
                    // none where it is beyond most
                    const bool fires = least <= most;
                    const std::int32_t limit = least <= -most || !fires ? INT32_MIN : static_cast<std::int32_t>(least);
                    write_bits(run.at<std::uint32_t>(out, image) + out.layout.at(p), c,
                               [&](size_t i) { return fires & (x[i] >= limit); });
                }
            });
        });
    });
}

void Net::affine(size_t input_value, Span<float> scale, Span<float> offset) {
    const size_t c = scale.n, n_pixels = n_of(input_value) / c;
    need_flat(input_value);
    add_op("affine", Kind::kFloats, {1, n_pixels, c}, [=] {
        const View in = flat(input_value);
        const bool is_int = values_[input_value].kind == Kind::kInts;
        const Buffer& out = make_output();
        const auto scales = kept(scale), offsets = kept(offset);
        step("row", microseconds_of({1, n_pixels, c}), [=, &out](const Run& run) {
            const auto scaled = [&](const auto* from, float* to, size_t p, size_t end) {
                for (; p < end; p++)
                    for (size_t i = 0; i < c; i++)
                        to[p * c + i] = static_cast<float>(from[p * c + i]) * scales[i] + offsets[i];
            };
            for_each_part(run, n_pixels, c, [&](size_t image, size_t p, size_t end) {
                auto* to = run.at<float>(out, image);
                if (is_int) scaled(run.at<std::int32_t>(in, image), to, p, end);
                else scaled(run.at<float>(in, image), to, p, end);
            });
        });
    });
}

void Net::prelu(size_t input_value, Span<float> before, Span<float> slope, Span<float> after) {
    const size_t c = slope.n, n_pixels = n_of(input_value) / c;
    need_flat(input_value);
    add_op("prelu", Kind::kFloats, {1, n_pixels, c}, [=] {
        const View in = flat(input_value);
        const Buffer& out = make_output();
        const auto shifts = kept(before), slopes = kept(slope), ends = kept(after);
        step("row", microseconds_of({1, n_pixels, c}), [=, &out](const Run& run) {
            for_each_part(run, n_pixels, c, [&](size_t image, size_t p, size_t end) {
                const auto* from = run.at<float>(in, image);
                auto* to = run.at<float>(out, image);
                for (; p < end; p++)
                    for (size_t i = 0; i < c; i++) {
                        const float t = from[p * c + i] - shifts[i];
                        to[p * c + i] = (t >= 0 ? t : slopes[i] * t) + ends[i];
                    }
            });
        });
    });
}

void Net::add(const std::vector<size_t>& inputs) {
    for (const size_t input : inputs) need_flat(input);
    const Kind kind = values_[inputs[0]].kind;
    const size_t n = n_of(inputs[0]);
    add_op("add", kind, {1, 1, n}, [=] {
        std::vector<View> views;
        for (const size_t input : inputs) views.push_back(flat(input));
        const Buffer& out = make_output();
        step("row", microseconds_of({1, 1, n}), [=, &out](const Run& run) {
            const auto sum = [&](auto* to, size_t image, size_t first, size_t end) {
                using T = std::decay_t<decltype(*to)>;
                const T* a = run.at<T>(views[0], image);
                for (size_t v = 1; v < views.size(); v++, a = to) {
                    const T* b = run.at<T>(views[v], image);
                    for (size_t i = first; i < end; i++) to[i] = a[i] + b[i];
                }
            };
            for_each_part(run, n, 1, [&](size_t image, size_t first, size_t end) {
                if (kind == Kind::kInts) sum(run.at<std::uint32_t>(out, image), image, first, end);  // modulo 2**32
                else sum(run.at<float>(out, image), image, first, end);
            });
        });
    });
}

void Net::concat(const std::vector<size_t>& inputs, const std::vector<size_t>& channels) {
    const Kind kind = values_[inputs[0]].kind;
    const size_t n_pixels = n_of(inputs[0]) / channels[0];
    size_t total = 0;
    for (size_t i = 0; i < inputs.size(); i++) {
        need_own(inputs[i], channels[i]);
        total += channels[i];
    }
    add_op("concat", kind, {1, n_pixels, total}, [=] {
        std::vector<View> views;
        for (size_t i = 0; i < inputs.size(); i++) views.push_back(own(inputs[i], channels[i]));
        const Buffer& out = make_output();
        step("row", microseconds_of({1, n_pixels, kind == Kind::kBits ? total / 16 + 1 : total}),
             [=, &out](const Run& run) {
                 for_each_part(run, n_pixels, total, [&](size_t image, size_t p, size_t end) {
                     for (; p < end; p++) {
                         auto* to = run.at<std::uint32_t>(out, image) + out.layout.at(p);
                         if (kind == Kind::kBits) std::fill(to, to + words32(total), 0);
                         for (size_t i = 0, first = 0; i < views.size(); first += channels[i], i++) {
                             const auto* from = run.at<std::uint32_t>(views[i], image) + views[i].layout.at(p);
                             if (kind != Kind::kBits) std::copy(from, from + channels[i], to + first);
                             else copy_bits(from, 0, channels[i], to, first);
                         }
                     }
                 });
             });
    });
}

// One map in another layout: pixels of as many channels are copied whole, others bit by bit or byte by byte.
void Net::add_copy(const Buffer& from, const Buffer& to) {
    const size_t n = from.layout.shape.n_pixels() * from.layout.shape.c;
    step("copy", 1e-3 * static_cast<double>(n), [&from, &to](const Run& run) {
        const Layout &a = from.layout, &b = to.layout;
        for_each_part(run, b.shape.n_pixels(), b.shape.c, [&](size_t image, size_t p, size_t end) {
            for (; p < end; p++) {
                if (from.kind == Kind::kBytes) {
                    auto* pixel = run.at<std::uint8_t>(to, image) + b.at(p);
                    for (size_t c = 0, i = p * b.shape.c; c < b.shape.c; c++, i++)
                        pixel[c] = run.at<std::uint8_t>(from, image)[a.at(i / a.shape.c) + i % a.shape.c];
                    continue;
                }
                auto* pixel = run.at<std::uint32_t>(to, image) + b.at(p);
                std::fill(pixel, pixel + b.pixel, 0);
                for (size_t c = 0, i = p * b.shape.c; c < b.shape.c;) {
                    const size_t n_bits = std::min(b.shape.c - c, a.shape.c - i % a.shape.c);
                    copy_bits(run.at<std::uint32_t>(from, image) + a.at(i / a.shape.c), i % a.shape.c, n_bits, pixel,
                              c);
                    c += n_bits, i += n_bits;
                }
            }
        });
    });
}

}  // namespace bimetal
