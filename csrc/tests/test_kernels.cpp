// Every instruction set of the machine equals the serial one, in either form, on random Programs. Needs no Python, so
// that sanitizers and emulators can run it: see README.md here.
//
// Usage: bimetal_test [n_programs] [required_isa]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>

#include "bimetal/engine.hpp"
#include "bimetal/stream.hpp"
#include "tests.hpp"

namespace {

using bimetal::Engine;
using bimetal::Kernels;
using bimetal::Span;
using std::size_t;

class Random {
 public:
    explicit Random(unsigned seed) : generator_(seed) {}
    // A whole number from low to high, both included.
    template <class T = int>
    T whole(long low, long high) {
        return static_cast<T>(std::uniform_int_distribution<long>(low, high)(generator_));
    }
    size_t one_of(std::initializer_list<size_t> values) {
        return values.begin()[whole(0, static_cast<long>(values.size()) - 1)];
    }
    float strange_float() {
        using Limits = std::numeric_limits<float>;
        static const float strange[] = {
            0.0f, -0.0f, Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), Limits::denorm_min(),
            1.0f, -9.0f};
        return whole(0, 2) ? static_cast<float>(whole(-9, 9)) / 4 : strange[whole(0, 7)];
    }

 private:
    std::mt19937 generator_;
};

template <class T>
Span<T> span(const std::vector<T>& values) {
    return {values.data(), values.size()};
}

template <class T, class Make>
std::vector<T> many(size_t n, Make make) {
    std::vector<T> values(n);
    for (T& value : values) value = static_cast<T>(make());
    return values;
}

// Builds the same random Program in any number of engines.
class Builder {
 public:
    Builder(unsigned seed, std::vector<std::unique_ptr<Engine>>& engines) : random_(seed), engines_(engines) {}

    void build(size_t n_columns) {
        encode(n_columns);
        for (int n = random_.whole(0, 4); n > 0; n--) {
            const size_t input = random_.whole<size_t>(1, static_cast<long>(sizes_.size()) - 1);
            const int kind = random_.whole(0, 2);
            if (kind == 0) dense(input);
            else if (kind == 1) rules(input);
            else lut(input);
        }
        readout();
    }

 private:
    size_t width() { return random_.one_of({1, 7, 12, 63, 64, 65, 129, 240, 257, 513, 700}); }

    void encode(size_t n_columns) {
        const size_t n = width(), n_specials = random_.whole<size_t>(0, 3);
        const long last = static_cast<long>(n_columns) - 1;
        const auto any_column = [&] { return random_.whole(0, last); };
        const auto any_value = [&] { return static_cast<float>(random_.whole(-9, 9)) / 4; };
        const auto column = many<std::uint16_t>(n, any_column);
        const auto kind = many<std::uint8_t>(n, [&] { return random_.whole(0, 2); });
        const auto value = many<float>(n, any_value);
        const auto special_column = many<std::uint16_t>(n_specials, any_column);
        const auto special_value = many<float>(n_specials, any_value);
        for (auto& engine : engines_)
            engine->encode(span(column), span(kind), span(value), span(special_column), span(special_value));
        sizes_.push_back(n);
    }

    void dense(size_t input) {
        size_t groups = random_.one_of({1, 2, 3, 8});
        if (sizes_[input] % groups) groups = 1;
        const size_t k = sizes_[input] / groups, n_out = groups * ((width() + groups - 1) / groups),
                     n_bytes = (k + 7) / 8;
        auto weights = many<std::uint8_t>(n_out * n_bytes, [&] { return random_.whole(0, 255); });
        if (k % 8)
            for (size_t o = 1; o <= n_out; o++)
                weights[o * n_bytes - 1] &= static_cast<std::uint8_t>((1u << k % 8) - 1);
        const long half = static_cast<long>(k) / 2;
        const auto thresholds = many<std::int32_t>(n_out, [&] {
            return random_.whole(0, 5) ? random_.whole(half - 1, half + 1) : random_.whole(-1, static_cast<long>(k));
        });
        for (auto& engine : engines_) engine->dense(input, groups, span(weights), span(thresholds));
        sizes_.push_back(n_out);
    }

    void rules(size_t input) {
        const size_t n_out = width();
        const auto fan_in = many<std::uint8_t>(n_out, [&] { return random_.whole(0, 20) ? random_.whole(1, 5) : 40; });
        size_t total = 0;
        for (const std::uint8_t n : fan_in) total += n;
        const long last = 2 * static_cast<long>(sizes_[input]) - 1;
        const auto literals = many<std::uint16_t>(total, [&] { return random_.whole(0, last); });
        for (auto& engine : engines_) engine->rules(input, span(literals), span(fan_in));
        sizes_.push_back(n_out);
    }

    void lut(size_t input) {
        const size_t n_out = width(), fan_in = random_.whole<size_t>(1, 8), n_bits = size_t{1} << fan_in;
        const auto places =
            many<std::uint16_t>(n_out * fan_in, [&] { return random_.whole(0, static_cast<long>(sizes_[input]) - 1); });
        const long most = n_bits < 8 ? (1 << n_bits) - 1 : 255;
        const auto tables = many<std::uint8_t>(n_out * ((n_bits + 7) / 8), [&] { return random_.whole(0L, most); });
        for (auto& engine : engines_) engine->lut(input, fan_in, span(places), span(tables));
        sizes_.push_back(n_out);
    }

