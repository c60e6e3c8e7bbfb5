// What the kernels of maps see: constants laid out for them, and the table of functions that each instruction set
// fills. Plain old data, as in plan.hpp.
//
// A map of bits lies in packed 32-bit words, pixel after pixel, row after row, with a border of pixels around it, so
// that every window of a convolution lies inside. A pixel has ceil(channels / 32) words; channel c is bit c % 32 of
// word c / 32; bits beyond the channels are 0 in maps and in weights. Maps of bytes, ints and floats have one element
// a channel. What a window reads is a few *runs*: stretches of memory that begin at fixed offsets from its first pixel.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bimetal {

constexpr std::size_t kPanel = 64;  // output channels worked on together; the last panel may have fewer

// Convolution of bits with bits. `count` below is popcount(window XOR weights), over all runs.
struct BitConvPlan {
    std::size_t n_out, n_panels;
    std::size_t n_runs, run_words;    // a window: n_runs runs of run_words words each
    const std::uint32_t* run_offset;  // (n_runs,) in words, from the first word of the window
    const std::uint32_t* weights;     // (n_panels, n_runs * run_words, 64): lane = output channel; 64-byte aligned
};

// Convolution of bytes with signed bytes.
struct ByteConvPlan {
    std::size_t n_out, n_panels;
    std::size_t n_runs, run_quads;  // a window: n_runs runs of 4 * run_quads bytes; the last may read 3 bytes of slack
    const std::uint32_t* run_offset;  // (n_runs,) in bytes
    const std::int8_t* weights;       // (n_panels, n_runs * run_quads, 64, 4); 0 on slack; 64-byte aligned
};

// Where the results of one call go, for each of n pixels. `limits[i]` holds one int32 for each output channel, padded
// to whole panels with INT32_MIN (so that nothing beyond the last channel fires). Pixels of one kind share them.
struct Pixels {
    std::size_t n;
    const void* const* windows;         // (n,) first word or byte of the window
    const std::int32_t* const* limits;  // (n,) see each kernel
    void* const* outs;                  // (n,) words of the output pixel (bits), or its first int32 (sums)
};

// Sum and sum of squares.
struct Moments {
    std::int32_t sum;
    std::uint64_t squares;
};

// One instruction set's kernels for maps. All panels in [first, end) are computed for all pixels.
struct NetKernels {
    // Bit o of the output pixel = count <= limits[o]. A panel writes one word where it has at most 32 channels, else
    // two.
    void (*bit_conv_bits)(const BitConvPlan&, const Pixels&, std::size_t first, std::size_t end);
    // out[o] = limits[o] - 2 * count, modulo 2**32, for the n_out channels only.
    void (*bit_conv_sums)(const BitConvPlan&, const Pixels&, std::size_t first, std::size_t end);
    // With s = sum of window byte * weight (int32): bit o = s + limits[o] >= 0 (limits padded with INT32_MIN; no
    // sum overflows).
    void (*byte_conv_bits)(const ByteConvPlan&, const Pixels&, std::size_t first, std::size_t end);
    // out[o] = s + limits[o].
    void (*byte_conv_sums)(const ByteConvPlan&, const Pixels&, std::size_t first, std::size_t end);

    // words (n_words, 32 * n_blocks rows given by pointers) <-> bit planes, for the planes kernels of plan.hpp.
    // planes[(32 * w + b) * plane_words ...]: bit i of plane 32 * w + b is bit b of rows[i][w]; i < n_rows, else 0;
    // a plane has n_lanes bits (n_lanes / 64 uint64 words).
    void (*gather_planes)(const std::uint32_t* const* rows, std::size_t n_rows, std::size_t n_words,
                          std::size_t n_lanes, std::uint64_t* planes);
    // The inverse: rows[i][w] gets the bits of planes 32 * w ... (n_bits planes in all, bits beyond are 0).
    void (*scatter_planes)(const std::uint64_t* planes, std::size_t n_bits, std::size_t n_lanes, std::size_t n_rows,
                           std::uint32_t* const* rows);

    // n bits of packed words -> n bytes, 0 or 1.
    void (*bits_to_bytes)(const std::uint32_t* words, std::size_t n, std::uint8_t* bytes);
    // OR of n_rows stretches of n_words words.
    void (*or_words)(const std::uint32_t* const* rows, std::size_t n_rows, std::size_t n_words, std::uint32_t* out);
    // bytes = min(max(rint(x * scale[c] + offset[c]), 0), 255), NaN -> 0, where c = i % channels.
    void (*quantize)(const float* x, std::size_t n, std::size_t channels, const float* scale, const float* offset,
                     std::uint8_t* bytes);
    // Of n elements, each brought into +-most first; n * most < 2**31, so that neither sum overflows.
    Moments (*moments)(const std::int32_t* x, std::size_t n, std::int32_t most);

    const struct TileKernels* tiles;  // matrix tiles, or null where the processor has none
};

