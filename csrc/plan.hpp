// Plans: the constants of each operation, laid out for the kernels, and the table of kernels that reads them.
//
// Everything here is plain old data: kernels are compiled with flags of their own (AVX-512, say) and must not
// instantiate an inline function that baseline code could share, so no standard containers cross this line.
// A value of bits is held in one of two forms. Row form: packed words, one row at a time. Planes form: plane i
// holds bit i of `block_rows` rows, one row a lane; after its n planes each value has one more plane of zeros.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bimetal {

enum Test : std::uint8_t { kGreaterEqual = 0, kEqual = 1, kMissing = 2 };
enum LinkKind : std::uint8_t { kIdentity, kSigmoid, kSoftmax, kTable };

// A column with special codes has a twin in which those codes read as missing; GE tests look at the twin.
// Twins stand after the real columns.
struct EncodePlan {
    std::size_t n_bits, n_words, n_columns, n_twins, n_specials;
    const std::uint32_t* twin_source;       // (n_twins,) the real column
    const std::uint32_t* special_twin;      // (n_specials,) index of the twin among all columns
    const float* special_value;             // (n_specials,)
    const std::uint32_t* column;            // (64 * n_words,) real or twin
    const float* value;                     // (64 * n_words,)
    const std::uint8_t* test;               // (n_bits,)
    const std::uint64_t* is_greater_equal;  // (n_words,) which bits make which test; beyond n_bits none does
    const std::uint64_t* is_equal;
    const std::uint64_t* is_missing;
    // For permutes: sixteen neighbouring bits take their columns from one or more windows of sixteen columns.
    const std::uint32_t* first_window;  // (4 * n_words + 1,)
    const std::uint32_t* window_base;   // (n_windows,) first column of the window
    const std::uint16_t* window_lanes;  // (n_windows,) which of the sixteen bits it serves
    const std::uint8_t* window_index;   // (n_windows, 16) column - base
};

constexpr std::size_t kCarriesPerChunk = 64;

struct DensePlan {
    std::size_t n_in, n_out, groups, group_in, group_out;  // bits
    std::size_t in_words, panels;                          // a group: words of input, eights of outputs
    const std::uint64_t* weights;                          // (groups, panels, in_words, 8): lane = neuron
    const std::uint16_t* limits;                           // (groups, panels * 8): fires when count < limit
    // Planes form, see planes.hpp: triples of nodes, and for each neuron the pattern of its weights on them.
    std::size_t n_triples, n_chunks, n_planes, n_scratch_planes;
    const std::uint16_t* triples;    // (n_triples, 3) nodes: inputs, then one constant 0, then earlier triples
    std::uint32_t root;              // node that is the parity of all inputs
    const std::uint8_t* patterns;    // (groups, n_chunks, group_out, 32): 8 * pattern
    const std::uint8_t* root_flips;  // (n_out,) parity of the neuron's weights
};

// The same Dense for correction: the weights of all neurons on one bit side by side. See kernels/counts.hpp.
struct CountsPlan {
    std::size_t n_in, n_words, n_planes;  // of one group; words of neurons, whole vectors of them
    const std::uint64_t* columns;         // (groups, n_in + 1, n_words); one more bit, of zeros
};

// Rules of one shape stand together: first the planes that must be set, then those that must not.
struct RuleRun {
    std::uint32_t n_rules, n_plain, n_negated;
};

struct RulesPlan {
    std::size_t n_in, n_out, n_blocks;  // a block is 64 rules
    std::size_t n_pages;                // 0: all literals fit one table of 64 bytes; else pages of 128 bytes
    const std::uint32_t* first_step;    // (n_blocks + 1,) one step tests one literal of each of 64 rules
    const std::uint8_t* steps;          // (n_steps, 2 or 3, 64): table byte, bit mask, page if n_pages > 1
    std::size_t n_runs;
    const RuleRun* runs;
    const std::uint16_t* bits;  // as the runs say
    const std::uint16_t* outs;  // (n_out,) the plane each rule of the runs makes
};

// Tables of at least two inputs each; one of fewer reads its last input twice.
struct LutPlan {
    std::size_t n_in, n_out, fan_in;
    const std::uint16_t* places;   // (n_out, fan_in)
    const std::uint64_t* tables;   // (n_out, ceil(2**fan_in / 64)): bit a is the answer to address a (row form)
    const std::uint8_t* quarters;  // (n_out, 2**fan_in / 4): four answers each, on the first two inputs (planes form)
};

