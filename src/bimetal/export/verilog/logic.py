"""Bits of look-up tables, inverters and ANDs, as nodes of a netlist.

Each is simplified by what is known when it is written: constant bits, inputs that change nothing,
inputs that come twice. So a table here reads only what it depends on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bimetal.export.verilog.netlist import ONE, ZERO, Netlist, Node

__all__ = ["all_of", "inverse", "opposite_of", "table"]


def inverse(net: Netlist, bit: int, bus: str) -> int:
    """Return the opposite of a bit; whatever reads it absorbs the inverter."""
    if bit in (ZERO, ONE):
        return ONE - bit
    opposite = opposite_of(net.nodes[bit])
    return net.add("~", bit, bus=bus, cost=0) if opposite is None else opposite


def opposite_of(node: Node) -> int | None:
    """Return the bit of which a node is the inverse, if it is made so."""
    match node.expr:
        case ("~", int(of)):
            return of
        case _:
            return None


def _plain(net: Netlist, bit: int, negated: bool) -> tuple[int, bool]:
    of = opposite_of(net.nodes[bit])
    return (bit, negated) if of is None else (of, not negated)


def all_of(net: Netlist, literals: Sequence[tuple[int, bool]], bus: str) -> int:
    """Return the bit that says that each (bit, is negated) holds."""
    plain = [_plain(net, bit, negated) for bit, negated in literals]
    kept = dict.fromkeys((b, neg) for b, neg in plain if b != (ZERO if neg else ONE))
    if any((b, not neg) in kept or b == (ONE if neg else ZERO) for b, neg in kept):
        return ZERO
    if not kept:
        return ONE
    parts: list[str | int] = []
    for bit, negated in kept:
        parts += [" & ", "~", bit] if negated else [" & ", bit]
    single = next(iter(kept))
    if len(kept) == 1:
        return inverse(net, single[0], bus) if single[1] else single[0]
    return net.add(*parts[1:], bus=bus, cost=_levels(len(kept)))


def _levels(n_inputs: int) -> int:
    """Return the levels of six-input tables that an AND of so many inputs takes."""
    levels, reach = 1, 6
    while reach < n_inputs:
        levels, reach = levels + 1, reach * 6
    return levels


def table(
    net: Netlist, bits: Sequence[int], truth: NDArray[np.bool_], bus: str, is_shared: bool = False
) -> int:
    """Return bit `truth[sum of bits[j] << j]`.

    With `is_shared`, a table and its opposite are one table and an inverter.
    """
    bits, truth = _essential(*_upright(net, bits, truth))
    if not bits:
        return ONE if truth[0] else ZERO
    if is_shared and truth[0]:
        return inverse(net, table(net, bits, ~truth, bus), bus)
    if len(bits) == 1:
        return inverse(net, bits[0], bus) if truth[0] else bits[0]
    number = sum(
        1 << a for a in np.flatnonzero(truth).tolist()
    )  # Python's int: no width to overflow
    n = len(truth)
    constant = net.constant(f"{n}'h{number:0{n // 4}x}", (1 << n) - 1, "t")
    index: list[str | int] = []
    for bit in reversed(bits):
        index += [", ", bit]
    return net.add(constant, "[{", *index[1:], "}]", bus=bus, cost=1 if len(bits) <= 6 else 2)


def _upright(
    net: Netlist, bits: Sequence[int], truth: NDArray[np.bool_]
) -> tuple[list[int], NDArray[np.bool_]]:
    """Read no inverse: turn the table over instead."""
    literals = [_plain(net, bit, False) for bit in bits]
    flips = sum(1 << j for j, (_, negated) in enumerate(literals) if negated)
    return [bit for bit, _ in literals], truth[np.arange(len(truth)) ^ flips]


def _essential(
    bits: Sequence[int], truth: NDArray[np.bool_]
) -> tuple[list[int], NDArray[np.bool_]]:
    """Drop inputs that are constant, that come twice, or that change nothing."""
    left = list(bits)
    cube = truth.reshape((2,) * len(left))  # the last input is the first axis
    for j in range(len(left) - 1, -1, -1):
        axis = len(left) - 1 - j
        low, high = np.take(cube, 0, axis), np.take(cube, 1, axis)
        if left[j] in (ZERO, ONE) or np.array_equal(low, high):
            cube = high if left[j] == ONE else low
            del left[j]
        elif left[j] in left[:j]:
            twin = len(left) - 2 - left.index(left[j])  # its axis, once this one is taken
            cube = np.stack([np.take(low, 0, twin), np.take(high, 1, twin)], axis=twin)
            del left[j]
    if len(left) < len(bits):
        return _essential(left, cube.reshape(-1))
    return left, cube.reshape(-1)
