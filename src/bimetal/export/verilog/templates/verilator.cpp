// Feeds rows from standard input to the module, one a clock cycle, and writes its answers to standard
// output: both as 32-bit words of this machine, the lowest bits first.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "verilated.h"

#include "Vtop.h"

namespace {

constexpr std::size_t words_of(std::size_t bits) { return (bits + 31) / 32; }

constexpr std::size_t row_words = words_of(ROW_BITS);
constexpr std::size_t answer_words = words_of(ANSWER_BITS);

template <std::size_t N>
void put(VlWide<N>& port, const std::uint32_t* words) {
    for (std::size_t i = 0; i < N; ++i) port[i] = words[i];
}

template <typename T>
void put(T& port, const std::uint32_t* words) {
    std::uint64_t value = words[0];
    if (row_words > 1) value |= static_cast<std::uint64_t>(words[1]) << 32;
    port = static_cast<T>(value);
}

template <std::size_t N>
void get(const VlWide<N>& port, std::uint32_t* words) {
    for (std::size_t i = 0; i < N; ++i) words[i] = port[i];
}

template <typename T>
void get(const T& port, std::uint32_t* words) {
    const std::uint64_t value = port;
    words[0] = static_cast<std::uint32_t>(value);
    if (answer_words > 1) words[1] = static_cast<std::uint32_t>(value >> 32);
}

void collect(const Vtop& top) {
    if (!top.valid_out) return;
    std::uint32_t answer[answer_words] = {};
    get(top.answer, answer);
    std::fwrite(answer, sizeof answer, 1, stdout);
}

void tick(Vtop& top) {
    top.clk = 1;
    top.eval();
    top.clk = 0;
    top.eval();
}

}  // namespace

int main() {
    Vtop top;
    std::uint32_t row[row_words + 1] = {};
    top.rst = 1;
    top.valid_in = 0;
    tick(top);
    top.rst = 0;
    for (long left = LATENCY; left >= 0;) {
        top.valid_in = std::fread(row, sizeof(std::uint32_t), row_words, stdin) == row_words;
        if (!top.valid_in) --left;
        put(top.row, row);
        top.eval();
        collect(top);
        tick(top);
    }
    top.final();
    return 0;
}
