"""A norm that knows no task and no batch: each row by itself, without parameters, then a comparison.

`RowThreshold` is LayerNorm without affine (Ba et al. 2016, arXiv:1607.06450) and a step: a unit fires
where its sum lies `threshold` standard deviations of its row or more above the mean of its row. With
0 the output is the sign of sum − mean; well above 0 few units fire for any one row, so a step of
learning touches few weights, which is what keeps a net from forgetting (BiMU, 2026, arXiv:2605.30198,
has such a gate). All of it can be said in whole numbers, so a Program has an operation for it.
"""

from fractions import Fraction
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bimetal.errors import DataError

__all__ = ["RowThreshold"]

Levels = Literal["0/1", "-1/+1"]
LOWEST: dict[Levels, float] = {"0/1": 0.0, "-1/+1": -1.0}
MOST = 255
"""Numerator and denominator of a threshold are at most this."""
MOST_SQUARE = 2**62
"""Beyond all d², of rows that int64 decides."""


class RowThreshold(nn.Module):
    """Sums → 0/1 or ±1: which of a row stand out of it.

    A unit fires where ``(x − mean) / std >= threshold``, mean and standard deviation over the channels
    of its own row (or pixel). In evaluation this is decided exactly, in whole numbers where the sums are
    whole, as by the operation of a Program, and each row by itself, whatever its company; in training in
    floating point, which may differ where x is a tie. The gradient is that of ``(x − mean) / std``
    within `window` of the threshold and 0 beyond. Where all sums of a row are equal nothing fires, or
    all if the threshold is 0. A common scale of the sums changes nothing.

    Parameters
    ----------
    threshold : float or fractions.Fraction, default 0
        In standard deviations, 0 or more. A float is taken as the nearest fraction whose denominator is
        at most 16.
    levels : {"0/1", "-1/+1"}, default "-1/+1"
        What a unit says: at rest and when it fires.
    window : float, default 1.0
        Half the width of the surrogate gradient, in standard deviations.

    Raises
    ------
    DataError
        When the threshold is negative or its numerator is above 255, the window is not positive, or the
        levels are unknown.

    Examples
    --------
    >>> RowThreshold(1.5, "0/1").eval()(torch.tensor([[0.0, 1.0, 0.0, 1.0, 8.0]])).tolist()
    [[0.0, 0.0, 0.0, 0.0, 1.0]]
    """

    def __init__(
        self,
        threshold: float | Fraction = 0,
        levels: Levels = "-1/+1",
        window: float = 1.0,
    ) -> None:
        super().__init__()
        if levels not in LOWEST:
            raise DataError(f"levels must be one of {list(LOWEST)}, got {levels!r}")
        if not window > 0:
            raise DataError(f"window must be above 0, got {window!r}")
        if not 0 <= threshold <= MOST:
            raise DataError(f"threshold must lie between 0 and {MOST}, got {threshold!r}")
        self.threshold = Fraction(threshold).limit_denominator(16)
        if self.threshold.numerator > MOST or self.threshold.denominator > MOST:
            raise DataError(f"threshold {self.threshold} is too fine; take at most {MOST} / 16")
        self.levels, self.window = levels, float(window)

    @property
    def lowest(self) -> float:
        """What a unit at rest says, 0 or −1."""
        return LOWEST[self.levels]

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n, ...) to levels of the same shape; the norm is over axis 1."""
        centred = x - x.mean(1, keepdim=True)
        u = centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-5)
        known = u.detach()
        if self.training:
            fires = known >= 0 if self.threshold == 0 else known > float(self.threshold)
        else:
            fires = self.fires(x.detach())
        return _Step.apply(u, fires, float(self.threshold), self.window, self.lowest)  # type: ignore[no-any-return,no-untyped-call]

    @torch.no_grad()
    def fires(self, x: Tensor) -> Tensor:
        """Return which units fire, bool of the shape of `x`, each row decided by itself and exactly.

        With d = n·x − Σx and q = n·Σx² − (Σx)², (x − mean) / std is d / √q: a unit fires where d >= 0
        and d² · b² >= a² · q, for a threshold of a / b, unless q = 0 < a. Scaling a row changes nothing.
        """
        rows = x.detach().movedim(1, -1)
        scale = _to_whole(rows)
        rows = rows.double()
        fires = rows >= self._least(rows, scale)
        if not bool(scale.all()):
            fires = torch.where(scale > 0, fires, self._fires_in_floats(rows))
        return fires.movedim(-1, 1)

    def _least(self, rows: Tensor, scale: Tensor) -> Tensor:
        """Return the least value that fires in each row (..., 1), worked out in int64.

        Rows times their scale are whole, with n · |x| < 2**30 and n · x² < 2**53: both sums are exact in
        float64, q < 2**60, and |d| < 2**31. d² >= a² / b² · q is d >= the root of the right side, rounded up.
        """
        n, a, b = rows.shape[-1], self.threshold.numerator**2, self.threshold.denominator**2
        total = (rows.sum(-1, keepdim=True) * scale).long()
        if not a:
            return -(-total // n) / scale
        q = n * (rows.square().sum(-1, keepdim=True) * scale**2).long() - total.square()
        whole = q // b
        is_in_reach = (q > 0) & (whole <= MOST_SQUARE // a)
        root = _ceil_root(torch.where(is_in_reach, a * whole + (a * (q % b) + b - 1) // b, 0))
        least: Tensor = -(-(total + root) // n) / scale
        return torch.where(is_in_reach, least, torch.inf)

    def _fires_in_floats(self, rows: Tensor) -> Tensor:
        """Decide real numbers in float64, and in fractions where rounding might decide."""
        n, a, b = rows.shape[-1], self.threshold.numerator, self.threshold.denominator
        centred = rows - rows.mean(-1, keepdim=True)
        room = b * n**0.5 * centred - a * centred.square().sum(-1, keepdim=True).sqrt()
        fires: Tensor = room >= 0
        error = 1e-12 * (a + b) * n**0.5 * rows.abs().amax(-1, keepdim=True)
        doubtful = (room.abs() <= error).flatten(0, -2)
        flat, decided = rows.flatten(0, -2), fires.flatten(0, -2)
        for i in doubtful.any(-1).nonzero().flatten().tolist():
            decided[i] = torch.where(doubtful[i], self._fires_exactly(flat[i]), decided[i])
        return decided.view_as(fires)

    def _fires_exactly(self, row: Tensor) -> Tensor:
        """Decide one row in Python's own fractions."""
        sums = [Fraction(x) for x in row.tolist()]
        n, total = len(sums), sum(sums)
        q, square = n * sum(x * x for x in sums) - total**2, self.threshold**2
        excess = [n * x - total for x in sums]
        return torch.tensor([d >= 0 and (not square or d * d >= square * q > 0) for d in excess])

    def extra_repr(self) -> str:
        """Name the threshold when the layer is printed."""
        return f"{self.threshold}, {self.levels!r}"


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u: Tensor, fires: Tensor, threshold: float, window: float, lowest: float
    ) -> Tensor:
        ctx.save_for_backward((u - threshold).abs() <= window)
        return torch.where(fires, 1.0, lowest).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (is_near,) = ctx.saved_tensors
        return gradient * is_near, None, None, None, None


def _to_whole(rows: Tensor) -> Tensor:
    """Return a power of two that makes all of a row (..., n) whole and leaves it small, or 0: (..., 1).

    Sums of pixels are whole but for a power of two.
    """
    n, largest = rows.shape[-1], rows.abs().amax(-1, keepdim=True).double()
    found = torch.zeros_like(largest)
    for scale in (1.0, 256.0):
        is_small = (n * scale * largest < 2**30) & (n * (scale * largest) ** 2 < 2**53)
        scaled = rows * scale
        fits = is_small & (scaled == scaled.round()).all(-1, keepdim=True)
        found = torch.where(fits & (found == 0), scale, found)
        if bool(found.all()):
            break
    return found


def _ceil_root(r: Tensor) -> Tensor:
    """Return the least whole numbers whose squares are at least `r`, int64 up to 2**62 + 2**16."""
    root = (r.double().sqrt().long() - 1).clamp_min(0)  # too small by three at most
    for _ in range(3):
        root += (root.square() < r).long()
    return root
