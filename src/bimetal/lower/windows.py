"""Windows on maps: what kernels, strides and paddings of torch are to a Program.

A sequence is a map of one row, so a 1-D layer has a window of one row.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from bimetal.errors import ProgramError
from bimetal.lower.state import Shape
from bimetal.nn import BinaryConv2d, ByteConv2d
from bimetal.nn.sequence import BinaryConv1d

__all__ = ["Pair", "Window", "pair", "window_of"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Where an operation looks.

    Attributes
    ----------
    kernel, stride, dilation : tuple of int
        Down and right.
    padding : tuple of int
        Top, left, bottom, right.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def fit(self, shape: Shape) -> Pair:
        """Return height and width of what the window makes of a map.

        Raises
        ------
        ProgramError
            When it does not fit.
        """
        top, left, bottom, right = self.padding
        edges, steps = (top + bottom, left + right), (self.kernel, self.stride, self.dilation)
        sizes = zip(shape, edges, *steps, strict=False)
        down, wide = ((n + p - d * (k - 1) - 1) // s + 1 for n, p, k, s, d in sizes)
        if min(down, wide) < 1:
            raise ProgramError(f"a window of {self.kernel} does not fit a map of {shape[:2]}")
        return down, wide


def pair(given: Any, n_axes: int = 2, across: int = 1) -> Pair:
    """Return (down, right) of a size of torch; `across` is the size down in a sequence."""
    numbers = (given,) if isinstance(given, int) else tuple(int(x) for x in given)
    if n_axes == 1:
        return across, numbers[0]
    return (numbers[0], numbers[-1])


def window_of(
    layer: BinaryConv1d | BinaryConv2d | ByteConv2d | nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d
    | nn.AvgPool2d,
) -> Window:  # fmt: skip
    """Return the window of a convolution or a pooling of torch."""
    n_axes = 1 if isinstance(layer, BinaryConv1d | nn.MaxPool1d | nn.AvgPool1d) else 2
    dilation = getattr(layer, "dilation", 1)
    kernel, stride, dilation = (
        pair(x, n_axes) for x in (layer.kernel_size, layer.stride, dilation)
    )
    if isinstance(layer, BinaryConv1d):
        left, right = layer.padding
        return Window(kernel, stride, dilation, (0, left, 0, right))
    down, right = pair(layer.padding, n_axes, across=0)
    return Window(kernel, stride, dilation, (down, right, down, right))
