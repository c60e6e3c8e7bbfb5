"""What lowering holds in its hands on its way through a net, and the operations written so far.

At each point there is a map: a value of the Program, or a convolution whose operation is not yet
written, since what follows decides whether it makes bits or sums; and layers that act channel by
channel and wait for what comes after them: for a sign they become a threshold, for anything else
float operations.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from bimetal.lower.asking import FLOATS, Crossing, Span, crossing, layers_answer
from bimetal.ops import Op, Threshold

__all__ = ["At", "Kind", "Shape", "Writer", "sign", "write_sums"]

Kind = Literal["bits", "bytes", "ints", "floats"]
Shape = tuple[int, int, int]
MakeOp = Callable[[Literal["bits", "ints"], NDArray[np.int32], NDArray[np.bool_]], Op]
"""What is made, biases, and which output channels have their weights negated → the operation."""


@dataclass
class Writer:
    """The operations written so far. Value 0 is the raw row, value *i* + 1 is made by operation *i*."""

    ops: list[Op] = field(default_factory=list)

    def write(self, op: Op) -> int:
        """Append an operation and return the number of the value that it makes."""
        self.ops.append(op)
        return len(self.ops)


@dataclass(frozen=True)
class At:
    """Where we are: a map, and the layers that wait behind it.

    Attributes
    ----------
    kind : str
        Of the map; of sums not yet written, "ints".
    shape : tuple of int
        Height, width, channels.
    value : int
        Number of the Program's value; −1 of sums not yet written.
    sums : callable, optional
        Makes the operation of sums not yet written.
    span : Span
        The values that an element can take.
    layers : tuple of torch.nn.Module
        Waiting, in their order; each acts on each channel by itself.
    is_flat : bool
        Whether torch has (n_rows, channels) here, or all of the map in one row after a Flatten.
    """

    kind: Kind
    shape: Shape
    value: int = -1
    sums: MakeOp | None = None
    span: Span = FLOATS
    layers: tuple[nn.Module, ...] = ()
    is_flat: bool = False

    @property
    def n_channels(self) -> int:
        """Channels of the map."""
        return self.shape[2]

    def then(self, layer: nn.Module) -> "At":
        """Let one more layer wait."""
        return replace(self, layers=(*self.layers, layer))


def sign(writer: Writer, at: At) -> At:
    """Turn the map and the layers that wait into bits, by one threshold a channel.

    Raises
    ------
    ProgramError
        When a channel has more than one threshold.
    """
    answer = layers_answer(at.layers, at.span, is_map=not at.is_flat)
    found = crossing(answer, at.span.n, at.n_channels)
    if at.sums is not None:
        value = writer.write(at.sums("bits", _biases(found, at.span), found.falls))
    else:
        value = writer.write(_threshold(at, found))
    return At("bits", at.shape, value, is_flat=at.is_flat)


def _biases(found: Crossing, span: Span) -> NDArray[np.int32]:
    """Return what is added to a sum so that it fires from 0 on.

    It fires where s >= t, so the bias is −t; where it falls, s < t is −s >= step − t.
    """
    t = span.low + span.step * found.at
    return np.where(found.falls, t - span.step, -t).astype(np.int32)


def _threshold(at: At, found: Crossing) -> Threshold:
    if at.kind == "floats":
        thresholds = at.span.values(found.at)
    else:
        thresholds = (at.span.low + at.span.step * found.at).astype(np.int32)
    return Threshold(at.value, thresholds, found.falls.astype(np.uint8))


def write_sums(writer: Writer, at: At) -> At:
    """Write a convolution as sums, if it is not written yet; the layers go on waiting."""
    if at.sums is None:
        return at
    zeros = np.zeros(at.n_channels, np.int32)
    value = writer.write(at.sums("ints", zeros, zeros.astype(bool)))
    return replace(at, value=value, sums=None)
