"""Bits of look-up tables, comparisons with constants, and sums of weighted bits, as nodes of a netlist.

Each is simplified by what is known when it is written: constant bits, inputs that change nothing,
inputs that come twice. So a table here reads only what it depends on.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bimetal.export.verilog.netlist import ONE, ZERO, Expr, Netlist, Node, width_of

__all__ = [
    "all_of",
    "at_least",
    "collected",
    "equals",
    "extended",
    "inverse",
    "opposite_of",
    "table",
    "weighted_sum",
]

DIGIT = 4
"""Bits that one step of a comparison takes: with a constant, they are one small look-up table."""
HALF = 16
"""Bits that are compared in one go; longer words are compared by halves."""


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


def collected(
    net: Netlist, bits: Iterable[int], weights: Iterable[int]
) -> tuple[dict[int, int], int]:
    """Return weights of bits that differ, none the inverse of another, and a constant: the same sum."""
    kept: dict[int, int] = {}
    constant = 0
    for bit, weight in zip(bits, weights, strict=True):
        of = opposite_of(net.nodes[bit])
        if bit in (ZERO, ONE):
            constant += weight * bit
        elif of is None:
            kept[bit] = kept.get(bit, 0) + weight
        else:  # weight · (1 − of)
            kept[of] = kept.get(of, 0) - weight
            constant += weight
    return {bit: weight for bit, weight in kept.items() if weight}, constant


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


def at_least(net: Netlist, word: int, value: int, bus: str, note: str = "") -> int:
    """Return the bit that says that a word is at least a constant."""
    node = net.nodes[word]
    if value <= node.low or value > node.high:
        return ONE if value <= node.low else ZERO
    if node.width == 1:
        return inverse(net, word, bus) if node.low < 0 else word
    if node.low < 0:  # turn its sign over: then the order is that of unsigned numbers
        top = node.width - 1
        value += 1 << top
        flipped: Expr = ("{~", word, f"[{top}], ", word, f"[{top - 1}:0]" + "}")
        word = net.add(*flipped, bus=node.bus, high=(2 << top) - 1, cost=0)
    return _not_below(net, word, node.width, value, bus, note)


def _not_below(net: Netlist, word: int, width: int, value: int, bus: str, note: str) -> int:
    if width <= HALF:
        expr = _compared(word, width, 0, value)
        return net.add(*expr, bus=bus, cost=_digits(width), note=note) if expr else ONE
    high, low = value >> HALF, value & ((1 << HALF) - 1)
    is_low = _compared(word, HALF, 0, low)
    if not is_low:
        return net.add(*_compared(word, width, HALF, high), bus=bus, cost=2, note=note)
    above = _compared(word, width, HALF, high + 1) if high + 1 < 1 << (width - HALF) else ()
    same: Expr = (word, f"[{width - 1}:{HALF}] == {width - HALF}'d{high}")
    parts = [net.add(*expr, bus=bus, cost=2) if expr else ZERO for expr in (above, same, is_low)]
    return net.add(parts[0], " | ", parts[1], " & ", parts[2], bus=bus, note=note)


def _digits(width: int) -> int:
    return 1 if width <= 6 else 2


def _compared(word: int, end: int, start: int, value: int) -> Expr:
    """Return the text of bits `start` to `end` − 1 of a word >= `value`; () if that always holds."""
    expr: Expr = ()
    for low in range(start, end, DIGIT):
        size = min(DIGIT, end - low)
        digit = (value >> (low - start)) & ((1 << size) - 1)
        part = f"[{low + size - 1}:{low}]" if size > 1 else f"[{low}]"
        if not expr:
            expr = (word, f"{part} >= {size}'d{digit}") if digit else ()
            continue
        same = ("(", word, f"{part} == {size}'d{digit}) & (", *expr, ")")
        is_top = digit == (1 << size) - 1
        expr = same if is_top else ("(", word, f"{part} > {size}'d{digit}) | ", *same)
    return expr


def equals(net: Netlist, word: int, value: int, bus: str, note: str = "") -> int:
    """Return the bit that says that an unsigned word is a constant."""
    node = net.nodes[word]
    return net.add(word, f" == {node.width}'d{value}", bus=bus, cost=2, note=note)


def weighted_sum(
    net: Netlist,
    weights: Mapping[int, int],
    constant: int,
    chunk: int,
    bus: str,
    is_shared: bool = False,
) -> int:
    """Return the word ``constant + sum of weights[bit] over the bits that are set``.

    `chunk` bits at a time go through tables that give their share of the sum; then the shares are
    added. Bits of one cycle and weights of one size go together, which keeps the shares narrow. With
    `is_shared`, shares that are opposites have their tables in common.
    """
    bits = sorted(weights, key=lambda bit: (net.nodes[bit].cycle, abs(weights[bit])))
    groups = [bits[i : i + chunk] for i in range(0, len(bits), chunk)] or [[]]
    lows = [sum(min(weights[bit], 0) for bit in group) for group in groups]
    # every share but the first starts at 0, so that it needs no sign; the first makes up for it
    offsets = [constant + sum(lows[1:]), *(-low for low in lows[1:])]
    shares = [
        _share(net, group, [weights[bit] for bit in group], offset, bus, is_shared)
        for group, offset in zip(groups, offsets, strict=True)
    ]
    return _tree(net, shares, bus) if net.levels is not None else _flat(net, shares, bus)


def _share(
    net: Netlist, bits: list[int], weights: list[int], constant: int, bus: str, is_shared: bool
) -> int:
    """Return the word ``constant + sum of weights over the set bits`` of a few bits, by tables."""
    sums = np.array([constant], dtype=np.int64)
    for weight in weights:
        sums = np.concatenate([sums, sums + weight])
    low, high = int(sums.min()), int(sums.max())
    if not bits:
        return _number(net, constant)
    width = width_of(low, high)
    made = [table(net, bits, (sums >> j) & 1 == 1, bus, is_shared) for j in range(width)]
    if width == 1 and low == 0:
        return made[0]
    listed: list[str | int] = []
    for bit in reversed(made):
        listed += [", ", bit]
    return net.add("{", *listed[1:], "}", bus=bus, low=low, high=high, cost=0)


def _number(net: Netlist, value: int) -> int:
    width = width_of(value, value)
    return net.add(f"{width}'d{value & ((1 << width) - 1)}", bus="k", low=value, high=value, cost=0)


def _flat(net: Netlist, words: Sequence[int], bus: str) -> int:
    """Return one sum of all words: who compiles it picks the adders."""
    if len(words) == 1:
        return words[0]
    low, high = _range(net, words)
    parts = [extended(net, word, width_of(low, high)) for word in words]
    return net.add(*_balanced(parts), bus=bus, low=low, high=high)


def _balanced(parts: Sequence[Expr]) -> Expr:
    """Return the text of a sum in parentheses by halves, so that one change passes few adders."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left, right = _balanced(parts[:half]), _balanced(parts[half:])
    return (*_closed(left, half), " + ", *_closed(right, len(parts) - half))


