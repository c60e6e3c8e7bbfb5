"""The real numbers behind integer points, and how they learn from one row after another.

For each row in turn, with p the probability that the model gives it and k the number of bits that it
sets (a constant one among them), of these bits only,

    G ← G + (p − y)²,    w ← w − (RATE / k) · (p − y) / √G,    G starts at 1

which is AdaGrad (Duchi, Hazan & Singer 2011, JMLR 12) on the log loss, with a step that is counted in
log-odds of the row: no row moves its own score by more than `RATE`, however surprising it is. A step
depends on the rows before it and on nothing else, so it does not matter how rows are cut into calls.
"""

import io
from dataclasses import dataclass, replace
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.errors import BimetalError, CheckpointError
from bimetal.estimators.assemble import MAX_BIAS, MAX_POINTS
from bimetal.format import dumps, loads
from bimetal.program import Link, Program, Readout

__all__ = ["RATE", "Points"]

RATE = 0.5
"""Log-odds that a row may move its own score by, at most. Of 0.3 to 2 on months of loans and of calls
(benchmarks/partial_fit.py), more ranks a little better and is, on the calls, calibrated worse.
"""
WIDEST = 32_767
"""Points of one bit at most: int16. Beyond, a point becomes worth twice as much."""
BLOCK = 1_024
"""Rows whose bits are held at a time."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Points:
    """The real numbers behind the points of a Program, and how far each has moved already.

    Attributes
    ----------
    program : Program
        The Program that was last made of them.
    fitted : str
        Id of the Program that fit made.
    weights, squares : numpy.ndarray
        float64 (n_outputs, n_bits + 1): log-odds of each bit, the intercept last, and G.
    unit : numpy.ndarray
        float64 (n_outputs,): log-odds of a point when fit ended.
    n_rows : int
        Rows learned since.
    """

    program: Program
    fitted: str
    weights: Floats
    squares: Floats
    unit: Floats
    n_rows: int

    @classmethod
    def of(cls, program: Program) -> "Points":
        """Return those of a Program that was just fitted."""
        readout, link = _end(program)
        unit = link.scale if readout.weights.any() else link.scale / MAX_POINTS
        weights = readout.weights * link.scale[:, None]
        bias = readout.bias * link.scale + link.offset
        both = np.concatenate([weights, bias[:, None]], axis=1)
        return cls(program, program.id, both, np.ones_like(both), unit, 0)

    def learned(self, bits: NDArray[np.bool_], targets: Floats, weight: Floats) -> "Points":
        """Return them after some rows, in their order; these here stay as they are.

        Parameters
        ----------
        bits : numpy.ndarray
            bool (n_rows, n_bits): what the readout reads.
        targets : numpy.ndarray
            float64 (n_rows, n_outputs) of 0 and 1.
        weight : numpy.ndarray
            float64 (n_rows,), all above 0.
        """
        weights, squares = self.weights.copy(), self.squares.copy()
        constant = np.ones((len(bits), 1), bool)
        for row, target, w in zip(np.hstack([bits, constant]), targets, weight, strict=True):
            on = np.flatnonzero(row)
            mine = weights.take(on, axis=1)
            error = (_probabilities(mine.sum(axis=1)) - target) * w
            seen = squares.take(on, axis=1) + (error**2)[:, None]
            squares[:, on] = seen
            weights[:, on] = mine - (RATE / len(on) * error)[:, None] / np.sqrt(seen)
        return replace(self, weights=weights, squares=squares, n_rows=self.n_rows + len(bits))

    def made(self) -> "Points":
        """Return them with a new Program: a function of the numbers here, however they came about.

        A point stays worth what fit made it worth, so that what has not moved is not rounded anew; it
        doubles only when a bit would need more points than there are.
        """
        readout, link = _end(self.program)
        unit = self.unit
        while np.abs(self.weights[:, :-1] / unit[:, None]).max(initial=0.0) > WIDEST:
            unit = unit * 2
        points = np.rint(self.weights[:, :-1] / unit[:, None]).astype(np.int16)
        bias = np.rint((self.weights[:, -1] - link.offset) / unit).clip(-MAX_BIAS, MAX_BIAS)
        end = (
            replace(readout, weights=points, bias=bias.astype(np.int32)),
            replace(link, scale=unit),
        )
        story = {"fitted": self.fitted, "n_rows": self.n_rows}
        program = replace(
            self.program,
            ops=(*self.program.ops[:-2], *end),
            provenance={**self.program.provenance, "partial_fit": story},
        )
        answers = (
            reference.run(program, program.golden_x) if len(program.golden_x) else program.golden_y
        )
        return replace(self, program=replace(program, golden_y=answers))

    def after(self, rows: NDArray[np.float32], targets: Floats, weight: Floats) -> "Points":
        """Return them after raw rows, float32 (n_rows, n_columns), with the Program made of them."""
        points = self
        for i in range(0, len(rows), BLOCK):
            part = slice(i, i + BLOCK)
            points = points.learned(_bits(self.program, rows[part]), targets[part], weight[part])
        return points.made()

    def kept(self) -> str:
        """Return an id of what no row changes: all of the Program but points, link and golden rows."""
        readout, link = _end(self.program)
        none = np.zeros_like(readout.weights), np.zeros_like(readout.bias)
        end = (
            replace(readout, weights=none[0], bias=none[1]),
            replace(link, scale=np.ones_like(link.scale), offset=np.zeros_like(link.offset)),
        )
        bare = np.zeros((0, 0), np.float32)
        ops = (*self.program.ops[:-2], *end)
        return replace(self.program, ops=ops, golden_x=bare, golden_y=bare).id

    def to_bytes(self) -> bytes:
        """Return all of it, for a file."""
        file = io.BytesIO()
        np.savez(
            file, program=np.frombuffer(dumps(self.program), np.uint8), fitted=np.array(self.fitted),
            weights=self.weights, squares=self.squares, unit=self.unit, n_rows=np.array(self.n_rows),
        )  # fmt: skip
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Points":
        """Return what `to_bytes` wrote.

        Raises
        ------
        CheckpointError
            When the bytes are something else.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as given:
                weights, squares, unit = (given[name] for name in ("weights", "squares", "unit"))
                program, n_rows = loads(given["program"].tobytes()), int(given["n_rows"])
                return cls(program, str(given["fitted"]), weights, squares, unit, n_rows)
        except (BimetalError, ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
            raise CheckpointError(
                f"expected a state of get_state, got other bytes: {error}; take it again from its source"
            ) from None


def _end(program: Program) -> tuple[Readout, Link]:
    readout, link = program.ops[-2:]
    assert isinstance(readout, Readout) and isinstance(link, Link)  # as `assemble` made it
    return readout, link


def _bits(program: Program, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    values = reference.trace(program, rows)
    return np.concatenate([values[i] for i in _end(program)[0].inputs], axis=1)


def _probabilities(scores: Floats) -> Floats:
    """One score: the probability of the second class; several: one of each class."""
    if len(scores) == 1:
        z = np.exp(-np.abs(scores))
        return np.asarray(np.where(scores >= 0, 1.0, z) / (1 + z))
    e = np.exp(scores - scores.max())
    return np.asarray(e / e.sum())
