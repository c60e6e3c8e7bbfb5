// Random nets of maps: every instruction set, kernel and number of threads must give the same answers, bit for bit.
// What the answers must be is for the Python tests to say; here sanitizers and emulators look on.
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

#include "bimetal/engine.hpp"
#include "net/net.hpp"
#include "tests.hpp"

namespace {

using namespace bimetal;
using std::size_t;

// Draws a net from a seed, the same one each time, and adds it to `net`.
class Author {
 public:
    explicit Author(unsigned seed) : random_(seed) {}

    size_t n_columns() {
        shape_ = {pick(3, 9), pick(3, 9), pick(1, 4)};
        return shape_.h * shape_.w * shape_.c;
    }

    void write(Net& net) {
        quantize(net);
        if (pick(0, 2)) byte_conv(net);
        else planes(net);
        for (size_t i = pick(1, 4); i > 0; i--) {
            if (pick(0, 3) == 0 && shape_.h > 2 && shape_.w > 2) pool(net);
            else conv(net);
        }
        finish(net);
    }

 private:
    size_t pick(size_t low, size_t high) { return std::uniform_int_distribution<size_t>(low, high)(random_); }

    template <class T>
    Span<T> draw(size_t n, long low, long high) {
        auto values = std::make_shared<std::vector<T>>();
        std::uniform_int_distribution<long> of(low, high);
        for (size_t i = 0; i < n; i++) values->push_back(static_cast<T>(of(random_)));
        kept_.push_back(values);
        return {values->data(), n};
    }

    Geometry geometry(size_t groups) {
        const size_t kh = pick(1, std::min<size_t>(3, shape_.h)), kw = pick(1, std::min<size_t>(3, shape_.w));
        return {shape_, kh, kw, pick(1, 2), pick(1, 2), 1, 1, pick(0, 2), pick(0, 2), pick(0, 2), pick(0, 2), groups};
    }

    void quantize(Net& net) { net.quantize(0, draw<float>(shape_.c, 1, 2), draw<float>(shape_.c, -3, 3)), value_++; }

    void planes(Net& net) {
        const size_t n = pick(3, 70);
        net.planes(value_++, shape_.c, draw<std::uint16_t>(n, 0, static_cast<long>(shape_.c) - 1),
                   draw<std::uint8_t>(n, 1, 255), draw<std::uint8_t>(n, 1, 255));
        shape_.c = n;
    }

    void byte_conv(Net& net) {
        const Geometry g = geometry(1);
        const size_t n_out = pick(1, 70);
        net.byte_conv(value_++, true, g, draw<std::uint8_t>(shape_.c, 0, 255),
                      draw<std::int8_t>(n_out * g.n_taps() * shape_.c, -127, 127),
                      draw<std::int32_t>(n_out, -9000, 9000));
        shape_ = {g.out_h(), g.out_w(), n_out};
    }

    void conv(Net& net) {
        constexpr size_t kWidths[] = {1, 31, 32, 33, 64, 65, 96, 130};
        const size_t groups = shape_.c % 2 == 0 && pick(0, 3) == 0 ? 2 : 1, n_out = groups * kWidths[pick(0, 7)];
        const Geometry g = geometry(groups);
        const size_t n_bits = g.n_taps() * g.group_in(), row_bytes = (n_bits + 7) / 8;
        const auto weights = draw<std::uint8_t>(n_out * row_bytes, 0, 255);
        if (n_bits % 8)
            for (size_t o = 0; o < n_out; o++)
                const_cast<std::uint8_t*>(weights.data)[o * row_bytes + row_bytes - 1] &=
                    static_cast<std::uint8_t>((1u << (n_bits % 8)) - 1);
        const bool makes_bits = pick(0, 2) > 0;
        net.conv(value_++, makes_bits, g, static_cast<Pad>(static_cast<int>(pick(0, 2)) - 1), weights,
                 draw<std::int32_t>(n_out, -8, 8));
        shape_ = {g.out_h(), g.out_w(), n_out};
        if (!makes_bits) row_threshold(net);
    }

    // Pixel by pixel, or all of the map as one.
    void row_threshold(Net& net) {
        const size_t n = pick(0, 3) ? shape_.c : shape_.n_pixels() * shape_.c;
        net.row_threshold(value_++, n, static_cast<std::uint32_t>(pick(0, 3)), static_cast<std::uint32_t>(pick(1, 3)));
    }

    void pool(Net& net) {
        const Geometry g{shape_, 2, 2, pick(1, 2), pick(1, 2), 1, 1, 0, 0, pick(0, 1), 0, 1};
        net.pool(value_++, true, g);
        shape_ = {g.out_h(), g.out_w(), shape_.c};
    }

    // The map's bits as answers: summed in groups by a readout, then as they are.
    void finish(Net& net) {
        const size_t n = shape_.n_pixels() * shape_.c, n_out = 5;
        net.readout({value_++}, draw<std::int32_t>(n_out * n, -9, 9), draw<std::int32_t>(n_out, -9, 9));
        net.link(value_++, kIdentity, draw<double>(n_out, 1, 1), draw<double>(n_out, 0, 0), {nullptr, 0}, {nullptr, 0});
        net.finish();
    }

    std::mt19937 random_;
    Shape shape_{};
    size_t value_ = 0;
    std::vector<std::shared_ptr<void>> kept_;
};

std::vector<float> answers(unsigned seed, const Kernels& kernels, const char* kernel, size_t n_threads) {
    constexpr size_t kRows = 5;
    Author author(seed);
    const size_t n_columns = author.n_columns();
    Net net(kernels, n_columns, {n_threads, {}, 1, std::vector<std::string>(32, kernel), 0});
    author.write(net);
    std::mt19937 random(seed);
    std::vector<float> rows(kRows * n_columns), out(kRows * net.n_outputs());
    for (float& x : rows) x = static_cast<float>(random() % 2560) / 10;
    const size_t n_bytes = net.scratch_bytes(kRows);
    std::vector<char> scratch(n_bytes + 64, static_cast<char>(seed));
    auto* aligned = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(scratch.data()) + 63) / 64 * 64);
    net.run(rows.data(), kRows, out.data(), aligned);
    return out;
}

}  // namespace

int test_nets(long n_cases) {
    int n_wrong = 0;
    for (unsigned seed = 0; seed < static_cast<unsigned>(n_cases); seed++) {
        const auto expected = answers(seed, kSerial, "any", 1);
        for (const Kernels* kernels : available_kernels())
            for (const char* kernel : {"", "words", "planes", "tiles"})
                for (const size_t n_threads : {1, 3})
                    if (answers(seed, *kernels, kernel, n_threads) != expected) {
                        std::printf("net %u: %s, kernel '%s', %zu threads disagree\n", seed, kernels->name, kernel,
                                    n_threads);
                        n_wrong++;
                    }
    }
    std::printf("%ld random nets, %d disagreements\n", n_cases, n_wrong);
    return n_wrong;
}
