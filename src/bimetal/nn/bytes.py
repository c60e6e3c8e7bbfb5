"""Layers with 8-bit weights, for the two ends of a binary net: the picture and the answer.

The parameter is the float weight; what runs is its rounding to −127 ... 127, each output with a
step of its own (``max |w| / 127``), and the gradient passes the rounding as if it were not there.
Sums are whole numbers, exact as long as float32 (or, where it would not do, float64) can hold them,
and only then scaled. So the Program that is made of such a layer is the layer, not something near it.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from bimetal.errors import DataError
from bimetal.nn.conv import Pair, as_bytes, as_floats, check_conv, pair
from bimetal.nn.scales import Logits, Scale, per_channel

__all__ = ["ByteConv2d", "ByteLinear"]

LARGEST = 127
EXACT = 2**24  # whole numbers up to here are exact in float32


class _Round(torch.autograd.Function):
    """Round halves to even; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def _rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return whole numbers of −127 to 127, and the step of each output, so that w ≈ whole * step."""
    with torch.no_grad():
        step = weight.abs().flatten(1).amax(1) / LARGEST
        step = torch.where(step > 0, step, torch.ones_like(step))
    whole: Tensor = _Round.apply(weight / step.view(-1, *[1] * (weight.ndim - 1)))  # type: ignore[no-untyped-call]
    return whole, step


def _bytes(x: Tensor) -> Tensor:
    """Round to whole numbers of 0 to 255; the gradient passes between the two ends."""
    rounded: Tensor = _Round.apply(as_floats(x).clamp(0, 255))  # type: ignore[no-untyped-call]
    return rounded


def _wide_enough(x: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
    """Return bytes and weights (n_out, ...) in a type that holds their sums exactly."""
    if 255 * LARGEST * whole[0].numel() < EXACT:
        return x, whole
    largest = float(whole.detach().abs().flatten(1).sum(1).max())
    wide = torch.float64 if 255 * largest >= EXACT else x.dtype
    return x.to(wide), whole.to(wide)


def _uniform(shape: tuple[int, ...], n: int, generator: torch.Generator | None) -> nn.Parameter:
    """Start where torch's own layers do: uniform within 1 / sqrt(n)."""
    return nn.Parameter(
        torch.rand(shape, generator=generator).mul_(2).sub_(1).mul_(1 / math.sqrt(n))
    )


class ByteConv2d(nn.Module):
    """2-D convolution of bytes (0 to 255) with 8-bit weights, on a picture normalized channel-wise.

    It computes ``sum of weight * (x / 255 − mean) / std`` but for the rounding of ``weight / std``.
    Outside the picture every pixel counts as the byte nearest to its channel's mean.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel_size, stride, padding, dilation, groups
        As of `torch.nn.Conv2d`.
    mean, std : sequence of float, optional
        Of each input channel in units of 255; 0 and 1 by default.
    generator : torch.Generator, optional
        Source of the initial weights.

    Raises
    ------
    DataError
        When a size is out of its range, or `mean` or `std` does not fit the channels.

    Examples
    --------
    >>> layer = ByteConv2d(3, 8, kernel_size=3, stride=2, mean=(0.5, 0.5, 0.5))
    >>> layer(torch.full((1, 3, 9, 9), 200.0)).shape
    torch.Size([1, 8, 4, 4])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = pair(kernel_size), pair(stride)
        self.padding, self.dilation, self.groups = pair(padding), pair(dilation), groups
        positive = {"kernel_size": self.kernel_size, "stride": self.stride}
        check_conv(n_in, n_out, groups, positive | {"dilation": self.dilation}, self.padding)
        self.n_in, self.n_out = n_in, n_out
        mean, std = mean or [0.0] * n_in, std or [1.0] * n_in
        if (
            not len(mean) == len(std) == n_in
            or min(std) <= 0
            or not 0 <= min(mean) <= max(mean) <= 1
        ):
            raise DataError(
                f"mean and std need one number for each of {n_in} input channels, the mean within "
                f"0 and 1 and std above 0; got mean {list(mean)} and std {list(std)}"
            )
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        shape = (n_out, n_in // groups, *self.kernel_size)
        self.weight = _uniform(shape, math.prod(shape[1:]), generator)

    @classmethod
    def from_conv(
        cls,
        conv: nn.Conv2d,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> "ByteConv2d":
        """Return the 8-bit version of an ordinary convolution of a picture normalized by `mean`, `std`.

        Raises
        ------
        DataError
            When the convolution has a bias, or pads in another way than with zeros (its own zero
            is the mean of the picture).
        """
        if conv.bias is not None or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            raise DataError(
                "an 8-bit convolution has no bias (the norm that follows has one) and a padding "
                f"with zeros given in numbers, got {conv}"
            )
        layer = cls(
            conv.in_channels,
            conv.out_channels,
            cast(Pair, conv.kernel_size),
            cast(Pair, conv.stride),
            cast(Pair, conv.padding),
            cast(Pair, conv.dilation),
            conv.groups,
            mean,
            std,
        )
        layer.weight = nn.Parameter(conv.weight.detach().clone())
        return layer

    @property
    def pad(self) -> Tensor:
        """What a pixel outside the picture counts as: whole numbers of 0 to 255, shape (n_in,)."""
        return as_bytes(self.mean * 255)

    def rounded(self) -> tuple[Tensor, Scale]:
        """Return the weights as whole numbers, and what turns their sums into the output."""
        whole, step, offset = self._parts()
        return whole.detach(), Scale.of(step, offset)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        whole, step = _rounded(self.weight / (255 * self._by_input(self.std)))
        shift = (whole * (255 * self._by_input(self.mean))).flatten(1).sum(1)
        return whole, step, -step * shift

    def _by_input(self, numbers: Tensor) -> Tensor:
        """Spread one number an input channel over the shape of the weights, groups minded."""
        per_group = numbers.view(self.groups, 1, -1).expand(-1, self.n_out // self.groups, -1)
        return per_group.reshape(self.n_out, -1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in, height, width) of 0 to 255 to (n_rows, n_out, new height, new width)."""
        whole, step, offset = self._parts()
        sums = self._sums(_bytes(x), whole)
        return sums * per_channel(step, sums) + per_channel(offset, sums)

    def _sums(self, x: Tensor, whole: Tensor) -> Tensor:
        """Return the sums of ``whole * x``: the pad is taken off first, and its share put back."""
        x, whole = _wide_enough(x, whole)
        pad = self.pad.to(x.dtype)
        share = (whole * self._by_input(pad)).flatten(1).sum(1)
        geometry = (self.stride, self.padding, self.dilation, self.groups)
        sums = conv2d(x - per_channel(pad, x), whole, None, *geometry)
        return (sums + per_channel(share, sums)).to(self.weight.dtype)

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return (
            f"{self.n_in}, {self.n_out}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}"
        )


