// Every kernel of maps, of every instruction set of the machine, equals plain loops on random shapes. Buffers end where
// their contents end, so that the address sanitizer sees what reads too far; what is written beside an output shows.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bimetal/engine.hpp"
#include "net/kernels.hpp"
#include "plan.hpp"

int test_net_kernels(long n_cases, const char* isa_filter);

#if defined(__x86_64__)
namespace bimetal {
extern const NetKernels kNetAvx512Zen4;
}
#endif

namespace {

using namespace bimetal;
using std::size_t;

class Random {
 public:
    explicit Random(unsigned seed) : generator_(seed) {}
    // A whole number from low to high, both included.
    template <class T = size_t>
    T whole(long low, long high) {
        return static_cast<T>(std::uniform_int_distribution<long>(low, high)(generator_));
    }
    template <class T>
    T one_of(std::initializer_list<T> values) {
        return values.begin()[whole(0, static_cast<long>(values.size()) - 1)];
    }
    std::uint32_t word() { return static_cast<std::uint32_t>(generator_()); }

 private:
    std::mt19937 generator_;
};

struct Free {
    void operator()(void* p) const { std::free(p); }
};

// Aligned as kernels may expect.
template <class T>
class Aligned {
 public:
    explicit Aligned(size_t n)
        : n_bytes_(n * sizeof(T)), data_(static_cast<T*>(std::aligned_alloc(64, (n_bytes_ + 127) / 64 * 64))) {
        std::memset(data_.get(), 0, n_bytes_);
    }
    T& operator[](size_t i) { return data_.get()[i]; }
    const T* get() const { return data_.get(); }

 private:
    size_t n_bytes_;
    std::unique_ptr<T, Free> data_;
};

// Outputs of some pixels, at odd places, with room between them where nothing may be written.
template <class T>
class Outputs {
 public:
    Outputs(Random& random, size_t n, size_t size) : stride_(size + random.whole(0, 2)), first_(random.whole(1, 3)) {
        memory_.assign(first_ + n * stride_ + 4, static_cast<T>(0xA5A5A5A5));
        for (size_t i = 0; i < n; i++) pointers_.push_back(&at(i));
    }
    T& at(size_t pixel, size_t i = 0) { return memory_[first_ + pixel * stride_ + i]; }
    T* const* pointers() const { return pointers_.data(); }
    void* const* untyped() {
        void_.assign(pointers_.begin(), pointers_.end());
        return void_.data();
    }
    bool operator==(const Outputs& other) const { return memory_ == other.memory_; }
    // The same places, in a memory of its own.
    Outputs twin() const {
        Outputs twin = *this;
        for (T*& pointer : twin.pointers_) pointer = twin.memory_.data() + (pointer - memory_.data());
        return twin;
    }

 private:
    size_t stride_, first_;
    std::vector<T> memory_;
    std::vector<T*> pointers_;
    std::vector<void*> void_;
};

// Windows of n_runs runs of run_size elements somewhere in one map that has not one element more.
template <class T>
struct Windows {
    std::vector<T> map;
    std::vector<std::uint32_t> run_offset;
    std::vector<const void*> windows;

    Windows(Random& random, size_t n_pixels, size_t n_runs, size_t run_size) {
        const size_t between = random.whole(0, 40);
        for (size_t r = 0; r < n_runs; r++) run_offset.push_back(static_cast<std::uint32_t>(r * (run_size + between)));
        const size_t reach = run_offset.back() + run_size, room = random.whole(0, 50);
        map.resize(reach + room);
        for (size_t i = 0; i < n_pixels; i++) windows.push_back(map.data() + random.whole(0, static_cast<long>(room)));
    }
    const T* at(size_t pixel, size_t run) const { return static_cast<const T*>(windows[pixel]) + run_offset[run]; }
};

struct Shape {
    size_t n_out, n_panels, n_runs, run_size, n_pixels, first, end;

