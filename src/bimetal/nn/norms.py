"""Batch norm by shifts: BinaryNet's, whose scales are powers of two.

Published as algorithm 3 of Hubara et al. 2016 (arXiv:1602.02830), so that a net is trained and run
with hardly a multiplication. What is left of it in evaluation is ``x * 2^k + offset`` for each
channel, which is one rounding, and the layer is written as exactly that: so it equals the scale and
offset that lowering makes of it, and needs no folding.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.kbit import straight_through
from bimetal.nn.scales import Scale, per_channel

__all__ = ["ShiftBatchNorm", "ShiftBatchNorm1d", "ShiftBatchNorm2d", "ap2"]


def ap2(x: Tensor) -> Tensor:
    """Return the power of two nearest in its exponent, sign(x) · 2^round(log2 |x|); 0 stays 0.

    The gradient passes as if nothing had been rounded.

    Examples
    --------
    >>> ap2(torch.tensor([3.0, 0.7, -5.0, 0.0])).tolist()
    [4.0, 0.5, -4.0, 0.0]
    """
    known = x.detach()
    return straight_through(x, torch.exp2(known.abs().log2().round()) * known.sign())


class ShiftBatchNorm(nn.Module):
    """What the shift-based batch norms share, whatever the shape of their input.

    With C = x − mean over the batch: σ² = mean of C · AP2(C), and y = C · AP2(1 / sqrt(σ² + ε)) ·
    AP2(γ) + β (arXiv:1602.02830, algorithm 3). In evaluation the mean and 1 / sqrt(σ² + ε) are
    running averages of theirs, AP2 taken after averaging, as in the authors' Torch code; β, which
    the algorithm lists and its last line leaves out, is added as that code does. The gradient is
    that of the formula with AP2'(x) = 1; that code rounds the factors of its backward pass as well.

    Parameters
    ----------
    n : int
        Channels.
    eps : float, default 1e-5
        ε.
    momentum : float, default 0.125
        Share of a batch in the running averages: a shift, too.

    Raises
    ------
    DataError
        When there is no channel; in a call, when the shape does not fit, or a batch to be learned
        from has one value a channel and so no variance.
    """

    running_mean: Tensor
    running_scale: Tensor
    shapes: ClassVar[dict[int, str]] = {}
    """Number of dimensions of an input → its shape in words."""

    def __init__(self, n: int, eps: float = 1e-5, momentum: float = 0.125) -> None:
        super().__init__()
        if n < 1:
            raise DataError(f"channels must be at least 1, got {n}")
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(n)), nn.Parameter(torch.zeros(n))
        self.register_buffer("running_mean", torch.zeros(n))
        self.register_buffer("running_scale", torch.ones(n))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) to the same shape."""
        n = len(self.weight)
        if x.ndim not in self.shapes or x.shape[1] != n:
            expected = " or ".join(self.shapes.values())
            raise DataError(
                f"expected an input of shape {expected} with n = {n}, got {tuple(x.shape)}"
            )
        if self.training:
            return self._learn(x)
        scale, offset = self._scale_and_offset()
        return x * per_channel(scale, x) + per_channel(offset, x)

    def _learn(self, x: Tensor) -> Tensor:
        if x.numel() <= x.shape[1]:
            raise DataError(
                f"a batch of shape {tuple(x.shape)} has one value a channel and so no variance; train "
                "on two rows or more, or call eval() first"
            )
        mean = self._mean(x)
        centred = x - per_channel(mean, x)
        scale = torch.rsqrt(self._mean(centred * ap2(centred)) + self.eps)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_scale.lerp_(scale, self.momentum)
        shift = ap2(scale) * ap2(self.weight)
        return centred * per_channel(shift, x) + per_channel(self.bias, x)

    def _mean(self, x: Tensor) -> Tensor:
        """Return the mean of each channel; `bimetal.nn.distributed` puts one over all processes here."""
        return x.mean([d for d in range(x.ndim) if d != 1])

    def _scale_and_offset(self) -> tuple[Tensor, Tensor]:
        scale = ap2(self.running_scale) * ap2(self.weight)
        offset = self.bias.double() - self.running_mean.double() * scale.double()
        return scale, offset.to(scale.dtype)

    def folded(self) -> Scale:
        """Return what the norm does in evaluation: powers of two, and offsets."""
        return Scale.of(*self._scale_and_offset())

    def extra_repr(self) -> str:
        """Name the numbers when the layer is printed."""
        return f"{len(self.weight)}, eps={self.eps}, momentum={self.momentum}"


class ShiftBatchNorm1d(ShiftBatchNorm):
    """Shift-based batch norm of rows or sequences; see `ShiftBatchNorm` for all that it does.

    Parameters
    ----------
    n : int
        Channels.
    eps, momentum : float
        As of `ShiftBatchNorm`.

    Examples
    --------
    >>> norm = ShiftBatchNorm1d(1)
    >>> norm(torch.tensor([[-3.0], [3.0]])).flatten().tolist()  # 1 / sqrt(12) is nearest to 2^-2
    [-0.75, 0.75]
    """

    shapes: ClassVar[dict[int, str]] = {2: "(n_rows, n)", 3: "(n_rows, n, n_steps)"}


class ShiftBatchNorm2d(ShiftBatchNorm):
    """Shift-based batch norm of maps; see `ShiftBatchNorm` for all that it does.

    Parameters
    ----------
    n : int
        Channels.
    eps, momentum : float
        As of `ShiftBatchNorm`.

    Examples
    --------
    >>> ShiftBatchNorm2d(3)(torch.randn(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    shapes: ClassVar[dict[int, str]] = {4: "(n_rows, n, height, width)"}
