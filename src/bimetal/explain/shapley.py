"""Exact contributions: how much each column, or group of columns, added to the points of a row.

These are Shapley values (Shapley 1953; Lundberg & Lee 2017, arXiv:1705.07874) of the game in which a coalition of
players brings the row's values and the others keep a reference's, in the mean over the references: the interventional
reading, which changes inputs and not their distribution (Janzing, Minorics & Blöbaum 2020, arXiv:1910.13413). The
points of a Program are whole numbers, so its Shapley values are fractions of one known denominator, and are given as
their numerators: the same integers on every machine, with no sampling, no background estimate and no rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bimetal.columns.column import listed
from bimetal.errors import DataError, ProgramError
from bimetal.explain import conjunctions
from bimetal.explain.case_tables import reference_cases, splits, table_of
from bimetal.explain.conjunctions import Bools, Ints, gains_and_losses, unit_of
from bimetal.explain.enumeration import MOST_ENUMERATED, Rows, enumerated, require_few
from bimetal.explain.form import PointsForm
from bimetal.native import ExplainCore, isas
from bimetal.program import Readout
from bimetal.runtime import Engine

__all__ = ["Contributions", "Explainer"]


@dataclass(frozen=True, eq=False)
class Contributions:
    """What each player added to the points of some rows, compared with the mean of the references.

    ``numerators.sum(axis=1) + base_numerator == points * denominator``, exactly.

    Attributes
    ----------
    numerators : numpy.ndarray
        int64 (n_rows, n_players); over `denominator` they are points.
    denominator : int
        lcm(1..k) times the number of references, k the most players that meet in one rule.
    base_numerator : int
        Mean points of the references, over `denominator`.
    points : numpy.ndarray
        int64 (n_rows,): the points of the rows.
    players : tuple of tuple of int
        The columns of each player.
    names : tuple of str
        Of the players: the names of their columns.
    """

    numerators: Ints
    denominator: int
    base_numerator: int
    points: Ints
    players: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    @property
    def values(self) -> NDArray[np.float64]:
        """Points that each player added, float64 (n_rows, n_players), rounded once each."""
        return self.numerators / self.denominator

    @property
    def base(self) -> float:
        """Mean points of the references, rounded once."""
        return self.base_numerator / self.denominator


class Explainer:
    """Explain the points of rows against references.

    It never changes once built; any number of threads may use it at once.

    Parameters
    ----------
    form : PointsForm
        From `form_of(program)`.
    references : array_like
        float32 (n_references, n_columns): raw rows to compare with, such as approved applicants near the cut-off.
        Their order does not matter. Beyond its construction their number costs nothing where there are no dense layers.
    groups : sequence of sequence of int, optional
        Columns that act as one player. They come first, in this order; then each column that is in no group is a
        player of its own, in the order of the columns. By default every column is one.

    Attributes
    ----------
    players : tuple of tuple of int
        The columns of each player.
    names : tuple of str
        "age", or "limit, income" for a group.
    denominator, base_numerator : int
        See `Contributions`.

    Raises
    ------
    DataError
        When there is no reference, a reference has another number of columns, or groups overlap, are empty or name a
        column that is not there.
    ProgramError
        When the numerators could overflow int64: so many players in one rule, references and points that
        ``lcm(1..k) * n_references * most_points`` reaches 2**62.

    Notes
    -----
    The direct points of bits add up, and rules have a closed form (see `conjunctions`). Dense layers (`form.rest`) have
    none: for each row and reference all coalitions of the players whose bits differ are asked, 2**16 rows at most, which
    takes some ten milliseconds; more players than 16 are refused, to be put into groups.

    Examples
    --------
    >>> from bimetal.columns import Column
    >>> from bimetal.explain.form import form_of
    >>> from bimetal.program import Encode, Link, Program, Rules
    >>> no = np.array([], "f4")
    >>> encode = Encode(np.array([0, 1], "u2"), np.array([0, 0], "u1"), np.array([40, 2], "f4"),
    ...                 no.astype("u2"), no)
    >>> rules = Rules(1, np.array([0, 2], "u2"), np.array([2], "u1"))  # income and years together
    >>> points = Readout((1, 2), np.array([[20, 5, 8]], "i2"), np.array([600], "i4"))
    >>> link = Link(3, "identity", np.ones(1), np.zeros(1), np.array([], "i4"), no)
    >>> form = form_of(Program((Column("income"), Column("years")), (encode, rules, points, link)))
    >>> found = Explainer(form, [[45, 3], [50, 1]]).contributions([[30, 1]])
    >>> found.numerators, found.denominator, found.base_numerator
    (array([[-88, -18]]), 4, 2506)
    >>> found.values, found.base, found.points  # 600 = 626.5 - 22 - 4.5
    (array([[-22. ,  -4.5]]), 626.5, array([600]))
    """

    def __init__(
        self, form: PointsForm, references: ArrayLike, groups: Sequence[Sequence[int]] | None = None
    ) -> None:
        self.form = form
        self.references = _rows(form, references, "references")
        if not len(self.references):
            raise DataError("at least one reference expected, got none; give rows to compare with")
        columns = form.program.columns
        self.players = _players(len(columns), groups or ())
        self.names = tuple(", ".join(columns[j].name for j in player) for player in self.players)
        self._player_of_column = np.empty(len(columns), np.intp)
        for number, player in enumerate(self.players):
            self._player_of_column[list(player)] = number
        self._player_of_bit = self._player_of_column[form.encode.column]
        self._rules = conjunctions.conjunctions_of(form, self._player_of_column)
        self._unit = self._whole_unit()
        self.denominator = self._unit * len(self.references)
        self._require_no_overflow()
        self._bits = form.bits(self.references)
        self.base_numerator = int(form.points(self.references).sum()) * self._unit
        self._core = self._built()
        self._rest_engine = None if form.rest is None else Engine(form.rest)

    def contributions(self, rows: ArrayLike) -> Contributions:
        """Explain raw rows.

        Parameters
        ----------
        rows : array_like
            float32 (n_rows, n_columns).

        Raises
        ------
        DataError
            When `rows` has another shape; with dense layers, when a row differs from a reference in more than 16
            players.
        """
        x = _rows(self.form, rows, "rows")
        numerators, points = self._empty(len(x))
        self._core.run(x, numerators, points)
        if self._rest_engine is not None:
            self._add_rest(x, numerators, points)
        return self._told(numerators, points)

    def contributions_of_bits(self, bits: Bools) -> Contributions:
        """Explain encoded rows, bool (n_rows, n_bits), as a device sends them.

        Raises
        ------
        DataError
            When `bits` has another shape.
        ProgramError
            When the Program has dense layers: those are asked with raw rows.
        """
        self._require_no_rest()
        x = np.ascontiguousarray(bits, bool)
        if x.ndim != 2 or x.shape[1] != len(self._player_of_bit):
            raise DataError(
                f"bits of shape (n_rows, {len(self._player_of_bit)}) expected, got {x.shape}"
            )
        numerators, points = self._empty(len(x))
        self._core.run_bits(x.view(np.uint8), numerators, points)
        return self._told(numerators, points)

    def closed_form(self, rows: ArrayLike) -> Ints:
        """Return the numerators by the plain NumPy form: slow, and the same integers.

        Raises
        ------
        ProgramError
            When the Program has dense layers.
        """
        self._require_no_rest()
        bits = self.form.bits(_rows(self.form, rows, "rows"))
        held, at_references = self._rules.holds(bits), self._rules.holds(self._bits)
        numerators = conjunctions.closed_form(
            self._rules, held, at_references, len(self.players), self._unit
        )
        away = bits * len(self.references) - self._bits.sum(axis=0)
        direct = away * self.form.direct * self._unit
        np.add.at(numerators.T, self._player_of_bit, direct.T)
        return numerators

    def _require_no_rest(self) -> None:
        if self.form.rest is not None:
            raise ProgramError("this Program has dense layers; ask `contributions` with raw rows")

    def _whole_unit(self) -> int:
        """Return what makes every value whole: of the rules, and of the coalitions that are enumerated."""
        unit = unit_of(self._rules.most_players)
        if self.form.rest is None:
            return unit
        return lcm(unit, unit_of(min(len(self.players), MOST_ENUMERATED)))

    def _require_no_overflow(self) -> None:
        """Prove that int64 holds every sum.

        Against one reference a rule moves a player by at most its own points, and so does a bit; a dense layer by at
        most the sum of its weights. All of them together, times the denominator, bound every partial sum of the
        numerators. One bit is left over because the direct points begin from the references' side.
        """
        form = self.form
        most = abs(form.bias) + int(np.abs(form.direct).sum()) + int(np.abs(form.weights).sum())
        most += _most_points(form)
        if most * self.denominator >= 2**62:
            raise ProgramError(
                f"numerators must stay below 2**62, but {self._rules.most_players} players in one rule, "
                f"{len(self.references)} references and {most} points could reach {most * self.denominator:.3g}; "
                "put columns into groups, or take fewer references"
            )

    def _built(self) -> ExplainCore:
        form, encode = self.form, self.form.encode
        core = ExplainCore(isas()[0], form.program.n_columns, len(self.players))
        core.encode(
            encode.column, encode.kind, encode.value, encode.special_column, encode.special_value
        )
        start = np.zeros(len(self.players), np.int64)
        np.add.at(start, self._player_of_bit, -self._bits.sum(axis=0) * form.direct * self._unit)
        of_bit = self._player_of_bit.astype(np.uint32)
        core.bits(start, form.bias, of_bit, form.direct * self.denominator, form.direct)
        ends = np.cumsum([len(term) for term in self._rules.terms])
        literals = [literal for term in self._rules.terms for literal in term]
        core.terms(np.r_[0, ends].astype(np.uint32), np.array(literals, np.uint32))
        self._add_rules(core)
        return core

    def _add_rules(self, core: ExplainCore) -> None:
        references = self._rules.holds(self._bits)
        for group in self._rules.groups:
            unit = unit_of(group.n_players)
            scale = self._unit // unit
            tabulated, walked = splits(group, len(references), unit)
            if len(tabulated.weights):
                core.tabulated(*tabulated.arrays, scale, table_of(tabulated, references).ravel())
            if len(walked.weights):
                cases = reference_cases(walked, references)
                core.walked(*walked.arrays, scale, *cases, *gains_and_losses(group.n_players))

    def _add_rest(self, rows: Rows, numerators: Ints, points: Ints) -> None:
        """Add what dense layers say, coalition by coalition."""
        points += self._rest(rows)
        for i, differs in enumerate(self._differing(self.form.bits(rows))):
            for r, which in enumerate(map(np.flatnonzero, differs)):
                require_few(len(which), i, r)
                played = [self.players[p] for p in which]
                numerators[i, which] += enumerated(
                    self._rest, rows[i], self.references[r], played, self._unit
                )

    def _differing(self, bits: Bools) -> Bools:
        """Tell which players have other bits than a reference: bool (n_rows, n_references, n_players)."""
        differs = np.zeros((len(bits), len(self.references), len(self.players)), bool)
        other = bits[:, None] != self._bits
        for number in range(len(self.players)):
            differs[:, :, number] = other[:, :, self._player_of_bit == number].any(axis=2)
        return differs

    def _rest(self, rows: Rows) -> Ints:
        assert self._rest_engine is not None
        return self._rest_engine.run(rows)[:, 0].astype(np.int64)

    def _empty(self, n_rows: int) -> tuple[Ints, Ints]:
        return np.empty((n_rows, len(self.players)), np.int64), np.empty(n_rows, np.int64)

    def _told(self, numerators: Ints, points: Ints) -> Contributions:
        return Contributions(
            numerators, self.denominator, self.base_numerator, points, self.players, self.names
        )


def _rows(form: PointsForm, rows: ArrayLike, what: str) -> Rows:
    x = np.ascontiguousarray(rows, np.float32)
    n_columns = form.program.n_columns
    if x.ndim != 2 or x.shape[1] != n_columns:
        raise DataError(f"{what} of shape (n_rows, {n_columns}) expected, got {x.shape}")
    return x


def _players(n_columns: int, groups: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    grouped = [int(column) for group in groups for column in group]
    if not all(len(group) for group in groups):
        raise DataError("each group needs at least one column, got an empty one; leave it out")
    unknown = sorted({c for c in grouped if not 0 <= c < n_columns})
    if unknown:
        raise DataError(
            f"groups name columns by number, 0 to {n_columns - 1}; got {listed(unknown)}"
        )
    twice = sorted({c for c in grouped if grouped.count(c) > 1})
    if twice:
        raise DataError(f"each column may be in one group only; in several: {listed(twice)}")
    alone = [(c,) for c in range(n_columns) if c not in grouped]
    return (*(tuple(int(c) for c in group) for group in groups), *alone)


def _most_points(form: PointsForm) -> int:
    """Return what dense layers can add at most, in absolute points."""
    if form.rest is None:
        return 0
    return sum(
        int(np.abs(op.weights.astype(np.int64)).sum())
        for op in form.rest.ops
        if isinstance(op, Readout)
    )
