"""Between real numbers and bytes: what lets binary weights read real values and still be exact.

Whole numbers of 0 to 255 times ±1 add up to whole numbers, which float32 holds exactly, so a layer
that reads `Bytes`, or `Pixels`, makes the same sums here and in an engine. A net whose activations
are real (BinaryConnect, Courbariaux et al. 2015, arXiv:1511.00363) is deployed that way, in 8 bits.
"""

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.conv import as_bytes
from bimetal.nn.kbit import straight_through
from bimetal.nn.scales import per_channel

__all__ = ["Bytes", "Pixels"]

LARGEST = 255


class Bytes(nn.Module):
    """Real numbers → whole numbers of 0 to 255: ``min(max(round(x * scale + offset), 0), 255)``.

    `low` becomes 0 and `high` 255; byte b stands for ``low + b * (high − low) / 255``. Each float
    step is rounded by itself and halves go to the even number, as in the operation `Quantize` of a
    Program. The gradient is that of ``x * scale + offset`` between the two ends and 0 beyond. NaN
    becomes 0 as in an engine, but not in training, where it is to be seen in the loss.

    Parameters
    ----------
    low, high : float, default 0.0 and 1.0
        The range, at first.
    n : int, optional
        Channels, each with a range of its own; by default all share one.
    momentum : float, optional
        In training, the range follows the data: this share of it is that of the last batch. The first
        batch sets it. By default it stays as it is; see also `calibrate`.

    Raises
    ------
    DataError
        When the range is empty or not finite, or `n` or `momentum` is out of its range.

    Examples
    --------
    >>> Bytes(low=-1.0, high=1.0)(torch.tensor([[-2.0, 0.0, 0.5, 1.0]])).tolist()
    [[0.0, 128.0, 191.0, 255.0]]
    """

    low: Tensor
    high: Tensor
    n_batches: Tensor

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        n: int | None = None,
        momentum: float | None = None,
    ) -> None:
        super().__init__()
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise DataError(f"low must lie below high, both finite; got low={low}, high={high}")
        if n is not None and n < 1:
            raise DataError(f"channels must be at least 1, got {n}")
        if momentum is not None and not 0 < momentum <= 1:
            raise DataError(f"momentum must be above 0 and at most 1, got {momentum}")
        self.n, self.momentum = n, momentum
        self.register_buffer("low", torch.full((n or 1,), float(low)))
        self.register_buffer("high", torch.full((n or 1,), float(high)))
        self.register_buffer("n_batches", torch.tensor(0))

    @property
    def scale(self) -> Tensor:
        """What a value is multiplied by, shape (n,) or (1,)."""
        return (LARGEST / (self.high.double() - self.low.double())).to(self.low.dtype)

    @property
    def offset(self) -> Tensor:
        """What is added then, shape (n,) or (1,)."""
        low, high = self.low.double(), self.high.double()
        return (-low * LARGEST / (high - low)).to(self.low.dtype)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> Self:
        """Let the range reach from the least to the largest of these values, and return the layer.

        Parameters
        ----------
        x : torch.Tensor
            (n_rows, n_channels, ...) of what the layer will read.

        Raises
        ------
        DataError
            When there are none, they are not finite, or they are not of `n` channels.

        Examples
        --------
        >>> layer = Bytes().calibrate(torch.tensor([[-3.0, 7.0]]))
        >>> layer.low.item(), layer.high.item()
        (-3.0, 7.0)
        """
        low, high = self._range(x)
        self.low.copy_(low)
        self.high.copy_(high)
        return self

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not x.numel() or not bool(x.isfinite().all()):
            raise DataError("a range is found from values that are there and finite")
        if self.n is not None and (x.ndim < 2 or x.shape[1] != self.n):
            raise DataError(f"expected values of {self.n} channels, got shape {tuple(x.shape)}")
        rows = x.reshape(1, -1) if self.n is None else x.transpose(0, 1).reshape(self.n, -1)
        low, high = self._ends(rows)
        is_wide = high - low > 1e-30 * low.abs().clamp_min(1.0)
        return low, torch.where(is_wide, high, low + low.abs().clamp_min(1.0))

    def _ends(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return least and largest; `bimetal.nn.distributed` puts those over all processes here."""
        return rows.amin(1), rows.amax(1)

    @torch.no_grad()
    def _follow(self, x: Tensor, momentum: float) -> None:
        share = 1.0 if int(self.n_batches) == 0 else momentum
        for kept, seen in zip((self.low, self.high), self._range(x), strict=True):
            kept.lerp_(seen, share)
        self.n_batches += 1

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) to whole numbers of the same shape."""
        if self.training and self.momentum is not None:
            self._follow(x.detach(), self.momentum)
        t = x * per_channel(self.scale, x) + per_channel(self.offset, x)
        t = t.clamp(0, LARGEST) if self.training else t.nan_to_num(0).clamp(0, LARGEST)
        return straight_through(t, t.detach().round())

    def extra_repr(self) -> str:
        """Name the range when the layer is printed."""
        low, high = float(self.low.min()), float(self.high.max())
        return f"low={low:g}, high={high:g}, n={self.n}, momentum={self.momentum}"


class Pixels(nn.Module):
    """Pixels of 0 to 255 → real numbers, ``(x / 255 − mean) / std`` but for two roundings.

    The mean is rounded to a whole pixel and the deviation to a power of two: ``(x − m) / 2**k``. So
    each value, and each sum of values times ±1, is exact in float32, and a net that begins with real
    pixels and binary weights (BinaryConnect, BinaryNet) equals its Program to the last bit. What the
    roundings change, at most a factor of √2, is taken up by the norm after the first layer.

    Parameters
    ----------
    mean : float or sequence of float, default 0.0
        In units of 255, 0 to 1; one for all channels, or one for each.
    std : float or sequence of float, default 1.0
        In units of 255.

    Raises
    ------
    DataError
        When a mean or a deviation is out of its range, or their numbers differ.

    Examples
    --------
    >>> Pixels(0.5, 0.5)(torch.tensor([[0.0, 64.0, 192.0, 255.0]])).tolist()
    [[-1.0, -0.5, 0.5, 0.9921875]]
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, mean: float | Sequence[float] = 0.0, std: float | Sequence[float] = 1.0
    ) -> None:
        super().__init__()
        means, stds = (list(x) if isinstance(x, Sequence) else [x] for x in (mean, std))
        n = max(len(means), len(stds))
        means, stds = means * (n // max(len(means), 1)), stds * (n // max(len(stds), 1))
        if not (
            len(means) == len(stds) == n
            and all(0 <= m <= 1 for m in means)
            and all(1 / 255 <= s <= 255 for s in stds)
        ):
            raise DataError(
                "Pixels needs one mean of 0 to 1 and one deviation of 1/255 to 255, or as many of "
                f"each as there are channels; got mean={mean} and std={std}"
            )
        centre = torch.tensor([float(round(LARGEST * m)) for m in means])
        scale = torch.tensor([2.0 ** -round(math.log2(LARGEST * s)) for s in stds])
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)

    @property
    def offset(self) -> Tensor:
        """What a pixel of 0 becomes, shape (n,) or (1,)."""
        return -self.centre * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) of 0 to 255 to the same shape."""
        pixels = as_bytes(x) - per_channel(self.centre, x)
        return pixels * per_channel(self.scale, x)

    def extra_repr(self) -> str:
        """Name the numbers when the layer is printed."""
        means = [round(m, 4) for m in (self.centre / LARGEST).tolist()]
        stds = [round(s, 4) for s in (1 / (LARGEST * self.scale)).tolist()]
        return f"mean={means}, std={stds}"
