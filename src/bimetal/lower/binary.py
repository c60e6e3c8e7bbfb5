"""Binary layers as operations: sums that wait to be written, and the scale that waits behind them.

torch has channels first and a Program has them last, so weights are turned over here, once. A layer
that reads bits becomes a `Conv`, one that reads bytes a `ByteConv`. A dense layer is a convolution
with one window, as large as the map.

Bits may stand for 0 and 1 (see `bimetal.nn.RowThreshold`). With a = 2b − 1 for a bit b, a sum of w·a
and of the weights is twice the sum of w·b: the weights go into the bias, and a half waits.
"""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bimetal.bits import pack
from bimetal.errors import ProgramError
from bimetal.lower.asking import Span
from bimetal.lower.eight_bits import byte_signs, is_pixels
from bimetal.lower.state import At, Over, Waiting, require_channels, require_kind, require_row
from bimetal.lower.windows import Window, window_of
from bimetal.nn import BinaryConv2d, BinaryLayer, BinaryLinear, Scale
from bimetal.nn.sequence import BinaryConv1d
from bimetal.ops import Conv, Op

__all__ = ["binary_conv", "binary_linear", "scale_of"]

PADS: dict[int, Literal["-1", "0", "+1"]] = {-1: "-1", 0: "0", 1: "+1"}
PADS_OF_STEPS: dict[int, Literal["-1", "0", "+1"]] = {0: "-1", 1: "+1"}
"""Of bits that stand for 0 and 1."""


def binary_conv(at: At, layer: BinaryConv1d | BinaryConv2d) -> At:
    """Bits or bytes → sums not yet written."""
    require_channels(at, layer.n_in)
    weight = layer.binary_weight.detach()
    weight = weight.unsqueeze(2) if isinstance(layer, BinaryConv1d) else weight
    return _scaled_sums(at, layer, weight, window_of(layer), layer.pad_value)


def binary_linear(at: At, layer: BinaryLinear) -> At:
    """Bits or bytes → sums not yet written: a convolution with one window, as large as the map."""
    _require_readable(at)
    require_row(at, layer.n_in)
    height, width, n = at.shape
    if n % layer.groups:
        raise ProgramError(
            f"{n} channels do not divide into the {layer.groups} groups of the layer"
        )
    weight = layer.binary_weight.detach().reshape(layer.n_out, n // layer.groups, height, width)
    return _scaled_sums(at, layer, weight, Window((height, width)), pad_value=-1)


def _scaled_sums(at: At, layer: Any, weight: Tensor, window: Window, pad_value: int) -> At:
    """Return sums with ±1 weights (n_out, channels of a group, height, width); the scale waits."""
    _require_readable(at)
    scale, signs = scale_of(layer), _rows(weight)
    if at.kind == "bytes":
        sums = byte_signs(at, signs, layer.groups, window, pad_value)
    else:
        sums = _bit_sums(at, signs, layer.groups, window, pad_value)
    return sums if scale is None else sums.then(scale)


def _require_readable(at: At) -> None:
    if not is_pixels(at):
        require_kind(at, "bits", "put a Sign before it, or a Bytes")


def scale_of(layer: BinaryLayer) -> Scale | None:
    """Return what scales the sums of ±1 weights; None where nothing does.

    ``sum * α + 0`` is ``sum * α``, but that −0 becomes +0, which are one number to all that follows.

    Raises
    ------
    ProgramError
        When the layer does not work with signs times a scale.
    """
    if layer.uses_latent:
        raise ProgramError(
            "works with its latent weights in place of their signs; leave `real_weights`, or set its "
            "uses_latent to False"
        )
    if layer.binarizer.is_shifted:
        raise ProgramError(
            "has weights of β ± α with a middle β for each output (AdaBin), which are no multiples "
            "of ±1; train it with another binarizer, such as 'xnor_learned'"
        )
    alpha = layer.alpha
    return None if alpha is None else Scale.of(alpha, torch.zeros_like(alpha))


def _rows(weight: Tensor) -> NDArray[np.bool_]:
    """Return where weights (n_out, channels, height, width) are +1, channels last, a row an output."""
    signs = weight.numpy() >= 0
    return signs.transpose(0, 2, 3, 1).reshape(len(signs), -1)


def _bit_sums(
    at: At, weights: NDArray[np.bool_], groups: int, window: Window, pad_value: int
) -> At:
    pad = _pad(at, window, pad_value)
    n = weights.shape[1]
    base = (2 * weights.sum(axis=1) - n) * int(at.lowest + 1)  # the sums of the weights, or 0
    # a zero at the edge takes a term away, so that sums of the other parity occur too
    step = 1 if pad == "0" and any(window.padding) else 2
    span = Span(int(base.min()) - n, int(base.max()) + n, step)

    def make(makes: Literal["bits", "ints"], bias: Any, falls: NDArray[np.bool_]) -> Op:
        packed = pack(weights ^ falls[:, None] if falls.any() else weights)
        own = (bias + np.where(falls, -base, base)).astype(np.int32)
        return Conv(
            at.value, makes, at.shape, window.kernel, window.stride, window.dilation,
            window.padding, pad, groups, packed, own,
        )  # fmt: skip

    shape = (*window.fit(at.shape), len(weights))
    waiting = (Waiting(Over(2)),) if at.lowest == 0 else ()
    return At("ints", shape, sums=make, span=span, waiting=waiting, is_flat=at.is_flat)


def _pad(at: At, window: Window, pad_value: int) -> Literal["-1", "0", "+1"]:
    """Return how a convolution of bits counts the edge."""
    if at.lowest == 0 and not any(window.padding):
        return "-1"
    pads = PADS if at.lowest == -1 else PADS_OF_STEPS
    if pad_value not in pads:
        what, some = ("bits", "−1, 0 or 1") if pads is PADS else ("0 and 1", "pad_value 0 or 1")
        raise ProgramError(f"counts the edge as {pad_value}, but reads {what}; take {some}")
    return pads[pad_value]
