// Convolutions in matrix tiles (AMX): bits as bytes +1 and -1, multiplied sixteen pixels by sixteen channels at a time.
//
// One multiplication, C += A * B, takes 16 cycles: A is 16 pixels by 64 input channels, B 64 input channels by 16
// output channels, C 16 by 16 sums of int32. There are eight tile registers. Six hold C: six times sixteen pixels of
// the same sixteen output channels, one passes A after A, one holds B (the processor renames tiles, so nothing waits).
// A tile of B is expanded from bits just before it is used and serves six multiplications, which take longer than
// its expansion does; so weights stay one bit each in every cache and no expanded copy is kept.
// Few pixels, or windows of which little stays in the L1 cache, are better served by two tiles of B for each of A.
#include <immintrin.h>

#include "tile_grid.hpp"
#include "tile_weights.hpp"

namespace bimetal {

namespace {

using std::int32_t;
using std::int8_t;
using std::size_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

constexpr size_t kMostTiles = kMostRows / 16;  // of pixels in a block
constexpr size_t kChunksInL1 = 4;              // of all pixels of a block, so that every channel finds them there again

// Tile numbers are part of an instruction, so that they must be literals. The intrinsics of GCC 12 for loads do not
// tell the compiler that memory is read.
#define BIMETAL_LOAD(tile, from, step) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile::"r"(from), "r"(step) : "memory")
#define BIMETAL_MULTIPLY(c, a, b)                      \
    do {                                               \
        if constexpr (kIsBytes) _tile_dpbusd(c, a, b); \
        else _tile_dpbssd(c, a, b);                    \
    } while (0)

// ---- C += A * B ---------------------------------------------------------------------------------------------------

struct Window {
    size_t n_taps, chunks;
    const uint32_t* tap_offset;
    size_t chunk_step, pixel_step;
    const char *next, *next_end;  // see TileConvPlan
};

// A few lines a step: some 20 GB/s.
inline void fetch_some(Window& window) {
    constexpr size_t kLines = 8;
    if (window.next >= window.next_end) return;
    for (size_t i = 0; i < kLines; i++) _mm_prefetch(window.next + 64 * i, _MM_HINT_T1);
    window.next += 64 * kLines;
}

// Chunks outside, taps inside: neighbouring taps read the same pixels again, which are still in the L1 cache.
//
// A processor that has not stored a tile for some 2000 cycles takes 1000 more to store the next (measured on a Xeon;
// it seems to put a part of itself to sleep). So long windows store a tile now and then, for nobody.
template <class Step>
inline void for_each_step(Window& window, const Step& step) {
    alignas(64) int8_t nobody[kTile];
    size_t n = 0;
    for (size_t chunk = 0; chunk < window.chunks; chunk++)
        for (size_t tap = 0; tap < window.n_taps; tap++) {
            step(window.tap_offset[tap] + chunk * window.chunk_step);
            fetch_some(window);
            if (++n % 16 == 0) _tile_stored(7, nobody, 64);
        }
}

// M tiles of pixels by one of channels.
template <bool kIsBytes, size_t M, class Tiles>
inline void multiply(Window& window, const char* const* a, Tiles& tiles, int32_t* sums) {
    _tile_zero(0);
    if constexpr (M > 1) _tile_zero(1);
    if constexpr (M > 2) _tile_zero(2);
    if constexpr (M > 3) _tile_zero(3);
    if constexpr (M > 4) _tile_zero(4);
    if constexpr (M > 5) _tile_zero(5);
    const size_t step = window.pixel_step;
    for_each_step(window, [&](size_t offset) {
        BIMETAL_LOAD(7, tiles.next(), size_t{64});
#define BIMETAL_ONE(m)                        \
    if constexpr (M > m) {                    \
        BIMETAL_LOAD(6, a[m] + offset, step); \
        BIMETAL_MULTIPLY(m, 6, 7);            \
    }
        BIMETAL_ONE(0) BIMETAL_ONE(1) BIMETAL_ONE(2) BIMETAL_ONE(3) BIMETAL_ONE(4) BIMETAL_ONE(5)
#undef BIMETAL_ONE
    });
    _tile_stored(0, sums, 64);
    if constexpr (M > 1) _tile_stored(1, sums + 256, 64);
    if constexpr (M > 2) _tile_stored(2, sums + 512, 64);
    if constexpr (M > 3) _tile_stored(3, sums + 768, 64);
    if constexpr (M > 4) _tile_stored(4, sums + 1024, 64);
    if constexpr (M > 5) _tile_stored(5, sums + 1280, 64);
}

// M (one or two) tiles of pixels by two of channels, bits only; sums of the second follow those of the first.
template <size_t M, class Tiles>
inline void multiply_pair(Window& window, const char* const* a, Tiles& tiles, int32_t* sums) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const size_t step = window.pixel_step;
    for_each_step(window, [&](size_t offset) {
        const int8_t* b = tiles.next();
        BIMETAL_LOAD(6, b, size_t{64});
        BIMETAL_LOAD(4, a[0] + offset, step);
        _tile_dpbssd(0, 4, 6);
        BIMETAL_LOAD(7, b + kTile, size_t{64});
        _tile_dpbssd(2, 4, 7);
        if constexpr (M > 1) {
            BIMETAL_LOAD(5, a[1] + offset, step);
            _tile_dpbssd(1, 5, 6);
            _tile_dpbssd(3, 5, 7);
        }
    });
    _tile_stored(0, sums, 64);
    _tile_stored(2, sums + 256 * M, 64);
    if constexpr (M > 1) {
        _tile_stored(1, sums + 256, 64);
        _tile_stored(3, sums + 768, 64);
    }
}

// ---- Results -----------------------------------------------------------------------------------------------------

// Sums of output channels 16 * tile and up.
void finish_sums(const TileOut& out, size_t n_left, const Segments& segments, size_t tile, const int32_t* sums) {
    const __m512i bias = _mm512_loadu_si512(out.bias + 16 * tile);
    const size_t step = 4 * out.pixel_step;
    const __mmask16 wanted = static_cast<__mmask16>(n_left < 16 ? (1u << n_left) - 1 : 0xFFFF);
    for (size_t s = 0; s < segments.n; s++) {
        const int32_t* from = sums + 16 * segments.at[s].row;
        char* to = segments.at[s].out + 64 * tile;
        for (const int32_t* end = from + 16 * segments.at[s].n; from < end; from += 16, to += step)
            _mm512_mask_storeu_epi32(to, wanted, _mm512_add_epi32(_mm512_load_si512(from), bias));
    }
}

// Sixteen bits a pixel, half a word. C >= -bias is C > ~bias, where nothing overflows.
void finish_bits(const TileOut& out, size_t n_left, const Segments& segments, size_t tile, const int32_t* sums) {
    const __m512i bias = _mm512_loadu_si512(out.bias + 16 * tile);
    const __m512i below = _mm512_ternarylogic_epi32(bias, bias, bias, 0x55);
    const size_t step = 4 * out.pixel_step;
    const bool is_alone = tile % 2 == 0 && n_left <= 16;  // no other tile writes the upper half of the word
    for (size_t s = 0; s < segments.n; s++) {
        const int32_t* from = sums + 16 * segments.at[s].row;
        char* to = segments.at[s].out + 2 * tile;
#pragma GCC unroll 4
        for (const int32_t* end = from + 16 * segments.at[s].n; from < end; from += 16, to += step) {
            const uint32_t word = _mm512_cmpgt_epi32_mask(_mm512_load_si512(from), below);
            if (is_alone) __builtin_memcpy(to, &word, 4);
            else __builtin_memcpy(to, &word, 2);
        }
    }
}

void finish(const TileOut& out, size_t n_out, const Segments& segments, size_t tile, const int32_t* sums) {
    const auto work = out.makes_bits ? finish_bits : finish_sums;
    work(out, n_out - 16 * tile, segments, tile, sums);
}

// ---- Blocks -------------------------------------------------------------------------------------------------------

struct Channels {
    size_t first, end, n_out;  // tiles of sixteen; n_out in all
    Channels(size_t n_out_, size_t first_panel, size_t end_panel)
        : first(2 * first_panel), end((n_out_ + 15) / 16), n_out(n_out_) {
        if (end > 2 * end_panel) end = 2 * end_panel;
    }
};

// All channels for M tiles of pixels.
template <bool kIsBytes, size_t M, size_t N, class Tiles>
void block(Window& window, const char* const* a, Tiles& tiles, const TileOut& out, const Segments& segments,
           const Channels& channels) {
    alignas(64) int32_t sums[256 * M * N];
    for (size_t tile = channels.first; tile < channels.end; tile += N) {
        if constexpr (N == 2) multiply_pair<M>(window, a, tiles, sums);
        else multiply<kIsBytes, M>(window, a, tiles, sums);
        finish(out, channels.n_out, segments, tile, sums);
        if (N == 2 && tile + 1 < channels.end) finish(out, channels.n_out, segments, tile + 1, sums + 256 * M);
    }
}

// `place(i, slot)` says where the first window of tile i of the grid is.
template <bool kIsBytes, size_t N, class Tiles, class Place>
void run_blocks(const Grid& grid, size_t most, size_t row, Window& window, Tiles& tiles, const TileOut& out,
                const Channels& channels, const Place& place) {
    const size_t n_tiles = grid.n_tiles(), n_blocks = (n_tiles + most - 1) / most;
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t begin = n_tiles * b / n_blocks, n = n_tiles * (b + 1) / n_blocks - begin;
        const char* a[kMostTiles];
        Segments segments;
        for (size_t m = 0; m < n; m++) {
            a[m] = place(begin + m, m);
            segments.add(grid, out, row, begin + m, 16 * m);
        }
        const auto run = [&](auto work) { work(window, a, tiles, out, segments, channels); };
        if (n == 1) run(block<kIsBytes, 1, N, Tiles>);
        else if (N == 2 || n == 2) run(block<kIsBytes, 2, N, Tiles>);
        else if (n == 3) run(block<kIsBytes, 3, 1, Tiles>);
        else if (n == 4) run(block<kIsBytes, 4, 1, Tiles>);
        else if (n == 5) run(block<kIsBytes, 5, 1, Tiles>);
        else run(block<kIsBytes, 6, 1, Tiles>);
    }
}

