// What this core can do at best: rates of the instructions that inference lives on, and of reading memory.
//
// Prints one JSON object: {"name": [units a second, units a cycle], ...}. A unit is one multiply-accumulate (of bits,
// bytes or floats) or, under "read", one byte. Each figure is the best twentieth of many short slices, so that a noisy
// neighbour does not lower a ceiling. Compiled and run by benchmarks/engine.py; no part of the package.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Ten additions that wait for each other: a cycle each. (Of registers: some processors fold constants away.)
void ten_cycles(std::uint64_t& x) {
#if defined(__x86_64__)
    asm volatile(
        "add %0,%0\nadd %0,%0\nadd %0,%0\nadd %0,%0\nadd %0,%0\n"
        "add %0,%0\nadd %0,%0\nadd %0,%0\nadd %0,%0\nadd %0,%0\n"
        : "+r"(x));
#else
    asm volatile(
        "add %0,%0,%0\nadd %0,%0,%0\nadd %0,%0,%0\nadd %0,%0,%0\nadd %0,%0,%0\n"
        "add %0,%0,%0\nadd %0,%0,%0\nadd %0,%0,%0\nadd %0,%0,%0\nadd %0,%0,%0\n"
        : "+r"(x));
#endif
}

bool first = true;

void print(const char* name, double per_second, double per_cycle) {
    std::printf("%s\"%s\": [%.6g, %.6g]", first ? "" : ", ", name, per_second, per_cycle);
    first = false;
}

// Seconds a call of f, and cycles a call, by a chain of dependent additions timed in the same slice.
template <class F>
void measure(const char* name, double units, F f) {
    constexpr int kSlices = 200, kCalls = 1000, kAdds = 4000;
    std::vector<double> seconds, cycles;
    for (int slice = 0; slice < kSlices; ++slice) {
        std::uint64_t x = 1;
        const double a = now();
        for (int i = 0; i < kAdds / 10; ++i) {
            ten_cycles(x);
        }
        const double b = now();
        for (int i = 0; i < kCalls; ++i) f();
        const double c = now();
        seconds.push_back((c - b) / kCalls);
        cycles.push_back((c - b) / kCalls / ((b - a) / kAdds));
    }
    std::sort(seconds.begin(), seconds.end());
    std::sort(cycles.begin(), cycles.end());
    print(name, units / seconds[kSlices / 20], units / cycles[kSlices / 2]);
}

}  // namespace

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

alignas(64) char memory[16384];

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512vnni")))
#define AVX2 __attribute__((target("avx2,fma")))
#define ZMM                                                                                                         \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",      \
        "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", \
        "memory"
#define YMM                                                                                                    \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
        "xmm13", "xmm14", "xmm15", "memory"
// Eight (or sixteen) of an instruction, no two of which wait for each other.
#define EIGHT(M) M(1, 9) M(2, 10) M(3, 11) M(4, 12) M(5, 13) M(6, 14) M(7, 15) M(8, 16)
#define MANY(M) EIGHT(M) M(9, 1) M(10, 2) M(11, 3) M(12, 4) M(13, 5) M(14, 6) M(15, 7) M(16, 8)

// The binary multiply-accumulate as a kernel meets it: XOR with a broadcast word, count, add.
#define TRIPLE(a, c)                                                                                           \
    "vpxord 64(%0)%{1to16%},%%zmm0,%%zmm" #a "\nvpopcntd %%zmm" #a ",%%zmm" #a "\nvpaddd %%zmm" #a ",%%zmm" #c \
    ",%%zmm" #c "\n"
#define POPCOUNT(a, c) "vpopcntd %%zmm0,%%zmm" #a "\n"
#define TERNARY(a, c) "vpternlogd $0x96,%%zmm0,%%zmm0,%%zmm" #a "\n"
#define VNNI(a, c) "vpdpbusd %%zmm0,%%zmm0,%%zmm" #a "\n"
#define FMA(a, c) "vfmadd231ps %%zmm0,%%zmm0,%%zmm" #a "\n"
AVX512 void triple() { asm volatile(EIGHT(TRIPLE)::"r"(memory) : ZMM); }
AVX512 void popcount() { asm volatile(MANY(POPCOUNT) MANY(POPCOUNT) MANY(POPCOUNT)::: ZMM); }
AVX512 void ternary() { asm volatile(MANY(TERNARY) MANY(TERNARY) MANY(TERNARY)::: ZMM); }
AVX512 void vnni() { asm volatile(MANY(VNNI) MANY(VNNI) MANY(VNNI)::: ZMM); }
AVX512 void fma() { asm volatile(MANY(FMA) MANY(FMA) MANY(FMA)::: ZMM); }

// AVX2 counts the bits of bytes by two table look-ups: XOR, two ANDs, a shift, two shuffles, two additions.
#define LOOKUP(a, b, c)                                                                                      \
    "vpxor 64(%0),%%ymm0,%%ymm" #a "\nvpsrlw $4,%%ymm" #a ",%%ymm" #b "\nvpand %%ymm13,%%ymm" #a ",%%ymm" #a \
    "\nvpand %%ymm13,%%ymm" #b ",%%ymm" #b "\nvpshufb %%ymm" #a ",%%ymm14,%%ymm" #a "\nvpshufb %%ymm" #b     \
    ",%%ymm14,%%ymm" #b "\nvpaddb %%ymm" #a ",%%ymm" #c ",%%ymm" #c "\nvpaddb %%ymm" #b ",%%ymm" #c ",%%ymm" #c "\n"
