"""What lowering holds in its hands on its way through a net, and the operations written so far.

At each point there is a map: a value of the Program, or a convolution whose operation is not yet
written, since what follows decides whether it makes bits or sums; and layers that act channel by
channel and wait for what comes after them: for a sign they become a threshold, for anything else
float operations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower.asking import FLOATS, Crossing, Span, crossing, layers_answer
from bimetal.ops import Conv, Op, Planes, Pool, Threshold

__all__ = [
    "At",
    "Kind",
    "Over",
    "Shape",
    "Waiting",
    "Writer",
    "require_channels",
    "require_kind",
    "require_row",
    "sign",
    "write_ints",
    "write_sums",
]

Kind = Literal["bits", "bytes", "ints", "floats"]
Shape = tuple[int, int, int]
MakeOp = Callable[[Literal["bits", "ints"], NDArray[np.int32], NDArray[np.bool_]], Op]
"""What is made, biases, and which output channels have their weights negated → the operation."""

SPANS = {"bytes": Span(0, 255), "bits": Span(-1, 1, step=2)}
"""What an element can be, by its kind; ints and floats differ."""


@dataclass
class Writer:
    """The operations written so far. Value 0 is the raw row, value *i* + 1 is made by operation *i*.

    Attributes
    ----------
    n_axes : int
        Axes of a map in torch: 2 of a picture, 1 of a sequence, which is a map of one row here.
    here : str
        The layer that is being lowered.
    ops : list of Op
        In their order.
    layers : list of str
        For each operation, the layer that it comes from.
    names : mapping of str to str
        What layers are called in the user's net, where it was written anew as a sequence.
    """

    n_axes: int = 2
    here: str = ""
    ops: list[Op] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    names: Mapping[str, str] = field(default_factory=dict)

    def called(self, path: str) -> str:
        """Return what the layer at a place is called in the user's net."""
        return self.names.get(path, path)

    def write(self, op: Op, layer: str = "") -> int:
        """Append an operation of a layer, by default the present one; return its value's number."""
        self.ops.append(op)
        self.layers.append(layer or self.here)
        return len(self.ops)


class Over(nn.Module):
    """``x / n``: what torch's average poolings do with their sums."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Divide, with one rounding."""
        return x / self.n


