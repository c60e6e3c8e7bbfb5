// The kernels in matrix tiles equal plain loops on random convolutions. Maps end at a page that must not be touched,
// because the address sanitizer does not see what tiles read; what is written beside an output shows.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "bimetal/engine.hpp"
#include "net/kernels.hpp"

int test_net_tiles(long n_cases);

namespace {

using namespace bimetal;
using std::int32_t;
using std::int8_t;
using std::size_t;
using std::uint32_t;
using std::uint8_t;

constexpr int32_t kUntouched = 0x5A5A5A5A;

class Random {
 public:
    explicit Random(unsigned seed) : generator_(seed) {}
    // A whole number from low to high, both included.
    size_t whole(size_t low, size_t high) { return std::uniform_int_distribution<size_t>(low, high)(generator_); }
    size_t one_of(std::initializer_list<size_t> values) { return values.begin()[whole(0, values.size() - 1)]; }
    uint32_t word() { return static_cast<uint32_t>(generator_()); }

 private:
    std::mt19937 generator_;
};

// n bytes, followed by a page that nobody may read.
class Guarded {
 public:
    explicit Guarded(size_t n) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), room = (n + page - 1) / page * page;
        size_ = room + page;
        pages_ =
            static_cast<uint8_t*>(mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        mprotect(pages_ + room, page, PROT_NONE);
        data_ = pages_ + room - n;
    }
    ~Guarded() { munmap(pages_, size_); }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;
    uint8_t* data() { return data_; }
    int8_t* signed_data() { return reinterpret_cast<int8_t*>(data_); }

 private:
    size_t size_;
    uint8_t *pages_, *data_;
};

// A map just as large as its windows need, one int a channel, and one weight for each output and window element.
struct Case {
    size_t c, kernel_h, kernel_w, stride, dilation, out_h, out_w, n_out, h, w, n_panels;
    std::vector<int> map, weights;
    std::vector<int32_t> bias;

    Case(Random& random, bool is_bytes)
        : c(is_bytes ? random.one_of({1, 3, 4, 5, 16, 40, 64, 70})
                     : random.one_of({1, 31, 32, 33, 63, 64, 65, 130, 320})),
          kernel_h(random.whole(1, 3)),
          kernel_w(random.whole(1, 4)),
          stride(random.whole(1, 3)),
          dilation(is_bytes ? 1 : random.whole(1, 2)),
          out_h(random.one_of({1, 2, 7, 12})),
          out_w(random.one_of({1, 3, 7, 13, 15, 16, 17, 31, 40})),
          n_out(random.one_of({1, 15, 16, 17, 31, 32, 33, 48, 64, 70, 100})),
          h((out_h - 1) * stride + (kernel_h - 1) * dilation + 1),
          w((out_w - 1) * stride + (kernel_w - 1) * dilation + 1),
          n_panels((n_out + 31) / 32),
          map(h * w * c),
          weights(n_out * kernel_h * kernel_w * c),
          bias(32 * n_panels, INT32_MIN) {
        for (int& value : map) value = is_bytes ? static_cast<int>(random.whole(0, 255)) : sign(random);
        for (int& weight : weights) weight = is_bytes ? static_cast<int>(random.whole(0, 255)) - 128 : sign(random);
        for (size_t o = 0; o < n_out; o++) bias[o] = static_cast<int32_t>(random.whole(0, 40)) - 20;
    }
    static int sign(Random& random) { return random.whole(0, 1) ? 1 : -1; }

    size_t n_taps() const { return kernel_h * kernel_w; }
    int weight(size_t o, size_t tap, size_t channel) const { return weights[(o * n_taps() + tap) * c + channel]; }

    int32_t sum(size_t y, size_t x, size_t o) const {
        int32_t sum = bias[o];
        for (size_t tap = 0; tap < n_taps(); tap++) {
            const size_t row = y * stride + tap / kernel_w * dilation, column = x * stride + tap % kernel_w * dilation;
            for (size_t i = 0; i < c; i++) sum += map[(row * w + column) * c + i] * weight(o, tap, i);
        }
        return sum;
    }
};

