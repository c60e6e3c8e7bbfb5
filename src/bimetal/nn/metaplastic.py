"""Latent weights as metaplastic variables: the larger, the harder to pull back.

The published rule (Laborieux, Ernoult, Hirtzlin & Querlioz 2021, Nature Communications 12:2549) is Adam
with one change: a step that would shrink a latent weight w is multiplied by 1 − tanh²(m · |w|), a step
that lets it grow is not. So the magnitude, which the net's answer does not depend on, becomes a memory
of how settled the sign is. Nothing is known of tasks, nothing of the past is stored, and the loss is
what it was.

What m means depends on how large weights have become, hence on the learning rate and on the number of
steps. With `relative`, |w| counts in units of its layer's mean, so that m means the same after ten steps
and after a million, and a share of the weights always stays free to learn.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from bimetal.errors import DataError

__all__ = ["ATTENUATIONS", "Metaplastic", "attenuation"]


def tanh_squared(r: Tensor) -> Tensor:
    """1 − tanh²(r): the published attenuation, which falls off as 4·exp(−2r)."""
    return r.tanh_().square_().neg_().add_(1)


def power_law(r: Tensor) -> Tensor:
    """1 / (1 + r²): a longer tail, so that nothing is ever quite frozen."""
    return r.square_().add_(1).reciprocal_()


ATTENUATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": tanh_squared,
    "power": power_law,
}
"""What a shrinking step is multiplied by, as a function of r = m · |w| (or m · |w| / mean |w|)."""


@torch.no_grad()
def attenuation(w: Tensor, m: float, *, relative: bool = False, kind: str = "tanh") -> Tensor:
    """Return what a step that shrinks each latent weight is multiplied by.

    Parameters
    ----------
    w : torch.Tensor
        Latent weights of one layer.
    m : float
        How fast consolidation sets in.
    relative : bool, default False
        Whether |w| counts in units of its mean over the layer.
    kind : str, default "tanh"
        A name in `ATTENUATIONS`.

    Examples
    --------
    >>> round(attenuation(torch.tensor([0.0, 1.0, -1.0]), m=1.35)[1].item(), 4)
    0.236
    """
    r = w.abs()
    if relative:
        r = r / r.mean().clamp_min(torch.finfo(w.dtype).tiny)
    return ATTENUATIONS[kind](r.mul_(m))


class Metaplastic(torch.optim.Optimizer):
    """Adam whose steps towards zero are attenuated by the magnitude of the weight.

    With g = gradient + `weight_decay` · w, moments μ ← β₁μ + (1 − β₁)g and v ← β₂v + (1 − β₂)g², and
    η = lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ):

        w ← w − η · f · μ / (√v + eps),   f = attenuation(w, m) where w · μ > 0, else 1

    which by default is the published rule (Laborieux et al. 2021), step by step. Weights are not clipped:
    their magnitude is the memory. Give parameters that are no latent weights (scales, norms) in a group
    with ``m=0``, where this is Adam.

    Parameters
    ----------
    params : iterable
        Parameters or groups; a group may have an `m` of its own, as the published code allows for each
        layer.
    lr : float, default 0.005
        Learning rate; of latent weights, the size of a step beside magnitudes that grow without bound.
    m : float, default 1.35
        How fast consolidation sets in; the published value belongs to lr 0.005 and 24,000 steps a task.
    betas : tuple of float, default (0.9, 0.999)
        β₁ and β₂.
    eps : float, default 1e-8
        Keeps the quotient finite.
    weight_decay : float, default 0.0
        Added to the gradient (the published 1e-7 is so).
    relative : bool, default False
        Whether |w| counts in units of its layer's mean, see `attenuation`.
    kind : str, default "tanh"
        A name in `ATTENUATIONS`.
    floor : float, default 0.0
        The attenuation is at least this, so that nothing freezes for good.
    adaptivity : float, default 1.0
        √v of a weight becomes √v to this power times the layer's mean √v to the rest: 1 is Adam, where
        every weight moves equally fast, 0 one rate for the whole layer. Between the two (Padam, Chen &
        Gu 2018, arXiv:1806.06763), weights that hardly matter to the loss move less and are left to
        what needs them later.
    half_life : float, optional
        Steps after which a weight that no gradient renews has half its magnitude: the memory's length.
        By default it never fades.

    Raises
    ------
    DataError
        When a number is out of its range or a name is unknown.

    Examples
    --------
    >>> layer = torch.nn.Linear(3, 2, bias=False)
    >>> optimizer = Metaplastic(layer.parameters(), m=1.35)
    >>> layer(torch.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.005,
        m: float = 1.35,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        relative: bool = False,
        kind: str = "tanh",
        floor: float = 0.0,
        adaptivity: float = 1.0,
        half_life: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr, "m": m, "betas": betas, "eps": eps, "weight_decay": weight_decay, "relative": relative,
            "kind": kind, "floor": floor, "adaptivity": adaptivity, "half_life": half_life,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            _check(group)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew, as of every torch optimizer.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)
        return loss

    def _update(self, w: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[w], group["betas"]
        is_matrix = w.ndim > 1
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(w)
            state["square"] = torch.zeros_like(w)
        state["step"] += 1
        mean, square, g = state["mean"], state["square"], w.grad
        assert g is not None
        if group["weight_decay"]:
            g = g.add(w, alpha=group["weight_decay"])
        mean.lerp_(g, 1 - beta1)
        square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        step = mean / _spread(square, group["adaptivity"] if is_matrix else 1.0).add_(group["eps"])
        if group["m"] and is_matrix:
            _attenuate(step, w, mean, group)
        t = state["step"]
        w.sub_(step, alpha=group["lr"] * math.sqrt(1 - beta2**t) / (1 - beta1**t))
        if group["half_life"] and is_matrix:
            w.mul_(0.5 ** (1 / group["half_life"]))


def _attenuate(step: Tensor, w: Tensor, mean: Tensor, group: dict[str, Any]) -> None:
    """Multiply a step by f(|w|) where it shrinks w.

    There w and the mean have one sign and w · sign(mean) is |w|; elsewhere that is 0 at most, and
    f(0) = 1. (A choice by mask would take longer than all the rest of a step.)
    """
    m = group["m"]
    if group["relative"]:
        m /= w.abs().mean().clamp_min(torch.finfo(w.dtype).tiny)
    f = ATTENUATIONS[group["kind"]](mean.sign().mul_(w).clamp_(min=0).mul_(m))
    step.mul_(f.clamp_(min=group["floor"]) if group["floor"] else f)


def _spread(square: Tensor, adaptivity: float) -> Tensor:
    spread = square.sqrt()
    if adaptivity == 1:
        return spread
    mean = spread.mean()
    if adaptivity == 0.5:
        return spread.mul_(mean).sqrt_()  # pow takes ten times as long
    return spread.pow_(adaptivity).mul_(mean.pow(1 - adaptivity))


def _check(group: dict[str, Any]) -> None:
    for name in ("lr", "m", "eps", "weight_decay"):
        if not 0 <= group[name] < math.inf:
            raise DataError(f"{name} must be 0 or more, got {group[name]!r}")
    if not all(0 <= beta < 1 for beta in group["betas"]):
        raise DataError(f"betas must lie between 0 and 1, got {group['betas']!r}")
    for name in ("floor", "adaptivity"):
        if not 0 <= group[name] <= 1:
            raise DataError(f"{name} must lie between 0 and 1, got {group[name]!r}")
    if group["kind"] not in ATTENUATIONS:
        raise DataError(f"kind must be one of {list(ATTENUATIONS)}, got {group['kind']!r}")
    if group["half_life"] is not None and not group["half_life"] > 0:
        raise DataError(f"half_life must be above 0 steps, got {group['half_life']!r}")