def _closed(expr: Expr, n: int) -> Expr:
    return ("(", *expr, ")") if n > 1 else expr


def _tree(net: Netlist, words: Sequence[int], bus: str) -> int:
    """Return the sum by adders of two, which take what holds first."""
    waiting = [_rank(net, word) for word in words]
    heapq.heapify(waiting)
    while len(waiting) > 1:
        pair = [heapq.heappop(waiting)[-1] for _ in range(2)]
        heapq.heappush(waiting, _rank(net, _flat(net, pair, bus)))
    return waiting[0][-1]


def _rank(net: Netlist, word: int) -> tuple[int, int, int, int]:
    node = net.nodes[word]
    return node.cycle, node.depth, node.width, word


def _range(net: Netlist, words: Sequence[int]) -> tuple[int, int]:
    return sum(net.nodes[w].low for w in words), sum(net.nodes[w].high for w in words)


def extended(net: Netlist, word: int, width: int) -> Expr:
    """Return a word as text of `width` bits: its sign, or zeros, before it."""
    node = net.nodes[word]
    more = width - node.width
    if not more:
        return (word,)
    if node.low >= 0:
        return (f"{{{more}'d0, ", word, "}")
    sign = f"[{node.width - 1}]" if node.width > 1 else ""
    return (f"{{{{{more}{{", word, f"{sign}}}}}, ", word, "}")
