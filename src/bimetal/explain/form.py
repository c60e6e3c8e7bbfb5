"""The score of a Program as integer points: of bits alone, of rules, and of what is left.

Every question of this package (why, what if, is it monotone) is about the last integer of a Program
before its link: the points. For a scorecard they are a sum over bits and over rules (conjunctions of
bits), and most answers follow from that form exactly. Dense layers stay as they are, in `rest`.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal import reference
from bimetal.columns.column import listed
from bimetal.errors import ProgramError
from bimetal.explain.grid import ColumnBins, bins_of, encode_of
from bimetal.program import Encode, Link, Program, Readout, Rules
from bimetal.reference import tables

__all__ = ["MOST_POINTS", "PointsForm", "form_of", "points_program"]

MOST_POINTS = 2**24
"""Points up to which a float32 holds each whole number, so that an engine can give them exactly."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PointsForm:
    """``points(row) = bias + direct · bits + weights · rules(bits) + rest(bits)``, in whole numbers.

    Attributes
    ----------
    program : Program
        As given; one integer output (two classes, or a regressor).
    encode : Encode
        Row → bits.
    bias : int
    direct : numpy.ndarray
        int64 (n_bits,).
    literals : numpy.ndarray
        int64 (n_literals,): ``2 * bit + negated``, rule after rule.
    starts : numpy.ndarray
        int64 (n_rules + 1,): rule r owns ``literals[starts[r] : starts[r + 1]]``.
    weights : numpy.ndarray
        int64 (n_rules,), none of them 0.
    rest : Program or None
        Columns → points of everything else (dense layers), as a Program with an identity link;
        None when there is nothing else. ``has_rest`` forms are explained by enumeration only.
    """

    program: Program
    encode: Encode
    bias: int
    direct: Ints
    literals: Ints
    starts: Ints
    weights: Ints
    rest: Program | None

    @property
    def n_rules(self) -> int:
        """How many rules have points."""
        return len(self.weights)

    @cached_property
    def columns(self) -> tuple[ColumnBins, ...]:
        """The bins of every column."""
        return bins_of(self.program)

    @cached_property
    def literal_columns(self) -> NDArray[np.intp]:
        """The column that each literal reads, intp (n_literals,)."""
        columns: NDArray[np.intp] = self.encode.column[self.literals >> 1].astype(np.intp)
        return columns

    def bits(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Encode raw rows: bool (n_rows, n_bits)."""
        return tables.encode(self.encode, np.asarray(rows, np.float32))

    def holds(self, bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell which rules hold: bool (n_rows, n_rules)."""
        if not self.n_rules:
            return np.zeros((len(bits), 0), bool)
        true = bits[:, self.literals >> 1] != (self.literals & 1).astype(bool)
        held: NDArray[np.bool_] = np.logical_and.reduceat(true, self.starts[:-1], axis=1)
        return held

    def points_of_bits(self, bits: NDArray[np.bool_]) -> Ints:
        """Points of encoded rows, int64 (n_rows,); only where there is no `rest`.

        Raises
        ------
        ProgramError
            When dense layers add points too: those are asked through `points`.
        """
        if self.rest is not None:
            raise ProgramError("this Program has dense layers; ask `points` with raw rows")
        held: Ints = self.holds(bits) @ self.weights
        return bits @ self.direct + held + self.bias

    def points(self, rows: NDArray[np.float32]) -> Ints:
        """Points of raw rows by the oracle, int64 (n_rows,)."""
        return points_of(self.program, rows)


def points_of(program: Program, rows: NDArray[np.float32]) -> Ints:
    """Return the integer points of raw rows by the reference, int64 (n_rows,)."""
    link = program.ops[-1]
    assert isinstance(link, Link)
    return reference.trace(program, rows)[link.input][:, -1].astype(np.int64)


def points_program(program: Program) -> Program:
    """Return the same Program with its points as the answer: exact up to `MOST_POINTS`.

    Raises
    ------
    ProgramError
        When the points may be larger, or there are several.
    """
    link, readout = program.ops[-1], _readout(program)
    assert isinstance(link, Link)
    weights = np.abs(readout.weights.astype(np.int64)).sum()
    if weights + abs(int(readout.bias[0])) > MOST_POINTS:
        raise ProgramError(
            f"points up to {MOST_POINTS} expected, got {weights}; use coarser points"
        )
    none_i, none_f = np.zeros(0, np.int32), np.zeros(0, np.float32)
    identity = Link(link.input, "identity", np.ones(1), np.zeros(1), none_i, none_f)
    return replace(
        program,
        ops=(*program.ops[:-1], identity),
        classes=(),
        golden_x=np.zeros((0, 0), np.float32),
        golden_y=np.zeros((0, 0), np.float32),
    )


def form_of(program: Program) -> PointsForm:
    """Take the points of a Program apart.

    Raises
    ------
    ProgramError
        When it is no Program of table rows with one encoder and one integer output.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> no = np.array([], "f4")
    >>> encode = Encode(np.array([0, 0], "u2"), np.array([0, 0], "u1"), np.array([18, 65], "f4"),
    ...                 no.astype("u2"), no)
    >>> rules = Rules(1, np.array([0, 3], "u2"), np.array([2], "u1"))  # 18 to 65
    >>> points = Readout((1, 2), np.array([[20, -5, 7]], "i2"), np.array([600], "i4"))
    >>> link = Link(3, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> form = form_of(Program((Column("age"),), (encode, rules, points, link)))
    >>> form.points(np.array([[17], [30], [70]], "f4"))
    array([600, 627, 615])
    """
    encode, readout = encode_of(program), _readout(program)
    value = program.ops.index(encode) + 1
    weights = readout.weights[0].astype(np.int64)
    direct, literals, fan_in, rule_weights = np.zeros(len(encode.column), np.int64), [], [], []
    rest = np.zeros_like(weights)
    at = 0
    for source in readout.inputs:
        here = weights[at : at + program.values[source].n]
        op = program.ops[source - 1]
        if source == value:
            direct = direct + here
        elif isinstance(op, Rules) and op.input == value:
            kept = np.repeat(here != 0, op.fan_in)
            literals.append(op.literals[kept].astype(np.int64))
            fan_in.append(op.fan_in[here != 0].astype(np.int64))
            rule_weights.append(here[here != 0])
        else:
            rest[at : at + len(here)] = here
        at += len(here)
    return PointsForm(
        program,
        encode,
        int(readout.bias[0]),
        direct,
        _joined(literals),
        np.r_[0, np.cumsum(_joined(fan_in))].astype(np.int64),
        _joined(rule_weights),
        _rest(program, readout, rest) if rest.any() else None,
    )


def _readout(program: Program) -> Readout:
    link = program.ops[-1]
    assert isinstance(link, Link)
    op = program.ops[link.input - 1]
    if not isinstance(op, Readout) or len(op.bias) != 1:
        names = listed([type(op).__name__ for op in program.ops])
        raise ProgramError(
            f"a Program with one integer score expected (two classes, or a regressor), got {names} "
            f"with {program.n_outputs} answers"
        )
    return op


def _rest(program: Program, readout: Readout, weights: Ints) -> Program:
    kind: Any = np.int32
    only = replace(readout, weights=weights[None].astype(kind), bias=np.zeros(1, np.int32))
    ops = tuple(only if op is readout else op for op in program.ops)
    return points_program(replace(program, ops=ops))


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
