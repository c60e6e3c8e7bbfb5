// Tiles set up, and tiles of weights: expanded from bits, or as they are. In an anonymous namespace, as everything that
// is compiled for one instruction set.
#pragma once

#include <immintrin.h>

#include "../net/kernels.hpp"

namespace bimetal {

namespace {

using std::int8_t;
using std::size_t;
using std::uint16_t;
using std::uint64_t;
using std::uint8_t;

constexpr size_t kTile = 1024;  // bytes of a tile

struct Config {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

// The first tiles (C and A) have one row a pixel, the others (B) sixteen. Lasts as long as tiles are used.
struct Session {
    Session(size_t pixels, size_t n_pixel_tiles) {
        Config config;
        for (size_t i = 0; i < 8; i++) {
            config.row_bytes[i] = 64;
            config.rows[i] = static_cast<uint8_t>(i < n_pixel_tiles ? pixels : 16);
        }
        __asm__ volatile("ldtilecfg %0" ::"m"(config));  // the intrinsic tells of 8 of these 64 bytes only
    }
    ~Session() { _tile_release(); }
};

// ---- B: weights ---------------------------------------------------------------------------------------------------

// Each row of a tile is 64 bits in 64 bytes.
inline void expand(const uint64_t* words, int8_t* tile) {
    const __m512i minus = _mm512_set1_epi8(-1), plus = _mm512_set1_epi8(1);
    for (size_t i = 0; i < 16; i++)
        _mm512_store_si512(tile + 64 * i, _mm512_mask_blend_epi8(_cvtu64_mask64(words[i]), minus, plus));
}

// Goes through tiles [first, end) of output channels, N side by side, step by step, and begins again at the end.
// Expands a few steps ahead, because a load of what was stored just now waits.
template <size_t N>
class BitTiles {
 public:
    BitTiles(const TileConvPlan& plan, size_t first, size_t end, int8_t* ring)
        : weights_(plan.weights), n_steps_(plan.n_taps * plan.chunks), first_(first), end_(end), ring_(ring) {
        seek(first);
        for (size_t i = 0; i < kAhead; i++) ahead();
    }
    const int8_t* next() {
        ahead();
        return ring_ + (count_ - kAhead - 1) % kRing * N * kTile;
    }
    static constexpr size_t kAhead = 4, kRing = 8;

 private:
    void seek(size_t tile) {
        tile_ = tile, left_ = n_steps_;
        from_ = weights_ + (tile / 2 * n_steps_ * 2 + tile % 2) * 16;
    }
    void ahead() {
        if (!left_) seek(tile_ + N < end_ ? tile_ + N : first_);
        int8_t* to = ring_ + count_++ % kRing * N * kTile;
        for (size_t i = 0; i < N; i++) expand(from_ + 16 * i, to + kTile * i);
        from_ += 32, left_--;
    }
    const uint64_t *weights_, *from_;
    size_t n_steps_, first_, end_, tile_, left_, count_ = 0;
    int8_t* ring_;
};

// The same for int8 weights, which are tiles as they are; one at a time.
class ByteTiles {
 public:
    ByteTiles(const int8_t* weights, size_t n_steps, size_t first, size_t end)
        : weights_(weights), n_steps_(n_steps), first_(first), end_(end) {
        seek(first);
    }
    const int8_t* next() {
        if (!left_) seek(tile_ + 1 < end_ ? tile_ + 1 : first_);
        const int8_t* tile = from_;
        from_ += 2 * kTile, left_--;
        return tile;
    }

 private:
    void seek(size_t tile) {
        tile_ = tile, left_ = n_steps_;
        from_ = weights_ + (tile / 2 * n_steps_ * 2 + tile % 2) * kTile;
    }
    const int8_t *weights_, *from_;
    size_t n_steps_, first_, end_, tile_, left_;
};

}  // namespace

}  // namespace bimetal