template <size_t N>
void conv_bits(const TileConvPlan& plan, const Grid& grid, const int8_t* bytes, const TileOut& out, size_t row,
               const Channels& channels) {
    alignas(64) int8_t ring[BitTiles<N>::kRing * N * kTile];
    BitTiles<N> tiles(plan, channels.first, channels.end, ring);
    const Session session(grid.tile_rows, N == 2 ? 6 : 7);
    Window window{plan.n_taps,
                  plan.chunks,
                  plan.tap_offset,
                  plan.chunk_step,
                  plan.pixel_step,
                  plan.next,
                  plan.next + plan.next_bytes};
    run_blocks<false, N>(grid, N == 2 ? 2 : kMostTiles, row, window, tiles, out, channels, [&](size_t tile, size_t) {
        return reinterpret_cast<const char*>(bytes) + (row + grid.line_of(tile)) * plan.row_step +
               grid.start_of(tile) * plan.pixel_step;
    });
}

void conv(const TileConvPlan& plan, const int8_t* bytes, const TileOut& out, size_t row, size_t row_end, size_t first,
          size_t end) {
    const Channels channels(plan.n_out, first, end);
    if (row == row_end || channels.first >= channels.end) return;
    const size_t pitch = plan.row_step % plan.pixel_step ? 0 : plan.row_step / plan.pixel_step;
    const Grid grid(row_end - row, plan.out_w, pitch);
    const bool rereads = plan.n_taps > 1 || plan.chunks <= kChunksInL1;
    if (grid.n_tiles() > 2 && rereads) return conv_bits<1>(plan, grid, bytes, out, row, channels);
    return conv_bits<2>(plan, grid, bytes, out, row, channels);
}

