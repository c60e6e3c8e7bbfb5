// A net runs Programs with maps: one operation after another, each over all images of a block at once.
//
// Operations are added in order and built by finish(), when all consumers of a value are known: a value that
// convolutions read is laid out with the border they need, so that nothing is copied in between.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../layout.hpp"
#include "../pool.hpp"
#include "../runner.hpp"
#include "kernels.hpp"
#include "value.hpp"

namespace bimetal {

struct Geometry {
    Shape in;
    std::size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left, bottom, right, groups;

    std::size_t reach_h() const { return dilation_h * (kernel_h - 1) + 1; }
    std::size_t reach_w() const { return dilation_w * (kernel_w - 1) + 1; }
    std::size_t out_h() const { return (in.h + top + bottom - reach_h()) / stride_h + 1; }
    std::size_t out_w() const { return (in.w + left + right - reach_w()) / stride_w + 1; }
    std::size_t n_taps() const { return kernel_h * kernel_w; }
    std::size_t group_in() const { return in.c / groups; }
    Border border(std::vector<std::uint8_t> fill) const {
        const auto beyond = [](std::size_t last, std::size_t size) { return last > size ? last - size : 0; };
        return {top, left, beyond((out_h() - 1) * stride_h + reach_h(), in.h + top),
                beyond((out_w() - 1) * stride_w + reach_w(), in.w + left), std::move(fill)};
    }
};

enum class Pad : std::int8_t { kMinus = -1, kZero = 0, kPlus = 1 };

// Memory of one value, or of a copy of it in another layout: the same for every image.
struct Buffer {
    Kind kind;
    Layout layout;
    std::size_t n_bytes;              // of one image, a multiple of 64
    std::size_t offset = 0;           // of image 0, when there is one image; see Run::at
    std::size_t first = 0, last = 0;  // steps between which it is alive
};

// A buffer, read in a layout that its memory has or could have.
struct View {
    const Buffer* buffer;
    Layout layout;
};

// One block of images on its way through the net.
struct Run {
    const float* rows;
    float* out;
    std::size_t n;
    char* buffers;
    char* locals;
    std::size_t local_bytes;
    const ThreadPool::Lease& pool;

    template <class T>
    T* at(const Buffer& buffer, std::size_t image) const {
        return reinterpret_cast<T*>(buffers + buffer.offset * n + buffer.n_bytes * image);
    }
    template <class T>
    const T* at(const View& view, std::size_t image) const {
        return at<const T>(*view.buffer, image);
    }
    char* local(std::size_t thread) const { return locals + thread * local_bytes; }
};

struct Step {
    std::size_t op;  // which operation of the Program
    std::string name, kernel;
    double microseconds;  // expected, one image on one thread; what the choice of the kernel went by
    std::function<void(const Run&)> run;
};

// What a step that leaves memory idle may fetch for a later one that waits for nothing else.
struct Fetch {
    const char* from = nullptr;
    std::size_t n_bytes = 0;
};

struct NetOptions {
    std::size_t n_threads = 1;
    std::vector<int> cpus;
    std::size_t batch = 1;             // images that a call usually brings
    std::vector<std::string> kernels;  // for each operation: a kernel by name, or "" to let the net choose
    // Every step ends with all threads waiting for the last: shorter calls stay on one (benchmarks/threads.py).
    double alone_below = 120;  // microseconds, as expected on one thread
};

struct BitConv;

class Net final : public Runner {
 public:
    Net(const Kernels& kernels, std::size_t n_columns, NetOptions options);

    // One call for each operation, in order, with the arguments of a validated Program. Arrays are read by finish().
    void encode(Span<std::uint16_t> column, Span<std::uint8_t> kind, Span<float> value,
                Span<std::uint16_t> special_column, Span<float> special_value);
    void dense(std::size_t input, std::size_t groups, Span<std::uint8_t> weights, Span<std::int32_t> thresholds);
    void rules(std::size_t input, Span<std::uint16_t> literals, Span<std::uint8_t> fan_in);
    void lut(std::size_t input, std::size_t fan_in, Span<std::uint16_t> places, Span<std::uint8_t> tables);
    void readout(const std::vector<std::size_t>& inputs, Span<std::int32_t> weights, Span<std::int32_t> bias);
    void link(std::size_t input, LinkKind kind, Span<double> scale, Span<double> offset, Span<std::int32_t> knots,
              Span<float> values);
    void quantize(std::size_t input, Span<float> scale, Span<float> offset);
    void planes(std::size_t input, std::size_t channels, Span<std::uint16_t> channel, Span<std::uint8_t> mask,
                Span<std::uint8_t> level);
    void conv(std::size_t input, bool makes_bits, const Geometry& geometry, Pad pad, Span<std::uint8_t> weights,
              Span<std::int32_t> bias);
    void byte_conv(std::size_t input, bool makes_bits, const Geometry& geometry, Span<std::uint8_t> pad,
                   Span<std::int8_t> weights, Span<std::int32_t> bias);
    void pool(std::size_t input, bool is_max, const Geometry& geometry);
    void threshold(std::size_t input, Span<std::int32_t> ints, Span<float> floats, Span<std::uint8_t> flips);
    void row_threshold(std::size_t input, std::size_t channels, std::uint32_t top, std::uint32_t bottom);
    void affine(std::size_t input, Span<float> scale, Span<float> offset);
    void prelu(std::size_t input, Span<float> before, Span<float> slope, Span<float> after);
    void add(const std::vector<std::size_t>& inputs);
    void concat(const std::vector<std::size_t>& inputs, const std::vector<std::size_t>& channels);
    void finish();

