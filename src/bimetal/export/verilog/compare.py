"""Comparisons of words with constants, by digits of four bits.

With a constant, a digit is one small look-up table, and the digits of a column are shared among its
cut-points; a chain of carries would be longer and shared with nobody.
"""

from bimetal.export.verilog.logic import inverse
from bimetal.export.verilog.netlist import ONE, ZERO, Expr, Netlist

__all__ = ["at_least", "equals"]

DIGIT = 4
HALF = 16
"""Bits that are compared in one go; longer words are compared by halves."""


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
