// Which output pixels the rows of matrix tiles are. In an anonymous namespace, as everything that is compiled for one
// instruction set; without the standard library, for the same reason.
#pragma once

#include "../net/kernels.hpp"

namespace bimetal {

namespace {

using std::size_t;

constexpr size_t kMostRows = 96;  // pixels worked on together: six tiles of sixteen

// Tiles of pixels are cut from lines. A line is an output row; or all rows, one behind the other, with the pixels of
// the border that lie between, whose sums nobody takes. The last tile of a line overlaps the one before, so that all
// have the same number of rows and nothing beyond the line is read.
struct Grid {
    size_t n_lines, length, pitch, out_w;  // pixel i of line l: row l + i / pitch, column i % pitch
    size_t tile_rows, line_tiles;

    // flat_pitch: how many pixels a pixel is from the one below it; 0 if that is not a whole number.
    Grid(size_t n_rows, size_t out_w_, size_t flat_pitch) : out_w(out_w_) {
        const size_t flat = flat_pitch >= out_w ? (n_rows - 1) * flat_pitch + out_w : 0;
        const bool is_flat = flat && (flat + 15) / 16 <= n_rows * ((out_w + 15) / 16);
        n_lines = is_flat ? 1 : n_rows;
        length = is_flat ? flat : out_w;
        pitch = is_flat ? flat_pitch : out_w;
        tile_rows = length < 16 ? length : 16;
        line_tiles = (length + 15) / 16;
    }
    size_t n_tiles() const { return n_lines * line_tiles; }
    size_t line_of(size_t tile) const { return tile / line_tiles; }
    size_t start_of(size_t tile) const {
        const size_t start = tile % line_tiles * 16;
        return start + tile_rows <= length ? start : length - tile_rows;
    }
};

// Pixels side by side: n rows of C from `row` on.
struct Segment {
    size_t row, n;
    char* out;
};

struct Segments {
    size_t n = 0;
    Segment at[kMostRows];

    void add(const Grid& grid, const TileOut& out, size_t first_row, size_t tile, size_t row) {
        const size_t start = grid.start_of(tile), line = grid.line_of(tile);
        for (size_t i = 0; i < grid.tile_rows;) {
            const size_t y = (start + i) / grid.pitch, x = (start + i) % grid.pitch;
            size_t take = (x < grid.out_w ? grid.out_w : grid.pitch) - x;
            if (take > grid.tile_rows - i) take = grid.tile_rows - i;
            if (x < grid.out_w) {
                const size_t to = (first_row + line + y) * out.row_step + x * out.pixel_step;
                at[n++] = {row + i, take, static_cast<char*>(out.out) + 4 * to};
            }
            i += take;
        }
    }
};

}  // namespace

}  // namespace bimetal
