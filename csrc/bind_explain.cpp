// The Python face of exact explanations: constants in once, then rows in, numerators and points out.
#include "bind.hpp"
#include "explain.hpp"

namespace bimetal {

namespace {

using namespace bind;
using namespace nb::literals;
using Out = nb::ndarray<std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using OutMatrix = nb::ndarray<std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void require(bool holds) {
    if (!holds) throw std::invalid_argument("the arrays do not fit each other");
}

template <class M>
void check(const Explainer& self, const M& rows, std::size_t width, const OutMatrix& numerators, const Out& points) {
    require(rows.shape(1) == width && numerators.shape(0) == rows.shape(0) && points.shape(0) == rows.shape(0) &&
            numerators.shape(1) == self.n_players());
}

}  // namespace

void bind_explain(nb::module_& module) {
    nb::class_<Explainer>(module, "ExplainCore")
        .def(
            "__init__",
            [](Explainer* self, const std::string& isa, std::size_t n_columns, std::size_t n_players) {
                new (self) Explainer(kernels_named(isa), n_columns, n_players);
            },
            "isa"_a, "n_columns"_a, "n_players"_a)
        .def("encode",
             [](Explainer& self, Array<std::uint16_t> column, Array<std::uint8_t> kind, Array<float> value,
                Array<std::uint16_t> special_column, Array<float> special_value) {
                 self.encode(span(column), span(kind), span(value), span(special_column), span(special_value));
             })
        .def("bits",
             [](Explainer& self, Array<std::int64_t> start, std::int64_t points, Array<std::uint32_t> player,
                Array<std::int64_t> numerator, Array<std::int64_t> bit_points) {
                 self.bits(span(start), points, span(player), span(numerator), span(bit_points));
             })
        .def("terms", [](Explainer& self, Array<std::uint32_t> starts,
                         Array<std::uint32_t> literals) { self.terms(span(starts), span(literals)); })
        .def("tabulated",
             [](Explainer& self, Matrix<std::uint32_t> terms, Matrix<std::uint32_t> players, Array<std::int32_t> points,
                std::int64_t scale, Array<std::int32_t> table) {
                 self.tabulated(terms.shape(1), span(terms), span(players), span(points), scale, span(table));
             })
        .def("walked",
             [](Explainer& self, Matrix<std::uint32_t> terms, Matrix<std::uint32_t> players, Array<std::int32_t> points,
                std::int64_t scale, Array<std::uint32_t> starts, Array<std::uint64_t> cases, Array<std::int64_t> times,
                Matrix<std::int64_t> up, Matrix<std::int64_t> down) {
                 self.walked(terms.shape(1), span(terms), span(players), span(points), scale, span(starts), span(cases),
                             span(times), span(up), span(down));
             })
        .def("run",
             [](const Explainer& self, Matrix<float> rows, OutMatrix numerators, Out points) {
                 check(self, rows, self.n_columns(), numerators, points);
                 const nb::gil_scoped_release unlocked;
                 self.run(rows.data(), rows.shape(0), numerators.data(), points.data());
             })
        .def("run_bits", [](const Explainer& self, Matrix<std::uint8_t> bits, OutMatrix numerators, Out points) {
            check(self, bits, self.n_bits(), numerators, points);
            const nb::gil_scoped_release unlocked;
            self.run_bits(bits.data(), bits.shape(0), numerators.data(), points.data());
        });
}

}  // namespace bimetal
