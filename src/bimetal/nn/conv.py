"""Binary convolution, and the two ways from the bytes of a picture to ±1 channels.

A padded pixel of a binary convolution needs a value: −1, +1, or 0, which adds nothing to the sum
(but is no bit, so an engine has to correct the sums at the edges). Which one is stated, not implied.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from bimetal.errors import DataError
from bimetal.nn.binarizers import Binarizer
from bimetal.nn.layers import BinaryLayer

__all__ = [
    "BinaryConv2d",
    "BitPlanes",
    "Pair",
    "Thermometer",
    "as_bytes",
    "as_floats",
    "check_conv",
    "pair",
]

Pair = tuple[int, int]


def pair(given: int | Pair) -> Pair:
    """Return (down, right) of a size that may be one number for both.

    Raises
    ------
    DataError
        When it is something else, as "same" is.

    Examples
    --------
    >>> pair(3), pair((3, 1))
    ((3, 3), (3, 1))
    """
    if isinstance(given, int):
        return given, given
    if isinstance(given, str) or len(given) != 2:
        raise DataError(f"a size is a number, or one down and one right, got {given!r}")
    return given[0], given[1]


def check_conv(
    n_in: int, n_out: int, groups: int, positive: dict[str, Pair], padding: Pair
) -> None:
    """Raise `DataError` unless the sizes of a convolution make sense."""
    if min(n_in, n_out, groups) < 1 or n_in % groups or n_out % groups:
        raise DataError(
            f"{n_in} input and {n_out} output channels do not divide into {groups} groups; all "
            "three must be positive, and groups a divisor of both"
        )
    for name, sizes in positive.items():
        if min(sizes) < 1:
            raise DataError(f"{name} must be at least 1, got {sizes}")
    if min(padding) < 0:
        raise DataError(f"padding must be at least 0, got {padding}")


class BinaryConv2d(BinaryLayer):
    """2-D convolution with weights −1 and +1, no bias (the norm that follows has one).

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel_size, stride, padding, dilation : int or pair of int
        As of `torch.nn.Conv2d`: (down, right), padding on both sides.
    pad_value : {-1, 0, 1}, default -1
        What a pixel outside the map counts as, in every channel.
    groups : int, default 1
        Part *g* of the output channels reads part *g* of the input channels.
    binarizer : Binarizer or str, default "binarynet"
        How weights become binary: a `Binarizer`, a name in `bimetal.nn.BINARIZERS`, or a surrogate's.
    generator : torch.Generator, optional
        Source of the initial latent weights.

    Raises
    ------
    DataError
        When a size is out of its range or `pad_value` is none of the three; in a call, when the
        input has other channels.

    Examples
    --------
    >>> layer = BinaryConv2d(3, 8, kernel_size=3, padding=1)
    >>> layer(torch.ones(1, 3, 5, 5)).shape
    torch.Size([1, 8, 5, 5])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        pad_value: Literal[-1, 0, 1] = -1,
        dilation: int | Pair = 1,
        groups: int = 1,
        binarizer: Binarizer | str = "binarynet",
        generator: torch.Generator | None = None,
        init_bound: float = 0.1,
    ) -> None:
        kernel_size, stride, padding, dilation = map(pair, (kernel_size, stride, padding, dilation))
        positive = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        check_conv(n_in, n_out, groups, positive, padding)
        if pad_value not in (-1, 0, 1):
            raise DataError(f"pad_value must be -1, 0 or 1, got {pad_value!r}")
        shape = (n_out, n_in // groups, *kernel_size)
        super().__init__(shape, n_out, binarizer, generator, init_bound)
        self.n_in, self.groups, self.pad_value = n_in, groups, int(pad_value)
        self.kernel_size, self.stride = kernel_size, stride
        self.padding, self.dilation = padding, dilation

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in, height, width) to (n_rows, n_out, new height, new width)."""
        self._require_inputs(x, self.n_in, axis=-3)
        padding = self.padding
        if self.pad_value and any(padding):
            down, right = padding
            x, padding = pad(x, (right, right, down, down), value=float(self.pad_value)), (0, 0)
        w, alpha = self._working()
        x, w = self._exact(x, w)
        sums = conv2d(x, w, None, self.stride, padding, self.dilation, self.groups)
        return self._scaled(sums, alpha)

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return (
            f"{self.n_in}, {self.n_out}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, pad_value={self.pad_value}, dilation={self.dilation}, "
            f"groups={self.groups}{self._how()}"
        )


def as_bytes(x: Tensor) -> Tensor:
    """Round a picture to whole numbers of 0 to 255 (halves to even), as an engine reads it.

    Examples
    --------
    >>> as_bytes(torch.tensor([-3.0, 0.5, 1.5, 254.4, 300.0]))
    tensor([  0.,   0.,   2., 254., 255.])
    """
    return as_floats(x.detach()).round().clamp(0, 255)


def as_floats(x: Tensor) -> Tensor:
    """Return numbers of any type as floats; floats keep their type."""
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


class BitPlanes(nn.Module):
    """Bytes → their eight binary digits as ±1 channels, the lowest first, colour by colour.

    Channel ``8 * c + b`` is +1 where digit *b* of colour *c* is 1.

    Examples
    --------
    >>> BitPlanes()(torch.tensor([[[[5.0]]]])).flatten()
    tensor([ 1., -1.,  1., -1., -1., -1., -1., -1.])
    """

    masks: Tensor
    levels: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("masks", torch.tensor([2**b for b in range(8)], dtype=torch.uint8))
        self.register_buffer("levels", self.masks.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) of 0 to 255 to (n_rows, 8 * n, ...) of ±1."""
        return _planes(x, self.masks, self.levels)


class Thermometer(nn.Module):
    """Bytes → ±1 channels that tell which levels a pixel has reached, colour by colour.

    Parameters
    ----------
    n_levels : int, default 8
        Channels a colour; level *k* of 1 to n is ``round(255 * k / (n + 1))``.

    Raises
    ------
    DataError
        When there are not 1 to 254 levels.

    Examples
    --------
    >>> Thermometer(3)(torch.tensor([[[[130.0]]]])).flatten()
    tensor([ 1.,  1., -1.])
    """

    masks: Tensor
    levels: Tensor

    def __init__(self, n_levels: int = 8) -> None:
        super().__init__()
        if not 1 <= n_levels <= 254:
            raise DataError(f"a thermometer has 1 to 254 levels, got {n_levels}")
        levels = [round(255 * k / (n_levels + 1)) for k in range(1, n_levels + 1)]
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.uint8))
        self.register_buffer("masks", torch.full((n_levels,), 255, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) of 0 to 255 to (n_rows, n_levels * n, ...) of ±1."""
        return _planes(x, self.masks, self.levels)


def _planes(x: Tensor, masks: Tensor, levels: Tensor) -> Tensor:
    """Return ±1: whether ``x & mask >= level``, for every colour and every mask with its level."""
    whole = as_bytes(x)
    pixels = whole.to(torch.uint8)[:, :, None]
    masks, levels = (by_bit.view(-1, *[1] * (x.ndim - 2)) for by_bit in (masks, levels))
    reached = (pixels & masks) >= levels
    return reached.flatten(1, 2).to(whole.dtype).mul_(2).sub_(1)
