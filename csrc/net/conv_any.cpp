// Any binary convolution, window by window, whatever the groups: slow, and always there.
#include "bimetal/bits.h"
#include "conv.hpp"

namespace bimetal {

namespace {

using std::size_t;

struct AnyConv {
    Geometry geometry;
    bool makes_bits;
    size_t n_out, n_words;            // words of 64 bits of one group's window
    const std::uint64_t* weights;     // (n_out, n_words)
    std::vector<std::uint32_t> taps;  // offsets in words of 32 bits

    size_t group_out() const { return n_out / geometry.groups; }

    // The bits of one group, tap after tap, packed anew.
    void gather(const std::uint32_t* pixel, size_t group, std::uint64_t* window) const {
        const size_t n = geometry.group_in();
        std::fill(window, window + n_words, 0);
        for (size_t t = 0; t < taps.size(); t++) copy_bits(pixel + taps[t], group * n, n, window, t * n);
    }

    std::int32_t count(const std::uint64_t* window, size_t o) const {
        std::int32_t n = 0;
        for (size_t k = 0; k < n_words; k++)
            n += static_cast<std::int32_t>(bm_popcount(window[k] ^ weights[o * n_words + k]));
        return n;
    }

    // limits: those of every group, padded to whole panels
    void run(const std::uint32_t* pixel, const std::int32_t* limits, void* out, std::uint64_t* window) const {
        auto* words = static_cast<std::uint32_t*>(out);
        auto* sums = static_cast<std::int32_t*>(out);
        const size_t padded = (group_out() + kPanel - 1) / kPanel * kPanel;
        if (makes_bits) std::fill(words, words + words32(n_out), 0);
        for (size_t o = 0; o < n_out; o++) {
            const size_t group = o / group_out(), within = o % group_out();
            if (within == 0) gather(pixel, group, window);
            const std::int32_t n = count(window, o), limit = limits[group * padded + within];
            if (!makes_bits) sums[o] = limit - 2 * n;
            else if (n <= limit) words[o / 32] |= 1u << (o % 32);
        }
    }
};

}  // namespace

void Net::build_any_conv(const BitConv& conv) {
    const Geometry& g = conv.geometry;
    const size_t n_bits = g.n_taps() * g.group_in(), row_bytes = (n_bits + 7) / 8, n_out = conv.weights.n_out;
    const size_t n_words = bm_words(n_bits);
    auto* weights = arena_.make<std::uint64_t>(n_out * n_words);
    for (size_t o = 0; o < n_out; o++)
        for (size_t k = 0; k < n_words; k++)
            weights[o * n_words + k] = bm_load_word(conv.weights.data.data + o * row_bytes + 8 * k, row_bytes - 8 * k);
    const AnyConv any{g, conv.makes_bits, n_out, n_words, weights, run_offsets(g, conv.in.layout, false)};
    want_local(n_words * 8);
    const double work = static_cast<double>(g.out_h() * g.out_w() * (n_out * n_words + g.groups * g.n_taps()));
    step("any", work * 2e-3, [any, walk = conv.walk(arena_)](const Run& run) {
        const auto strip_of = [&](size_t first, size_t n, size_t panel, size_t end, size_t thread) {
            if (panel == end) return;  // there is one panel: some threads have none
            Strip strip;
            walk.fill(run, first, n, strip);
            auto* window = reinterpret_cast<std::uint64_t*>(run.local(thread));
            for (size_t i = 0; i < n; i++)
                any.run(static_cast<const std::uint32_t*>(strip.windows[i]), strip.limits[i], strip.outs[i], window);
        };
        for_each_strip(run, walk.n_pixels() * run.n, 1, Strip::kMost, strip_of);
    });
}

}  // namespace bimetal
