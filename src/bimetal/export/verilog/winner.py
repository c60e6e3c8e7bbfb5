"""The index of the class by comparisons of whole numbers, where that is proved to be the largest answer.

The answers are float32 and the class is the index of the largest, the lowest among equals. Two sums
of points that differ may still give equal answers once these are rounded, and then comparing points
would name another class. The proofs are those of the C header; where there is none, there is no class.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from bimetal.export.c.classify import cut_of, largest_points_win
from bimetal.export.form import link_of
from bimetal.export.verilog import logic
from bimetal.export.verilog.compare import at_least
from bimetal.export.verilog.netlist import Netlist, width_of
from bimetal.export.verilog.sums import extended
from bimetal.program import Program

__all__ = ["MOST_CLASSES", "winner"]

MOST_CLASSES = 16
"""Classes up to which each pair of points is compared at once."""
BUS = "best"


def winner(net: Netlist, program: Program, points: Sequence[int]) -> tuple[int | None, int]:
    """Return the node of the class index, None where no rule is proved, and the number of classes."""
    nodes, link = [net.nodes[p] for p in points], link_of(program)
    low, high = min(n.low for n in nodes), max(n.high for n in nodes)
    if link.kind in ("sigmoid", "table"):
        cut = cut_of(link, low, high)
        if cut is None:
            return None, 0
        first = cut.points if cut.is_upward else cut.points + 1
        reaches = at_least(net, points[0], first, BUS)
        return (reaches if cut.is_upward else logic.inverse(net, reaches, BUS)), 2
    is_classifier = link.kind == "softmax" or bool(program.classes)
    is_few = 2 <= len(points) <= MOST_CLASSES
    if not (is_classifier and is_few and largest_points_win(link, low, high)):
        return None, 0
    return _index(net, points, width_of(min(low, -1), high)), len(points)


def _index(net: Netlist, points: Sequence[int], width: int) -> int:
    """Return the index of the largest sum, the lowest among equals, by comparing all pairs at once."""
    pairs = {
        (i, j): _is_less(net, points[i], points[j], width)
        for i, j in combinations(range(len(points)), 2)
    }
    if len(pairs) <= 6:
        bits = _by_tables(net, pairs, len(points))
    else:
        bits = _by_wins(net, pairs, len(points))
    listed: list[str | int] = []
    for bit in bits:
        listed += [", ", bit]
    return net.add("{", *listed[1:], "}", bus=BUS, high=len(points) - 1, cost=0)


def _is_less(net: Netlist, one: int, other: int, width: int) -> int:
    """Return the sign of a difference: adders have it at hand, where a comparison takes logic of its own."""
    left, right = (extended(net, word, width + 1) for word in (one, other))
    most = 1 << width
    difference = net.add(*left, " - ", *right, bus=BUS, low=-most, high=most - 1)
    return net.add(difference, f"[{width}]", bus=BUS, cost=0)


def _by_tables(net: Netlist, pairs: Mapping[tuple[int, int], int], n: int) -> list[int]:
    """Return the bits of the index, highest first, as tables of the few comparisons that there are."""
    index = np.zeros(1 << len(pairs), dtype=np.int64)
    for row in range(len(index)):
        is_less = {pair: bool(row >> k & 1) for k, pair in enumerate(pairs)}
        index[row] = next((i for i in range(n) if _wins(is_less, i, n)), 0)
    bits = range((n - 1).bit_length() - 1, -1, -1)
    return [logic.table(net, list(pairs.values()), index >> b & 1 == 1, BUS) for b in bits]


def _wins(is_less: Mapping[tuple[int, int], bool], i: int, n: int) -> bool:
    return all(is_less[j, i] for j in range(i)) and not any(is_less[i, j] for j in range(i + 1, n))


def _by_wins(net: Netlist, pairs: Mapping[tuple[int, int], int], n: int) -> list[int]:
    """Return the bits of the index, highest first: ORs of who beats all others."""
    wins = []
    for i in range(n):
        earlier = [(pairs[j, i], False) for j in range(i)]
        later = [(pairs[i, j], True) for j in range(i + 1, n)]
        wins.append(logic.all_of(net, [*earlier, *later], BUS))
    made = []
    for b in range((n - 1).bit_length() - 1, -1, -1):
        parts: list[str | int] = []
        for win in (w for c, w in enumerate(wins) if c >> b & 1):
            parts += [" | ", win]
        made.append(net.add(*parts[1:], bus=BUS))
    return made