class ByteLinear(nn.Module):
    """Linear layer on ±1, or on bytes, with 8-bit weights and a bias: a last layer.

    It computes ``sum of weight * x + bias`` but for the rounding of the weights: on ±1 by adding the
    weights whose input is +1, as an engine does; on bytes, which are taken for x = byte / 255, by
    adding ``whole * byte``.

    Parameters
    ----------
    n_in, n_out : int
        Sizes.
    generator : torch.Generator, optional
        Source of the initial weights.
    reads : {"bits", "bytes"}, default "bits"
        Whether the input is ±1, or whole numbers of 0 to 255 as a `Bytes` makes them.

    Raises
    ------
    DataError
        When a size is not positive, or it reads something else.

    Examples
    --------
    >>> ByteLinear(4, 3)(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        generator: torch.Generator | None = None,
        reads: Literal["bits", "bytes"] = "bits",
    ) -> None:
        super().__init__()
        if min(n_in, n_out) < 1:
            raise DataError(f"sizes must be at least 1, got {n_in} inputs and {n_out} outputs")
        if reads not in ("bits", "bytes"):
            raise DataError(f"reads must be 'bits' or 'bytes', got {reads!r}")
        self.n_in, self.n_out, self.reads = n_in, n_out, reads
        self.weight = _uniform((n_out, n_in), n_in, generator)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def rounded(self) -> tuple[Tensor, Logits]:
        """Return the weights as whole numbers, and what turns sums of bits 1 or bytes into the output."""
        whole, scale, offset = self._parts()
        return whole.detach(), Logits.of(scale, offset)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        whole, step = _rounded(self.weight)
        wide = step.double()
        if self.reads == "bytes":
            return whole, wide / 255, self.bias.double()
        # x = 2b − 1 for a bit b, so the sum over w * x is twice the sum over w * b, less that of w
        return whole, 2 * wide, self.bias.double() - wide * whole.sum(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in) of ±1, or of 0 to 255, to (n_rows, n_out)."""
        whole, scale, offset = self._parts()
        if self.reads == "bytes":
            sums = linear(*_wide_enough(_bytes(x), whole))
        else:
            sums = linear((x + 1) / 2, whole)
        return (sums.double() * scale + offset).to(x.dtype)

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return f"{self.n_in}, {self.n_out}" + ("" if self.reads == "bits" else ", reads='bytes'")
