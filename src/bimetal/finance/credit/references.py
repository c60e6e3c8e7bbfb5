"""Whom an applicant is compared with: invented approved applicants just above the cut-off.

Reasons must say what set an applicant apart from those who were approved by a little, not from the
average (what counts is the cut-off). A model file travels, so no customer's row may be in it: columns are
drawn one by one from what marginally approved applicants have, as bins, and a row so invented is kept
when its own points lie just above the cut-off.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.form import form_of, points_program
from bimetal.finance.credit.policy import MOST_REFERENCES
from bimetal.program import Program
from bimetal.runtime import Engine

__all__ = ["invented_references"]

_NEAREST = 0.1
"""Share of all rows, those approved with fewest points, that columns are drawn from."""
_TRIES = 20_000

Row = tuple[float | None, ...]


def invented_references(
    program: Program,
    rows: NDArray[np.float32],
    cutoff: int,
    n: int = MOST_REFERENCES,
    seed: int = 0,
) -> tuple[Row, ...]:
    """Invent approved rows near a cut-off.

    Parameters
    ----------
    program : Program
        The scorecard.
    rows : numpy.ndarray
        float32 (n_rows, n_columns): applicants to learn from; none of them is returned.
    cutoff : int
        Points from which an applicant is approved.
    n : int
        How many at most.
    seed : int

    Returns
    -------
    tuple of tuple of float or None
        Raw rows, nearest the cut-off first; empty when nobody is approved.
    """
    engine, form = Engine(points_program(program)), form_of(program)
    points = engine.run(rows)[:, 0]
    approved = np.flatnonzero(points >= cutoff)
    if not len(approved):
        return ()
    near = approved[np.argsort(points[approved], kind="stable")]
    near = near[: max(50, int(_NEAREST * len(rows)))]
    bits = form.bits(rows[near])
    rng = np.random.default_rng(seed)
    made = np.empty((_TRIES, program.n_columns), np.float32)
    for column in form.columns:
        values = np.array([b.value for b in column.bins], np.float32)
        made[:, column.index] = values[rng.choice(column.bin_of(bits), _TRIES)]
    made = np.unique(made, axis=0)
    reached = engine.run(made)[:, 0]
    kept = np.flatnonzero(reached >= cutoff)
    kept = kept[np.argsort(reached[kept], kind="stable")][:n]
    return tuple(_row(made[i]) for i in kept)


def _row(values: NDArray[np.float32]) -> Row:
    return tuple(None if np.isnan(v) else float(v) for v in values.tolist())
