// predict_into(x, out): the way from Python to the engine that costs least. See predict_into.cpp.
#pragma once

#include <Python.h>

namespace bimetal {

void prepare_predict_into();                  // once, when the module is loaded; throws when NumPy is missing
PyObject* make_predict_into(PyObject* core);  // a new built-in function that keeps the Core alive

}  // namespace bimetal
