// The Python face of nets: one call for each operation, then finish().
#include <memory>

#include "bind.hpp"
#include "net/net.hpp"

namespace bimetal {

namespace {

using namespace bind;
using namespace nb::literals;
using std::size_t;
using Sizes = std::vector<size_t>;

Geometry geometry(const Sizes& shape, const Sizes& kernel, const Sizes& stride, const Sizes& dilation,
                  const Sizes& padding, size_t groups) {
    return {{shape.at(0), shape.at(1), shape.at(2)},
            kernel.at(0),
            kernel.at(1),
            stride.at(0),
            stride.at(1),
            dilation.at(0),
            dilation.at(1),
            padding.at(0),
            padding.at(1),
            padding.at(2),
            padding.at(3),
            groups};
}

nb::list plan(const Net& net) {
    nb::list steps;
    for (const Step& step : net.steps())
        steps.append(nb::make_tuple(step.op, step.name, step.kernel, step.microseconds));
    return steps;
}

nb::list profile(const Net& net, Matrix<float> rows, nb::ndarray<float, nb::ndim<2>, nb::c_contig> out) {
    struct Free {
        void operator()(void* block) const { ::operator delete(block, std::align_val_t{64}); }
    };
    const size_t n_rows = rows.shape(0);
    const std::unique_ptr<void, Free> scratch(::operator new(net.scratch_bytes(n_rows), std::align_val_t{64}));
    std::vector<double> seconds(net.steps().size());
    net.profile(rows.data(), n_rows, out.data(), scratch.get(), seconds.data());
    nb::list list;
    for (const double s : seconds) list.append(s);
    return list;
}

}  // namespace

void bind_net(nb::module_& module) {
    nb::class_<Net, Runner>(module, "NetCore")
        .def(
            "__init__",
            [](Net* self, const std::string& isa, size_t n_columns, size_t n_threads, std::vector<int> cpus,
               size_t batch, std::vector<std::string> kernels) {
                new (self) Net(kernels_named(isa), n_columns, {n_threads, std::move(cpus), batch, std::move(kernels)});
            },
            "isa"_a, "n_columns"_a, "n_threads"_a, "cpus"_a, "batch"_a, "kernels"_a)
        .def("encode",
             [](Net& self, Array<std::uint16_t> column, Array<std::uint8_t> kind, Array<float> value,
                Array<std::uint16_t> special_column, Array<float> special_value) {
                 self.encode(span(column), span(kind), span(value), span(special_column), span(special_value));
             })
        .def("dense",
             [](Net& self, size_t input, size_t groups, Matrix<std::uint8_t> weights, Array<std::int32_t> thresholds) {
                 self.dense(input, groups, span(weights), span(thresholds));
             })
        .def("rules", [](Net& self, size_t input, Array<std::uint16_t> literals,
                         Array<std::uint8_t> fan_in) { self.rules(input, span(literals), span(fan_in)); })
        .def("lut", [](Net& self, size_t input, Matrix<std::uint16_t> places,
                       Matrix<std::uint8_t> tables) { self.lut(input, places.shape(1), span(places), span(tables)); })
        .def("readout", [](Net& self, const Sizes& inputs, Matrix<std::int32_t> weights,
                           Array<std::int32_t> bias) { self.readout(inputs, span(weights), span(bias)); })
        .def("link",
             [](Net& self, size_t input, const std::string& kind, Array<double> scale, Array<double> offset,
                Array<std::int32_t> knots, Array<float> values) {
                 self.link(input, link_kind(kind), span(scale), span(offset), span(knots), span(values));
             })
        .def("quantize", [](Net& self, size_t input, Array<float> scale,
                            Array<float> offset) { self.quantize(input, span(scale), span(offset)); })
        .def("planes",
             [](Net& self, size_t input, size_t channels, Array<std::uint16_t> channel, Array<std::uint8_t> mask,
                Array<std::uint8_t> level) { self.planes(input, channels, span(channel), span(mask), span(level)); })
        .def("conv",
             [](Net& self, size_t input, bool makes_bits, const Sizes& shape, const Sizes& kernel, const Sizes& stride,
                const Sizes& dilation, const Sizes& padding, int pad, size_t groups, Matrix<std::uint8_t> weights,
                Array<std::int32_t> bias) {
                 self.conv(input, makes_bits, geometry(shape, kernel, stride, dilation, padding, groups),
                           static_cast<Pad>(pad), span(weights), span(bias));
             })
        .def("byte_conv",
             [](Net& self, size_t input, bool makes_bits, const Sizes& shape, const Sizes& kernel, const Sizes& stride,
                const Sizes& dilation, const Sizes& padding, size_t groups, Array<std::uint8_t> pad,
                Matrix<std::int8_t> weights, Array<std::int32_t> bias) {
                 self.byte_conv(input, makes_bits, geometry(shape, kernel, stride, dilation, padding, groups),
                                span(pad), span(weights), span(bias));
             })
        .def(
            "pool",
            [](Net& self, size_t input, bool is_max, const Sizes& shape, const Sizes& kernel, const Sizes& stride,
               const Sizes& padding) { self.pool(input, is_max, geometry(shape, kernel, stride, {1, 1}, padding, 1)); })
        .def("threshold",
             [](Net& self, size_t input, Array<std::int32_t> ints, Array<float> floats, Array<std::uint8_t> flips) {
                 self.threshold(input, span(ints), span(floats), span(flips));
             })
        .def("row_threshold", &Net::row_threshold)
        .def("affine", [](Net& self, size_t input, Array<float> scale,
                          Array<float> offset) { self.affine(input, span(scale), span(offset)); })
        .def("prelu", [](Net& self, size_t input, Array<float> before, Array<float> slope,
                         Array<float> after) { self.prelu(input, span(before), span(slope), span(after)); })
        .def("add", &Net::add)
        .def("concat", &Net::concat)
        .def("finish", &Net::finish)
        .def("plan", plan)
        .def("profile", profile)
        .def_prop_ro("constant_bytes", &Net::constant_bytes)
        .def_prop_ro("n_threads", &Net::n_threads);
}

}  // namespace bimetal
