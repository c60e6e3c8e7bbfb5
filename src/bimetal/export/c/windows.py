"""Operations whose windows move over a map, in C: convolutions and pools, as plain loops."""

from collections.abc import Mapping

from bimetal.bits import unpack
from bimetal.export.c.plan import C_TYPES, Part, Plan, n_words
from bimetal.export.c.template import Word, template
from bimetal.export.c.text import array, counted, literals, table, words_of
from bimetal.ops import ByteConv, Conv, Pool
from bimetal.ops.checks_maps import out_size

__all__ = ["byte_conv", "conv", "pool"]

SUMS: Mapping[str, Mapping[str, Word]] = {
    "ints": {"SUM_T": "int32_t", "STORE": "y[{}] = {}".format},
    "bits": {"SUM_T": "uint32_t", "STORE": "name_put_bit(y, {}, {} >= 0)".format},
}
"""What becomes of a sum: itself, or one bit."""

BIT = "((x[({0}) / 32] >> (({0}) % 32)) & 1u)"
MAX: Mapping[str, Mapping[str, Word]] = {
    "bits": {"GET": BIT.format, "STORE": "name_put_bit(y, {}, {})".format},
    "bytes": {"GET": "x[{}]".format, "STORE": "y[{}] = {}".format},
    "ints": {"GET": "x[{}]".format, "STORE": "y[{}] = {}".format},
    "floats": {"GET": "x[{}]".format, "STORE": "y[{}] = {}".format},
}
SUM: Mapping[str, Mapping[str, Word]] = {
    "bits": {"GET": f"2u * {BIT} - 1u".format, "STORE": "y[{}] = (int32_t){}".format},
    "bytes": {"GET": "x[{}]".format, "STORE": "y[{}] = (int32_t){}".format},
    "ints": {"GET": "(uint32_t)x[{}]".format, "STORE": "y[{}] = (int32_t){}".format},
    "floats": {"GET": "x[{}]".format, "STORE": "y[{}] = {}".format},
}
"""How an element is read and written, by what the map is made of."""


def conv(plan: Plan, value: int, op: Conv) -> Part:
    """Return the part of one binary convolution."""
    k, n_out = op.kernel[0] * op.kernel[1] * op.shape[2] // op.groups, len(op.bias)
    rows = [[f"0x{word:08X}" for word in words_of(row)] for row in unpack(op.weights, k)]
    shape = f"({counted(n_out, 'outputs')}, {counted(n_words(k), 'words')} of {k} bits)"
    tables = [
        _windows(value, op),
        table("uint32_t", f"name_weights_{value}", rows, shape),
        array("int32_t", f"name_bias_{value}", op.bias, "(outputs,)"),
    ]
    is_masked = op.pad == "0" and any(op.padding)
    scratch = f"bits[{n_words(k)}]" + (f", inside[{n_words(k)}]" if is_masked else "")
    function = f"name_conv_{op.makes}"
    call = (
        f"{{\n    uint32_t {scratch}; /* of one window */\n"
        f"    {function}({plan.places[op.input]}, &name_windows_{value}, {op.groups}, {n_out}, "
        f"{int(op.pad == '+1')}, name_weights_{value}, name_bias_{value}, {n_words(k)}, "
        f"bits, {'inside' if is_masked else '0'}, {plan.places[value]});\n}}"
    )
    count = template("popcount_builtin.c" if plan.core.has_popcount else "popcount.c")
    shared = (
        *_bits_out(op.makes), template("apart.c"), template("copy_bits.c"), template("windows.c"),
        template("gather.c"),
        count, template("conv.c", {"name_conv": function, **SUMS[op.makes]}),
    )  # fmt: skip
    return Part(call, "\n\n".join(tables), shared)


def byte_conv(plan: Plan, value: int, op: ByteConv) -> Part:
    """Return the part of one convolution of bytes."""
    n_out = len(op.bias)
    rows = [literals(row, "int8_t") for row in op.weights]
    shape = f"({counted(n_out, 'outputs')}, {counted(op.weights.shape[1], 'weights')})"
    tables = [
        _windows(value, op),
        table("int8_t", f"name_weights_{value}", rows, shape),
        array("int32_t", f"name_bias_{value}", op.bias, "(outputs,)"),
        array("uint8_t", f"name_pad_{value}", op.pad, "(channels,)"),
    ]
    function = f"name_byte_conv_{op.makes}"
    call = (
        f"{function}({plan.places[op.input]}, &name_windows_{value}, {op.groups}, {n_out}, "
        f"name_pad_{value}, name_weights_{value}, name_bias_{value}, {plan.places[value]});"
    )
    words = {"name_byte_conv": function, **SUMS[op.makes]}
    shared = (*_bits_out(op.makes), template("windows.c"), template("byte_conv.c", words))
    return Part(call, "\n\n".join(tables), shared)


def pool(plan: Plan, value: int, op: Pool) -> Part:
    """Return the part of one pool."""
    x, y = plan.value(op.input).kind, plan.value(value).kind
    base = f"name_pool_{op.kind}"
    added = {"bits": "uint32_t", "bytes": "uint32_t", "ints": "uint32_t", "floats": "float"}
    words: dict[str, Word] = {
        base: f"{base}_{x}", "X_T": C_TYPES[x], "Y_T": C_TYPES[y],
        "VALUE_T": added[x] if op.kind == "sum" else C_TYPES[x],
        **(SUM if op.kind == "sum" else MAX)[x],
    }  # fmt: skip
    call = f"{base}_{x}({plan.places[op.input]}, &name_windows_{value}, {plan.places[value]});"
    shared = (*_bits_out(y), template("windows.c"), template(f"pool_{op.kind}.c", words))
    return Part(call, _windows(value, op), shared)


def _bits_out(kind: str) -> tuple[str, ...]:
    return (template("put_bit.c"),) if kind == "bits" else ()


def _windows(value: int, op: Conv | ByteConv | Pool) -> str:
    """Return how the windows of an operation move."""
    dilation = (1, 1) if isinstance(op, Pool) else op.dilation
    height, width, channels = op.shape
    top, left, bottom, right = op.padding
    rows = out_size(height, op.kernel[0], op.stride[0], top, bottom, dilation[0])
    columns = out_size(width, op.kernel[1], op.stride[1], left, right, dilation[1])
    lines = {
        f"{height}, {width}, {channels},": "the map: height, width, channels",
        f"{op.kernel[0]}, {op.kernel[1]},": "kernel, down and right",
        f" {op.stride[0]}, {op.stride[1]},": "stride",
        f"  {dilation[0]}, {dilation[1]},": "dilation",
        f"   {top}, {left},": "padding above and on the left",
        f"    {rows}, {columns},": "windows: rows, columns",
    }
    body = [f"    {numbers.strip():16} /* {said} */" for numbers, said in lines.items()]
    return "\n".join([f"static const struct name_windows name_windows_{value} = {{", *body, "};"])