// What a call computes, and where the results go: pixels and rows with gaps between them.
struct Call {
    bool makes_bits;
    size_t row, row_end, first, end, size, pixel_step, row_step;
    std::vector<int32_t> memory;

    Call(Random& random, const Case& c) : makes_bits(random.whole(0, 1)) {
        const bool is_part = random.whole(0, 1);
        row = is_part ? random.whole(0, c.out_h - 1) : 0, row_end = is_part ? random.whole(row, c.out_h) : c.out_h;
        first = is_part ? random.whole(0, c.n_panels - 1) : 0,
        end = is_part ? random.whole(first, c.n_panels) : c.n_panels;
        size = makes_bits ? c.n_panels : c.n_out;
        pixel_step = size + random.whole(0, 2), row_step = c.out_w * pixel_step + random.whole(0, 3);
        memory.assign(c.out_h * row_step + 1, kUntouched);
    }
    TileOut out(const Case& c) { return {memory.data(), pixel_step, row_step, makes_bits, c.bias.data()}; }

    int32_t expected(const Case& c, size_t y, size_t x, size_t i) const {
        const size_t panel = makes_bits ? i : i / 32;
        if (y < row || y >= row_end || x >= c.out_w || i >= size || panel < first || panel >= end) return kUntouched;
        if (!makes_bits) return c.sum(y, x, i);
        uint32_t word = 0;
        for (size_t o = 32 * i; o < 32 * (i + 1) && o < c.n_out; o++)
            word |= static_cast<uint32_t>(c.sum(y, x, o) >= 0) << o % 32;
        return static_cast<int32_t>(word);
    }
    bool is_right(const Case& c) const {
        for (size_t k = 0; k < memory.size(); k++) {
            const size_t in_row = k % row_step;
            if (memory[k] != expected(c, k / row_step, in_row / pixel_step, in_row % pixel_step)) return false;
        }
        return true;
    }
};

// ---- Bits -----------------------------------------------------------------------------------------------------------

std::vector<std::uint64_t> bit_tiles(const Case& c, size_t chunks) {
    std::vector<std::uint64_t> tiles(c.n_panels * chunks * c.n_taps() * 32);
    for (size_t o = 0; o < c.n_out; o++)
        for (size_t tap = 0; tap < c.n_taps(); tap++)
            for (size_t i = 0; i < c.c; i++) {
                const size_t step = (o / 32 * chunks + i / 64) * c.n_taps() + tap;
                tiles[(step * 2 + o % 32 / 16) * 16 + i % 64 / 4] |= static_cast<std::uint64_t>(c.weight(o, tap, i) > 0)
                                                                     << (o % 16 * 4 + i % 4);
            }
    return tiles;
}

// A few pixels get no sign at all, as a border of zeros has none.
void spread_map(Random& random, const TileKernels& kernels, Case& c, size_t chunks, size_t pixel, size_t plane,
                int8_t* bytes) {
    const size_t n_words = (c.c + 31) / 32;
    Guarded memory(c.h * c.w * n_words * 4);
    auto* words = reinterpret_cast<uint32_t*>(memory.data());
    for (size_t k = 0; k < c.map.size(); k++)
        if (c.map[k] > 0) words[k / c.c * n_words + k % c.c / 32] |= 1u << (k % c.c % 32);
    std::memset(bytes, 77, c.h * c.w * chunks * 64);
    for (size_t y = 0; y < c.h; y++)
        kernels.spread(words + y * c.w * n_words, c.w, c.c, chunks, pixel, plane, bytes + y * c.w * pixel);
    for (size_t p = 0; p < c.h * c.w; p++) {
        if (random.whole(0, 9)) continue;
        for (size_t k = 0; k < chunks; k++) std::memset(bytes + p * pixel + k * plane, 0, 64);
        for (size_t i = 0; i < c.c; i++) c.map[p * c.c + i] = 0;
    }
}