    explicit Shape(Random& random, bool is_large) {
        n_out = random.one_of<size_t>({1, 20, 31, 32, 33, 63, 64, 65, 80, 96, 128, 200});
        n_runs = random.whole(1, 11), run_size = random.whole(1, 9);
        n_pixels = random.one_of<size_t>({0, 1, 2, 3, 4, 5, 7, 8, 17});
        if (is_large) n_out = random.one_of<size_t>({33, 64}), n_runs = random.whole(1, 2), run_size = 940 / n_runs;
        n_panels = (n_out + kPanel - 1) / kPanel;
        first = random.whole(0, static_cast<long>(n_panels));
        end = random.whole(static_cast<long>(first), static_cast<long>(n_panels));
        if (random.whole(0, 1)) first = 0, end = n_panels;
    }
    std::string text() const {
        return std::to_string(n_out) + " outputs, " + std::to_string(n_runs) + " runs of " + std::to_string(run_size) +
               ", " + std::to_string(n_pixels) + " pixels, panels " + std::to_string(first) + " to " +
               std::to_string(end);
    }
};

// One row of limits for each of two kinds of pixels: about half lie on one pixel's own value or beside it.
class Limits {
 public:
    template <class OnEdge, class Any>
    Limits(Random& random, const Shape& shape, const OnEdge& on_edge, const Any& any) {
        for (auto& row : rows_) {
            row.assign(shape.n_panels * kPanel, INT32_MIN);
            for (size_t o = 0; o < shape.n_out; o++) {
                const bool is_edge = shape.n_pixels && random.whole(0, 1);
                row[o] = is_edge ? on_edge(random.whole(0, static_cast<long>(shape.n_pixels) - 1), o) : any();
            }
        }
        for (size_t i = 0; i < shape.n_pixels; i++) pointers_.push_back(rows_[random.whole(0, 1)].data());
    }
    const std::int32_t* const* pointers() const { return pointers_.data(); }
    std::int32_t at(size_t pixel, size_t o) const { return pointers_[pixel][o]; }

