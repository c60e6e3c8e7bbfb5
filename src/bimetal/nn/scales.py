"""Real numbers, one a channel: scales, shifts and slopes, each float step rounded by itself.

Written out step by step they are what a Program computes, bit for bit. torch's own norms are not:
they round in another order, or once where a Program rounds twice. `fold_norms` turns them into
`Scale`, for a model that equals its Program exactly.
"""

import copy
from collections.abc import Collection
from statistics import NormalDist
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import prelu

from bimetal.errors import DataError

__all__ = [
    "Logits",
    "RPReLU",
    "Scale",
    "Shift",
    "fold_norm",
    "fold_norms",
    "norm_after",
    "per_channel",
]

Norm = nn.BatchNorm1d | nn.BatchNorm2d


def per_channel(numbers: Tensor, x: Tensor) -> Tensor:
    """Return one number a channel in a shape that broadcasts with x, (n_rows, n_channels, ...)."""
    return numbers.view(-1, *[1] * (x.ndim - 2))


class _ScaleAndOffset(nn.Module):
    """A scale and an offset for each channel; how they are applied is for the heirs to say."""

    def __init__(self, n: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((n,), scale))
        self.offset = nn.Parameter(torch.zeros(n))

    @classmethod
    def of(cls, scale: Tensor, offset: Tensor) -> Self:
        """Return the layer with these numbers, float32 or float64."""
        layer = cls(len(scale))
        layer.scale, layer.offset = nn.Parameter(scale.detach()), nn.Parameter(offset.detach())
        return layer


class Scale(_ScaleAndOffset):
    """``x * scale + offset``, a scale and an offset for each channel.

    Parameters
    ----------
    n : int
        Channels.
    scale : float, default 1.0
        Of every channel, at first.

    Examples
    --------
    >>> Scale(2, scale=0.5)(torch.ones(1, 2)).tolist()
    [[0.5, 0.5]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) to the same shape."""
        return x * per_channel(self.scale, x) + per_channel(self.offset, x)


class Logits(_ScaleAndOffset):
    """``x * scale + offset`` at the end of a net: in float64 up to one last rounding, as a `Link`.

    Parameters
    ----------
    n : int
        Outputs.
    scale : float, default 1.0
        Of every output, at first.

    Examples
    --------
    >>> Logits(2, scale=0.5)(torch.ones(1, 2)).tolist()
    [[0.5, 0.5]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n) to the same shape."""
        return (x.double() * self.scale.double() + self.offset.double()).to(x.dtype)


class Shift(nn.Module):
    """``x + shift``, one number a channel; before a `Sign` it is the RSign of ReActNet.

    RSign (Liu et al. 2020, arXiv:2003.03488) learns where the sign of a channel flips.

    Parameters
    ----------
    n : int
        Channels.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(n))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) to the same shape."""
        return x + per_channel(self.shift, x)


class RPReLU(nn.Module):
    """``prelu(x − before) + after``: ReActNet's PReLU with learned shifts (arXiv:2003.03488).

    Parameters
    ----------
    n : int
        Channels.
    slope : float, default 0.25
        Of the negative half of every channel, at first.
    """

    def __init__(self, n: int, slope: float = 0.25) -> None:
        super().__init__()
        self.before = nn.Parameter(torch.zeros(n))
        self.slope = nn.Parameter(torch.full((n,), slope))
        self.after = nn.Parameter(torch.zeros(n))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) to the same shape."""
        bent = prelu(x - per_channel(self.before, x), self.slope)
        return bent + per_channel(self.after, x)


@torch.no_grad()
def norm_after(
    n: int, variance: float, n_pooled: int = 1, is_map: bool = True
) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """Return a batch norm that begins with the statistics its input has before any training.

    So the neurons of an untrained net in eval mode are neither always on nor always off. Where `n_pooled`
    signs are pooled by their maximum, the bias begins so low that half of the pooled ones are +1
    (had all of nine fired half of the time, the pooled bit would be +1 in 99.8 % of cases).

    Parameters
    ----------
    n : int
        Channels.
    variance : float
        Of the input: n_in for a sum of n_in random ±1.
    n_pooled : int, default 1
        Signs in one window of the pooling that follows.
    is_map : bool, default True
        Whether the input is (n_rows, n, height, width) rather than (n_rows, n).

    Examples
    --------
    >>> norm = norm_after(2, variance=576.0, n_pooled=4)
    >>> norm.running_var.tolist(), round(norm.bias[0].item(), 2)
    ([576.0, 576.0], -1.0)
    """
    norm = nn.BatchNorm2d(n) if is_map else nn.BatchNorm1d(n)
    norm.get_buffer("running_var").fill_(variance)
    norm.bias.fill_(NormalDist().inv_cdf(1 - 0.5 ** (1 / n_pooled)))
    return norm


@torch.no_grad()
def fold_norm(norm: Norm) -> Scale:
    """Return a batch norm in eval mode as a scale and an offset, worked out in float64.

    Raises
    ------
    DataError
        When the norm keeps no running statistics.

    Examples
    --------
    >>> norm = nn.BatchNorm2d(2).eval()
    >>> x = torch.randn(3, 2, 4, 4)
    >>> torch.allclose(fold_norm(norm)(x), norm(x))
    True
    """
    if norm.running_mean is None or norm.running_var is None:
        raise DataError("the norm has no running statistics: build it with track_running_stats")
    one = torch.ones_like(norm.running_mean, dtype=torch.float64)
    weight = one if norm.weight is None else norm.weight.double()
    bias = 0 * one if norm.bias is None else norm.bias.double()
    scale = weight / torch.sqrt(norm.running_var.double() + norm.eps)
    offset = bias - norm.running_mean.double() * scale
    return Scale.of(scale.float(), offset.float())


def fold_norms(model: nn.Module, only: Collection[str] | None = None) -> nn.Module:
    """Return a copy of a model in eval mode whose batch norms are `Scale` layers.

    Parameters
    ----------
    model : torch.nn.Module
        It is left as it is.
    only : collection of str, optional
        Names of the norms to fold; by default all are.

    Examples
    --------
    >>> fold_norms(nn.Sequential(nn.BatchNorm1d(3)))
    Sequential(
      (0): Scale()
    )
    """
    if isinstance(model, Norm):
        return fold_norm(model)
    folded = copy.deepcopy(model).eval()
    for path, norm in list(folded.named_modules()):
        if isinstance(norm, Norm) and (only is None or path in only):
            parent, _, name = path.rpartition(".")
            setattr(folded.get_submodule(parent), name, fold_norm(norm))
    return folded
