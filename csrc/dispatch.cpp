// Which instruction sets this machine has, asked at run time: the one table to add a row to.
#include "bimetal/engine.hpp"
#include "net/kernels.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace bimetal {

namespace {

#if defined(__x86_64__) || defined(_M_X64)

struct Registers {
    unsigned a, b, c, d;
};

Registers cpuid(unsigned leaf) {
    Registers r{};
    if (!__get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d)) r = {};
    return r;
}

bool has(unsigned reg, std::initializer_list<int> bits) {
    for (const int bit : bits)
        if (!(reg >> bit & 1)) return false;
    return true;
}

// The processor may have an instruction set that the operating system does not save on a task switch.
unsigned saved_state() {
    if (!has(cpuid(1).c, {27})) return 0;  // OSXSAVE
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

bool has_avx2() {
    return has(saved_state(), {1, 2})      // XMM, YMM
           && has(cpuid(1).c, {23, 28})    // POPCNT, AVX
           && has(cpuid(7).b, {3, 5, 8});  // BMI1, AVX2, BMI2
}

bool has_avx512() {
    return has_avx2() && has(saved_state(), {5, 6, 7})  // mask registers, ZMM
           && has(cpuid(7).b, {16, 17, 30, 31})         // F, DQ, BW, VL
           && has(cpuid(7).c, {1, 11, 12, 14});         // VBMI, VNNI, BITALG, VPOPCNTDQ
}

// Matrix tiles hold 8 KiB a thread, so Linux wants to be asked before it sets room aside for them.
bool has_amx() {
#if defined(__linux__)
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return has_avx512() && has(saved_state(), {17, 18}) && has(cpuid(7).d, {24, 25})  // AMX-TILE, AMX-INT8
           && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return false;
#endif
}

// AMD's family 25 (Zen 4) takes three-input logic at 1.8 a cycle instead of 2, where counting word by word is faster.
bool is_zen4() {
    const Registers vendor = cpuid(0);
    const unsigned signature = cpuid(1).a, family = (signature >> 8 & 15) + (signature >> 20 & 255);
    return vendor.b == 0x68747541 && vendor.d == 0x69746e65 && vendor.c == 0x444d4163 && family == 0x19;
}

const Kernels& avx512_kernels() {
    static const Kernels zen4 = [] {
        Kernels k = kAvx512;
        k.net = &kNetAvx512Zen4;
        return k;
    }();
    return is_zen4() ? zen4 : kAvx512;
}

// AVX-512 with tiles: everything else is the same.
const Kernels& amx_kernels() {
    static const NetKernels net = [] {
        NetKernels kernels = kNetAvx512;
        kernels.tiles = &kAmxTiles;
        return kernels;
    }();
    static const Kernels kernels = [] {
        Kernels k = kAvx512;
        k.name = "amx", k.net = &net;
        return k;
    }();
    return kernels;
}

#elif defined(__aarch64__)

bool has_neon() {
#if defined(__linux__)
    return getauxval(AT_HWCAP) & 2;  // HWCAP_ASIMD
#else
    return true;  // every aarch64 system has it
#endif
}

#endif

}  // namespace

std::vector<const Kernels*> available_kernels() {
    std::vector<const Kernels*> found;
#if defined(BIMETAL_AMX)
    if (has_amx()) found.push_back(&amx_kernels());
#endif
#if defined(BIMETAL_AVX512)
    if (has_avx512()) found.push_back(&avx512_kernels());
#endif
#if defined(BIMETAL_AVX2)
    if (has_avx2()) found.push_back(&kAvx2);
#endif
#if defined(BIMETAL_NEON)
    if (has_neon()) found.push_back(&kNeon);
#endif
    found.push_back(&kSerial);
    return found;
}

}  // namespace bimetal