 private:
    std::vector<std::int32_t> rows_[2];
    std::vector<const std::int32_t*> pointers_;
};

using Sums = std::vector<std::vector<std::int32_t>>;  // for each pixel and output

// What the kernels shall write: fires and value look at (pixel, output).
template <class Conv, class Plan, class Fires, class Value>
std::string check_conv(Random& random, const Shape& shape, const Plan& plan, const std::vector<const void*>& windows,
                       const Limits& limits, Conv to_bits, Conv to_sums, const Fires& fires, const Value& value) {
    Outputs<std::uint32_t> words(random, shape.n_pixels, (shape.n_out + 31) / 32);
    Outputs<std::int32_t> sums(random, shape.n_pixels, shape.n_out);
    auto expected_words = words.twin();
    auto expected_sums = sums.twin();
    for (size_t i = 0; i < shape.n_pixels; i++) {
        for (size_t o = shape.first * kPanel; o < shape.n_out && o < shape.end * kPanel; o++) {
            std::uint32_t& word = expected_words.at(i, o / 32);
            if (o % 32 == 0) word = 0;
            word |= static_cast<std::uint32_t>(fires(i, o)) << (o % 32);
            expected_sums.at(i, o) = value(i, o);
        }
    }
    to_bits(plan, {shape.n_pixels, windows.data(), limits.pointers(), words.untyped()}, shape.first, shape.end);
    if (!(words == expected_words)) return "bits: " + shape.text();
    to_sums(plan, {shape.n_pixels, windows.data(), limits.pointers(), sums.untyped()}, shape.first, shape.end);
    if (!(sums == expected_sums)) return "sums: " + shape.text();
    return "";
}

std::string check_bit_conv(const NetKernels& kernels, Random& random, bool is_large) {
    const Shape shape(random, is_large);
    const size_t n_words = shape.n_runs * shape.run_size;
    Windows<std::uint32_t> in(random, shape.n_pixels, shape.n_runs, shape.run_size);
    Aligned<std::uint32_t> weights(shape.n_panels * n_words * kPanel);
    const int extreme = random.whole<int>(0, 3);  // 1: every bit differs, 2: none does
    for (auto& word : in.map) word = extreme == 1 || extreme == 2 ? 0xFFFFFFFF : random.word();
    for (size_t o = 0; o < shape.n_out; o++)
        for (size_t k = 0; k < n_words; k++)
            weights[(o / kPanel * n_words + k) * kPanel + o % kPanel] = extreme == 1   ? 0
                                                                        : extreme == 2 ? 0xFFFFFFFF
                                                                                       : random.word();
    Sums counts(shape.n_pixels, std::vector<std::int32_t>(shape.n_out));
    for (size_t i = 0; i < shape.n_pixels; i++)
        for (size_t o = 0; o < shape.n_out; o++)
            for (size_t k = 0; k < n_words; k++) {
                const std::uint32_t x = in.at(i, k / shape.run_size)[k % shape.run_size];
                std::uint32_t differing = x ^ weights[(o / kPanel * n_words + k) * kPanel + o % kPanel];
                for (; differing; differing &= differing - 1) counts[i][o]++;
            }
    const auto n_bits = static_cast<std::int32_t>(32 * n_words);
    const Limits limits(
        random, shape, [&](size_t i, size_t o) { return counts[i][o] - static_cast<std::int32_t>(random.whole(0, 1)); },
        [&] { return random.one_of<std::int32_t>({-1, 0, INT32_MIN, INT32_MAX, n_bits, n_bits - 1, n_bits / 2}); });
    const BitConvPlan plan{shape.n_out,    shape.n_panels,       shape.n_runs,
                           shape.run_size, in.run_offset.data(), weights.get()};
    return check_conv(
        random, shape, plan, in.windows, limits, kernels.bit_conv_bits, kernels.bit_conv_sums,
        [&](size_t i, size_t o) { return counts[i][o] <= limits.at(i, o); },
        [&](size_t i, size_t o) {
            return static_cast<std::int32_t>(static_cast<std::uint32_t>(limits.at(i, o)) -
                                             2 * static_cast<std::uint32_t>(counts[i][o]));
        });
}

std::string check_byte_conv(const NetKernels& kernels, Random& random, bool is_large) {
    const Shape shape(random, is_large);
    const size_t n_quads = shape.n_runs * shape.run_size;
    Windows<std::uint8_t> in(random, shape.n_pixels, shape.n_runs, 4 * shape.run_size);
    Aligned<std::int8_t> weights(shape.n_panels * n_quads * kPanel * 4);
    const int extreme = random.whole<int>(0, 3);
    for (auto& byte : in.map) byte = extreme ? random.whole<std::uint8_t>(0, 255) : 255;
    for (size_t o = 0; o < shape.n_out; o++) {
        const int sign = random.one_of({-1, 1});
        for (size_t k = 0; k < 4 * n_quads; k++)
            weights[((o / kPanel * n_quads + k / 4) * kPanel + o % kPanel) * 4 + k % 4] =
                static_cast<std::int8_t>(extreme ? random.whole<int>(-128, 127) : 127 * sign);
    }
    Sums sums(shape.n_pixels, std::vector<std::int32_t>(shape.n_out));
    for (size_t i = 0; i < shape.n_pixels; i++)
        for (size_t o = 0; o < shape.n_out; o++)
            for (size_t k = 0; k < 4 * n_quads; k++)
                sums[i][o] += in.at(i, k / 4 / shape.run_size)[k % (4 * shape.run_size)] *
                              weights[((o / kPanel * n_quads + k / 4) * kPanel + o % kPanel) * 4 + k % 4];
    const Limits limits(
        random, shape, [&](size_t i, size_t o) { return -sums[i][o] - static_cast<std::int32_t>(random.whole(0, 1)); },
        [&] { return random.one_of<std::int32_t>({-1, 0, 1, random.whole<std::int32_t>(-1000000, 1000000)}); });
    const ByteConvPlan plan{shape.n_out,    shape.n_panels,       shape.n_runs,
                            shape.run_size, in.run_offset.data(), weights.get()};
    const auto value = [&](size_t i, size_t o) { return sums[i][o] + limits.at(i, o); };
    return check_conv(
        random, shape, plan, in.windows, limits, kernels.byte_conv_bits, kernels.byte_conv_sums,
        [&](size_t i, size_t o) { return value(i, o) >= 0; }, value);
}

std::string check_planes(const NetKernels& kernels, Random& random, size_t n_lanes) {
    const size_t n_words = random.whole(1, 13), plane_words = n_lanes / 64;
    const size_t n_rows = random.one_of<size_t>(
        {0, 1, n_lanes / 2 + 1, n_lanes - 1, n_lanes, random.whole(1, static_cast<long>(n_lanes))});
    const std::string shape = std::to_string(n_rows) + " rows of " + std::to_string(n_words) + " words, " +
                              std::to_string(n_lanes) + " lanes";
    Windows<std::uint32_t> in(random, n_rows, 1, n_words);
    for (auto& word : in.map) word = random.word();
    const std::vector<const std::uint32_t*> rows = [&] {
        std::vector<const std::uint32_t*> rows;
        for (size_t i = 0; i < n_rows; i++) rows.push_back(in.at(i, 0));
        return rows;
    }();
    const auto bit = [&](size_t row, size_t b) -> std::uint64_t {
        return row < n_rows ? rows[row][b / 32] >> (b % 32) & 1 : 0;
    };
    const size_t n_planes_words = 32 * n_words * plane_words;
    Aligned<std::uint64_t> planes(n_planes_words + 8), expected(n_planes_words + 8);
    for (size_t i = 0; i < n_planes_words + 8; i++) planes[i] = expected[i] = UINT64_C(0x123456789ABCDEF);
    for (size_t i = 0; i < n_planes_words; i++) {
        expected[i] = 0;
        for (size_t j = 0; j < 64; j++) expected[i] |= bit(i % plane_words * 64 + j, i / plane_words) << j;
    }
    kernels.gather_planes(rows.data(), n_rows, n_words, n_lanes, &planes[0]);
    if (std::memcmp(planes.get(), expected.get(), (n_planes_words + 8) * 8) != 0) return "gather: " + shape;

    const size_t n_bits = 32 * n_words - random.whole(0, 31);
    Outputs<std::uint32_t> out(random, n_rows, n_words);
    auto expected_out = out.twin();
    for (size_t i = 0; i < n_rows; i++)
        for (size_t w = 0; w < n_words; w++) {
            const size_t n_left = n_bits - 32 * w;
            expected_out.at(i, w) = rows[i][w] & (n_left < 32 ? (1u << n_left) - 1 : 0xFFFFFFFF);
        }
    kernels.scatter_planes(expected.get(), n_bits, n_lanes, n_rows, out.pointers());
    return out == expected_out ? "" : "scatter: " + shape;
}

std::string check_bits_to_bytes(const NetKernels& kernels, Random& random) {
    const size_t n = random.one_of<size_t>({0, 1, 31, 32, 33, 63, 64, 65, 96, 200, random.whole(1, 500)});
    std::vector<std::uint32_t> words((n + 31) / 32);
    for (auto& word : words) word = random.word();
    Outputs<std::uint8_t> bytes(random, 1, n);
    auto expected = bytes.twin();
    for (size_t i = 0; i < n; i++) expected.at(0, i) = words[i / 32] >> (i % 32) & 1;
    kernels.bits_to_bytes(words.data(), n, *bytes.pointers());
    return bytes == expected ? "" : std::to_string(n) + " bits to bytes";
}

std::string check_or_words(const NetKernels& kernels, Random& random) {
    const size_t n_rows = random.whole(1, 9), n_words = random.whole(1, 40);
    Windows<std::uint32_t> in(random, n_rows, 1, n_words);
    for (auto& word : in.map) word = random.word() & random.word() & random.word();
    std::vector<const std::uint32_t*> rows;
    for (size_t i = 0; i < n_rows; i++) rows.push_back(in.at(i, 0));
    Outputs<std::uint32_t> out(random, 1, n_words);
    auto expected = out.twin();
    for (size_t w = 0; w < n_words; w++) {
        expected.at(0, w) = 0;
        for (const auto* row : rows) expected.at(0, w) |= row[w];
    }
    kernels.or_words(rows.data(), n_rows, n_words, *out.pointers());
    return out == expected ? "" : std::to_string(n_rows) + " times " + std::to_string(n_words) + " words, OR";
}

std::uint8_t quantized(float x, float scale, float offset) {
    volatile float product = x * scale;  // rounded before the addition
    volatile float sum = product + offset;
    if (std::isnan(sum)) return 0;
    const float whole = std::nearbyint(sum);
    return static_cast<std::uint8_t>(whole < 0 ? 0 : whole > 255 ? 255 : whole);
}

std::string check_quantize(const NetKernels& kernels, Random& random) {
    using Float = std::numeric_limits<float>;
    const size_t channels = random.one_of<size_t>({1, 2, 3, 4, 5, 15, 16, 17, 20, 64, 100});
    const size_t n = channels * random.whole(0, 60);
    std::vector<float> x(n), scale(channels), offset(channels);
    const auto halves = [&] { return static_cast<float>(random.whole<int>(-40, 600)) / 2; };
    const auto any = [&] { return std::ldexp(static_cast<float>(random.word()), -24) * 1.001f; };
    for (auto& v : x)
        v = random.one_of({halves(), halves(), any(), any(), -any(), 0.0f, -0.0f, Float::quiet_NaN(), Float::infinity(),
                           -Float::infinity(), Float::max(), 255.5f, 254.5f, 0.5f, 1.5f});
    for (auto& v : scale) v = random.one_of({1.0f, 1.0f, -1.0f, 0.1f, 58.395f, any(), 0.0f, 2.0f});
    for (auto& v : offset) v = random.one_of({0.0f, 0.5f, -0.5f, 123.675f, any(), halves()});
    Outputs<std::uint8_t> bytes(random, 1, n);
    auto expected = bytes.twin();
    for (size_t i = 0; i < n; i++) expected.at(0, i) = quantized(x[i], scale[i % channels], offset[i % channels]);
    kernels.quantize(x.data(), n, channels, scale.data(), offset.data(), *bytes.pointers());
    return bytes == expected ? "" : "quantize " + std::to_string(n) + " of " + std::to_string(channels) + " channels";
}

std::string check_moments(const NetKernels& kernels, Random& random) {
    const size_t n = random.one_of<size_t>({1, 2, 7, 8, 15, 16, 17, 31, 64, 65, 512, random.whole(1, 700)});
    const auto most = static_cast<std::int32_t>(INT32_MAX / static_cast<std::int32_t>(n));
    std::vector<std::int32_t> x(n);
    const long spread = random.one_of<long>({1, 100, most, INT32_MAX});
    for (auto& v : x)
        v = random.one_of({random.whole<std::int32_t>(-spread, spread), random.whole<std::int32_t>(-spread, spread),
                           random.one_of({most, -most, most + (n > 1), INT32_MAX, INT32_MIN})});
    if (random.whole(0, 9) == 0) std::fill(x.begin(), x.end(), random.one_of({INT32_MIN, INT32_MAX}));
    std::int64_t sum = 0;
    std::uint64_t squares = 0;
    for (const std::int64_t v : x) {
        const std::int64_t near = std::min<std::int64_t>(std::max<std::int64_t>(v, -most), most);
        sum += near, squares += static_cast<std::uint64_t>(near * near);
    }
    const Moments of = kernels.moments(x.data(), n, most);
    return of.sum == sum && of.squares == squares ? "" : "moments of " + std::to_string(n);
}

int check_kernels(const char* name, const NetKernels& kernels, size_t n_lanes, long n_cases) {
    int n_wrong = 0;
    for (long seed = 0; seed < n_cases; seed++) {
        Random random(static_cast<unsigned>(seed));
        const bool is_large = seed % 64 == 0;  // sums that need more than 16 bits
        for (const std::string& wrong :
             {check_bit_conv(kernels, random, is_large), check_byte_conv(kernels, random, is_large),
              check_planes(kernels, random, n_lanes), check_bits_to_bytes(kernels, random),
              check_or_words(kernels, random), check_quantize(kernels, random), check_moments(kernels, random)}) {
            if (wrong.empty()) continue;
            if (n_wrong++ < 10) std::printf("seed %ld: %s differs from plain loops: %s\n", seed, name, wrong.c_str());
        }
    }
    return n_wrong;
}

}  // namespace

// Checks n_cases of every kernel, of one instruction set or (null) of all; returns how many were wrong.
int test_net_kernels(long n_cases, const char* isa_filter) {
    int n_wrong = 0;
    for (const Kernels* kernels : available_kernels()) {
        if (isa_filter && std::strcmp(isa_filter, kernels->name) != 0) continue;
        n_wrong += check_kernels(kernels->name, *kernels->net, kernels->block_rows, n_cases);
#if defined(__x86_64__)
        if (std::strcmp(kernels->name, "avx512") == 0)
            n_wrong += check_kernels("avx512 for Zen 4", kNetAvx512Zen4, kernels->block_rows, n_cases);
#endif
    }
    return n_wrong;
}