// ---- Matrix tiles (AMX): sixteen pixels by sixteen channels at a time, on bits spread to bytes --------------------
//
// The map is spread to bytes first (+1, -1; 0 in a border of zeros), 64 channels a chunk, those beyond the last 0.
// A tile of A is 16 pixels by the 64 channels of one chunk of one tap; a tile of B is the same 64 channels by 16
// output channels, expanded from bits when needed. One step is a chunk of a tap; steps go tap after tap within a
// chunk, and chunk after chunk.
//
// The bytes of a pixel's chunks may lie side by side (chunk_step 64, pixels 64 * chunks bytes apart) or, better for
// the caches where there are many, in planes: chunk_step = bytes of a plane, pixels 64 bytes apart.
struct TileConvPlan {
    std::size_t n_out, n_panels;  // panels of 32 output channels
    std::size_t n_taps, chunks;
    const std::uint32_t* tap_offset;  // (n_taps,) bytes from the first byte of the window
    std::size_t chunk_step;           // bytes between chunks
    std::size_t pixel_step;           // bytes between the windows of neighbouring output pixels
    std::size_t row_step;             // bytes between the windows of the first pixels of neighbouring output rows
    std::size_t out_h, out_w;
    const std::uint64_t* weights;  // (n_panels, chunks, n_taps, 2 tiles, 16): word i of a tile: bit 4 * n + j =
                                   // weight of channel 64 * chunk + 4 * i + j for output n of 16
    const char* next;              // what a later step will stream from memory, or null: fetched into the L2 cache
    std::size_t next_bytes;        // meanwhile, because multiplying leaves memory idle
};

// Bytes with int8 weights. A window is gathered into one stretch of bytes, run after run, cut into steps of 64.
struct TileByteConvPlan {
    std::size_t n_out, n_panels;  // panels of 32 output channels
    std::size_t n_runs, run_bytes;
    const std::uint32_t* run_offset;  // (n_runs,) bytes from the first byte of the window
    std::size_t pixel_step, row_step, out_h, out_w;
    std::size_t n_steps;         // ceil(n_runs * run_bytes / 64)
    const std::int8_t* weights;  // (n_panels, n_steps, 2 tiles, 16, 64): byte 4 * n + j of row i = weight of byte
                                 // 64 * step + 4 * i + j for output n of 16; 0 beyond the window; 64-byte aligned
    std::size_t scratch_bytes() const { return 96 * 64 * n_steps + 64; }
};

// Bytes with int8 weights where each tap of a pixel is a chunk of 64 bytes in its place: nothing is gathered.
struct TileTapsPlan {
    std::size_t n_out, n_panels;  // panels of 32 output channels
    std::size_t n_taps;
    const std::uint32_t* tap_offset;  // (n_taps,) bytes from the first byte of the window
    std::size_t pixel_step, row_step, out_h, out_w;
    const std::int8_t* weights;  // as those of TileByteConvPlan, a step a tap
};

struct TileOut {
    void* out;               // first word (bits) or int32 (sums) of output pixel (0, 0)
    std::size_t pixel_step;  // words or int32 between neighbouring output pixels
    std::size_t row_step;
    bool makes_bits;
    const std::int32_t* bias;  // (32 * n_panels,) padded with INT32_MIN for bits
};

struct TileKernels {
    // Packed bits of n_pixels pixels, one behind the other -> bytes +1 / -1, 0 beyond the channels. Pixels and chunks
    // of bytes lie pixel_step and chunk_step apart; chunks = ceil(channels / 64).
    void (*spread)(const std::uint32_t* words, std::size_t n_pixels, std::size_t channels, std::size_t chunks,
                   std::size_t pixel_step, std::size_t chunk_step, std::int8_t* bytes);
    // sum + bias[o] >= 0 -> bit o, or sum + bias[o] -> int32, for output rows [row, row_end) and panels [first, end).
    // A panel of bits writes one word, bits beyond n_out are 0.
    void (*conv)(const TileConvPlan&, const std::int8_t* bytes, const TileOut&, std::size_t row, std::size_t row_end,
                 std::size_t first, std::size_t end);
    // The same; scratch: plan.scratch_bytes(), 64-byte aligned.
    void (*byte_conv)(const TileByteConvPlan&, const std::uint8_t* bytes, const TileOut&, std::size_t row,
                      std::size_t row_end, std::size_t first, std::size_t end, void* scratch);
    void (*byte_taps)(const TileTapsPlan&, const std::uint8_t* bytes, const TileOut&, std::size_t row,
                      std::size_t row_end, std::size_t first, std::size_t end);
};

extern const NetKernels kNetSerial;
extern const NetKernels kNetAvx2;
extern const NetKernels kNetAvx512;
extern const NetKernels kNetAvx512Zen4;  // the same on another instruction mix
extern const NetKernels kNetNeon;
extern const TileKernels kAmxTiles;

}  // namespace bimetal
