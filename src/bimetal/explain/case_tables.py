"""Tables for the fast explainer: a rule's Shapley values depend on a row only through which terms hold.

For k players these are 2**k cases. The values of each case, summed over all references, are computed once, so that
explaining a row costs one look-up a rule, however many references there are. A rule of many players would need too
large a table, and goes through the few different cases that the references make.
"""

import numpy as np
from numpy.typing import NDArray

from bimetal.explain.conjunctions import Bools, Ints, RuleGroup, shapley

__all__ = ["MOST_TABULATED", "numbered", "reference_cases", "splits", "table_of"]

MOST_TABULATED = 8
"""Players up to which a rule gets a table: of 256 cases then, 8 KB. The engine has a kernel for each up to here."""

INT32_MAX = 2**31 - 1


def splits(group: RuleGroup, n_references: int, unit: int) -> tuple[RuleGroup, RuleGroup]:
    """Part rules into those to tabulate, whose table fits int32, and those to walk.

    A value of a table is at most ``|weight| * unit * n_references``: each reference adds at most the whole rule.
    """
    fits = np.abs(group.weights) * (unit * n_references) <= INT32_MAX
    fits &= group.n_players <= MOST_TABULATED
    return _taken(group, fits), _taken(group, ~fits)


def _taken(group: RuleGroup, which: Bools) -> RuleGroup:
    return RuleGroup(group.terms[which], group.players[which], group.weights[which])


def table_of(group: RuleGroup, references: Bools) -> NDArray[np.int32]:
    """Return the values of each case over all references, times ``unit_of(k)``.

    Parameters
    ----------
    group : RuleGroup
    references : numpy.ndarray
        bool (n_references, n_terms): which terms hold.

    Returns
    -------
    numpy.ndarray
        int32 (n_rules, 2**k, k): bit j of the case says whether the j-th term holds.
    """
    k = group.n_players
    cases = (np.arange(2**k)[:, None] >> np.arange(k) & 1).astype(bool)
    values = shapley(cases[None], cases[:, None])  # [reference's case, row's case, player]
    table = np.zeros((len(group.weights), 2**k, k), np.int64)
    for reference in references:
        table += values[numbered(reference[group.terms])]
    return (table * group.weights[:, None, None]).astype(np.int32)


def numbered(holds: Bools) -> NDArray[np.uint64]:
    """Return the number of a case, uint64 (...,), from bool (..., k)."""
    powers = np.uint64(1) << np.arange(holds.shape[-1], dtype=np.uint64)
    found: NDArray[np.uint64] = (holds * powers).sum(axis=-1, dtype=np.uint64)
    return found


def reference_cases(
    group: RuleGroup, references: Bools
) -> tuple[NDArray[np.uint32], NDArray[np.uint64], Ints]:
    """Return the different cases that references make of each rule, and how many make each.

    Returns
    -------
    starts : numpy.ndarray
        uint32 (n_rules + 1,): rule r has ``cases[starts[r] : starts[r + 1]]``.
    cases : numpy.ndarray
        uint64 (n_cases,).
    times : numpy.ndarray
        int64 (n_cases,).
    """
    found = [np.unique(row, return_counts=True) for row in numbered(references[:, group.terms]).T]
    starts = np.r_[0, np.cumsum([len(cases) for cases, _ in found])].astype(np.uint32)
    cases = np.concatenate([cases for cases, _ in found])
    return starts, cases, np.concatenate([times for _, times in found]).astype(np.int64)
