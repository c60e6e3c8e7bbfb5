"""Poolings and rearrangements of maps, as operations of a Program.

What never falls with its input changes places with a max pooling: the largest of f(a), f(b) is f of
the largest of a and b, also when f rounds. So sums are pooled as ints, and the layers go on waiting.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower.asking import Span
from bimetal.lower.channelwise import never_falls, to_floats
from bimetal.lower.eight_bits import is_pixels
from bimetal.lower.state import At, Over, Waiting, Writer, sign, write_ints, write_sums
from bimetal.lower.windows import Window, pair, window_of
from bimetal.nn import Repeat, Scale, Shift
from bimetal.ops import Affine, Concat, Pool, Rules

__all__ = ["average", "flatten", "largest", "last", "repeat"]

MOST_LITERALS = 2**16


def flatten(writer: Writer, at: At) -> At:
    """Map → row. Nothing moves; the weights that read it are turned over instead.

    Scales go on waiting where the layout makes no difference to them: behind one pixel, or where they
    have one number for all channels.
    """
    are_scales = all(isinstance(layer, Scale | Shift | Over) for layer in at.layers)
    are_common = at.waiting and all(isinstance(layer, Over) for layer in at.layers)
    stays = is_pixels(at) or are_common or (at.shape[:2] == (1, 1) and are_scales)
    return replace(at if stays else to_floats(writer, at), is_flat=True)


def largest(writer: Writer, at: At, layer: nn.MaxPool1d | nn.MaxPool2d) -> At:
    """Max pooling; of bits it is OR."""
    if layer.ceil_mode or pair(layer.dilation) != (1, 1) or layer.return_indices:
        raise ProgramError(
            f"{type(layer).__name__} is supported without ceil_mode, dilation and return_indices"
        )
    if all(never_falls(waiting) for waiting in at.layers):
        at = write_sums(writer, at)
    else:
        at = to_floats(writer, at)
    return _pool(writer, at, "max", window_of(layer))


def average(
    writer: Writer,
    at: At,
    layer: nn.AvgPool1d | nn.AvgPool2d | nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d,
) -> At:
    """Average pooling: a sum, and a division that waits."""
    name = type(layer).__name__
    if isinstance(layer, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
        size = pair(layer.output_size, writer.n_axes)
        if size == at.shape[:2]:
            return at
        if size != (1, 1):
            raise ProgramError(
                f"{name} to {layer.output_size} from {at.shape[:2]} is not supported; to one pixel "
                "or to the size of the map it is"
            )
        window = Window(at.shape[:2], at.shape[:2])
    else:
        window = window_of(layer)
        is_padded = any(window.padding) and not layer.count_include_pad
        if layer.ceil_mode or is_padded:
            raise ProgramError(
                f"{name} is supported without ceil_mode, and where it is padded with count_include_pad "
                "only"
            )
    n = window.kernel[0] * window.kernel[1]
    divisor = getattr(layer, "divisor_override", None) or n
    at = _addable(writer, at)
    summed = _pool(writer, at, "sum", window)
    low, high = min(n * at.reach.low, 0), max(n * at.reach.high, 0)  # what lies outside adds 0
    span = at.span if at.kind == "floats" else Span(low, high)
    return replace(summed, span=span, waiting=(*at.waiting, Waiting(Over(divisor))))


def _addable(writer: Writer, at: At) -> At:
    """Return what can be added up: whole numbers where nothing or a half waits, which rounds nothing."""
    if at.lowest == 0 and not at.waiting:
        return write_ints(writer, at)
    halves = [isinstance(layer, Over) and layer.n == 2 for layer in at.layers]
    return write_ints(writer, at) if halves == [True] else to_floats(writer, at)


def _pool(writer: Writer, at: At, kind: Literal["max", "sum"], window: Window) -> At:
    size = window.fit(at.shape)
    op = Pool(at.value, kind, at.shape, window.kernel, window.stride, window.padding)
    made = at.kind if kind == "max" or at.kind == "floats" else "ints"
    return replace(at, kind=made, shape=(*size, at.n_channels), value=writer.write(op))


def repeat(writer: Writer, at: At, layer: Repeat) -> At:
    """Repeat the channels of a map."""
    at = to_floats(writer, at)
    if layer.n == 1:
        return at
    at = write_ints(writer, at) if at.kind == "bytes" else at
    height, width, n = at.shape
    value = writer.write(Concat((at.value,) * layer.n, (n,) * layer.n))
    return replace(at, shape=(height, width, n * layer.n), value=value)


def last(writer: Writer, at: At) -> At:
    """Take the last step of a sequence.

    Bits are picked by rules of one literal. Of anything else, and of more bits than rules can name,
    earlier steps are multiplied by 0 and all are added: 0 + ... + 0 + x is x.
    """
    at = to_floats(writer, at)
    n, n_all = at.n_channels, at.shape[1] * at.n_channels
    if at.kind == "bits" and 2 * n_all <= MOST_LITERALS:
        literals = (2 * np.arange(n_all - n, n_all)).astype(np.uint16)
        value = writer.write(Rules(at.value, literals, np.ones(n, np.uint8)))
        return At("bits", (1, 1, n), value, is_flat=True, lowest=at.lowest)
    lowest, at = at.lowest, replace(at, lowest=-1.0)  # bits are carried, whatever they stand for
    is_last = np.arange(n_all) >= n_all - n
    kept = Affine(
        write_ints(writer, at).value, is_last.astype(np.float32), np.zeros(n_all, np.float32)
    )
    whole = Window(at.shape[:2])
    summed = _pool(writer, At("floats", at.shape, writer.write(kept)), "sum", whole)
    taken = replace(summed, is_flat=True)
    return replace(sign(writer, taken), lowest=lowest) if at.kind == "bits" else taken
