"""From layer to layer through a net, each by the rule of its kind."""

from collections.abc import Iterator, Sequence

from torch import nn

from bimetal.errors import DataError, ProgramError
from bimetal.lower import binary, eight_bits, lut, pools
from bimetal.lower.channelwise import (
    ANSWERS,
    BEFORE_A_SIGN,
    CHANNELWISE,
    IDENTITIES,
    by_element,
    n_channels_of,
    real,
    to_floats,
)
from bimetal.lower.row_threshold import row_threshold
from bimetal.lower.state import At, Writer, sign
from bimetal.nn import (
    BinaryConv2d,
    BinaryLinear,
    BitPlanes,
    ByteConv2d,
    ByteLinear,
    Repeat,
    Residual,
    Rows,
    Sign,
    Thermometer,
)
from bimetal.nn.activations import Bytes, Pixels
from bimetal.nn.lut import GroupSum, LutLinear
from bimetal.nn.row_threshold import RowThreshold
from bimetal.nn.sequence import BinaryConv1d
from bimetal.nn.take import Last
from bimetal.nn.tracing import has_known_forward
from bimetal.ops import Add

__all__ = ["SUPPORTED", "Named", "steps_of", "walk"]

Named = tuple[str, nn.Module]

ON_SEQUENCES = (BinaryConv1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, Last)
ON_PICTURES = (
    BinaryConv2d, ByteConv2d, nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d,
)  # fmt: skip

SUPPORTED: tuple[type[nn.Module], ...] = (
    BitPlanes, Thermometer, Bytes, BinaryLinear, ByteLinear, LutLinear, GroupSum, Sign, RowThreshold,
    *ON_PICTURES, *ON_SEQUENCES, nn.Flatten, Residual, Repeat, nn.Sequential, *CHANNELWISE,
    *BEFORE_A_SIGN, *ANSWERS, *IDENTITIES,
)  # fmt: skip
"""The layers that can be lowered."""

MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
MOVES_BEFORE: dict[type[nn.Module], tuple[type[nn.Module], ...]] = {
    Sign: (*MAX_POOLS, nn.Flatten, Last),
    Bytes: MAX_POOLS,
}
"""Layers that are cheaper before others, and rise, so that it makes no difference (see `pools`)."""


def steps_of(model: nn.Module, prefix: str = "") -> list[Named]:
    """Return the layers with their names in the order of their work."""
    steps = list(_leaves(model, prefix))
    for i in range(1, len(steps)):
        before = MOVES_BEFORE.get(type(steps[i][1]), ())
        while i > 0 and isinstance(steps[i - 1][1], before):
            steps[i - 1], steps[i] = steps[i], steps[i - 1]
            i -= 1
    return steps


def _leaves(model: nn.Module, prefix: str) -> Iterator[Named]:
    if not _is_sequence(model):
        if not isinstance(model, IDENTITIES):
            yield prefix or "model", model
        return
    for name, child in model._modules.items():  # named_children would leave out repetitions
        if child is not None:
            yield from _leaves(child, f"{prefix}.{name}" if prefix else name)


def _is_sequence(model: nn.Module) -> bool:
    plain = (nn.Sequential.forward, Rows.forward)  # a Program has rows already
    return isinstance(model, nn.Sequential) and type(model).forward in plain


def walk(writer: Writer, at: At, steps: Sequence[Named]) -> At:
    """Lower layers one after another.

    Raises
    ------
    ProgramError
        When a layer cannot be lowered; it is named.
    """
    for path, layer in steps:
        writer.here = name = writer.called(path)
        if isinstance(layer, Residual):
            at = _residual(writer, at, path, layer).named(name)
            continue
        try:
            at = _step(writer, at, layer).named(name)
        except (ProgramError, DataError) as error:
            raise ProgramError(f"layer '{name}' ({type(layer).__name__}): {error}") from None
    return at


