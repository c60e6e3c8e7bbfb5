"""Raw rows that try an exported Program's patience: its own cut-points, hit and just missed.

Random rows alone would hardly ever meet a cut-point exactly, where `>=` and `>` part.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bimetal.columns import Column
from bimetal.export.target import Job
from bimetal.program import Encode, Program

__all__ = ["rows_for", "some_rows", "whole_rows_for"]

STRANGE = np.array(
    [np.nan, np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, -1.0], np.float32
)


def rows_for(program: Program, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Return `n` raw rows, float32 (n, n_columns): golden ones first, then drawn by `seed`.

    Each number is one that the Program's own tests know (a cut-point, a code, a special code), its
    neighbour among float32, a plain number of the same size, or NaN, ±0, ±infinity and such. A
    category is one of its codes, -1 or NaN: its values have no other, wherever a row comes from.

    Examples
    --------
    >>> from bimetal.ops import GE, Encode, Link, Readout
    >>> from bimetal.columns import Column
    >>> none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    >>> encode = Encode(np.array([0], "u2"), np.array([GE], "u1"), np.array([30], "f4"),
    ...                 np.array([], "u2"), np.array([], "f4"))
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> link = Link(2, "identity", np.ones(1), np.zeros(1), *none)
    >>> rows = rows_for(Program((Column("age"),), (encode, points, link)), 1000)
    >>> bool((rows == 30).any()), bool(np.isnan(rows).any())
    (True, True)
    """
    rng = np.random.default_rng(seed)
    owners = [column for column in program.columns for _ in range(column.size)]
    drawn = np.stack(
        [
            _codes(rng, column, n) if column.kind == "category" else _numbers(rng, known, n)
            for column, known in zip(owners, _known(program), strict=True)
        ],
        axis=1,
    )
    n_golden = min(n, len(program.golden_x))
    if n_golden:
        drawn[:n_golden] = program.golden_x[:n_golden]
    return drawn


def whole_rows_for(program: Program, n: int, seed: int = 0, bits: int = 16) -> NDArray[np.float32]:
    """Return `rows_for` as whole numbers of `bits` bits, with NaN where they are not finite."""
    most = float(2 ** (min(bits, 25) - 1) - 1)  # every such whole number is a float32
    rows = rows_for(program, n, seed)
    whole = np.rint(np.clip(rows, -most, most))
    return np.where(np.isfinite(rows), whole, np.float32(np.nan)).astype(np.float32)


def _known(program: Program) -> list[NDArray[np.float32]]:
    known: list[list[NDArray[np.float32]]] = [[] for _ in range(program.n_columns)]
    for op in program.ops:
        if isinstance(op, Encode):
            for j in range(program.n_columns):
                known[j] += [op.value[op.column == j], op.special_value[op.special_column == j]]
    return [np.unique(np.concatenate([np.zeros(1, np.float32), *parts])) for parts in known]


def _codes(rng: Generator, column: Column, n: int) -> NDArray[np.float32]:
    """Draw codes of a category: those that it has, -1 for a value never seen, NaN."""
    codes = rng.integers(-1, len(column.categories), n).astype(np.float32)
    return np.where(rng.random(n) < 0.1, np.float32(np.nan), codes)


def _numbers(rng: Generator, known: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    hit = rng.choice(known, n)
    span = np.float32(max(1.0, min(float(np.ptp(known)), 1e30)))
    plain = rng.normal(float(np.median(known)), float(span), n).astype(np.float32)
    with np.errstate(all="ignore"):  # a neighbour of 0 is no normal number
        beside = np.nextafter(hit, rng.choice(np.array([-np.inf, np.inf], np.float32), n))
    kinds = [hit, beside, plain, rng.choice(STRANGE, n)]
    return np.choose(rng.choice(4, n, p=[0.3, 0.25, 0.35, 0.1]), kinds).astype(np.float32)


def some_rows(job: Job, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Return `n` raw rows of a job, whole numbers where its option ``input`` says so."""
    kind = str(getattr(job.options, "input", "float"))
    if not kind.startswith("int"):
        return rows_for(job.program, n, seed)
    return whole_rows_for(job.program, n, seed, int(kind.removeprefix("int") or 32))
