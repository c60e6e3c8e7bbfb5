"""Norms of one step of a sequence, for the products of recurrent layers.

They are called with the number of the step, since batch statistics may differ from step to step.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from bimetal.errors import DataError

__all__ = ["STEP_NORMS", "NormName", "StepNorm", "step_norm"]

NormName = Literal["affine", "batch", "layer", "none"]
STEP_NORMS: tuple[NormName, ...] = ("affine", "batch", "layer", "none")


class StepNorm(nn.Module):
    """Batch norm of one step of a sequence: one scale and offset for all, statistics for each step.

    Early steps of a recurrent layer have other statistics than late ones, so the running averages are
    kept step by step (Cooijmans et al. 2016, arXiv:1603.09025; Ardakani et al. 2019). Steps beyond
    the last one that has its own share that one's.

    Parameters
    ----------
    n : int
        Channels.
    n_steps : int
        Steps with statistics of their own, counted from the beginning of each call of the layer: the
        length of the sequences it is trained on.
    scale : float, default 1.0
        γ at first.
    variance : float, default 1.0
        Of the running statistics at first.
    eps, momentum : float
        As of `torch.nn.BatchNorm1d`.

    Raises
    ------
    DataError
        In a call, when one row is to be learned from.

    Examples
    --------
    >>> StepNorm(2, n_steps=5)(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), step=0).round().tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        n: int,
        n_steps: int,
        scale: float = 1.0,
        variance: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.full((n,), scale)), nn.Parameter(torch.zeros(n))
        self.register_buffer("running_mean", torch.zeros(n_steps, n))
        self.register_buffer("running_var", torch.full((n_steps, n), float(variance)))

    def forward(self, x: Tensor, step: int) -> Tensor:
        """Map (n_rows, n) of one step to the same shape."""
        if self.training and len(x) < 2:
            raise DataError(
                f"a batch norm learns from two rows or more, got {len(x)}; call eval() first, or "
                "take norm='layer'"
            )
        at = min(step, len(self.running_mean) - 1)
        mean, var = self.running_mean[at], self.running_var[at]
        return batch_norm(
            x, mean, var, self.weight, self.bias, self.training, self.momentum, self.eps
        )


class _LayerNorm(nn.LayerNorm):
    """Layer norm of one step, all steps alike (Ba et al. 2016, arXiv:1607.06450)."""

    def __init__(self, n: int, scale: float) -> None:
        super().__init__(n)
        nn.init.constant_(self.weight, scale)

    def forward(self, x: Tensor, step: int) -> Tensor:  # type: ignore[override]
        return super().forward(x)


class _Affine(nn.Module):
    """A learned scale and offset for each channel, and no statistics."""

    def __init__(self, n: int, scale: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.full((n,), scale)), nn.Parameter(torch.zeros(n))

    def forward(self, x: Tensor, step: int) -> Tensor:
        return x * self.weight + self.bias


class _Offset(nn.Module):
    """No norm: only the offset that a norm would have."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n))

    def forward(self, x: Tensor, step: int) -> Tensor:
        return x + self.bias


def step_norm(
    name: NormName, n: int, n_steps: int | None, scale: float = 1.0, variance: float = 1.0
) -> nn.Module:
    """Return the norm of that name; it maps (n_rows, n) and the number of a step to (n_rows, n).

    Parameters
    ----------
    name : {"affine", "batch", "layer", "none"}
        "affine" is a learned scale and offset without statistics, "none" an offset alone.
    n : int
        Channels.
    n_steps : int or None
        As of `StepNorm`; only a batch norm needs it.
    scale : float, default 1.0
        γ at first; that of "affine" begins at `scale` / sqrt(`variance`).
    variance : float, default 1.0
        Which is expected of the input.

    Raises
    ------
    DataError
        When there is no such norm, or a batch norm is not told how many steps there are.

    Examples
    --------
    >>> step_norm("affine", 2, None, variance=16.0)(torch.ones(1, 2), 0).tolist()
    [[0.25, 0.25]]
    """
    match name:
        case "affine":
            return _Affine(n, scale * variance**-0.5)
        case "batch" if n_steps is not None and n_steps >= 1:
            return StepNorm(n, n_steps, scale, variance)
        case "layer":
            return _LayerNorm(n, scale)
        case "none":
            return _Offset(n)
    if name == "batch":
        raise DataError(
            "a batch norm keeps statistics for each step; give n_steps, the length of the sequences "
            f"to be trained on, at least 1, got {n_steps!r}; or take norm='layer' or 'affine'"
        )
    raise DataError(f"norm must be one of {list(STEP_NORMS)}, got {name!r}")
