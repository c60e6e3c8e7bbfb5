"""The operations of a Program as calls of the functions in ``templates/ops.js`` and ``maps.js``."""

from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from bimetal.export.form import link_of, live
from bimetal.export.js.face import base64_of
from bimetal.ops import (
    Add,
    Affine,
    ByteConv,
    Concat,
    Conv,
    Dense,
    Encode,
    Link,
    Lut,
    Op,
    Planes,
    Pool,
    PReLU,
    Quantize,
    Readout,
    RowThreshold,
    Rules,
    Threshold,
    Value,
)
from bimetal.program import Program

__all__ = ["link_text", "net_text", "parts_of"]

TYPED = {
    "bits": "Int32Array",
    "bytes": "Uint8Array",
    "ints": "Int32Array",
    "floats": "Float32Array",
}
NARROW = (np.uint8, np.int8, np.uint16, np.int16, np.int32)


def parts_of(program: Program) -> list[str]:
    """Return the names of the templates whose functions a Program calls."""
    used = {type(program.ops[i]) for i in live(program)}
    tables = {Encode, Dense, Rules, Lut, Readout, Link}
    parts = ["ops.js"]
    parts += ["maps.js"] if used - tables - {RowThreshold} else []
    parts += ["row_threshold.js"] if RowThreshold in used else []
    return [*parts, "link.js"]


def net_text(program: Program) -> str:
    """Return the steps of a Program as a JavaScript list; what no answer needs is null."""
    needed = set(live(program))
    steps = []
    for i, op in enumerate(program.ops[:-1]):
        step = _step(op, program.values, program.values[i + 1]) if i in needed else "null"
        steps.append(f"  {step}, // value {i + 1}: {_words(program.values[i + 1])}\n")
    return f"const NET = [\n{''.join(steps)}];\nconst POINTS = {link_of(program).input};\n"


def link_text(program: Program) -> str:
    """Return the step from points to answers."""
    op = link_of(program)
    if op.kind == "table":
        return f"const LINK = table({_whole(op.knots)}, {_array(op.values)});\n"
    return f"const LINK = scaled({op.kind}, {_array(op.scale)}, {_array(op.offset)});\n"


def _words(value: Value) -> str:
    return f"{value.n} {value.kind}"


def _array(array: NDArray[Any]) -> str:
    kind = {"f": "f", "i": "i", "u": "u"}[array.dtype.kind]
    return f"{kind}{8 * array.dtype.itemsize}({base64_of(array)})"


def _whole(array: NDArray[Any]) -> str:
    """Return whole numbers in the narrowest type that holds them."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    fits = (t for t in NARROW if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return _array(array.astype(next(fits)))


def _list(numbers: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, numbers))}]"


def _call(name: str, *arguments: object) -> str:
    return f"{name}({', '.join(map(str, arguments))})"


def _step(op: Op, values: tuple[Value, ...], made: Value) -> str:
    match op:
        case Encode():
            constants = _whole(op.column), _array(op.kind), _array(op.value)
            specials = _whole(op.special_column), _array(op.special_value)
            return _call("encode", *constants, *specials)
        case Dense():
            k = op.n_in // op.groups
            weights = f"packed({k}, {base64_of(op.weights)})"
            return _call("dense", op.input, k, op.groups, weights, _whole(op.thresholds))
        case Rules():
            return _call("rules", op.input, _array(op.literals), _array(op.fan_in))
        case Lut():
            return _call("lut", op.input, op.places.shape[1], _whole(op.places), _array(op.tables))
        case Readout():
            sizes = tuple(values[i].n for i in op.inputs)
            return _call(
                "readout", _list(op.inputs), _list(sizes), _whole(op.weights), _whole(op.bias)
            )
        case Link():
            raise AssertionError("a link stands last")
        case _:
            return _map_step(op, values, made)


def _map_step(op: Any, values: tuple[Value, ...], made: Value) -> str:
    match op:
        case RowThreshold():
            pixels = made.n // op.channels
            return _call("rowThreshold", op.input, pixels, op.channels, op.top, op.bottom)
        case Quantize():
            return _call("quantize", op.input, made.n, _array(op.scale), _array(op.offset))
        case Planes():
            pixels = made.n // len(op.channel)
            constants = _whole(op.channel), _array(op.mask), _array(op.level)
            return _call("planes", op.input, pixels, op.channels, *constants)
        case Conv() | ByteConv():
            return _convolution(op)
        case Pool():
            kind = values[op.input].kind
            typed = TYPED["ints" if op.kind == "sum" and kind == "bytes" else kind]
            return _call(f"{op.kind}Pool", op.input, _form(op), typed, _true(kind == "bits"))
        case Threshold():
            return _call("threshold", op.input, made.n, _array(op.thresholds), _array(op.flips))
        case Affine():
            return _call("affine", op.input, made.n, _array(op.scale), _array(op.offset))
        case PReLU():
            constants = _array(op.before), _array(op.slope), _array(op.after)
            return _call("prelu", op.input, made.n, *constants)
        case Add():
            return _call("add", _list(op.inputs), made.n, TYPED[made.kind])
        case Concat():
            pixels, is_bits = made.n // sum(op.channels), _true(made.kind == "bits")
            lists = _list(op.inputs), _list(op.channels)
            return _call("concat", *lists, pixels, TYPED[made.kind], is_bits)
        case _:
            assert_never(op)


def _true(holds: bool) -> str:
    return "true" if holds else "false"


def _form(op: Conv | ByteConv | Pool) -> str:
    parts = ["shape", "kernel", "stride", "padding"] + ["dilation"] * (not isinstance(op, Pool))
    return "{ " + ", ".join(f"{name}: {_list(getattr(op, name))}" for name in parts) + " }"


def _convolution(op: Conv | ByteConv) -> str:
    makes_bits = _true(op.makes == "bits")
    if isinstance(op, ByteConv):
        constants = _array(op.pad), _array(op.weights), _whole(op.bias)
        return _call("byteConv", op.input, _form(op), makes_bits, op.groups, *constants)
    k = op.kernel[0] * op.kernel[1] * op.shape[2] // op.groups
    weights = f"packed({k}, {base64_of(op.weights)})"
    arguments = makes_bits, int(op.pad), op.groups, weights, _whole(op.bias)
    return _call("conv", op.input, _form(op), *arguments)
