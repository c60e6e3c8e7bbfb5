// Values of a net: of what kind, and how they lie in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bimetal {

enum class Kind : std::uint8_t { kRow, kBits, kBytes, kInts, kFloats };

inline std::size_t words32(std::size_t n_bits) { return (n_bits + 31) / 32; }

// A map as one operation sees it.
struct Shape {
    std::size_t h, w, c;
    std::size_t n_pixels() const { return h * w; }
    bool operator==(const Shape& other) const { return h == other.h && w == other.w && c == other.c; }
};

// Pixels around a map that a window may reach. Bits: `fill` is 0 or 1. Bytes: one byte a channel.
struct Border {
    std::size_t top = 0, left = 0, bottom = 0, right = 0;
    std::vector<std::uint8_t> fill{0};
    bool is_empty() const { return !(top | left | bottom | right); }
    bool covers(const Border& need) const {
        return need.is_empty() || (top >= need.top && left >= need.left && bottom >= need.bottom &&
                                   right >= need.right && fill == need.fill);
    }
    void grow(const Border& need) {
        top = std::max(top, need.top), left = std::max(left, need.left);
        bottom = std::max(bottom, need.bottom), right = std::max(right, need.right);
    }
};

// How a map lies in memory, in elements: 32-bit words of packed bits, else one byte, int32 or float a channel.
struct Layout {
    Shape shape{1, 1, 1};
    Border border;
    std::size_t pixel = 1;  // elements of a pixel

    std::size_t row() const { return (shape.w + border.left + border.right) * pixel; }
    std::size_t n_elements() const { return (shape.h + border.top + border.bottom) * row(); }
    // First element of pixel p, counted row by row without the border.
    std::size_t at(std::size_t p) const { return at(p / shape.w, p % shape.w); }
    std::size_t at(std::size_t y, std::size_t x) const { return (y + border.top) * row() + (x + border.left) * pixel; }
    bool is_inside(std::size_t bordered_y, std::size_t bordered_x) const {
        return bordered_y >= border.top && bordered_y < border.top + shape.h && bordered_x >= border.left &&
               bordered_x < border.left + shape.w;
    }
    // First element of the border's corner plus (y, x).
    std::size_t from_corner(std::size_t y, std::size_t x) const { return y * row() + x * pixel; }
};

inline std::size_t element_bytes(Kind kind) { return kind == Kind::kBytes ? 1 : 4; }

inline Layout layout_of(Kind kind, Shape shape, const Border& border) {
    return {shape, border, kind == Kind::kBits ? words32(shape.c) : shape.c};
}

// Do the elements of both lie in the same places, but for the border?
inline bool is_same_memory(Kind kind, const Layout& a, const Layout& b) {
    if (!a.border.is_empty() || !b.border.is_empty()) return false;
    const auto is_dense = [kind](const Layout& l) {
        return kind != Kind::kBits || l.shape.c % 32 == 0 || l.shape.n_pixels() == 1;
    };
    return (is_dense(a) && is_dense(b)) || a.shape.c == b.shape.c;
}

}  // namespace bimetal