// ---- Bytes --------------------------------------------------------------------------------------------------------

// Copies a run of n bytes at most `kWidth`, and up to kWidth - n more, which the next one overwrites.
template <size_t kWidth>
inline void copy_run(const char* from, uint64_t wanted, char* to) {
    if constexpr (kWidth == 16) _mm_storeu_epi8(to, _mm_maskz_loadu_epi8(static_cast<__mmask16>(wanted), from));
    else if constexpr (kWidth == 32)
        _mm256_storeu_epi8(to, _mm256_maskz_loadu_epi8(static_cast<__mmask32>(wanted), from));
    else _mm512_storeu_epi8(to, _mm512_maskz_loadu_epi8(wanted, from));
}

inline uint64_t low_bits(size_t n) { return n < 64 ? (UINT64_C(1) << n) - 1 : ~UINT64_C(0); }

template <size_t kWidth>
inline void gather_window(const TileByteConvPlan& plan, const char* window, char* to) {
    const size_t n = plan.run_bytes, whole = (n - 1) / kWidth * kWidth;
    const uint64_t all = low_bits(kWidth), rest = low_bits(n - whole);
    for (size_t r = 0; r < plan.n_runs; r++, to += n) {
        const char* from = window + plan.run_offset[r];
        for (size_t i = 0; i < whole; i += kWidth) copy_run<kWidth>(from + i, all, to + i);
        copy_run<kWidth>(from + whole, rest, to + whole);
    }
}

