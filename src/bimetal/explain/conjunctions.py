"""Shapley values of rules, in closed form: what each player adds when a row takes the place of a reference.

A rule is a conjunction of terms, one for each player (column or group of columns) that it reads. Against one
reference only two sets of players count: A, whose term the row satisfies and the reference does not, and B, whose
term the reference satisfies and the row does not. Where some player's term fails on both sides the rule is always
off and nobody matters. Else a coalition turns it on when it holds all of A and none of B, and the Shapley value of
that game is (|A|−1)! |B|! / (|A|+|B|)! for each of A and −|A|! (|B|−1)! / (|A|+|B|)! for each of B, times the
points of the rule. This is the closed form of interventional TreeSHAP (Lundberg et al. 2020, Nature Machine
Intelligence 2; Laberge & Pequignot 2022, arXiv:2209.15123), in which the leaves of trees are the rules.

In whole numbers: with n = |A|+|B| the first value is 1 / (|A| C(n, |A|)) and the second 1 / (|B| C(n, |B|)), and
i C(n, i) = n C(n−1, i−1) divides lcm(1..n) (Farhi 2009, Amer. Math. Monthly 116): so lcm(1..k) of a rule of k
players makes them whole.
"""

from dataclasses import dataclass
from math import comb, lcm

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.form import PointsForm

__all__ = [
    "Conjunctions", "RuleGroup", "closed_form", "conjunctions_of", "gains_and_losses", "shapley", "unit_of",
]  # fmt: skip

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RuleGroup:
    """Rules that read equally many players.

    Attributes
    ----------
    terms : numpy.ndarray
        intp (n_rules, k): the term of each of a rule's players.
    players : numpy.ndarray
        intp (n_rules, k): whose they are.
    weights : numpy.ndarray
        int64 (n_rules,): points.
    """

    terms: NDArray[np.intp]
    players: NDArray[np.intp]
    weights: Ints

    @property
    def n_players(self) -> int:
        """How many players each of these rules reads."""
        return int(self.terms.shape[1])

    @property
    def arrays(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int32]]:
        """Terms, players and weights as the engine takes them; a Readout's weights fit int32."""
        terms, players = self.terms.astype(np.uint32), self.players.astype(np.uint32)
        return terms, players, self.weights.astype(np.int32)


@dataclass(frozen=True, eq=False)
class Conjunctions:
    """The rules of a Program by the players that they read.

    Attributes
    ----------
    terms : tuple of tuple of int
        Each term's literals, ``2 * bit + negated``, all of one player.
    groups : tuple of RuleGroup
        By rising number of players.
    """

    terms: tuple[tuple[int, ...], ...]
    groups: tuple[RuleGroup, ...]

    @property
    def most_players(self) -> int:
        """Most players in one rule; 1 when there are no rules."""
        return max((group.n_players for group in self.groups), default=1)

    def holds(self, bits: Bools) -> Bools:
        """Tell which terms hold on encoded rows: bool (n_rows, n_terms)."""
        found = np.empty((len(bits), len(self.terms)), bool)
        for t, term in enumerate(self.terms):
            literals = np.array(term)
            found[:, t] = (bits[:, literals >> 1] != (literals & 1).astype(bool)).all(axis=1)
        return found


def conjunctions_of(form: PointsForm, player_of_column: NDArray[np.intp]) -> Conjunctions:
    """Sort the literals of each rule by player, and the rules by how many players they read.

    Parameters
    ----------
    form : PointsForm
    player_of_column : numpy.ndarray
        intp (n_columns,).
    """
    terms: dict[tuple[int, ...], int] = {}
    by_size: dict[int, list[tuple[list[int], list[int], int]]] = {}
    players = player_of_column[form.literal_columns]
    for r, weight in enumerate(form.weights.tolist()):
        mine = slice(int(form.starts[r]), int(form.starts[r + 1]))
        parts: dict[int, set[int]] = {}
        for literal, player in zip(
            form.literals[mine].tolist(), players[mine].tolist(), strict=True
        ):
            parts.setdefault(player, set()).add(literal)
        read = sorted(parts)
        numbers = [terms.setdefault(tuple(sorted(parts[p])), len(terms)) for p in read]
        by_size.setdefault(len(read), []).append((numbers, read, weight))
    groups = [RuleGroup(*map(np.array, zip(*by_size[k], strict=True))) for k in sorted(by_size)]
    return Conjunctions(tuple(terms), tuple(groups))


def unit_of(n_players: int) -> int:
    """Return lcm(1..n): it makes the Shapley values of a rule of n players whole.

    Examples
    --------
    >>> [unit_of(n) for n in (1, 2, 4, 9)]
    [1, 2, 12, 2520]
    """
    return lcm(*range(1, n_players + 1))


def gains_and_losses(n_players: int) -> tuple[Ints, Ints]:
    """Return the values of one of A and of one of B, times `unit_of`, by [|A|, |B|].

    Returns
    -------
    gains, losses : numpy.ndarray
        int64 (n_players + 1, n_players + 1); 0 where the set is empty, or the two are too many.
    """
    unit = unit_of(n_players)
    gains = np.zeros((n_players + 1, n_players + 1), np.int64)
    losses = np.zeros_like(gains)
    for a in range(n_players + 1):
        for b in range(n_players + 1 - a):
            gains[a, b] = unit // (a * comb(a + b, a)) if a else 0
            losses[a, b] = unit // (b * comb(a + b, b)) if b else 0
    return gains, losses


def shapley(row: Bools, reference: Bools) -> Ints:
    """Return the values of conjunctions of k terms worth 1 point each, times ``unit_of(k)``.

    Parameters
    ----------
    row, reference : numpy.ndarray
        bool (..., k), of shapes that broadcast: which terms hold on either side.

    Returns
    -------
    numpy.ndarray
        int64 (..., k).

    Examples
    --------
    The rule is on for the row and off for the reference, by its second and third term:

    >>> shapley(np.array([True, True, True]), np.array([True, False, False])) / unit_of(3)
    array([0. , 0.5, 0.5])
    """
    gains, losses = gains_and_losses(row.shape[-1])
    in_a, in_b = row & ~reference, reference & ~row
    n_a, n_b = in_a.sum(axis=-1), in_b.sum(axis=-1)
    can_hold = (row | reference).all(axis=-1)
    up, down = np.where(can_hold, gains[n_a, n_b], 0), np.where(can_hold, losses[n_a, n_b], 0)
    values: Ints = np.where(in_a, up[..., None], 0) - np.where(in_b, down[..., None], 0)
    return values


def closed_form(
    rules: Conjunctions, rows: Bools, references: Bools, n_players: int, unit: int
) -> Ints:
    """Return the Shapley values of all rules, summed over the references, times `unit`.

    The plain form, rule by rule and reference by reference; csrc/explain.cpp does the same from tables.

    Parameters
    ----------
    rules : Conjunctions
    rows, references : numpy.ndarray
        bool (n_rows, n_terms) and (n_references, n_terms): which terms hold.
    n_players, unit : int
        `unit` is a multiple of ``unit_of(rules.most_players)``.

    Returns
    -------
    numpy.ndarray
        int64 (n_rows, n_players).
    """
    values = np.zeros((len(rows), n_players), np.int64)
    for group in rules.groups:
        scaled = group.weights[:, None] * (unit // unit_of(group.n_players))
        for reference in references:
            parts = scaled * shapley(rows[:, group.terms], reference[group.terms])
            np.add.at(values.T, group.players, np.moveaxis(parts, 0, -1))
    return values