    void readout() {
        const size_t n_outputs = random_.one_of({1, 1, 2, 3});
        const auto inputs = many<size_t>(random_.whole<size_t>(1, 4),
                                         [&] { return random_.whole(1, static_cast<long>(sizes_.size()) - 1); });
        size_t n_in = 0;
        for (const size_t input : inputs) n_in += sizes_[input];
        const long bound = static_cast<long>(random_.one_of({127, 32767, (size_t{1} << 30) / n_in}));
        const auto weights = many<std::int32_t>(n_in * n_outputs, [&] { return random_.whole(-bound, bound); });
        const auto bias = many<std::int32_t>(n_outputs, [&] { return random_.whole(-9999, 9999); });
        const auto scale = many<double>(n_outputs, [&] { return random_.whole(-9, 9) * 1e-5; });
        const auto offset = many<double>(n_outputs, [&] { return random_.whole(-9, 9) * 0.1; });
        const std::vector<std::int32_t> knots{-1000, 0, 7, 5000};
        const std::vector<float> values{0.0f, 0.25f, 0.5f, 0.75f, 1.0f};
        const bool is_one = n_outputs == 1;
        const auto kind = static_cast<bimetal::LinkKind>(
            random_.one_of({bimetal::kIdentity, is_one ? size_t{bimetal::kSigmoid} : bimetal::kSoftmax,
                            is_one ? size_t{bimetal::kTable} : bimetal::kSoftmax}));
        for (auto& engine : engines_) {
            engine->readout(span(inputs), span(weights), span(bias));
            engine->link(sizes_.size(), kind, span(scale), span(offset), span(knots), span(values));
        }
    }

    Random random_;
    std::vector<std::unique_ptr<Engine>>& engines_;
    std::vector<size_t> sizes_{0};
};

std::vector<float> run(const Engine& engine, const std::vector<float>& rows, size_t n_rows) {
    std::vector<float> out(n_rows * engine.n_outputs());
    const size_t n_bytes = engine.scratch_bytes(n_rows);
    void* scratch = std::aligned_alloc(64, n_bytes);
    std::memset(scratch, 0xFF, n_bytes);  // nothing may be taken for zero that was not made so
    engine.run(rows.data(), n_rows, out.data(), scratch);
    std::free(scratch);
    return out;
}

// A stream of updates, few columns and many, gives the answers of the full row every time.
bool stream_agrees(const Engine& engine, Random& random, unsigned seed) {
    const size_t n_columns = engine.n_columns();
    const auto strange = [&] { return random.strange_float(); };
    auto row = many<float>(n_columns, strange);
    bimetal::Stream stream(engine, row.data());
    for (int i = 0; i < 20; i++) {
        const size_t n = i % 7 == 3 ? 2 * n_columns : random.whole<size_t>(0, 3);
        const auto columns = many<std::uint16_t>(n, [&] { return random.whole(0, static_cast<long>(n_columns) - 1); });
        const auto values = many<float>(n, strange);
        for (size_t k = 0; k < n; k++) row[columns[k]] = values[k];
        stream.update(columns.data(), values.data(), n);
        const auto expected = run(engine, row, 1);
        if (std::memcmp(stream.answers(), expected.data(), expected.size() * sizeof(float)) == 0) continue;
        std::printf("seed %u: %s differs in a stream, update %d\n", seed, engine.isa(), i);
        return false;
    }
    return true;
}

bool all_agree(unsigned seed) {
    std::vector<std::unique_ptr<Engine>> engines;
    Random random(seed);
    const size_t n_columns = random.one_of({1, 5, 16, 23, 40});
    for (const Kernels* kernels : bimetal::available_kernels())
        engines.push_back(std::make_unique<Engine>(*kernels, n_columns));
    Builder(seed, engines).build(n_columns);
    for (const size_t n_rows : {1, 5, 40, 700}) {
        const auto rows = many<float>(n_rows * n_columns, [&] { return random.strange_float(); });
        // The serial engine comes last; row by row it is the plainest of all.
        std::vector<float> expected;
        for (size_t r = 0; r < n_rows; r++) {
            const std::vector<float> row(&rows[r * n_columns], &rows[r * n_columns] + n_columns);
            for (const float answer : run(*engines.back(), row, 1)) expected.push_back(answer);
        }
        for (const auto& engine : engines) {
            const auto answers = run(*engine, rows, n_rows);
            if (std::memcmp(answers.data(), expected.data(), expected.size() * sizeof(float)) == 0) continue;
            std::printf("seed %u: %s differs from serial on %zu rows\n", seed, engine->isa(), n_rows);
            return false;
        }
    }
    for (const auto& engine : engines)
        if (!stream_agrees(*engine, random, seed)) return false;
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const int n_programs = argc > 1 ? std::atoi(argv[1]) : 200;
    bool has_required = argc < 3;
    std::printf("instruction sets:");
    for (const Kernels* kernels : bimetal::available_kernels()) {
        std::printf(" %s", kernels->name);
        if (argc > 2 && std::strcmp(argv[2], kernels->name) == 0) has_required = true;
    }
    std::printf("\n");
    if (!has_required) {
        std::printf("%s is not among them\n", argv[2]);
        return 1;
    }
    int n_wrong = 0;
    for (int seed = 0; seed < n_programs; seed++) n_wrong += !all_agree(static_cast<unsigned>(seed));
    std::printf("%d random Programs, %d disagreements\n", n_programs, n_wrong);
    n_wrong += test_nets(n_programs);
    n_wrong += test_net_kernels(n_programs, argc > 2 ? argv[2] : nullptr);
    n_wrong += test_net_tiles(n_programs);
    n_wrong += test_row_threshold(100L * n_programs);
    n_wrong += test_explain(n_programs);
    return n_wrong != 0;
}