def _step(writer: Writer, at: At, layer: nn.Module) -> At:
    _require_axes(writer, layer)
    _require_known_forward(layer)
    match layer:
        case BitPlanes() | Thermometer():
            return eight_bits.planes(writer, at, layer)
        case Bytes():
            return eight_bits.quantize(writer, at, layer)
        case ByteConv2d():
            return eight_bits.byte_conv(at, layer)
        case nn.Conv2d():
            return eight_bits.ordinary_conv(at, layer)
        case ByteLinear():
            return eight_bits.byte_linear(writer, at, layer)
        case BinaryConv1d() | BinaryConv2d():
            return binary.binary_conv(at, layer)
        case BinaryLinear():
            return binary.binary_linear(at, layer)
        case LutLinear():
            return lut.lut_linear(writer, at, layer)
        case GroupSum():
            return lut.group_sum(writer, at, layer)
        case Sign():
            return sign(writer, at)
        case RowThreshold():
            return row_threshold(writer, at, layer)
        case nn.MaxPool1d() | nn.MaxPool2d():
            return pools.largest(writer, at, layer)
        case nn.AvgPool1d() | nn.AvgPool2d() | nn.AdaptiveAvgPool1d() | nn.AdaptiveAvgPool2d():
            return pools.average(writer, at, layer)
        case nn.Flatten() if (layer.start_dim, layer.end_dim) == (1, -1):
            return pools.flatten(writer, at)
        case Last():
            return pools.last(writer, at)
        case Repeat():
            return pools.repeat(writer, at, layer)
        case _ if isinstance(layer, (*CHANNELWISE, *BEFORE_A_SIGN, *ANSWERS)):
            return _wait(writer, at, layer)
    names = ", ".join(sorted({kind.__name__ for kind in SUPPORTED}))
    raise ProgramError(f"cannot be lowered{_advice(layer)}; supported are {names}")


def _advice(layer: nn.Module) -> str:
    """Return what to do about a layer that cannot be lowered, where that is known."""
    if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv3d):
        return ", since its weights are real: bimetal.nn.with_byte_activations makes them 8 bits"
    if isinstance(layer, nn.LayerNorm):
        return ", but without affine and with a Sign behind it is a bimetal.nn.RowThreshold(0)"
    if isinstance(layer, nn.Softmax | nn.LogSoftmax):
        return ", since a Program answers with what it reads: leave it to the loss, and answer='softmax'"
    return ""


def _require_axes(writer: Writer, layer: nn.Module) -> None:
    """Refuse what torch may not: rows of sequences pass for the channels of one picture there."""
    if writer.n_axes == 1 and isinstance(layer, ON_PICTURES):
        raise ProgramError("reads pictures, but this net reads sequences: (channels, length)")
    if writer.n_axes == 2 and isinstance(layer, ON_SEQUENCES):
        raise ProgramError(
            "reads sequences, but this net reads pictures: (channels, height, width)"
        )


def _require_known_forward(layer: nn.Module) -> None:
    """Refuse a class derived from a known layer that does something else: its rule would be wrong."""
    if not has_known_forward(layer):
        raise ProgramError(
            "cannot be lowered, since its class has a forward of its own, of which nothing is known: "
            "write it with the layers of torch.nn and bimetal.nn as parts"
        )


def _wait(writer: Writer, at: At, layer: nn.Module) -> At:
    """Let a layer wait that acts channel by channel, or, behind a Flatten, element by element."""
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.running_mean is None:
        raise ProgramError("has no running statistics: build it with track_running_stats")
    if isinstance(layer, Pixels) and (at.kind != "bytes" or at.waiting):
        raise ProgramError("reads the picture; it is the first layer of a net")
    n = n_channels_of(layer)
    if n is not None and at.is_flat and at.shape[:2] != (1, 1):
        at = at if at.is_spread else to_floats(writer, at)
        at, layer = by_element(at, layer)
    if n not in (None, at.n_channels):
        raise ProgramError(f"expects {n} channels, but its input has {at.n_channels}")
    return at.then(layer)


def _require_not_in_place(writer: Writer, steps: Sequence[Named]) -> None:
    """Refuse a way that writes into what the other way reads: torch adds another value then."""
    for path, layer in steps:
        if getattr(layer, "inplace", False):
            raise ProgramError(
                f"layer '{writer.called(path)}' ({type(layer).__name__}): writes into a value that the "
                "other way of its block reads as well; give it inplace=False"
            )
        if not isinstance(layer, nn.Flatten):
            return


def _residual(writer: Writer, at: At, path: str, block: Residual) -> At:
    name = writer.here
    start = at if at.kind == "bits" and not at.waiting else real(writer, at)
    ways = []
    for part, way in (("branch", block.branch), ("shortcut", block.shortcut)):
        steps = steps_of(way, f"{path}.{part}")
        _require_not_in_place(writer, steps)
        end = walk(writer, start, steps)
        writer.here = name
        ways.append(real(writer, end))
    if ways[0].shape != ways[1].shape:
        raise ProgramError(
            f"layer '{name}' (Residual): its branch makes a map of shape {ways[0].shape}, its "
            f"shortcut one of {ways[1].shape}"
        )
    value = writer.write(Add((ways[0].value, ways[1].value)))
    return At("floats", ways[0].shape, value, is_flat=ways[0].is_flat)