// One list of planes that all add 2**level (or take it away) in one output.
struct DigitList {
    std::uint32_t first, n;  // into digits; n is a multiple of 16
    std::uint16_t input;     // whose planes
    std::uint16_t counter;
};

struct DigitCounter {
    std::uint32_t first_plane;  // of this counter in the scratch
    std::uint8_t n_planes, level, is_negative;
};

struct ReadoutPlan {
    std::size_t n_outputs, n_inputs, n_words;  // words: of all inputs, each input padded to whole words
    const std::uint32_t* input_word;           // (n_inputs,) where its words begin (row form)
    const std::uint32_t* input_n_words;        // (n_inputs,)
    const std::uint32_t* input_plane;          // (n_inputs,) where its planes begin (planes form)
    const std::int32_t* bias;                  // (n_outputs,)
    const std::int16_t* narrow;                // (n_outputs, 64 * n_words), or null: a weight needs more bits
    const std::int32_t* wide;                  // the same where narrow is null
    const std::uint32_t* safe_runs;            // for each output and input, in order: words that int16 lanes can add up
    const std::uint32_t* first_list;           // (n_outputs + 1,)
    const DigitList* lists;
    const std::uint16_t* digits;         // plane within its input
    const std::uint32_t* first_counter;  // (n_outputs + 1,)
    const DigitCounter* counters;
    std::size_t n_counter_planes;  // of the output that needs most
};

struct LinkPlan {
    LinkKind kind;
    std::size_t n_points, n_outputs, n_knots;
    const double* scale;
    const double* offset;
    const std::int32_t* knots;
    const float* values;
};

// For rows that change a little at a time. A flip is 2 * bit + what the bit is now.
struct StreamKernels {
    // flips: bits of one group, padded to eights with 2 * n_in; planes: (n_planes, n_words) of the group, whose last
    // one is what fires; changed: (n_words,) where it has changed
    void (*correct_counts)(const CountsPlan&, std::size_t group, const std::uint32_t* flips, std::size_t n,
                           std::uint64_t* planes, std::uint64_t* changed);
    std::size_t (*count_bits)(const std::uint64_t* words, std::size_t n_words);
    // The changed bits of some words; flips has room for sixteen more than there are.
    void (*list_flips)(const std::uint64_t* changed, const std::uint64_t* now, std::size_t n_words,
                       std::uint32_t* flips);
    // Cycles, about: of encode_row for a word, of dense_row for 64 inputs and 8 neurons, of rules_row for a literal of
    // 64 rules, of readout_row for a word and an output, and of correct_counts for a flip and a vector.
    double encode, dense, rules, readout, flip;
};

// One instruction set. Row form: `bits` and `words` are packed rows. Planes form: pointers to whole planes.
struct Kernels {
    const char* name;
    std::size_t block_rows;  // lanes of a plane
    std::size_t min_rows;    // from how many rows a block of planes beats row by row
    void (*encode_row)(const EncodePlan&, const float* row, float* columns, std::uint64_t* words);
    void (*dense_row)(const DensePlan&, const std::uint64_t* in, std::uint64_t* out);
    void (*rules_row)(const RulesPlan&, const std::uint64_t* in, std::uint64_t* out);
    void (*lut_row)(const LutPlan&, const std::uint64_t* in, std::uint64_t* out);
    void (*readout_row)(const ReadoutPlan&, const std::uint64_t* words, std::int32_t* points);
    void (*encode_planes)(const EncodePlan&, const float* rows, std::size_t n_rows, float* columns, std::uint64_t* out);
    void (*dense_planes)(const DensePlan&, const std::uint64_t* in, std::uint64_t* scratch, std::uint64_t* out);
    void (*rules_planes)(const RulesPlan&, const std::uint64_t* in, std::uint64_t* out);
    void (*lut_planes)(const LutPlan&, const std::uint64_t* in, std::uint64_t* out);
    // points: (n_outputs, block_rows)
    void (*readout_planes)(const ReadoutPlan&, const std::uint64_t* planes, std::uint64_t* scratch,
                           std::int32_t* points);
    // points: (n_points, stride); out: (n_rows, n_outputs)
    void (*link)(const LinkPlan&, const std::int32_t* points, std::size_t stride, std::size_t n_rows, float* out);
    const struct NetKernels* net;  // the kernels of maps
    const struct StreamKernels* stream;
};

extern const Kernels kSerial;
extern const Kernels kAvx2;
extern const Kernels kAvx512;
extern const Kernels kNeon;

}  // namespace bimetal