// The windows of a tile of pixels, run after run; row is that of pixel 0, `first` counts on over rows.
template <size_t kWidth>
void gather(const TileByteConvPlan& plan, const char* bytes, size_t row, size_t first, size_t n, char* to) {
    size_t y = row + first / plan.out_w, x = first % plan.out_w;
    for (size_t i = 0; i < n; i++, to += 64 * plan.n_steps) {
        gather_window<kWidth>(plan, bytes + y * plan.row_step + x * plan.pixel_step, to);
        if (++x == plan.out_w) x = 0, y++;
    }
}

void byte_conv(const TileByteConvPlan& plan, const uint8_t* bytes, const TileOut& out, size_t row, size_t row_end,
               size_t first, size_t end, void* scratch) {
    const Channels channels(plan.n_out, first, end);
    if (row == row_end || channels.first >= channels.end) return;
    const Grid grid(row_end - row, plan.out_w, plan.out_w);
    const uint32_t none = 0;
    const size_t window_bytes = 64 * plan.n_steps;
    Window window{1, plan.n_steps, &none, 64, window_bytes, nullptr, nullptr};
    ByteTiles tiles(plan.weights, plan.n_steps, channels.first, channels.end);
    const auto work = plan.run_bytes <= 16 ? gather<16> : plan.run_bytes <= 32 ? gather<32> : gather<64>;
    const Session session(grid.tile_rows, 7);
    run_blocks<true, 1>(grid, kMostTiles, row, window, tiles, out, channels, [&](size_t tile, size_t slot) {
        char* to = static_cast<char*>(scratch) + slot * 16 * window_bytes;
        const char* from = reinterpret_cast<const char*>(bytes);
        work(plan, from, row + grid.line_of(tile), grid.start_of(tile), grid.tile_rows, to);
        return to;
    });
}

void byte_taps(const TileTapsPlan& plan, const uint8_t* bytes, const TileOut& out, size_t row, size_t row_end,
               size_t first, size_t end) {
    const Channels channels(plan.n_out, first, end);
    if (row == row_end || channels.first >= channels.end) return;
    const Grid grid(row_end - row, plan.out_w, plan.row_step % plan.pixel_step ? 0 : plan.row_step / plan.pixel_step);
    ByteTiles tiles(plan.weights, plan.n_taps, channels.first, channels.end);
    const Session session(grid.tile_rows, 7);
    Window window{plan.n_taps, 1, plan.tap_offset, 0, plan.pixel_step, nullptr, nullptr};
    run_blocks<true, 1>(grid, kMostTiles, row, window, tiles, out, channels, [&](size_t tile, size_t) {
        return reinterpret_cast<const char*>(bytes) + (row + grid.line_of(tile)) * plan.row_step +
               grid.start_of(tile) * plan.pixel_step;
    });
}

// ---- Spread -------------------------------------------------------------------------------------------------------

void spread(const uint32_t* words, size_t n_pixels, size_t channels, size_t chunks, size_t pixel_step,
            size_t chunk_step, int8_t* bytes) {
    const __m512i minus = _mm512_set1_epi8(-1), plus = _mm512_set1_epi8(1);
    const size_t n_words = (channels + 31) / 32;
    for (size_t p = 0; p < n_pixels; p++, words += n_words)
        for (size_t c = 0; c < chunks; c++) {
            const size_t n = channels - 64 * c;
            const uint64_t high = n > 32 ? words[2 * c + 1] : 0;
            const __mmask64 bits = _cvtu64_mask64(words[2 * c] | high << 32);
            const __mmask64 wanted = n < 64 ? (UINT64_C(1) << n) - 1 : ~UINT64_C(0);
            _mm512_storeu_si512(bytes + p * pixel_step + c * chunk_step,
                                _mm512_maskz_mov_epi8(wanted, _mm512_mask_blend_epi8(bits, minus, plus)));
        }
}

}  // namespace

const TileKernels kAmxTiles = {spread, conv, byte_conv, byte_taps};

}  // namespace bimetal
