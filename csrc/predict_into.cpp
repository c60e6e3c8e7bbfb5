// predict_into(x, out): one row costs little more than the call itself, so this is a plain C function that looks into
// NumPy's arrays directly, without buffers, capsules or conversions in between.
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_SSIZE_T_CLEAN
#include "predict_into.hpp"

#include <nanobind/nanobind.h>
#include <numpy/arrayobject.h>

#include <memory>
#include <new>

#include "runner.hpp"

namespace bimetal {

namespace {

PyObject* data_error = nullptr;

// Scratch that a thread keeps from call to call: only its first call, or a bigger Program, allocates.
class Scratch {
 public:
    void* at_least(std::size_t n_bytes) {
        if (n_bytes > n_bytes_) {
            block_.reset();
            n_bytes_ = 0;
            block_.reset(::operator new(n_bytes, std::align_val_t{64}));
            n_bytes_ = n_bytes;
        }
        return block_.get();
    }

 private:
    struct Free {
        void operator()(void* block) const { ::operator delete(block, std::align_val_t{64}); }
    };
    std::unique_ptr<void, Free> block_;
    std::size_t n_bytes_ = 0;
};

constexpr std::size_t kStackBytes = 16384;

void run(const Runner& engine, const float* rows, std::size_t n_rows, float* out) {
    const std::size_t n_bytes = engine.scratch_bytes(n_rows);
    if (n_bytes <= kStackBytes) {
        alignas(64) char scratch[kStackBytes];
        engine.run(rows, n_rows, out, scratch);
    } else {
        thread_local Scratch scratch;
        engine.run(rows, n_rows, out, scratch.at_least(n_bytes));
    }
}

PyObject* refuse(const char* name, const char* n_rows, std::size_t n, PyObject* came) {
    if (!PyArray_Check(came))
        return PyErr_Format(data_error, "%s must be a NumPy array, got %s; convert it with numpy.asarray", name,
                            Py_TYPE(came)->tp_name);
    auto* array = reinterpret_cast<PyArrayObject*>(came);
    PyObject* shape = PyObject_GetAttrString(came, "shape");
    if (!shape) return nullptr;
    const bool is_read_only = *name == 'o' && !PyArray_ISWRITEABLE(array);
    PyErr_Format(data_error,
                 "%s must be a C-contiguous%s float32 array of shape (%s, %zu), or (%zu,) for one row; got %s%s%S of "
                 "shape %S; make one with numpy.ascontiguousarray(..., dtype=numpy.float32)",
                 name, *name == 'o' ? ", writeable" : "", n_rows, n, n, is_read_only ? "read-only " : "",
                 PyArray_IS_C_CONTIGUOUS(array) ? "" : "non-contiguous ",
                 reinterpret_cast<PyObject*>(PyArray_DESCR(array)), shape);
    Py_DECREF(shape);
    return nullptr;
}

bool is_plain_float32(PyObject* object) {
    if (!PyArray_Check(object)) return false;
    auto* array = reinterpret_cast<PyArrayObject*>(object);
    return PyArray_TYPE(array) == NPY_FLOAT32 && PyArray_ISCARRAY_RO(array);
}

// Rows of an array whose last axis has n entries; -1 if it has another shape. One axis means one row.
npy_intp count_rows(PyArrayObject* array, std::size_t n) {
    const int n_axes = PyArray_NDIM(array);
    if (n_axes != 1 && n_axes != 2) return -1;
    if (static_cast<std::size_t>(PyArray_DIM(array, n_axes - 1)) != n) return -1;
    return n_axes == 1 ? 1 : PyArray_DIM(array, 0);
}

PyObject* predict_into(PyObject* self, PyObject* const* arguments, Py_ssize_t n_arguments) {
    if (n_arguments != 2)
        return PyErr_Format(PyExc_TypeError, "predict_into takes x and out, got %zd arguments", n_arguments);
    const Runner& engine = *nanobind::inst_ptr<Runner>(self);
    PyObject *x = arguments[0], *out = arguments[1];
    auto *x_array = reinterpret_cast<PyArrayObject*>(x), *out_array = reinterpret_cast<PyArrayObject*>(out);
    const npy_intp n_rows = is_plain_float32(x) ? count_rows(x_array, engine.n_columns()) : -1;
    if (n_rows < 0) return refuse("x", "n_rows", engine.n_columns(), x);
    if (!is_plain_float32(out) || !PyArray_ISWRITEABLE(out_array) ||
        count_rows(out_array, engine.n_outputs()) != n_rows)
        return refuse("out", std::to_string(n_rows).c_str(), engine.n_outputs(), out);
    const auto* rows = static_cast<const float*>(PyArray_DATA(x_array));
    auto* answers = static_cast<float*>(PyArray_DATA(out_array));
    const auto n = static_cast<std::size_t>(n_rows);
    try {
        if (engine.is_long(n)) {
            nanobind::gil_scoped_release unlocked;
            run(engine, rows, n, answers);
        } else {
            run(engine, rows, n, answers);
        }
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

PyMethodDef definition = {"predict_into", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(predict_into)),
                          METH_FASTCALL,
                          "predict_into(x, out)\n--\n\nWrite the answers for the float32 rows x into out."};

}  // namespace

void prepare_predict_into() {
    if (PyArray_ImportNumPyAPI() < 0) throw nanobind::python_error();
    data_error = nanobind::object(nanobind::module_::import_("bimetal.errors").attr("DataError")).release().ptr();
}

PyObject* make_predict_into(PyObject* core) { return PyCFunction_New(&definition, core); }

}  // namespace bimetal
