"""Trees as C behind the face of an exported header, to be counted and weighed on the same boards.

m2cgen (MIT) writes LightGBM as nested ifs on float64; its score is the raw margin, as a logistic needs an
exp that these boards lack. emlearn (MIT) writes scikit-learn's forests on int16 columns.
"""

from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bimetal.program import Program

__all__ = ["emlearn_folder", "from_emlearn", "from_m2cgen", "has", "header", "scores_of", "whole"]

MONEY = ("LIMIT_BAL", "BILL_", "PAY_AMT")
FACE = """#pragma GCC system_header
#include <stdint.h>
{source}
#define NET_N_COLUMNS {n}
#define NET_N_POINTS 2
#define NET_N_ANSWERS 2
static inline void net_points(const {kind} row[], int32_t points[]) {{
    {call}
}}
static inline void net_link(const int32_t points[], float answers[]) {{ answers[0] = answers[1] = (float)points[1]; }}
static inline void net_answers(const {kind} row[], float answers[]) {{
    int32_t points[2];
    net_points(row, points);
    net_link(points, answers);
}}
static inline int net_class(const {kind} row[]) {{ (void)row; return 0; }}
static inline int net_selftest(void) {{ return 0; }}
"""
BY_M2CGEN = """double columns[{n}], margin;
    for (int i = 0; i < {n}; i++) columns[i] = (double)row[i];
    margin = score(columns);
    __builtin_memcpy(points, &margin, sizeof margin);"""
BY_EMLEARN = """float shares[2];
    (void)forest_predict_proba(row, {n}, shares, 2);
    __builtin_memcpy(points, shares, sizeof shares);"""


def has(package: str) -> bool:
    """Return whether a challenger is here, and say so if it is not."""
    if find_spec(package) is None:
        print(f"{package} is not compared: pip install -r requirements/bench.txt")
        return False
    return True


def from_m2cgen(model: Any) -> str:
    """Return an LGBMClassifier's raw margin as C."""
    from m2cgen.assemblers import LightGBMModelAssembler
    from m2cgen.interpreters import CInterpreter

    assembler = LightGBMModelAssembler(model)
    assembler._is_classification, assembler.objective_name = False, "custom"
    return str(CInterpreter().interpret(assembler.assemble()))


def from_emlearn(model: Any, method: str, leaf_bits: int) -> str:
    """Return a RandomForestClassifier as C: "inline" ifs, or the "loadable" table and its loop.

    emlearn 0.23 asks x < int(t) where scikit-learn asks x <= t, which parts whole numbers elsewhere. It
    is given floor(t) + 1, with which both part them alike.
    """
    with (
        np.errstate()
    ):  # importing it makes every rounding of numpy an error, for the whole process
        import emlearn

    model = deepcopy(model)
    for tree in model.estimators_:
        tree.tree_.threshold[:] = np.floor(tree.tree_.threshold) + 1
    made = emlearn.convert(model, method=method, dtype="int16_t", leaf_bits=leaf_bits)
    return str(made.save(name="forest"))


def emlearn_folder() -> Path:
    """Return where emlearn keeps its headers."""
    spec = find_spec("emlearn")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def header(source: str, program: Program, is_float: bool) -> bytes:
    """Return the face: the score's bits are the two points, so nothing is lost or added."""
    kind, call = ("float", BY_M2CGEN) if is_float else ("int16_t", BY_EMLEARN)
    n = program.n_columns
    return FACE.format(source=source, n=n, kind=kind, call=call.format(n=n)).encode()


def scores_of(points: np.ndarray, is_float: bool) -> np.ndarray:
    """Return the scores whose bits are the points, int32 (n_rows, 2)."""
    little = np.ascontiguousarray(points.astype("<i4"))
    return little.view("<f8")[:, 0] if is_float else little.view("<f4")[:, 1]


def whole(X: Any) -> np.ndarray:
    """Return the table as int16, (n_rows, n_columns): money in units of 64, a missing age as 34."""
    is_money = [str(name).startswith(MONEY) for name in X.columns]
    found = np.rint(X.fillna(34.0).to_numpy(np.float64) / np.where(is_money, 64.0, 1.0))
    most = np.iinfo(np.int16).max
    return np.clip(found, -most, most).astype(np.float32)
