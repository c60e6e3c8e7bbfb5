// What the Python faces of both engines share: arrays as they come from NumPy, instruction sets and links by name.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "bimetal/engine.hpp"

namespace bimetal {

void bind_net(nanobind::module_& module);
void bind_stream(nanobind::module_& module);
void bind_explain(nanobind::module_& module);

namespace bind {

namespace nb = nanobind;

template <class T>
using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class A>
auto span(const A& array) {
    return Span<std::remove_const_t<typename A::Scalar>>{array.data(), array.size()};
}

inline const Kernels& kernels_named(const std::string& isa) {
    for (const auto* kernels : available_kernels())
        if (isa == kernels->name) return *kernels;
    throw std::invalid_argument("no such instruction set: " + isa);
}

inline LinkKind link_kind(const std::string& kind) {
    if (kind == "identity") return kIdentity;
    if (kind == "sigmoid") return kSigmoid;
    if (kind == "softmax") return kSoftmax;
    if (kind == "table") return kTable;
    throw std::invalid_argument("no such link: " + kind);
}

}  // namespace bind
}  // namespace bimetal