#define FMA_256(a) "vfmadd231ps %%ymm0,%%ymm0,%%ymm" #a "\n"
AVX2 void lookup() {
    asm volatile(LOOKUP(1, 2, 9) LOOKUP(3, 4, 10) LOOKUP(5, 6, 11) LOOKUP(7, 8, 12)::"r"(memory) : YMM);
}
AVX2 void fma_256() {
    asm volatile(FMA_256(1) FMA_256(2) FMA_256(3) FMA_256(4) FMA_256(5) FMA_256(6) FMA_256(7) FMA_256(8) FMA_256(9)
                     FMA_256(10) FMA_256(11) FMA_256(12)::
                         : YMM);
}

// Matrix tiles. Raw bytes of `tdpbssd tmm2, tmm1, tmm0` and friends would do too; any binutils since 2020 knows them.
struct TileConfig {
    std::uint8_t palette, start, reserved[14];
    std::uint16_t row_bytes[16];
    std::uint8_t rows[16];
};

bool open_tiles() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & (1U << 25)) || !(d & (1U << 24))) return false;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return false;
    alignas(64) TileConfig config{};
    config.palette = 1;
    for (int t = 0; t < 8; ++t) {
        config.row_bytes[t] = 64;
        config.rows[t] = 16;
    }
    asm volatile("ldtilecfg %0" ::"m"(config));
    return true;
}

void tiles() {
    asm volatile(
        "tdpbssd %%tmm5,%%tmm4,%%tmm0\ntdpbssd %%tmm6,%%tmm4,%%tmm1\ntdpbssd %%tmm5,%%tmm7,%%tmm2\n"
        "tdpbssd %%tmm6,%%tmm7,%%tmm3\n" ::
            : "memory");
}

void tiles_with_loads() {
    const std::int64_t stride = 64;
    asm volatile(
        "tileloadd (%0,%1,1),%%tmm4\ntileloadd 1024(%0,%1,1),%%tmm5\ntdpbssd %%tmm5,%%tmm4,%%tmm0\n"
        "tileloadd 2048(%0,%1,1),%%tmm6\ntdpbssd %%tmm6,%%tmm4,%%tmm1\n"
        "tileloadd 3072(%0,%1,1),%%tmm7\ntdpbssd %%tmm5,%%tmm7,%%tmm2\ntdpbssd %%tmm6,%%tmm7,%%tmm3\n" ::"r"(memory),
        "r"(stride)
        : "memory");
}

AVX512 std::uint64_t read_512(const char* p, std::size_t n) {
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (std::size_t i = 0; i < n; i += 256) {
        a = _mm512_xor_si512(a, _mm512_load_si512(p + i));
        b = _mm512_xor_si512(b, _mm512_load_si512(p + i + 64));
        c = _mm512_xor_si512(c, _mm512_load_si512(p + i + 128));
        d = _mm512_xor_si512(d, _mm512_load_si512(p + i + 192));
    }
    return static_cast<std::uint64_t>(
        _mm512_reduce_add_epi64(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d))));
}

void instructions() {
    if (__builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni")) {
        measure("xor + popcount + add, 512 bits", 8 * 512, triple);
        measure("popcount, 512 bits", 48 * 512, popcount);
        measure("three-input logic, 512 bits", 48 * 512, ternary);
        measure("int8 VNNI, 512 bits", 48 * 64, vnni);
        measure("float32 FMA, 512 bits", 48 * 16, fma);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        measure("xor + popcount + add by look-up, 256 bits", 4 * 256, lookup);
        measure("float32 FMA, 256 bits", 12 * 8, fma_256);
    }
    if (open_tiles()) {
        measure("int8 AMX", 4 * 16384, tiles);
        measure("int8 AMX with loads from L1", 4 * 16384, tiles_with_loads);
    }
}

std::uint64_t read(const char* p, std::size_t n) {
    if (__builtin_cpu_supports("avx512f")) return read_512(p, n);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; i += 8) sum ^= *reinterpret_cast<const std::uint64_t*>(p + i);
    return sum;
}

}  // namespace

#else

namespace {
void instructions() {}
std::uint64_t read(const char* p, std::size_t n) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; i += 8) sum ^= *reinterpret_cast<const std::uint64_t*>(p + i);
    return sum;
}
}  // namespace

#endif

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

void reading() {
    constexpr std::size_t kSize = std::size_t{1} << 30, kHuge = std::size_t{2} << 20;
    char* p = static_cast<char*>(std::aligned_alloc(kHuge, kSize));
    if (p == nullptr) return;
#if defined(__linux__)
    madvise(p, kSize, MADV_HUGEPAGE);
#endif
    std::memset(p, 1, kSize);
    volatile std::uint64_t sink = 0;
    const struct {
        const char* name;
        std::size_t n;
    } sizes[] = {{"read, 24 KiB", 24U << 10}, {"read, 1 MiB", 1U << 20},   {"read, 8 MiB", 8U << 20},
                 {"read, 16 MiB", 16U << 20}, {"read, 64 MiB", 64U << 20}, {"read, 1 GiB", kSize}};
    for (const auto& size : sizes) {
        const std::size_t times = std::max<std::size_t>(1, (std::size_t{4} << 20) / size.n);
        std::vector<double> rates;
        for (int i = 0; i < (size.n > (std::size_t{32} << 20) ? 5 : 60); ++i) {
            const double start = now();
            for (std::size_t t = 0; t < times; ++t) sink = sink + read(p, size.n);
            rates.push_back(static_cast<double>(size.n * times) / (now() - start));
        }
        std::sort(rates.begin(), rates.end());
        print(size.name, rates[rates.size() / 2], 0);
    }
    std::free(p);
}

}  // namespace

// With an argument: instructions only.
int main(int n_arguments, char**) {
    std::printf("{");
    instructions();
    if (n_arguments < 2) reading();
    std::printf("}\n");
    return 0;
}
