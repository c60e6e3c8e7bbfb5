"""Engine: a Program on packed bits and wide registers, exactly as `reference.run` says, only faster.

The work is done in C++ (csrc/): one row at a time in packed words, many rows at once in bit planes,
maps operation by operation with a kernel chosen for each. The instruction set is chosen when the
engine is built; the environment variable BIMETAL_ISA forces one. All of them give the same bits.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal import _engine
from bimetal.columns import require_finite, require_known_missing, to_rows
from bimetal.errors import DataError, IsaError, ProgramError
from bimetal.native import build
from bimetal.program import MISSING, Encode, Program, from_parts
from bimetal.stream import Changes, Stream

__all__ = ["KERNELS", "Engine", "Step", "isas"]

KNOWN_ISAS = ("amx", "avx512", "avx2", "neon", "serial")
KERNELS = ("words", "planes", "tiles", "bytes", "any")
"""Kernels of convolutions: packed words, bit planes, matrix tiles (AMX), bytes, and the slow one."""


def isas() -> tuple[str, ...]:
    """Return the instruction sets of this machine that the engine can use, best first.

    Examples
    --------
    >>> isas()[-1]
    'serial'
    """
    return tuple(_engine.isas())


@dataclass(frozen=True)
class Step:
    """One step of an engine: which operation it serves, by which kernel, at what expected cost."""

    op: int
    name: str
    kernel: str
    microseconds: float


class Engine:
    """Run a Program.

    An engine never changes once built; any number of threads may use it at once.

    Parameters
    ----------
    program : Program
        What to run.
    isa : str, optional
        One of `isas()`; by default what the environment variable BIMETAL_ISA says, else the best.
    threads : int, default 1
        Threads that share the work of one call, the caller's included. Small calls stay on the
        caller's thread. A call that comes while another has the threads works alone.
    cpus : sequence of int, optional
        Processors to pin the threads to: ``cpus[i]`` for thread *i*. The first is the caller's own
        thread, which is left where it is: pin it with `os.sched_setaffinity` if you like.
    batch_size : int, default 1
        Rows that a call usually brings, by which a net of maps chooses its kernels. Any number of
        rows gives the same answers.
    kernels : mapping of int to str, optional
        A kernel of `KERNELS` for some operations of a net of maps, by their number; where it
        cannot serve, the engine's own choice stays.

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
    ValueError
        When `threads` or `batch_size` is below 1, `cpus` are too few, or a kernel is unknown.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> from bimetal.program import Encode, Link, Program, Readout
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

    def __init__(
        self,
        program: Program,
        *,
        isa: str | None = None,
        threads: int = 1,
        cpus: Sequence[int] = (),
        batch_size: int = 1,
        kernels: Mapping[int, str] | None = None,
    ) -> None:
        self.program = program
        self.isa = _choose(isa or os.environ.get("BIMETAL_ISA"))
        self.threads = threads
        _check_options(program, threads, cpus, batch_size, kernels or {})
        self._options: dict[str, Any] = {
            "threads": threads,
            "cpus": tuple(cpus),
            "batch_size": batch_size,
            "kernels": dict(kernels or {}),
        }
        self._core = build(program, self.isa, **self._options)
        self.predict_into = self._core.predict_into()
        self._labels = _labels(program)
        self._has_missing_bit = _columns_with_missing_bit(program)
        self._own = threading.local()  # the Stream of each thread, see start

    def __repr__(self) -> str:
        return f"Engine({self.program.id[:12]}, isa={self.isa!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        spec, provenance = self.program.spec(), dict(self.program.provenance)
        return _rebuild, (spec, self.program.tensors(), provenance, self._options)

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

    def stream(self, row: NDArray[np.float32]) -> Stream:
        """Return a `Stream` that begins with a raw row, float32 (n_columns,), as predict_into takes.

        Raises
        ------
        ProgramError
            When the Program has operations on maps.
        DataError
            When `row` has another shape or type.
        """
        return Stream(self.program, self._core, row)

    def start(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Begin with a raw row, for `update`: each thread has a Stream of its own, kept here.

        That is the one thing an engine remembers. Takes and raises what `stream` does; returns the
        answers for the row, float32 (n_outputs,).
        """
        stream = self.stream(row)
        self._own.stream = stream
        return stream.answers

    def update(self, changed: Changes) -> NDArray[np.float32]:
        """Set the columns that changed since this thread's last `start` or `update`.

        Takes, returns and raises what `Stream.update` does; `DataError` also before `start`.
        """
        stream: Stream | None = getattr(self._own, "stream", None)
        if stream is None:
            raise DataError("this thread has no row to update yet: call Engine.start(row) first")
        return stream.update(changed)

    def plan(self) -> list[Step]:
        """Return the steps of a net of maps in order, each with its kernel and expected cost.

        A Program of rows alone has no choice to make and gives an empty list.
        """
        core = self._core
        return [] if isinstance(core, _engine.Core) else [Step(*step) for step in core.plan()]

    def profile(self, rows: NDArray[np.float32]) -> list[tuple[Step, float]]:
        """Run rows once and return the seconds that each step of `plan` took."""
        if isinstance(self._core, _engine.Core):
            return []
        x = np.ascontiguousarray(rows, np.float32)
        seconds = self._core.profile(x, np.empty((len(x), self.n_outputs), np.float32))
        return list(zip(self.plan(), seconds, strict=True))

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
        return self.run(self.rows(X))

    def rows(self, X: Any) -> NDArray[np.float32]:
        """Return the raw rows of a table, checked: what `predict_proba` runs. Takes and raises the same."""
        columns = self.program.columns
        rows = to_rows(X, columns)
        if not np.isfinite(rows).all():
            require_finite(rows, columns)
            require_known_missing(rows, columns, self._has_missing_bit)
        return rows

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


def _rebuild(spec: Any, tensors: Any, provenance: Any, options: Mapping[str, Any]) -> Engine:
    """Unpickle: the machine that does may have another instruction set, so it chooses again."""
    return Engine(from_parts(spec, tensors, provenance), **options)


def _check_options(
    program: Program,
    threads: int,
    cpus: Sequence[int],
    batch_size: int,
    kernels: Mapping[int, str],
) -> None:
    if threads < 1 or batch_size < 1:
        raise ValueError(
            f"threads and batch_size must be at least 1, got {threads} and {batch_size}"
        )
    if cpus and len(cpus) < threads:
        raise ValueError(f"{threads} threads need {threads} cpus, got {list(cpus)}")
    for op, kernel in kernels.items():
        if kernel not in KERNELS or not 0 <= op < len(program.ops):
            raise ValueError(
                f"kernels maps the number of an operation (0 to {len(program.ops) - 1}) to one of "
                f"{KERNELS}, got {op!r}: {kernel!r}"
            )


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
