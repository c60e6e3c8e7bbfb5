// What predict_into needs of an engine: both engines, for rows of a table and for maps, are runners.
#pragma once

#include <cstddef>

namespace bimetal {

class Runner {
 public:
    Runner() = default;
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;
    virtual ~Runner() = default;

    virtual std::size_t n_columns() const = 0;
    virtual std::size_t n_outputs() const = 0;

    // Is the work long enough (some 20 microseconds) that giving up Python's lock pays?
    virtual bool is_long(std::size_t n_rows) const = 0;

    // Bytes of scratch, aligned to 64, that run needs for so many rows.
    virtual std::size_t scratch_bytes(std::size_t n_rows) const = 0;

    // rows: (n_rows, n_columns); out: (n_rows, n_outputs).
    virtual void run(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept = 0;
};

}  // namespace bimetal
