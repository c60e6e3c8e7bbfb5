// Values, buffers and steps of a net: everything but the operations themselves.
#include "net.hpp"

#include <chrono>
#include <utility>

namespace bimetal {

Net::Net(const Kernels& kernels, std::size_t n_columns, NetOptions options)
    : kernels_(kernels), net_(*kernels.net), n_columns_(n_columns), options_(std::move(options)) {
    values_.push_back({Kind::kRow, {1, 1, n_columns}, true, {}, SIZE_MAX, {}, {}});
    if (options_.n_threads > 1) pool_.reset(new ThreadPool(options_.n_threads, options_.cpus));
}

void Net::add_op(const char* name, Kind kind, Shape shape, std::function<void()> build, bool is_linear) {
    values_.push_back({kind, shape, is_linear, {}, SIZE_MAX, {}, {}});
    ops_.push_back({name, std::move(build)});
}

void Net::need(std::size_t value, Shape shape, Border border) {
    values_[value].needs.push_back({shape, std::move(border)});
    values_[value].readers.push_back(ops_.size());  // need() comes before add_op()
}

// The layout of the first consumer that sees the channels as the value's own operation does and needs a border, with
// room for all others of its kind; without one, the operation's own.
Layout Net::choose_layout(const Value& value) const {
    Need chosen{value.shape, {}};
    bool is_chosen = false;
    for (const Need& need : value.needs) {
        if (need.border.is_empty() || need.shape.c != value.shape.c) continue;
        if (!value.is_linear && !(need.shape == value.shape)) continue;
        if (!is_chosen) chosen = need, is_chosen = true;
        else if (need.shape == chosen.shape && need.border.fill == chosen.border.fill) chosen.border.grow(need.border);
    }
    return layout_of(value.kind, chosen.shape, chosen.border);
}

std::size_t Net::add_buffer(Kind kind, const Layout& layout) {
    constexpr std::size_t kSlack = 128;  // kernels may read one vector beyond the last pixel
    const std::size_t n_bytes = (layout.n_elements() * element_bytes(kind) + kSlack + 63) / 64 * 64;
    buffers_.push_back(std::make_unique<Buffer>(Buffer{kind, layout, n_bytes, 0, steps_.size(), steps_.size()}));
    return buffers_.size() - 1;
}

namespace {

template <class T>
void fill_pixels(T* to, std::size_t n_pixels, const std::vector<T>& pixel) {
    for (std::size_t i = 0; i < n_pixels; i++, to += pixel.size()) std::copy(pixel.begin(), pixel.end(), to);
}

// Writes the border of one image.
template <class T>
void fill_border(const Layout& layout, T* image, const std::vector<T>& pixel) {
    const Border& border = layout.border;
    const std::size_t row = layout.row(), width = row / layout.pixel;
    fill_pixels(image, border.top * width, pixel);
    for (std::size_t y = 0; y < layout.shape.h; y++) {
        T* line = image + (border.top + y) * row;
        fill_pixels(line, border.left, pixel);
        fill_pixels(line + row - border.right * layout.pixel, border.right, pixel);
    }
    fill_pixels(image + (border.top + layout.shape.h) * row, border.bottom * width, pixel);
}

std::vector<std::uint32_t> bits_pixel(const Layout& layout) {
    std::vector<std::uint32_t> pixel(layout.pixel, 0);
    if (layout.border.fill[0])
        for (std::size_t c = 0; c < layout.shape.c; c++) pixel[c / 32] |= 1u << (c % 32);
    return pixel;
}

std::vector<std::uint8_t> bytes_pixel(const Layout& layout) {
    std::vector<std::uint8_t> pixel = layout.border.fill;
    pixel.resize(layout.pixel, pixel[0]);
    return pixel;
}

// Runs before a buffer is written: borders, and the word that 64-bit kernels read beyond an odd number of 32-bit ones.
std::function<void(const Run&)> prepare_buffer(const Buffer& buffer) {
    const Layout& layout = buffer.layout;
    if (layout.border.is_empty() && (buffer.kind != Kind::kBits || layout.n_elements() % 2 == 0)) return {};
    if (buffer.kind == Kind::kBits) {
        return [&buffer, &layout, pixel = bits_pixel(layout)](const Run& run) {
            run.pool.run(run.n, [&](std::size_t i, std::size_t) {
                auto* image = run.at<std::uint32_t>(buffer, i);
                image[layout.n_elements()] = 0;
                if (!layout.border.is_empty()) fill_border(layout, image, pixel);
            });
        };
    }
    return [&buffer, &layout, pixel = bytes_pixel(layout)](const Run& run) {
        run.pool.run(run.n,
                     [&](std::size_t i, std::size_t) { fill_border(layout, run.at<std::uint8_t>(buffer, i), pixel); });
    };
}

}  // namespace

void Net::step(const char* kernel, double microseconds, std::function<void(const Run&)> run) {
    steps_.push_back({current_, ops_[current_].name, kernel, microseconds, std::move(run)});
    microseconds_ += microseconds;
}

// Where the operation being built writes. Called once, before its step is added.
const Buffer& Net::make_output(bool is_plain) {
    Value& value = values_[current_ + 1];
    const Layout layout = is_plain ? layout_of(value.kind, value.shape, {}) : choose_layout(value);
    value.buffer = add_buffer(value.kind, layout);
    const Buffer& buffer = *buffers_[value.buffer];
    if (auto prepare = prepare_buffer(buffer)) step("border", 0, std::move(prepare));
    return buffer;
}

// The value as the operation needs to see it; a copy of it is made where its own layout does not do.
View Net::input(std::size_t value_index, const Need& need, bool is_plain) {
    Value& value = values_[value_index];
    const Layout wanted = layout_of(value.kind, need.shape, need.border);
    std::vector<std::size_t> candidates = value.copies;
    candidates.insert(candidates.begin(), value.buffer);
    for (const std::size_t candidate : candidates) {
        const Buffer& buffer = *buffers_[candidate];
        if (!is_plain && buffer.layout.shape == need.shape && buffer.layout.border.covers(need.border))
            return {&buffer, buffer.layout};
        if (is_same_memory(value.kind, buffer.layout, wanted)) return {&buffer, wanted};
    }
    value.copies.push_back(add_buffer(value.kind, wanted));
    const Buffer& copy = *buffers_[value.copies.back()];
    if (auto prepare = prepare_buffer(copy)) step("border", 0, std::move(prepare));
    add_copy(*buffers_[value.buffer], copy);
    return {&copy, copy.layout};
}

// Operations that look at single pixels take a value as it lies, border and all, where its channels are theirs.
void Net::need_own(std::size_t value, std::size_t channels) { need(value, {1, n_of(value) / channels, channels}); }

View Net::own(std::size_t value_index, std::size_t channels) {
    const Buffer& buffer = *buffers_[values_[value_index].buffer];
    if (buffer.layout.shape.c == channels) return {&buffer, buffer.layout};
    return input(value_index, {{1, n_of(value_index) / channels, channels}, {}});
}

std::string Net::wanted_kernel() const {
    return current_ < options_.kernels.size() ? options_.kernels[current_] : std::string();
}

// First fit: a buffer may lie where others lie that are dead before it is written or written after it is dead.
void Net::place_buffers() {
    std::vector<Buffer*> placed;
    for (auto& buffer : buffers_) {
        std::vector<Buffer*> alive;
        for (Buffer* other : placed)
            if (other->first <= buffer->last && buffer->first <= other->last) alive.push_back(other);
        std::sort(alive.begin(), alive.end(), [](Buffer* a, Buffer* b) { return a->offset < b->offset; });
        for (const Buffer* other : alive) {
            if (buffer->offset + buffer->n_bytes <= other->offset) break;
            buffer->offset = std::max(buffer->offset, other->offset + other->n_bytes);
        }
        placed.push_back(buffer.get());
        buffer_bytes_ = std::max(buffer_bytes_, buffer->offset + buffer->n_bytes);
    }
}

void Net::finish() {
    std::vector<std::size_t> last_step;
    for (current_ = 0; current_ < ops_.size(); current_++) {
        ops_[current_].build();
        last_step.push_back(steps_.size());
    }
    for (std::size_t v = 1; v < values_.size(); v++) {
        // Which later steps read which buffer is known to their closures only: a value lives until the last operation
        // that needs it.
        std::size_t last = last_step[v - 1];
        for (const std::size_t reader : values_[v].readers) last = std::max(last, last_step[reader]);
        if (values_[v].buffer != SIZE_MAX) buffers_[values_[v].buffer]->last = last;
        for (const std::size_t copy : values_[v].copies) buffers_[copy]->last = last;
    }
    add_answer();
    share_fetches();
    place_buffers();
    for (Op& op : ops_) op.build = {};
    // Blocks as large as keep the buffers in some 16 MiB, but for FC layers at least sixteen images.
    while (max_block_ < 256 && 2 * max_block_ * buffer_bytes_ < (std::size_t{16} << 20)) max_block_ *= 2;
}

// The first weights that will be streamed from memory, up to half of an L2 cache, are shared out among the steps just
// before, each as much as it has time for.
void Net::share_fetches() {
    constexpr std::size_t kCache = std::size_t{1} << 20;
    constexpr double kBytesPerMicrosecond = 20e3;
    if (streams_.empty()) return;
    auto [first_stream, left] = streams_.front();
    std::size_t end = std::min(left.n_bytes, kCache);
    for (auto fetcher = fetchers_.rbegin(); fetcher != fetchers_.rend() && end; ++fetcher) {
        if (fetcher->first > first_stream) continue;
        const auto most = static_cast<std::size_t>(steps_[fetcher->first].microseconds * kBytesPerMicrosecond);
        const std::size_t n_bytes = std::min(end, most / 64 * 64);
        end -= n_bytes;
        *fetcher->second = {left.from + end, n_bytes};
    }
}

// The last value goes to the caller.
void Net::add_answer() {
    n_outputs_ = n_of(values_.size() - 1);
    const Buffer& answer = *buffers_[values_.back().buffer];
    current_ = ops_.size() - 1;
    step("answer", 0, [this, &answer](const Run& run) {
        for (std::size_t i = 0; i < run.n; i++) {
            const auto* from = run.at<float>(answer, i);
            std::copy(from, from + n_outputs_, run.out + i * n_outputs_);
        }
    });
    buffers_[values_.back().buffer]->last = steps_.size();
}

std::size_t Net::scratch_bytes(std::size_t n_rows) const {
    return buffer_bytes_ * block_of(n_rows) + local_bytes_ * n_threads();
}

void Net::run(const float* rows, std::size_t n_rows, float* out, void* scratch) const noexcept {
    profile(rows, n_rows, out, scratch, nullptr);
}

void Net::profile(const float* rows, std::size_t n_rows, float* out, void* scratch, double* seconds) const {
    const bool is_long_enough = static_cast<double>(n_rows) * microseconds_ >= options_.alone_below;
    const ThreadPool::Lease lease(pool_.get(), is_long_enough);
    const std::size_t block = block_of(n_rows);
    for (std::size_t n; n_rows; n_rows -= n, rows += n * n_columns_, out += n * n_outputs_) {
        n = std::min(n_rows, block);
        auto* buffers = static_cast<char*>(scratch);
        run_block({rows, out, n, buffers, buffers + buffer_bytes_ * block, local_bytes_, lease}, seconds);
    }
}

void Net::run_block(const Run& run, double* seconds) const {
    using Clock = std::chrono::steady_clock;
    for (const Step& step : steps_) {
        if (!seconds) {
            step.run(run);
            continue;
        }
        const auto begin = Clock::now();
        step.run(run);
        *seconds++ += std::chrono::duration<double>(Clock::now() - begin).count();
    }
}

}  // namespace bimetal
