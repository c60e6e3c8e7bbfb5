// Where a pixel begins to fire: the definition in wider numbers, on random pixels, at ties, and at the ends of int32.
#include <cstdio>
#include <random>
#include <vector>

#include "net/row_threshold.hpp"
#include "tests.hpp"

namespace {

using namespace bimetal;
__extension__ using Wide = __int128;

struct Pixel {
    std::vector<std::int64_t> x;
    std::int64_t sum = 0;
    std::uint64_t squares = 0;

    explicit Pixel(std::vector<std::int64_t> elements) : x(std::move(elements)) {
        for (const std::int64_t v : x) sum += v, squares += static_cast<std::uint64_t>(v * v);
    }
    // The definition, word by word: no number in it leaves 82 bits.
    bool fires(std::int64_t v, unsigned top, unsigned bottom) const {
        const auto n = static_cast<Wide>(x.size());
        const Wide d = n * v - sum, q = n * static_cast<Wide>(squares) - static_cast<Wide>(sum) * sum;
        if (top == 0) return d >= 0;
        return d >= 0 && q > 0 && d * d * bottom * bottom >= q * top * top;
    }
};

class Random {
 public:
    explicit Random(unsigned seed) : generator_(seed) {}
    std::int64_t whole(std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(generator_);
    }

    Pixel pixel() {
        const std::int64_t n = whole(0, 1) ? whole(1, 12) : whole(1, 300), most = INT32_MAX / n;
        const std::int64_t spreads[] = {1, 3, 40, 4000, most}, spread = std::min(most, spreads[whole(0, 4)]);
        const std::int64_t middle = whole(0, 1) ? 0 : whole(-(most - spread), most - spread);
        std::vector<std::int64_t> x;
        for (std::int64_t i = 0; i < n; i++) x.push_back(middle + whole(-spread, spread));
        if (whole(0, 3) == 0) std::fill(x.begin() + 1, x.end(), whole(0, 1) ? x[0] : -most);
        if (whole(0, 3) == 0) x[0] = most;
        return Pixel(std::move(x));
    }

 private:
    std::mt19937_64 generator_;
};

bool is_right(const Pixel& pixel, unsigned top, unsigned bottom) {
    const auto n = static_cast<std::int64_t>(pixel.x.size());
    const std::int64_t least = first_to_fire(n, pixel.sum, pixel.squares, top, bottom);
    for (const std::int64_t v : pixel.x)
        if ((v >= least) != pixel.fires(v, top, bottom)) return false;
    if (least == kNeverFires) return true;
    return pixel.fires(least, top, bottom) && !pixel.fires(least - 1, top, bottom);
}

}  // namespace

int test_row_threshold(long n_cases) {
    int n_wrong = 0;
    for (unsigned seed = 0; seed < static_cast<unsigned>(n_cases); seed++) {
        Random random(seed);
        const Pixel pixel = random.pixel();
        const auto top = static_cast<unsigned>(random.whole(0, 1) ? random.whole(0, 4) : random.whole(0, 255));
        const auto bottom = static_cast<unsigned>(random.whole(0, 1) ? random.whole(1, 4) : random.whole(1, 255));
        if (is_right(pixel, top, bottom)) continue;
        std::printf("seed %u: a pixel of %zu at %u / %u fires elsewhere\n", seed, pixel.x.size(), top, bottom);
        n_wrong++;
    }
    for (const std::uint64_t root : {1u, 2u, 3u, 65535u, 65536u, 94906265u, 94906267u, 0xFFFFFFFEu, 0xFFFFFFFFu}) {
        const std::uint64_t square = root * root;
        n_wrong += ceil_sqrt(square) != root || ceil_sqrt(square - 1) != (root > 1 ? root : 0);
        n_wrong += root < 0xFFFFFFFF && ceil_sqrt(square + 1) != root + 1;
    }
    std::printf("%ld random pixels against thresholds, %d wrong\n", n_cases, n_wrong);
    return n_wrong;
}
