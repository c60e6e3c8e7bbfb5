"""Layers that act on each channel by itself, as float operations of a Program."""

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower.asking import FLOATS
from bimetal.lower.state import At, Over, Waiting, Writer, write_ints, write_sums
from bimetal.nn import Logits, RPReLU, Scale, Shift, fold_norm
from bimetal.nn.activations import Bytes, Pixels
from bimetal.nn.norms import ShiftBatchNorm
from bimetal.ops import Affine, Op, PReLU

__all__ = [
    "ANSWERS",
    "BEFORE_A_SIGN",
    "CHANNELWISE",
    "IDENTITIES",
    "by_element",
    "folded",
    "n_channels_of",
    "never_falls",
    "numbers",
    "real",
    "spread",
    "to_floats",
]

IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
"""Layers that do nothing in eval mode."""

BENDS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, RPReLU)
"""Layers that become the operation `PReLU`."""

CHANNELWISE = (nn.BatchNorm1d, nn.BatchNorm2d, ShiftBatchNorm, Scale, Shift, Pixels, *BENDS)
"""Layers with a float operation of their own."""

BEFORE_A_SIGN = (nn.Hardtanh, nn.Tanh, nn.ReLU6)
"""Layers that are only ever asked, so a sign or a `Bytes` has to follow."""

ANSWERS = (Logits,)
"""Layers that end a net."""

Floats = NDArray[np.float32]


def to_floats(writer: Writer, at: At) -> At:
    """Write the layers that wait as float operations, or raw sums as ints if there are none.

    Raises
    ------
    ProgramError
        When a layer has no float operation.
    """
    at = write_ints(writer, at) if at.waiting else write_sums(writer, at)
    for layer, name in _merged(at.waiting):
        value = at.value
        if at.kind == "ints" and isinstance(layer, BENDS):  # a PReLU reads floats
            value = writer.write(_affine(value, at.n_channels, 1.0, 0.0), name)
        value = writer.write(_operation(layer, value, at.n_channels), name)
        at = replace(at, kind="floats", value=value, span=FLOATS)
    return replace(at, waiting=(), is_spread=False)


def _merged(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Let a power of two be multiplied together with the scale that follows, which rounds nothing."""
    merged: list[Waiting] = []
    for layer, name in waiting:
        before, scale = folded(merged[-1].layer) if merged else None, folded(layer)
        if before is not None and scale is not None and _is_power_of_two(before):
            merged[-1] = Waiting(Scale.of(before.scale * scale.scale, scale.offset), name)
        else:
            merged.append(Waiting(layer, name))
    return merged


def _is_power_of_two(layer: Scale) -> bool:
    mantissas = torch.frexp(layer.scale).mantissa
    return bool((mantissas == 0.5).all()) and not bool(layer.offset.any())


def folded(layer: nn.Module) -> Scale | None:
    """Return a layer that scales and shifts in eval mode as just that, None where it is another."""
    match layer:
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return fold_norm(layer)
        case ShiftBatchNorm():
            return layer.folded()
        case Over():
            return Scale.of(torch.tensor([1 / layer.n]), torch.zeros(1))
        case Scale():
            return layer
        case Shift():
            return Scale.of(torch.ones_like(layer.shift), layer.shift)
    return None


def real(writer: Writer, at: At) -> At:
    """Return the map as floats, all that waits written."""
    at = to_floats(writer, write_ints(writer, at))
    if at.kind == "floats":
        return at
    value = writer.write(_affine(at.value, at.n_channels, 1.0, 0.0))
    return At("floats", at.shape, value, is_flat=at.is_flat)


def never_falls(layer: nn.Module) -> bool:
    """Whether a layer is non-decreasing in each channel, so that the largest stays the largest.

    A product with a number that is not negative, a sum, and the rounding after each of them are
    non-decreasing, and so is every chain of them.
    """
    match layer:
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return layer.weight is None or bool((layer.weight >= 0).all())
        case ShiftBatchNorm():
            return never_falls(layer.folded())
        case Scale() | Pixels():
            return bool((layer.scale >= 0).all())
        case nn.LeakyReLU():
            return layer.negative_slope >= 0
        case nn.PReLU():
            return bool((layer.weight >= 0).all())
        case RPReLU():
            return bool((layer.slope >= 0).all())
    return isinstance(layer, Shift | Over | nn.ReLU | nn.Hardtanh)


def numbers(given: torch.Tensor) -> Floats:
    """Return a tensor as a float32 array."""
    return given.detach().float().numpy()


def n_channels_of(layer: nn.Module) -> int | None:
    """Return how many channels a layer was built for; None when it fits any number."""
    match layer:
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return layer.num_features
        case ShiftBatchNorm():
            return len(layer.weight)
        case nn.PReLU():
            return None if layer.num_parameters == 1 else layer.num_parameters
        case Scale() | Shift() | RPReLU() | Logits():
            return len(next(layer.parameters()))
        case Bytes() | Pixels():
            return None if len(layer.scale) == 1 else len(layer.scale)
    return None


def by_element(at: At, layer: nn.Module) -> tuple[At, nn.Module]:
    """Return a flattened map whose elements are channels, and a layer with a number for each of them.

    torch flattens channel by channel, a Program pixel by pixel, so the numbers change their order.
    """
    height, width, n = at.shape
    order = torch.arange(height * width * n).view(n, height, width).permute(1, 2, 0).flatten()
    turned = copy.deepcopy(layer)
    for tensor in [*turned.parameters(), *turned.buffers()]:
        if tensor.shape == order.shape:
            tensor.data = tensor.data[order]
    return replace(at, is_spread=True), turned


def spread(given: torch.Tensor, n: int) -> Floats:
    """Return one number, or one a channel, as one for each of n channels."""
    return np.broadcast_to(numbers(given), (n,)).copy()


def _affine(value: int, n: int, scale: float, offset: float) -> Affine:
    return Affine(value, np.full(n, scale, np.float32), np.full(n, offset, np.float32))


def _operation(layer: nn.Module, value: int, n: int) -> Op:
    scale = folded(layer)
    if scale is not None or isinstance(layer, Pixels):
        both: Any = layer if scale is None else scale
        return Affine(value, spread(both.scale, n), spread(both.offset, n))
    return PReLU(value, *_bend(layer, n))


def _bend(layer: Any, n: int) -> tuple[Floats, Floats, Floats]:
    none = np.zeros(n, np.float32)
    match layer:
        case nn.ReLU():
            return none, none, none
        case nn.LeakyReLU():
            return none, np.full(n, layer.negative_slope, np.float32), none
        case nn.PReLU():
            return none, spread(layer.weight, n), none
        case RPReLU():
            return numbers(layer.before), numbers(layer.slope), numbers(layer.after)
    raise ProgramError(
        f"{type(layer).__name__} has no float operation; it can only stand before a Sign"
        f"{' or at the end' if isinstance(layer, ANSWERS) else ''}"
    )