class Waiting(NamedTuple):
    """A layer that waits, and its name in the net; one without a name belongs to the present layer."""

    layer: nn.Module
    name: str = ""


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
        The values that an int or a float can take; see `reach`.
    waiting : tuple of Waiting
        In their order; each acts on each channel by itself.
    is_flat : bool
        Whether torch has (n_rows, channels) here, or all of the map in one row after a Flatten.
    is_spread : bool
        Whether the layers that wait have a number for each element of a flattened map, in the order
        of the Program, not for each channel.
    source : str
        The layer of the sums not yet written.
    lowest : float
        What a bit that is off stands for, −1 or 0; one that is on stands for 1.
    """

    kind: Kind
    shape: Shape
    value: int = -1
    sums: MakeOp | None = None
    span: Span = FLOATS
    waiting: tuple[Waiting, ...] = ()
    is_flat: bool = False
    is_spread: bool = False
    source: str = ""
    lowest: float = -1.0

    @property
    def n_channels(self) -> int:
        """Channels of the map, or all its elements where each is a channel by itself."""
        height, width, n = self.shape
        return height * width * n if self.is_spread else n

    @property
    def layers(self) -> tuple[nn.Module, ...]:
        """The layers that wait."""
        return tuple(waiting.layer for waiting in self.waiting)

    @property
    def reach(self) -> Span:
        """The values that an element can take, as the layers that wait read it."""
        return SPANS.get(self.kind, self.span)

    def then(self, layer: nn.Module) -> "At":
        """Let one more layer wait."""
        return replace(self, waiting=(*self.waiting, Waiting(layer)))

    def named(self, name: str) -> "At":
        """Give a name to all that has none yet: it came with the layer of this name."""
        waiting = tuple(Waiting(layer, known or name) for layer, known in self.waiting)
        return replace(self, waiting=waiting, source=self.source or name)


def require_kind(at: At, kind: Kind, advice: str) -> None:
    """Raise `ProgramError` unless a layer gets what it reads."""
    if at.kind != kind or at.waiting:
        came = "values before a sign" if at.waiting else f"{at.kind}"
        raise ProgramError(f"reads {kind}, but here are {came}; {advice}")


def require_channels(at: At, expected: int) -> None:
    """Raise `ProgramError` unless the map has these channels."""
    if at.n_channels != expected:
        raise ProgramError(f"expects {expected} channels, but its input has {at.n_channels}")


def require_row(at: At, expected: int) -> None:
    """Raise `ProgramError` unless the map was made a row of this length."""
    height, width, n = at.shape
    if not at.is_flat or expected != height * width * n:
        raise ProgramError(
            f"expects a row of {expected}, but its input is a map of shape {at.shape}"
            f"{'' if at.is_flat else '; put a Flatten before it'}"
        )


def sign(writer: Writer, at: At) -> At:
    """Turn the map and the layers that wait into bits, by one threshold a channel.

    Raises
    ------
    ProgramError
        When a channel has more than one threshold.
    """
    if at.lowest == 0:
        at = write_ints(writer, at)
    if at.kind == "bits" and not at.waiting:
        return at
    span = at.reach
    answer = layers_answer(at.layers, span, n_axes=0 if at.is_flat else writer.n_axes)
    found = crossing(answer, span.n, at.n_channels)
    if at.sums is not None:
        op = at.sums("bits", _biases(found, span), found.falls)
        value = writer.write(op, at.source)
    elif at.kind == "bytes" and bool((~found.falls & (found.at > 0)).all()):
        value = writer.write(_levels(at, found))
    else:
        at = write_ints(writer, at)
        value = writer.write(_threshold(at, found, span))
    return At("bits", at.shape, value, is_flat=at.is_flat)


def _biases(found: Crossing, span: Span) -> NDArray[np.int32]:
    """Return what is added to a sum so that it fires from 0 on.

    It fires where s >= t, so the bias is −t; where it falls, s < t is −s >= step − t.
    """
    t = span.low + span.step * found.at
    return np.where(found.falls, t - span.step, -t).astype(np.int32)


def _levels(at: At, found: Crossing) -> Planes:
    """Bytes that rise through one level a channel are a thermometer of one level."""
    n = at.n_channels
    return Planes(
        at.value,
        n,
        np.arange(n, dtype=np.uint16),
        np.full(n, 255, np.uint8),
        found.at.astype(np.uint8),
    )


def _threshold(at: At, found: Crossing, span: Span) -> Threshold:
    if at.kind == "floats":
        thresholds = span.values(found.at)
    else:
        thresholds = (span.low + span.step * found.at).astype(np.int32)
    return Threshold(at.value, thresholds, found.falls.astype(np.uint8))


def write_sums(writer: Writer, at: At) -> At:
    """Write a convolution as sums, if it is not written yet; the layers go on waiting."""
    if at.sums is None:
        return at
    zeros = np.zeros(at.n_channels, np.int32)
    value = writer.write(at.sums("ints", zeros, zeros.astype(bool)), at.source)
    return replace(at, value=value, sums=None)


def write_ints(writer: Writer, at: At) -> At:
    """Write bits and bytes as ints; others stay as they are.

    Bytes, and bits that stand for ±1, are sums over one pixel. Bits that stand for 0 and 1 become 0 and
    2, and a half waits ahead of all else.
    """
    at = write_sums(writer, at)
    if at.kind in ("ints", "floats"):
        return at
    if at.lowest == 0:
        waiting = (Waiting(Over(2)), *at.waiting)
        value = writer.write(_twice(at))
        return replace(
            at, kind="ints", value=value, span=Span(0, 2, step=2), waiting=waiting, lowest=-1.0
        )
    value = writer.write(Pool(at.value, "sum", at.shape, (1, 1), (1, 1), (0, 0, 0, 0)))
    return replace(at, kind="ints", value=value, span=at.reach)


def _twice(at: At) -> Conv:
    """Return ``±1 + 1`` for each bit: a convolution of one tap, each channel a group of its own."""
    n, one = at.shape[2], (1, 1)
    weights, bias = np.ones((n, 1), np.uint8), np.ones(n, np.int32)
    return Conv(at.value, "ints", at.shape, one, one, one, (0, 0, 0, 0), "-1", n, weights, bias)
