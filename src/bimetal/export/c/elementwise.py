"""Operations on maps that take element by element, in C: floats are rounded after each single step."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.export.c.encode import row_type
from bimetal.export.c.plan import C_TYPES, Part, Plan
from bimetal.export.c.template import Word, template
from bimetal.export.c.text import array, floats, read_of, uint_type
from bimetal.ops import Add, Affine, Concat, Planes, PReLU, Quantize, Threshold

__all__ = ["add", "affine", "concat", "planes", "prelu", "quantize", "threshold"]


def quantize(plan: Plan, value: int, op: Quantize) -> Part:
    """Return the part that makes bytes of numbers."""
    kind = row_type(plan) if op.input == 0 else "float"
    function = f"name_quantize_{'row' if op.input == 0 else 'floats'}"
    number = {"float": "{0} == {0}", "int16_t": "{0} != INT16_MIN", "int32_t": "{0} != INT32_MIN"}
    words: dict[str, Word] = {
        "name_quantize": function,
        "X_T": kind,
        "IS_NUMBER": number[kind].format,
    }
    tables, names = _channels(value, scale=op.scale, offset=op.offset)
    call = _call(function, plan, value, op.input, *names, str(len(op.scale)))
    return Part(call, tables, (template("times_float.c"), template("quantize.c", words)))


def planes(plan: Plan, value: int, op: Planes) -> Part:
    """Return the part that makes bits of bytes."""
    kind = uint_type(*(other.channel for _, other in plan.all(Planes)))
    symbols = [f"name_{part}_{value}" for part in ("channel", "mask", "level")]
    kinds = (kind, "uint8_t", "uint8_t")
    arrays: list[NDArray[Any]] = [op.channel, op.mask, op.level]
    tables = "\n\n".join(map(array, kinds, symbols, arrays, ["(bits of a pixel,)"] * 3))
    n_pixels = plan.value(op.input).n // op.channels
    call = (
        f"name_planes({plan.places[op.input]}, {n_pixels}, {op.channels}, {', '.join(symbols)}, "
        f"{len(op.channel)}, {plan.places[value]});"
    )
    words = {"PLACE_T": kind, "AT_PLACE": read_of(kind)}
    return Part(call, tables, (template("put_bit.c"), template("planes.c", words)))


def threshold(plan: Plan, value: int, op: Threshold) -> Part:
    """Return the part that makes bits of ints or floats."""
    kind = plan.value(op.input).kind
    function, symbol, flips = f"name_threshold_{kind}", f"name_least_{value}", f"name_flips_{value}"
    least = (
        array("int32_t", symbol, op.thresholds, "(channels,)") if kind == "ints"
        else floats(symbol, op.thresholds, "(channels,)")
    )  # fmt: skip
    tables = f"{least}\n\n{array('uint8_t', flips, op.flips, '(channels,)')}"
    call = _call(function, plan, value, op.input, symbol, flips, str(len(op.flips)))
    words = {"name_threshold": function, "X_T": C_TYPES[kind], "AT_X": read_of(C_TYPES[kind])}
    return Part(call, tables, (template("put_bit.c"), template("threshold.c", words)))


def affine(plan: Plan, value: int, op: Affine) -> Part:
    """Return the part that scales and shifts."""
    kind = plan.value(op.input).kind
    words: dict[str, Word] = {
        "name_affine": f"name_affine_{kind}", "X_T": C_TYPES[kind],
        "NUMBER": ("(float){}" if kind == "ints" else "{}").format,
    }  # fmt: skip
    tables, names = _channels(value, scale=op.scale, offset=op.offset)
    call = _call(f"name_affine_{kind}", plan, value, op.input, *names, str(len(op.scale)))
    return Part(call, tables, (template("times_float.c"), template("affine.c", words)))


def prelu(plan: Plan, value: int, op: PReLU) -> Part:
    """Return the part that bends."""
    tables, names = _channels(value, before=op.before, slope=op.slope, after=op.after)
    call = _call("name_prelu", plan, value, op.input, *names, str(len(op.slope)))
    return Part(call, tables, (template("times_float.c"), template("prelu.c")))


def add(plan: Plan, value: int, op: Add) -> Part:
    """Return the part that adds values, from left to right."""
    made = plan.value(value)
    y, first, *rest = plan.places[value], *(plan.places[i] for i in op.inputs)
    pairs = zip([first, *[y] * (len(rest) - 1)], rest, strict=True)
    calls = [f"name_add_{made.kind}({a}, {b}, {made.n}, {y});" for a, b in pairs]
    return Part("\n".join(calls), "", (template(f"add_{made.kind}.c"),))


def concat(plan: Plan, value: int, op: Concat) -> Part:
    """Return the part that puts the channels of each pixel side by side."""
    kind, wide = plan.value(value).kind, sum(op.channels)
    n_pixels = plan.value(value).n // wide
    if kind == "bits":
        return _concat_bits(plan, value, op, n_pixels)
    function, calls, first = f"name_concat_{kind}", [], 0
    for source, channels in zip(op.inputs, op.channels, strict=True):
        sizes = f"{n_pixels}, {channels}, {first}, {wide}"
        calls.append(f"{function}({plan.places[source]}, {sizes}, {plan.places[value]});")
        first += channels
    words = {"name_concat": function, "X_T": C_TYPES[kind]}
    return Part("\n".join(calls), "", (template("concat.c", words),))


def _concat_bits(plan: Plan, value: int, op: Concat, n_pixels: int) -> Part:
    """Return pixel after pixel: bits are written in order."""
    lines, y = (
        [
            "{",
            f"    unsigned p, at = 0; /* bit of value {value} */",
            f"    for (p = 0; p < {n_pixels}; p++) {{",
        ],
        plan.places[value],
    )
    for source, n in zip(op.inputs, op.channels, strict=True):
        lines.append(
            f"        name_copy_bits({plan.places[source]}, p * {n}, {y}, at, {n}), at += {n};"
        )
    return Part(
        "\n".join([*lines, "    }", "}"]), "", (template("apart.c"), template("copy_bits.c"))
    )


def _channels(value: int, **arrays: NDArray[np.float32]) -> tuple[str, list[str]]:
    named: Mapping[str, NDArray[np.float32]] = {f"name_{k}_{value}": a for k, a in arrays.items()}
    return "\n\n".join(floats(k, a, "(channels,)") for k, a in named.items()), list(named)


def _call(function: str, plan: Plan, value: int, source: int, *between: str) -> str:
    numbers = ", ".join([*between, str(plan.value(value).n)])
    return f"{function}({plan.places[source]}, {numbers}, {plan.places[value]});"
