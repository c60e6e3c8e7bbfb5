"""Pseudo-gradients: one forward, `sign`, and many ways to pretend that it has a slope.

Every function here is q'(x), the factor by which the gradient that arrives at ±1 is multiplied on its
way to the real value x. To add one, write it with its paper and name it in `SURROGATES`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bimetal.errors import DataError

__all__ = [
    "SURROGATES",
    "approx_sign",
    "binarize",
    "clipped",
    "identity",
    "surrogate",
    "swish_sign",
]


def identity(x: Tensor) -> Tensor:
    """Straight-through estimator, q'(x) = 1 (Bengio, Léonard & Courville 2013, arXiv:1308.3432)."""
    return torch.ones_like(x)


def clipped(x: Tensor) -> Tensor:
    """Straight-through inside the unit interval, q'(x) = 1[|x| <= 1] (BinaryNet, arXiv:1602.02830)."""
    return (x.abs() <= 1).to(x.dtype)


def approx_sign(x: Tensor) -> Tensor:
    """Triangle, q'(x) = max(0, 2 − 2|x|) (Bi-Real Net, Liu et al. 2018, arXiv:1808.00278)."""
    return (2 - 2 * x.abs()).clamp_min(0)


def swish_sign(x: Tensor, beta: float = 5.0) -> Tensor:
    """SignSwish, q'(x) = β(2 − βx·tanh(βx/2)) / (1 + cosh βx) (BNN+, Darabi et al. 2018).

    The argument βx is held within ±60, where the factor is already below 1e-23, so that the
    hyperbolic cosine cannot overflow.
    """
    bx = (beta * x).clamp(-60.0, 60.0)
    return beta * (2 - bx * torch.tanh(bx / 2)) / (1 + torch.cosh(bx))


SURROGATES: tuple[Callable[[Tensor], Tensor], ...] = (identity, clipped, approx_sign, swish_sign)


def surrogate(name: str) -> Callable[[Tensor], Tensor]:
    """Return the surrogate of that name.

    Raises
    ------
    DataError
        When there is none.

    Examples
    --------
    >>> surrogate("clipped")(torch.tensor([0.5, 2.0]))
    tensor([1., 0.])
    """
    named = {f.__name__: f for f in SURROGATES}
    if name not in named:
        raise DataError(f"surrogate must be one of {sorted(named)}, got {name!r}")
    return named[name]


class _Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return (x >= 0).to(x.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * ctx.slope(x), None


def binarize(x: Tensor, slope: Callable[[Tensor], Tensor] = clipped) -> Tensor:
    """Return the sign of x as ±1 (0 gives +1), with the surrogate's gradient.

    Examples
    --------
    >>> x = torch.tensor([-0.5, 0.0, 3.0], requires_grad=True)
    >>> y = binarize(x)
    >>> y.detach(), torch.autograd.grad(y.sum(), x)[0]
    (tensor([-1.,  1.,  1.]), tensor([1., 1., 0.]))
    """
    return _Binarize.apply(x, slope)  # type: ignore[no-any-return, no-untyped-call]
