"""Readouts in C: the points that bits give, added up in int32, which no order can overflow."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bimetal.export.c.encode import LISTED
from bimetal.export.c.plan import Part, Plan, n_words
from bimetal.export.c.template import template
from bimetal.export.c.text import (
    array,
    counted,
    int_type,
    literals,
    read_of,
    table,
    words_of,
    wrapped,
)
from bimetal.export.names import comment
from bimetal.ops import Encode, Readout
from bimetal.wording import bit_names

__all__ = ["by_input", "is_wide", "readout"]

FEW = 4  # outputs whose biases are written as statements
WIDE = 64  # bits from which on planes pay


def readout(plan: Plan, value: int, op: Readout) -> Part:
    """Return the part of one readout."""
    points = plan.places[value]
    calls, tables, shared = _bias(op, value, points)
    for source, weights in by_input(plan, op):
        symbol = f"name_weights_{value}_{source}"
        by_planes = is_wide(plan, source, weights)
        part = (_planes if by_planes else _listed)(plan, symbol, source, weights, points)
        calls.append(part.call)
        tables.append(part.tables)
        shared += part.shared
    return Part("\n".join(calls), "\n\n".join(tables), tuple(shared))


def is_wide(plan: Plan, source: int, weights: NDArray[np.int64]) -> bool:
    """Tell whether counting plane by plane pays.

    Not for a scorecard, which is to be read, nor on a small chip that has to count without an
    instruction: there it would save a tenth of the time and cost a hundred bytes of code. Horner's
    partial sums stay within 2 * 32,768 * 2**15 = 2**31 only for weights of 16 bits.
    """
    pays = plan.core.has_popcount or plan.core.flash is None
    is_small = int_type(weights) != "int32_t" and weights.shape[1] >= WIDE
    return pays and is_small and not _is_scorecard(plan, source, weights)


def _is_scorecard(plan: Plan, source: int, weights: NDArray[np.int64]) -> bool:
    is_short = len(weights) == 1 and weights.shape[1] <= LISTED
    return is_short and isinstance(plan.program.ops[source - 1], Encode)


def by_input(plan: Plan, op: Readout) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the weights of each input once: of one that is named twice they add up.

    The sum of all |weight| is below 2**31, so the sums of two fit int32 as well.
    """
    ends = np.cumsum([plan.value(i).n for i in op.inputs])
    parts = np.split(op.weights.astype(np.int64), ends[:-1], axis=1)
    for source in dict.fromkeys(op.inputs):
        same = [part for i, part in zip(op.inputs, parts, strict=True) if i == source]
        yield source, np.sum(same, axis=0)


def _bias(op: Readout, value: int, points: str) -> tuple[list[str], list[str], list[str]]:
    words = literals(op.bias, "int32_t")
    if len(words) <= FEW:
        return [f"{points}[{c}] = {word};" for c, word in enumerate(words)], [], []
    symbol = f"name_bias_{value}"
    call = f"name_begin({symbol}, {len(words)}, {points});"
    return (
        [call],
        [array("int32_t", symbol, op.bias, "(outputs,)")],
        [template("apart.c"), template("bias.c")],
    )


def _listed(plan: Plan, symbol: str, source: int, weights: NDArray[np.int64], points: str) -> Part:
    """Return a part whose weights stand one after the other."""
    n_out, n_bits = weights.shape
    kind = int_type(weights)
    function = f"name_readout{kind.strip('int_')}"
    call = f"{function}({plan.places[source]}, {n_bits}, {symbol}, {n_out}, {points});"
    words = {"name_readout": function, "WEIGHT_T": kind, "AT_WEIGHT": read_of(kind)}
    shared = (template("apart.c"), template("readout.c", words))
    if _is_scorecard(plan, source, weights):
        return Part(call, _scorecard(plan, kind, symbol, source, weights[0]), shared)
    rows = [literals(row, kind) for row in weights]
    shape = f"({counted(n_out, 'points')}, {counted(n_bits, 'bits')} of value {source})"
    heads = _heads(plan, n_out) if n_out > 1 else ()
    return Part(call, table(kind, symbol, rows, shape, heads), shared)


def _planes(plan: Plan, symbol: str, source: int, weights: NDArray[np.int64], points: str) -> Part:
    """Return a part whose weights are taken apart into bit planes, the highest first."""
    n_out, n_bits = weights.shape
    most = max(int(weights.max()), -int(weights.min()) - 1)
    n_planes = most.bit_length() + 1  # two's complement
    shape = ", ".join(
        counted(n, of)
        for n, of in ((n_out, "points"), (n_planes, "planes"), (n_words(n_bits), "words"))
    )
    head = f"static const FLASH uint32_t {symbol}[{n_out * n_planes * n_words(n_bits)}] = {{"
    lines = [f"{head} /* ({shape}) of value {source} */"]
    for title, row in zip(_heads(plan, n_out), weights, strict=True):
        lines += [_in_words(title, row), *_planes_of(row, n_planes)]
    call = (
        f"name_readout_planes({plan.places[source]}, {n_words(n_bits)}, {symbol}, "
        f"{n_planes}, {n_out}, {points});"
    )
    count = template("popcount_builtin.c" if plan.core.has_popcount else "popcount.c")
    return Part(
        call, "\n".join([*lines, "};"]), (template("apart.c"), count, template("readout_planes.c"))
    )


def _in_words(title: str, weights: NDArray[np.int64]) -> str:
    """Return the weights as a comment, for people."""
    lines = wrapped(literals(weights, "int32_t"), 7).split("\n")
    return f"    /* {title}: weights\n" + "\n".join(lines).rstrip(",") + " */"


def _planes_of(weights: NDArray[np.int64], n_planes: int) -> Iterator[str]:
    """Yield each bit of the weights as a row of words: what the bit counts, then the bits."""
    for b in range(n_planes - 1, -1, -1):
        counts = f"/* {'-' * (b == n_planes - 1)}{2**b} */"
        words = wrapped([f"0x{word:08X}" for word in words_of(((weights >> b) & 1).astype(bool))])
        yield f"{words} {counts}" if "\n" not in words else f"    {counts}\n{words}"


def _heads(plan: Plan, n_out: int) -> list[str]:
    labels = [comment(str(label), 60) for label in plan.program.classes]
    return [
        f"points {c}" + (f", {labels[c]}" if len(labels) == n_out else "") for c in range(n_out)
    ]


def _scorecard(plan: Plan, kind: str, symbol: str, source: int, weights: NDArray[np.int64]) -> str:
    """Return the weights of questions one a line, each beside its question: a scorecard."""
    encoder = plan.program.ops[source - 1]
    assert isinstance(encoder, Encode)
    names = bit_names(plan.program.columns, encoder)
    shape = f"({counted(len(weights), 'bits')} of value {source}): a scorecard"
    head = f"static const FLASH {kind} {symbol}[{len(weights)}] = {{ /* {shape} */"
    words = literals(weights, kind)
    lines = [f"    {w + ',':12} /* {comment(q, 70)} */" for w, q in zip(words, names, strict=True)]
    return "\n".join([head, *lines, "};"])
