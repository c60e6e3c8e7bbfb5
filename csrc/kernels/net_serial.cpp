// The portable kernels of maps: plain C++ that any compiler understands, loops over lanes that most make vectors of.
#include <string.h>

#include <cstddef>
#include <cstdint>

#include "../net/kernels.hpp"

namespace {

struct Isa {
    using V = std::uint32_t;
    static constexpr std::size_t kVectorLanes = 1, kPixels = 1, kBytePixels = 1, kLanes = 64;

    template <std::size_t kVectors>
    static void count(const bimetal::BitConvPlan& plan, const void* const* windows, const std::uint32_t* weights,
                      V (&count)[1][kVectors]);
    template <std::size_t kVectors>
    static void multiply(const bimetal::ByteConvPlan& plan, const void* const* windows, const std::int8_t* weights,
                         V (&sum)[1][kVectors]);

    static std::uint32_t at_most(V count, const std::int32_t* limit) {
        return static_cast<std::int32_t>(count) <= *limit;
    }
    static std::uint32_t not_negative(V sum, const std::int32_t* limit) { return ~sum_and_limit(sum, limit) >> 31; }
    static V limit_less_twice(V count, const std::int32_t* limit) { return static_cast<V>(*limit) - 2 * count; }
    static V sum_and_limit(V sum, const std::int32_t* limit) { return sum + static_cast<V>(*limit); }
    static void store(std::int32_t* to, V v) { memcpy(to, &v, sizeof v); }
    static void store_some(std::int32_t*, V, std::size_t) {}  // a lone lane is there or not
};

}  // namespace

#include "net_common.hpp"
#include "net_portable.hpp"

namespace {

// ---- Bits: each byte of a lane counts by itself, for as many words as surely fit ----------------------------------

constexpr size_t kMostWords = 31;  // 8 * 31 < 256

// Adds the set bits of up to three words, which fit four bits, to every byte of each lane.
template <size_t kWords, size_t kLanes>
inline void add_words(const uint32_t* window, const uint32_t* weights, uint32_t (&bytes)[kLanes]) {
    for (size_t lane = 0; lane < kLanes; lane++) {
        uint32_t nibbles = 0;
        for (size_t k = 0; k < kWords; k++) {
            uint32_t x = window[k] ^ weights[k * kPanel + lane];
            x -= x >> 1 & 0x55555555;
            nibbles += (x & 0x33333333) + (x >> 2 & 0x33333333);
        }
        bytes[lane] += (nibbles & 0x0F0F0F0F) + (nibbles >> 4 & 0x0F0F0F0F);
    }
}

template <size_t kLanes>
inline void flush(uint32_t (&bytes)[kLanes], uint32_t (&count)[kLanes]) {
    for (size_t lane = 0; lane < kLanes; lane++) {
        const uint32_t pairs = (bytes[lane] & 0x00FF00FF) + (bytes[lane] >> 8 & 0x00FF00FF);
        count[lane] += (pairs & 0xFFFF) + (pairs >> 16);
        bytes[lane] = 0;
    }
}

template <size_t kVectors>
void Isa::count(const BitConvPlan& plan, const void* const* windows, const uint32_t* weights, V (&count)[1][kVectors]) {
    uint32_t bytes[kVectors] = {};
    memset(count, 0, sizeof count);
    size_t room = kMostWords;
    for (size_t run = 0; run < plan.n_runs; run++) {
        const uint32_t* window = static_cast<const uint32_t*>(*windows) + plan.run_offset[run];
        for (size_t left = plan.run_words; left;) {
            if (room < 3) flush(bytes, count[0]), room = kMostWords;
            const size_t n = left < 3 ? left : 3;
            if (n == 3) add_words<3>(window, weights, bytes);
            else if (n == 2) add_words<2>(window, weights, bytes);
            else add_words<1>(window, weights, bytes);
            window += n, weights += n * kPanel, left -= n, room -= n;
        }
    }
    flush(bytes, count[0]);
}

// ---- Bytes: a product fits int16; each of the four bytes of a quad has a sum of its own -----------------------------

template <size_t kVectors>
void Isa::multiply(const ByteConvPlan& plan, const void* const* windows, const int8_t* weights, V (&sum)[1][kVectors]) {
    uint32_t sums[4 * kVectors] = {};
    for (size_t run = 0; run < plan.n_runs; run++) {
        const uint8_t* window = static_cast<const uint8_t*>(*windows) + plan.run_offset[run];
        for (size_t quad = 0; quad < plan.run_quads; quad++, window += 4, weights += 4 * kPanel) {
            std::int16_t x[16];
            for (size_t i = 0; i < 16; i++) x[i] = window[i % 4];
            for (size_t i = 0; i < 4 * kVectors; i += 16)
                for (size_t j = 0; j < 16; j++)
                    sums[i + j] += static_cast<uint32_t>(static_cast<std::int16_t>(x[j] * weights[i + j]));
        }
    }
    for (size_t lane = 0; lane < kVectors; lane++)
        sum[0][lane] = sums[4 * lane] + sums[4 * lane + 1] + sums[4 * lane + 2] + sums[4 * lane + 3];
}

}  // namespace

namespace bimetal {

const NetKernels kNetSerial = {bit_conv<true>,
                               bit_conv<false>,
                               byte_conv<true>,
                               byte_conv<false>,
                               gather_planes_portable,
                               scatter_planes_portable,
                               bits_to_bytes_portable,
                               or_words_portable,
                               quantize_portable,
                               moments_portable,
                               nullptr};

}  // namespace bimetal
