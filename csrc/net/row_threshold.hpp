// Where the elements of a pixel begin to fire that stand top / bottom standard deviations above its mean.
//
// A pixel has n elements within +-m, where n * m < 2**31; `sum` and `squares` are sums over them. So |sum| < 2**31,
// n * squares <= (n * m)**2 < 2**62, and 0 <= q = n * squares - sum**2 < 2**62 (Cauchy and Schwarz): nothing leaves
// int64. An element fires where d = n * x - sum >= 0, bottom**2 * d**2 >= top**2 * q and q > 0. With
// r = top**2 * q / bottom**2 that is d >= ceil(sqrt(ceil(r))), which is x >= (sum + that) / n: one comparison.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace bimetal {

constexpr std::int64_t kNeverFires = INT64_MAX;

// ceil(sqrt(r)) for r <= (2**32 - 1)**2. A double's root is off by less than 1: the loops make a step or two.
inline std::uint64_t ceil_sqrt(std::uint64_t r) {
    auto root = std::min(static_cast<std::uint64_t>(std::sqrt(static_cast<double>(r))), UINT64_C(0xFFFFFFFF));
    while (root > 0 && root * root >= r) root--;
    while (root * root < r) root++;
    return root;
}

// The least x that fires, or kNeverFires.
inline std::int64_t first_to_fire(std::int64_t n, std::int64_t sum, std::uint64_t squares, std::uint64_t top,
                                  std::uint64_t bottom) {
    std::int64_t least = sum;
    if (top) {
        // d <= 2 * n * m <= 2**32 - 2, so that nothing fires where r is beyond the square of that.
        constexpr std::uint64_t kMost = UINT64_C(0xFFFFFFFE) * UINT64_C(0xFFFFFFFE);
        const std::uint64_t q = static_cast<std::uint64_t>(n) * squares - static_cast<std::uint64_t>(sum * sum);
        const std::uint64_t a = top * top, b = bottom * bottom, whole = q / b;  // a, b < 2**16
        if (q == 0 || whole > kMost / a) return kNeverFires;
        // r = a * whole + a * (q % b) / b: the last term is below a, and all of it below (2**32 - 1)**2
        least += static_cast<std::int64_t>(ceil_sqrt(a * whole + (a * (q % b) + b - 1) / b));
    }
    return least > 0 ? (least + n - 1) / n : -(-least / n);  // least / n, rounded up
}

}  // namespace bimetal
