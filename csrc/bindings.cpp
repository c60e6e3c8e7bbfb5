// The Python face of the engine: constants in, rows in, answers out.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>

#include "bimetal/engine.hpp"
#include "bind.hpp"
#include "predict_into.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using bimetal::Engine;
using namespace bimetal::bind;

namespace {

std::vector<std::string> isas() {
    std::vector<std::string> names;
    for (const auto* kernels : bimetal::available_kernels()) names.emplace_back(kernels->name);
    return names;
}

}  // namespace

NB_MODULE(_engine, m) {
    // Engines may live to the end of the interpreter, in caches and globals; that is no leak to warn of.
    nb::set_leak_warnings(false);
    bimetal::prepare_predict_into();
    m.def("isas", isas);
    nb::class_<bimetal::Runner>(m, "Runner").def("predict_into", [](nb::handle self) {
        return nb::steal(bimetal::make_predict_into(self.ptr()));
    });
    nb::class_<Engine, bimetal::Runner>(m, "Core")
        .def(
            "__init__",
            [](Engine* self, const std::string& isa, std::size_t n_columns, std::size_t n_threads,
               const std::vector<int>& cpus) { new (self) Engine(kernels_named(isa), n_columns, n_threads, cpus); },
            "isa"_a, "n_columns"_a, "n_threads"_a = 1, "cpus"_a = std::vector<int>{})
        .def(
            "encode",
            [](Engine& self, Array<std::uint16_t> column, Array<std::uint8_t> kind, Array<float> value,
               Array<std::uint16_t> special_column, Array<float> special_value) {
                self.encode(span(column), span(kind), span(value), span(special_column), span(special_value));
            },
            "column"_a, "kind"_a, "value"_a, "special_column"_a, "special_value"_a)
        .def(
            "dense",
            [](Engine& self, std::size_t input, std::size_t groups, Matrix<std::uint8_t> weights,
               Array<std::int32_t> thresholds) { self.dense(input, groups, span(weights), span(thresholds)); },
            "input"_a, "groups"_a, "weights"_a, "thresholds"_a)
        .def(
            "rules",
            [](Engine& self, std::size_t input, Array<std::uint16_t> literals, Array<std::uint8_t> fan_in) {
                self.rules(input, span(literals), span(fan_in));
            },
            "input"_a, "literals"_a, "fan_in"_a)
        .def(
            "lut",
            [](Engine& self, std::size_t input, Matrix<std::uint16_t> places, Matrix<std::uint8_t> tables) {
                self.lut(input, places.shape(1), span(places), span(tables));
            },
            "input"_a, "places"_a, "tables"_a)
        .def(
            "readout",
            [](Engine& self, const std::vector<std::size_t>& inputs, Matrix<std::int32_t> weights,
               Array<std::int32_t> bias) { self.readout({inputs.data(), inputs.size()}, span(weights), span(bias)); },
            "inputs"_a, "weights"_a, "bias"_a)
        .def(
            "link",
            [](Engine& self, std::size_t input, const std::string& kind, Array<double> scale, Array<double> offset,
               Array<std::int32_t> knots, Array<float> values) {
                self.link(input, link_kind(kind), span(scale), span(offset), span(knots), span(values));
            },
            "input"_a, "kind"_a, "scale"_a, "offset"_a, "knots"_a, "values"_a);
    bimetal::bind_net(m);
    bimetal::bind_stream(m);
    bimetal::bind_explain(m);
}