bool test_bits(Random& random, const TileKernels& kernels) {
    Case c(random, false);
    const bool by_planes = random.whole(0, 1);
    const size_t chunks = (c.c + 63) / 64, pixel = by_planes ? 64 : 64 * chunks,
                 plane = by_planes ? 64 * c.h * c.w : 64;
    Guarded bytes(c.h * c.w * chunks * 64);
    spread_map(random, kernels, c, chunks, pixel, plane, bytes.signed_data());
    std::vector<uint32_t> taps;
    for (size_t tap = 0; tap < c.n_taps(); tap++)
        taps.push_back(static_cast<uint32_t>((tap / c.kernel_w * c.w + tap % c.kernel_w) * c.dilation * pixel));
    const auto tiles = bit_tiles(c, chunks);
    const size_t row_step = c.out_h > 1 ? c.stride * c.w * pixel : random.whole(0, 20) * pixel;  // of one row: anything
    const TileConvPlan plan{c.n_out,          c.n_panels, taps.size(), chunks,  taps.data(), plane,
                            c.stride * pixel, row_step,   c.out_h,     c.out_w, tiles.data()};
    Call call(random, c);
    kernels.conv(plan, bytes.signed_data(), call.out(c), call.row, call.row_end, call.first, call.end);
    return call.is_right(c);
}

// ---- Bytes ----------------------------------------------------------------------------------------------------------

bool test_bytes(Random& random, const TileKernels& kernels) {
    const Case c(random, true);
    Guarded bytes(c.map.size());
    for (size_t k = 0; k < c.map.size(); k++) bytes.data()[k] = static_cast<uint8_t>(c.map[k]);
    std::vector<uint32_t> runs;
    for (size_t y = 0; y < c.kernel_h; y++) runs.push_back(static_cast<uint32_t>(y * c.w * c.c));
    const size_t n_window = c.n_taps() * c.c, n_steps = (n_window + 63) / 64;
    Guarded tiles(c.n_panels * n_steps * 2048);
    for (size_t o = 0; o < c.n_out; o++)
        for (size_t k = 0; k < n_window; k++) {
            const size_t tile = (o / 32 * n_steps + k / 64) * 2 + o % 32 / 16;
            tiles.signed_data()[tile * 1024 + k % 64 / 4 * 64 + o % 16 * 4 + k % 4] =
                static_cast<int8_t>(c.weights[o * n_window + k]);
        }
    const TileByteConvPlan plan{c.n_out,     c.n_panels,     runs.size(),          c.kernel_w * c.c,
                                runs.data(), c.stride * c.c, c.stride * c.w * c.c, c.out_h,
                                c.out_w,     n_steps,        tiles.signed_data()};
    Guarded scratch((plan.scratch_bytes() + 63) / 64 * 64);
    Call call(random, c);
    kernels.byte_conv(plan, bytes.data(), call.out(c), call.row, call.row_end, call.first, call.end, scratch.data());
    return call.is_right(c);
}

const TileKernels* tile_kernels() {
    for (const Kernels* kernels : available_kernels())
        if (kernels->net && kernels->net->tiles) return kernels->net->tiles;
    return nullptr;
}

}  // namespace

int test_net_tiles(long n_cases) {
    const TileKernels* kernels = tile_kernels();
    if (!kernels) {
        std::printf("tiles: skipped: no AMX\n");
        return 0;
    }
    int n_failures = 0;
    for (long i = 0; i < n_cases; i++)
        for (const bool is_bytes : {false, true}) {
            Random random(static_cast<unsigned>(i));
            if (is_bytes ? test_bytes(random, *kernels) : test_bits(random, *kernels)) continue;
            n_failures++;
            std::printf("tiles: FAILED on %s, seed %ld\n", is_bytes ? "bytes" : "bits", i);
        }
    std::printf("tiles: %ld convolutions of bits and as many of bytes, %d failures\n", n_cases, n_failures);
    return n_failures;
}
