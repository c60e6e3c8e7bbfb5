"""Sums of weighted bits: tables for a few bits at a time, then adders.

A neuron counts with weights ±1, a readout adds points; both are sums of this kind.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bimetal.export.verilog.logic import opposite_of, table
from bimetal.export.verilog.netlist import ONE, ZERO, Expr, Netlist, width_of

__all__ = ["collected", "extended", "weighted_sum"]


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
    `is_shared`, shares that are opposites have their tables in common: so are the many short counts of
    neurons, which are one sum each where no clock comes between.
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
    is_flat = is_shared and net.levels is None
    return _flat(net, shares, bus) if is_flat else _tree(net, shares, bus)


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
