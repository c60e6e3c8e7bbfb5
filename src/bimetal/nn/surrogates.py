"""Pseudo-gradients: one forward, `sign`, and many ways to pretend that it has a slope.

Every function here is q'(x), the factor by which the gradient that arrives at ±1 is multiplied on its
way to the real value x. To add one, write it with its paper and name it in `SURROGATES`; one that
changes while the net is trained takes `progress` as well, the share of the training that is done.
"""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bimetal.errors import DataError

__all__ = [
    "SURROGATES",
    "approx_sign",
    "binarize",
    "clipped",
    "clipped_wide",
    "ede",
    "identity",
    "surrogate",
    "swish_sign",
]

Slope = Callable[[Tensor], Tensor]


def identity(x: Tensor) -> Tensor:
    """Straight-through estimator, q'(x) = 1 (Bengio, Léonard & Courville 2013, arXiv:1308.3432)."""
    return torch.ones_like(x)


def clipped(x: Tensor) -> Tensor:
    """Straight-through inside the unit interval, q'(x) = 1[|x| <= 1] (BinaryNet, arXiv:1602.02830)."""
    return (x.abs() <= 1).to(x.dtype)


def clipped_wide(x: Tensor) -> Tensor:
    """Straight-through in a wider interval, q'(x) = 1[|x| <= 1.25] (QuickNet, arXiv:2011.09398)."""
    return (x.abs() <= 1.25).to(x.dtype)


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


def ede(x: Tensor, progress: float = 0.0, t_min: float = 1e-3, t_max: float = 10.0) -> Tensor:
    """Error decay estimator, q'(x) = kt(1 − tanh²(tx)) (IR-Net, Qin et al. 2020, arXiv:1909.10788).

    t grows from `t_min` to `t_max` by equal factors and k = max(1/t, 1): first nearly the identity, in
    the end nearly the sign. The paper begins at 0.1; its code, followed here, at 0.001.
    """
    t: float = t_min * (t_max / t_min) ** progress
    k: float = max(1 / t, 1.0)
    y = torch.tanh(t * x)
    return torch.addcmul(x.new_ones(()), y, y, value=-1) * (k * t)


SURROGATES: tuple[Callable[..., Tensor], ...] = (
    identity, clipped, clipped_wide, approx_sign, swish_sign, ede,
)  # fmt: skip


def surrogate(name: str, progress: float = 0.0) -> Slope:
    """Return the surrogate of that name.

    Parameters
    ----------
    name : str
        A name in `SURROGATES`.
    progress : float, default 0.0
        Share of the training that is done, for those that change with it.

    Raises
    ------
    DataError
        When there is none.

    Examples
    --------
    >>> surrogate("clipped")(torch.tensor([0.5, 2.0]))
    tensor([1., 0.])
    """
    if name not in _NAMED:
        raise DataError(f"surrogate must be one of {sorted(_NAMED)}, got {name!r}")
    found = _NAMED[name]
    return partial(found, progress=progress) if found in _SCHEDULED else found


_NAMED = {f.__name__: f for f in SURROGATES}
_SCHEDULED = {f for f in SURROGATES if "progress" in inspect.signature(f).parameters}


def _straight_within(bound: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a backward pass in one sweep over memory: torch's own for a hard tanh, bounds included."""

    def back(grad: Tensor, x: Tensor) -> Tensor:
        # hardtanh_backward leaves ±bound out, so it is given the next larger number of x's type
        above = math.nextafter(bound, 2) if x.dtype == torch.float64 else _AFTER[x.dtype](bound)
        return torch.ops.aten.hardtanh_backward(grad, x, -above, above)  # type: ignore[no-any-return]

    return back


def clipped_weights(x: Tensor) -> Tensor:
    """`clipped`, for what is nearly always within ±1: clipped latent weights. Faster, and the same."""
    return clipped(x)


def _straight_for_weights(grad: Tensor, x: Tensor) -> Tensor:
    if x.device.type == "cpu" and x.numel():
        low, high = torch.aminmax(x)  # reading is a third of the work of masking
        if low >= -1 and high <= 1:
            return grad
    return FUSED[clipped](grad, x)


# numbers of 1 to 2 lie one eps apart
_AFTER: dict[torch.dtype, Callable[[float], float]] = {
    kind: lambda bound, kind=kind: bound + torch.finfo(kind).eps  # type: ignore[misc]
    for kind in (torch.float32, torch.float16, torch.bfloat16)
}
FUSED: dict[Any, Callable[[Tensor, Tensor], Tensor]] = {
    identity: lambda grad, x: grad,
    clipped: _straight_within(1.0),
    clipped_wide: _straight_within(1.25),
    clipped_weights: _straight_for_weights,
}


class _Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Slope, value: Tensor | None) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return _sign(x) if value is None else value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        fused = FUSED.get(ctx.slope)
        return (fused(grads[0], x) if fused else grads[0] * ctx.slope(x)), None, None


def _sign(x: Tensor) -> Tensor:
    """Return the sign of x as ±1 in two sweeps: 1 where x >= 0 (and so for −0.0), else 0; twice it, less 1."""
    signs = torch.empty_like(x)
    torch.ge(x, 0, out=signs)
    return torch.add(_MINUS_ONE, signs, alpha=2, out=signs)


_MINUS_ONE = torch.tensor(-1.0)


def binarize(x: Tensor, slope: Slope = clipped, value: Tensor | None = None) -> Tensor:
    """Return the sign of x as ±1 (0 gives +1), with the surrogate's gradient.

    Parameters
    ----------
    x : torch.Tensor
        Real values, of any shape.
    slope : callable
        The surrogate.
    value : torch.Tensor, optional
        What to return in place of the sign (a sign drawn at random, say); the gradient is the same.

    Examples
    --------
    >>> x = torch.tensor([-0.5, 0.0, 3.0], requires_grad=True)
    >>> y = binarize(x)
    >>> y.detach(), torch.autograd.grad(y.sum(), x)[0]
    (tensor([-1.,  1.,  1.]), tensor([1., 1., 0.]))
    """
    return _Binarize.apply(x, slope, value)  # type: ignore[no-any-return, no-untyped-call]
