"""Engine: a Program on packed bits and wide registers, exactly as `reference.run` says, only faster.

The work is done in C++ (csrc/): one row at a time in packed words, many rows at once in bit planes.
The instruction set is chosen when the engine is built; the environment variable BIMETAL_ISA forces
one. All of them give the same bits.
"""

import os
from collections.abc import Callable
from typing import Any, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import _engine
from bimetal.columns import require_finite, require_known_missing, to_rows
from bimetal.errors import DataError, IsaError, ProgramError
from bimetal.program import (
    MISSING,
    Dense,
    Encode,
    Link,
    Op,
    Program,
    Readout,
    Rules,
    from_parts,
)

__all__ = ["Engine", "isas"]

KNOWN_ISAS = ("avx512", "avx2", "neon", "serial")


def isas() -> tuple[str, ...]:
    """Return the instruction sets of this machine that the engine can use, best first.

    Examples
    --------
    >>> isas()[-1]
    'serial'
    """
    return tuple(_engine.isas())


class Engine:
    """Run a Program.

    An engine never changes once built; any number of threads may use it at once.

    Parameters
    ----------
    program : Program
        What to run.
    isa : str, optional
        One of `isas()`; by default what the environment variable BIMETAL_ISA says, else the best.

    Attributes
    ----------
    program : Program
        The Program as given.
    isa : str
        The instruction set in use.
    predict_into : callable
        ``predict_into(x, out)`` writes the answers for `x` into `out` and returns None: the fast
        path. `x` is float32 of shape (n_rows, n_columns), or (n_columns,) for one row: categories
        as their codes, missing values as NaN. `out` is float32 of shape (n_rows, n_outputs), or
        (n_outputs,). Both are C-contiguous; nothing is copied. Values are taken as they are: NaN
        fails every comparison. Raises `DataError` when an array does not fit.

    Raises
    ------
    IsaError
        When the instruction set is unknown, or this machine lacks it.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> no = np.array([], "f4")
    >>> adult = Encode(np.array([0], "u2"), np.array([0], "u1"), np.array([18], "f4"), no.astype("u2"), no)
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> score = Link(2, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> engine = Engine(Program((Column("age"),), (adult, points, score)))
    >>> engine.run(np.array([[17], [30]], "f4"))
    array([[600.],
           [620.]], dtype=float32)
    """

    predict_into: Callable[[NDArray[Any], NDArray[Any]], None]

    def __init__(self, program: Program, *, isa: str | None = None) -> None:
        self.program = program
        self.isa = _choose(isa or os.environ.get("BIMETAL_ISA"))
        core = _engine.Core(self.isa, program.n_columns)
        for op in program.ops:
            _add(core, op)
        self.predict_into = core.predict_into()
        self._labels = _labels(program)
        self._has_missing_bit = _columns_with_missing_bit(program)

    def __repr__(self) -> str:
        return f"Engine({self.program.id[:12]}, isa={self.isa!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        spec, provenance = self.program.spec(), dict(self.program.provenance)
        return _rebuild, (spec, self.program.tensors(), provenance)

    @property
    def n_outputs(self) -> int:
        """Float32 answers a row."""
        return self.program.n_outputs

    def run(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Run raw rows, taken as they are: NaN fails every comparison.

        Parameters
        ----------
        rows : array_like
            float32 array of shape (n_rows, n_columns).

        Returns
        -------
        numpy.ndarray
            float32 array of shape (n_rows, n_outputs).

        Raises
        ------
        DataError
            When `rows` has another shape or type.
        """
        x = np.asarray(rows)
        n_columns = self.program.n_columns
        if x.dtype != np.float32 or x.ndim != 2 or x.shape[1] != n_columns:
            raise DataError(
                f"rows must be float32 of shape (n_rows, {n_columns}), got {x.dtype} of shape "
                f"{x.shape}; predict and predict_proba convert tables"
            )
        out = np.empty((len(x), self.n_outputs), np.float32)
        self.predict_into(np.ascontiguousarray(x), out)
        return out

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the answers for a table: a classifier's probabilities, a regressor's targets.

        Parameters
        ----------
        X : dataframe or array_like
            A table with the columns of the Program: any frame that narwhals reads, or an array of
            shape (n_rows, n_columns).

        Returns
        -------
        numpy.ndarray
            float32 array of shape (n_rows, n_outputs).

        Raises
        ------
        ColumnError
            When a column is missing or of the wrong type.
        MissingValueError
            When a value is missing in a column for which the Program has no missing bit.
        NotFiniteError
            When a value is infinite.
        """
        columns = self.program.columns
        rows = to_rows(X, columns)
        if not np.isfinite(rows).all():
            require_finite(rows, columns)
            require_known_missing(rows, columns, self._has_missing_bit)
        return self.run(rows)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return class labels, or a regressor's targets as float32 of shape (n_rows,).

        Takes and raises what `predict_proba` does. The most probable class wins, of equals the
        first. A regressor of several targets gives shape (n_rows, n_outputs).
        """
        answers = self.predict_proba(X)
        if self.program.classes:
            labels: NDArray[Any] = self._labels[answers.argmax(axis=1)]
            return labels
        return answers[:, 0] if self.n_outputs == 1 else answers

    def self_test(self) -> None:
        """Run the golden rows that the Program carries.

        Raises
        ------
        ProgramError
            When an answer differs in even one bit.
        """
        x, expected = self.program.golden_x, self.program.golden_y
        if not len(x):
            return
        n_wrong = int((self.run(x) != expected).any(axis=1).sum())
        if n_wrong:
            raise ProgramError(
                f"{n_wrong} of {len(x)} golden rows give other answers than the Program carries "
                f"(isa {self.isa}); do not use this copy: the file or the build is damaged"
            )


def _rebuild(spec: Any, tensors: Any, provenance: Any) -> Engine:
    """Unpickle: the machine that does may have another instruction set, so it chooses again."""
    return Engine(from_parts(spec, tensors, provenance))


def _choose(isa: str | None) -> str:
    available = isas()
    if isa is None:
        return available[0]
    if isa not in available:
        what = "this machine lacks" if isa in KNOWN_ISAS else "there is no"
        raise IsaError(
            f"{what} instruction set {isa!r}; available here: {', '.join(available)}; choose one "
            f"of them, or unset BIMETAL_ISA for the best"
        )
    return isa


def _labels(program: Program) -> NDArray[Any]:
    """Return the class labels as an array that keeps them what they are: 1 must not become '1'."""
    is_mixed = len(set(map(type, program.classes))) > 1
    return np.array(program.classes, dtype=object if is_mixed else None)


def _columns_with_missing_bit(program: Program) -> NDArray[np.bool_]:
    has_bit = np.zeros(program.n_columns, dtype=bool)
    for op in program.ops:
        if isinstance(op, Encode):
            has_bit[op.column[op.kind == MISSING]] = True
    return has_bit


def _add(core: _engine.Core, op: Op) -> None:
    match op:
        case Encode():
            core.encode(op.column, op.kind, op.value, op.special_column, op.special_value)
        case Dense():
            core.dense(op.input, op.groups, op.weights, op.thresholds)
        case Rules():
            core.rules(op.input, op.literals, op.fan_in)
        case Readout():
            core.readout(op.inputs, op.weights.astype(np.int32), op.bias)
        case Link():
            core.link(op.input, op.kind, op.scale, op.offset, op.knots, op.values)
        case _:
            assert_never(op)
