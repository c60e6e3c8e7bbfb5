"""Blocks with a real-valued way around their binary convolutions.

`Residual` and `Repeat` are all the grammar there is; the blocks of the literature are sentences in
it. Both blocks widen by repeating channels, as ReActNet does, since that needs no weights at all;
Bi-Real Net itself uses a float 1×1 convolution there.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.conv import BinaryConv2d
from bimetal.nn.layers import Sign
from bimetal.nn.scales import RPReLU, Shift, norm_after

__all__ = ["Repeat", "Residual", "bi_real_block", "react_block"]

PadValue = Literal[-1, 0, 1]


class Residual(nn.Module):
    """``branch(x) + shortcut(x)``.

    Parameters
    ----------
    branch : torch.nn.Module
        What learns.
    shortcut : torch.nn.Module, optional
        What only carries; by default x itself.

    Examples
    --------
    >>> Residual(nn.ReLU())(torch.tensor([[-1.0, 2.0]])).tolist()
    [[-1.0, 4.0]]
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Add both ways."""
        total: Tensor = self.branch(x) + self.shortcut(x)
        return total


class Repeat(nn.Module):
    """All channels, then all of them again, `n` times in all.

    Examples
    --------
    >>> Repeat(2)(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0, 1.0, 2.0]]
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        if n < 1:
            raise DataError(f"channels are repeated 1 time or more, got {n}")
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_channels, ...) to (n_rows, n * n_channels, ...)."""
        return torch.cat([x] * self.n, dim=1)

    def extra_repr(self) -> str:
        """Name the number when the layer is printed."""
        return str(self.n)


def bi_real_block(
    n_in: int,
    n_out: int,
    stride: int = 1,
    pad_value: PadValue = -1,
    surrogate_name: str = "approx_sign",
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Return sign → binary 3×3 convolution → norm, with a shortcut (Bi-Real Net, arXiv:1808.00278).

    Parameters
    ----------
    n_in, n_out : int
        Channels; `n_out` a multiple of `n_in`.
    stride : int, default 1
        Of the convolution and of the average pooling in the shortcut; it has to divide the height
        and the width of the map.
    pad_value, surrogate_name, generator
        As of `BinaryConv2d`.

    Raises
    ------
    DataError
        When `n_out` is no multiple of `n_in`.

    Examples
    --------
    >>> bi_real_block(4, 8, stride=2)(torch.randn(1, 4, 6, 6)).shape
    torch.Size([1, 8, 3, 3])
    """
    conv = BinaryConv2d(
        n_in, n_out, 3, stride, 1, pad_value, binarizer=surrogate_name, generator=generator
    )
    branch = nn.Sequential(Sign(surrogate_name), conv, _norm(conv))
    return Residual(branch, _shortcut(n_in, n_out, stride))


def react_block(
    n_in: int,
    n_out: int,
    stride: int = 1,
    pad_value: PadValue = -1,
    surrogate_name: str = "approx_sign",
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Return a block of ReActNet: a binary 3×3 and a binary 1×1 convolution (arXiv:2003.03488).

    Each reads a sign with a learned shift (RSign), each has a shortcut, and an RPReLU follows each.
    Parameters, errors and sizes are those of `bi_real_block`.

    Examples
    --------
    >>> react_block(4, 8, stride=2)(torch.randn(1, 4, 6, 6)).shape
    torch.Size([1, 8, 3, 3])
    """
    spatial = BinaryConv2d(
        n_in, n_in, 3, stride, 1, pad_value, binarizer=surrogate_name, generator=generator
    )
    pointwise = BinaryConv2d(n_in, n_out, 1, binarizer=surrogate_name, generator=generator)
    parts: list[nn.Module] = []
    for conv, shortcut in (
        (spatial, _shortcut(n_in, n_in, stride)),
        (pointwise, _shortcut(n_in, n_out, 1)),
    ):
        branch = nn.Sequential(Shift(n_in), Sign(surrogate_name), conv, _norm(conv))
        parts += [Residual(branch, shortcut), RPReLU(conv.n_out)]
    return nn.Sequential(*parts)


def _norm(conv: BinaryConv2d) -> nn.Module:
    return norm_after(conv.n_out, variance=conv.latent_weight[0].numel())


def _shortcut(n_in: int, n_out: int, stride: int) -> nn.Module:
    if n_out % n_in:
        raise DataError(f"{n_out} output channels are no multiple of {n_in} input channels")
    pool = [nn.AvgPool2d(stride)] if stride > 1 else []
    repeat = [Repeat(n_out // n_in)] if n_out > n_in else []
    return nn.Sequential(*pool, *repeat)
