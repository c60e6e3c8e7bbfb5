"""The index of the class by comparisons of whole numbers, where that is proved to be the largest answer.

The answers are float32 and the class is the index of the largest, the lowest among equals. Two sums
of points that differ may still give equal answers once these are rounded, and then comparing points
would name another class. The proofs are those of the C header; where there is none, there is no class.
"""

from collections.abc import Sequence

from bimetal.export.c.classify import cut_of, largest_points_win
from bimetal.export.form import link_of
from bimetal.export.verilog import logic
from bimetal.export.verilog.netlist import Expr, Netlist, width_of
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
        reaches = logic.at_least(net, points[0], first, BUS)
        return (reaches if cut.is_upward else logic.inverse(net, reaches, BUS)), 2
    is_classifier = link.kind == "softmax" or bool(program.classes)
    is_few = 2 <= len(points) <= MOST_CLASSES
    if not (is_classifier and is_few and largest_points_win(link, low, high)):
        return None, 0
    return _index(net, points, width_of(min(low, -1), high)), len(points)


def _index(net: Netlist, points: Sequence[int], width: int) -> int:
    """Return the index of the largest sum, the lowest among equals, by comparing all pairs at once."""
    n = len(points)
    sides: list[Expr] = [("$signed(", *logic.extended(net, p, width), ")") for p in points]
    holds = {
        (i, j): net.add(*sides[i], " >= ", *sides[j], bus=BUS)
        for i in range(n)
        for j in range(i + 1, n)
    }
    wins = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        beaten = [(holds[min(i, j), max(i, j)], j < i) for j in others]
        wins.append(logic.all_of(net, beaten, BUS))
    return _number_of(net, wins)


def _number_of(net: Netlist, wins: Sequence[int]) -> int:
    """Return the number of the one bit that is set."""
    bits: list[str | int] = []
    for b in reversed(range((len(wins) - 1).bit_length())):
        parts: list[str | int] = []
        for win in (w for c, w in enumerate(wins) if c >> b & 1):
            parts += [" | ", win]
        bits += [", ", net.add(*parts[1:], bus=BUS)]
    return net.add("{", *bits[1:], "}", bus=BUS, high=len(wins) - 1, cost=0)