    const char* isa() const { return kernels_.name; }
    const std::vector<Step>& steps() const { return steps_; }
    std::size_t constant_bytes() const { return arena_.n_bytes(); }
    std::size_t n_threads() const { return pool_ ? pool_->n_threads() : 1; }

    std::size_t n_columns() const override { return n_columns_; }
    std::size_t n_outputs() const override { return n_outputs_; }
    bool is_long(std::size_t n_rows) const override { return static_cast<double>(n_rows) * microseconds_ > 20; }
    std::size_t scratch_bytes(std::size_t n_rows) const override;
    void run(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept override;
    // The same, adding up the seconds that each step took.
    void profile(const float* rows, std::size_t n_rows, float* out, void* scratch, double* seconds) const;

 private:
    struct Need {
        Shape shape;
        Border border;
    };
    struct Value {
        Kind kind;
        Shape shape;     // as its operation makes it
        bool is_linear;  // written pixel by pixel, so that any division into rows will do
        std::vector<Need> needs;
        std::size_t buffer = SIZE_MAX;
        std::vector<std::size_t> copies;   // buffers
        std::vector<std::size_t> readers;  // operations
    };

    std::size_t n_of(std::size_t value) const { return values_[value].shape.n_pixels() * values_[value].shape.c; }
    // Adding an operation: what it makes, what it needs, how it is built.
    void add_op(const char* name, Kind kind, Shape shape, std::function<void()> build, bool is_linear = true);
    void need(std::size_t value, Shape shape, Border border = {});
    void need_flat(std::size_t value) { need(value, {1, 1, n_of(value)}); }

    void need_own(std::size_t value, std::size_t channels);  // pixels of so many channels, in any layout

    // Building: the buffer to write to, the buffer to read from in the layout needed, a step, thread-local bytes.
    const Buffer& make_output(bool is_plain = false);  // plain: without a border, whatever the consumers need
    View input(std::size_t value, const Need& need, bool is_plain = false);
    View flat(std::size_t value) { return input(value, {{1, 1, n_of(value)}, {}}, true); }  // no border, one row
    View own(std::size_t value, std::size_t channels);
    std::size_t add_buffer(Kind kind, const Layout& layout);
    Layout choose_layout(const Value& value) const;
    void add_copy(const Buffer& from, const Buffer& to);
    void step(const char* kernel, double microseconds, std::function<void(const Run&)> run);
    void want_local(std::size_t n_bytes) { local_bytes_ = std::max(local_bytes_, (n_bytes + 127) / 64 * 64); }
    void add_answer();
    void share_fetches();
    void place_buffers();
    std::string wanted_kernel() const;

    void build_conv(std::size_t input, bool makes_bits, const Geometry&, Pad, Span<std::uint8_t>, Span<std::int32_t>);
    void build_bit_conv(const BitConv& conv);
    void build_planes_conv(const BitConv& conv, double microseconds);
    void build_tiles_conv(const BitConv& conv, double microseconds);
    void build_tiles_dense(const BitConv& conv, TileConvPlan plan, TileOut out, double microseconds);
    void build_any_conv(const BitConv& conv);
    void build_byte_conv(std::size_t input, bool makes_bits, const Geometry&, Span<std::uint8_t> pad, Span<std::int8_t>,
                         Span<std::int32_t>);
    void build_tiles_byte_conv(const Geometry&, const View& in, const Buffer& out, bool makes_bits,
                               Span<std::int8_t> weights, Span<std::int32_t> bias, double microseconds);
    void build_tiles_squares(const Geometry&, const View& in, const Buffer& out, bool makes_bits,
                             Span<std::int8_t> weights, Span<std::int32_t> bias, double microseconds);
    void build_dense(std::size_t input, std::size_t groups, Span<std::uint8_t>, Span<std::int32_t>);
    void build_readout(const std::vector<std::size_t>& inputs, Span<std::int32_t>, Span<std::int32_t>);
    void build_byte_readout(const std::vector<View>& views, const std::vector<BitsAt>& at, Span<std::int32_t>,
                            Span<std::int32_t>);

    void run_block(const Run& run, double* seconds) const;
    std::size_t block_of(std::size_t n_rows) const { return std::min(n_rows, max_block_); }

    const Kernels& kernels_;
    const NetKernels& net_;
    std::size_t n_columns_, n_outputs_ = 0, local_bytes_ = 0, buffer_bytes_ = 0, max_block_ = 16;
    double microseconds_ = 0;
    NetOptions options_;
    ThreadPool::Owner pool_;
    Arena arena_;
    std::vector<Value> values_;
    std::vector<std::unique_ptr<Buffer>> buffers_;
    struct Op {
        const char* name;
        std::function<void()> build;
    };
    std::vector<Op> ops_;
    std::size_t current_ = 0;  // the operation being built
    std::vector<Step> steps_;
    // By number of their step: weights read once for one pixel, and steps that can fetch meanwhile.
    std::vector<std::pair<std::size_t, Fetch>> streams_;
    std::vector<std::pair<std::size_t, std::shared_ptr<Fetch>>> fetchers_;
};

}  // namespace bimetal
