"""Layers that act on each channel by itself, as float operations of a Program."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower.state import At, Writer, write_sums
from bimetal.nn import Logits, RPReLU, Scale, Shift, fold_norm
from bimetal.ops import Affine, Op, PReLU

__all__ = [
    "ANSWERS",
    "BEFORE_A_SIGN",
    "CHANNELWISE",
    "IDENTITIES",
    "n_channels_of",
    "numbers",
    "to_floats",
]

IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout2d)
"""Layers that do nothing in eval mode."""

CHANNELWISE = (
    nn.BatchNorm1d, nn.BatchNorm2d, Scale, Shift, nn.ReLU, nn.LeakyReLU, nn.PReLU, RPReLU,
)  # fmt: skip
"""Layers with a float operation of their own."""

BEFORE_A_SIGN = (nn.Hardtanh, nn.Tanh, nn.ReLU6)
"""Layers that are only ever asked, so a sign has to follow."""

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
    at = write_sums(writer, at)
    for layer in at.layers:
        value = writer.write(_operation(layer, at.kind, at.value, at.n_channels, writer))
        at = At("floats", at.shape, value, layers=at.layers, is_flat=at.is_flat)
    return replace(at, layers=())


def numbers(given: torch.Tensor) -> Floats:
    """Return a tensor as a float32 array."""
    return given.detach().float().numpy()


def n_channels_of(layer: nn.Module) -> int | None:
    """Return how many channels a layer was built for; None when it fits any number."""
    match layer:
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return layer.num_features
        case nn.PReLU():
            return None if layer.num_parameters == 1 else layer.num_parameters
        case Scale() | Shift() | RPReLU() | Logits():
            return len(next(layer.parameters()))
    return None


def _operation(layer: nn.Module, kind: str, value: int, n: int, writer: Writer) -> Op:
    match layer:
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            folded = fold_norm(layer)
            return Affine(value, numbers(folded.scale), numbers(folded.offset))
        case Scale():
            return Affine(value, numbers(layer.scale), numbers(layer.offset))
        case Shift():
            return Affine(value, np.ones(n, np.float32), numbers(layer.shift))
    before, slope, after = _bend(layer, n)
    if kind == "ints":  # a PReLU reads floats
        value = writer.write(Affine(value, np.ones(n, np.float32), np.zeros(n, np.float32)))
    return PReLU(value, before, slope, after)


def _bend(layer: Any, n: int) -> tuple[Floats, Floats, Floats]:
    none = np.zeros(n, np.float32)
    match layer:
        case nn.ReLU():
            return none, none, none
        case nn.LeakyReLU():
            return none, np.full(n, layer.negative_slope, np.float32), none
        case nn.PReLU():
            return none, np.broadcast_to(numbers(layer.weight), (n,)).copy(), none
        case RPReLU():
            return numbers(layer.before), numbers(layer.slope), numbers(layer.after)
    raise ProgramError(
        f"{type(layer).__name__} has no float operation; it can only stand before a Sign"
        f"{' or at the end' if isinstance(layer, ANSWERS) else ''}"
    )
