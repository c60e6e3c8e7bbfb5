// Plain C++ for what an instruction set does not do better; included before planes.hpp, anonymous like it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace {

inline void transpose16_portable(const float* rows, std::size_t n_columns, float* columns, std::size_t stride) {
    for (std::size_t c = 0; c < n_columns; c++)
        for (std::size_t r = 0; r < 16; r++) columns[c * stride + r] = rows[r * n_columns + c];
}

}  // namespace
