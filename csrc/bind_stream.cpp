// The Python face of streaming. update_into is a plain C function for the reason told in predict_into.cpp.
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_SSIZE_T_CLEAN
#include "bimetal/stream.hpp"

#include <numpy/arrayobject.h>

#include "bind.hpp"

namespace bimetal {

namespace {

using namespace bind;
using namespace nb::literals;
using std::size_t;

PyArrayObject* as_array(PyObject* object) { return reinterpret_cast<PyArrayObject*>(object); }

PyObject* error_named(const char* name) {
    PyObject* module = PyImport_ImportModule("bimetal.errors");
    PyObject* error = module ? PyObject_GetAttrString(module, name) : nullptr;
    Py_XDECREF(module);
    return error;
}

PyObject* refuse(const char* expected, PyObject* came) {
    PyObject* error = error_named("DataError");
    if (!error) return nullptr;
    if (!PyArray_Check(came)) {
        PyErr_Format(error, "%s, got %s; convert it with numpy.asarray", expected, Py_TYPE(came)->tp_name);
    } else if (PyObject* shape = PyObject_GetAttrString(came, "shape")) {
        PyErr_Format(error, "%s; got %s%s%S of shape %S", expected,
                     PyArray_ISWRITEABLE(as_array(came)) ? "" : "read-only ",
                     PyArray_IS_C_CONTIGUOUS(as_array(came)) ? "" : "non-contiguous ",
                     reinterpret_cast<PyObject*>(PyArray_DESCR(as_array(came))), shape);
        Py_DECREF(shape);
    }
    Py_DECREF(error);
    return nullptr;
}

PyObject* refuse_column(long long column, size_t n_columns) {
    if (PyObject* error = error_named("ColumnError")) {
        PyErr_Format(error, "columns are numbered 0 to %zu, got %lld; nothing was changed", n_columns - 1, column);
        Py_DECREF(error);
    }
    return nullptr;
}

bool is_vector(PyObject* object) {
    return PyArray_Check(object) && PyArray_NDIM(as_array(object)) == 1 && PyArray_ISCARRAY_RO(as_array(object));
}

bool is_float32_vector(PyObject* object) { return is_vector(object) && PyArray_TYPE(as_array(object)) == NPY_FLOAT32; }

// All columns are looked at before the first is changed. Negative ones become huge and are refused too.
template <class Index>
PyObject* update(Stream& stream, PyObject* indices, const float* values, float* out) {
    const auto* columns = static_cast<const Index*>(PyArray_DATA(as_array(indices)));
    const auto n = static_cast<size_t>(PyArray_DIM(as_array(indices), 0));
    for (size_t i = 0; i < n; i++)
        if (static_cast<size_t>(columns[i]) >= stream.n_columns()) return refuse_column(columns[i], stream.n_columns());
    stream.update(columns, values, n);
    std::memcpy(out, stream.answers(), stream.n_outputs() * sizeof *out);
    Py_RETURN_NONE;
}

PyObject* update_into(PyObject* self, PyObject* const* arguments, Py_ssize_t n_arguments) {
    if (n_arguments != 3)
        return PyErr_Format(PyExc_TypeError, "update_into takes indices, values and out, got %zd arguments",
                            n_arguments);
    Stream& stream = *nb::inst_ptr<Stream>(self);
    PyObject *indices = arguments[0], *values = arguments[1], *out = arguments[2];
    if (!is_vector(indices))
        return refuse("indices must be a contiguous array of whole numbers (int32, int64 or uint16), one axis",
                      indices);
    if (!is_float32_vector(values) || PyArray_DIM(as_array(values), 0) != PyArray_DIM(as_array(indices), 0))
        return refuse("values must be a contiguous float32 array, one axis, one value for each index", values);
    if (!is_float32_vector(out) || !PyArray_ISWRITEABLE(as_array(out)) ||
        static_cast<size_t>(PyArray_DIM(as_array(out), 0)) != stream.n_outputs())
        return refuse("out must be a contiguous, writeable float32 array of shape (n_outputs,)", out);
    const auto* from = static_cast<const float*>(PyArray_DATA(as_array(values)));
    auto* to = static_cast<float*>(PyArray_DATA(as_array(out)));
    switch (PyArray_TYPE(as_array(indices))) {
        case NPY_INT32: return update<std::int32_t>(stream, indices, from, to);
        case NPY_INT64: return update<std::int64_t>(stream, indices, from, to);
        case NPY_UINT16: return update<std::uint16_t>(stream, indices, from, to);
        default: return refuse("indices must be int32, int64 or uint16", indices);
    }
}

PyMethodDef definition = {"update_into", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(update_into)),
                          METH_FASTCALL,
                          "update_into(indices, values, out)\n--\n\nSet columns, write the answers into out."};

}  // namespace

void bind_stream(nb::module_& module) {
    if (PyArray_ImportNumPyAPI() < 0) throw nb::python_error();
    using Out = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
    nb::class_<Stream>(module, "Stream")
        .def(
            "__init__",
            [](Stream* self, const Engine& engine, Array<float> row) { new (self) Stream(engine, row.data()); },
            "engine"_a, "row"_a, nb::keep_alive<1, 2>())
        .def(
            "start", [](Stream& self, Array<float> row) { self.start(row.data()); }, "row"_a)
        .def("copy_row",
             [](const Stream& self, Out out) { std::memcpy(out.data(), self.row(), self.n_columns() * sizeof(float)); })
        .def("copy_answers", [](const Stream& self,
                                Out out) { std::memcpy(out.data(), self.answers(), self.n_outputs() * sizeof(float)); })
        .def("update_into", [](nb::handle self) { return nb::steal(PyCFunction_New(&definition, self.ptr())); });
}

}  // namespace bimetal
