"""Optimizers for nets of two precisions: latent weights are treated unlike the rest.

An optimizer is a function of a model, a learning rate and a weight decay, named in `OPTIMIZERS`. None
of them ever decays a latent weight: it is a memory of gradients, not a magnitude, and decay would pull
it towards the threshold and flip it for no reason (Helwegen et al. 2019, arXiv:1906.02107).
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.layers import binary_layers, latent_weights
from bimetal.nn.metaplastic import Metaplastic

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Bop",
    "ShiftAdaMax",
    "Split",
    "adam",
    "adam_glorot",
    "adamw",
    "bop",
    "optimizer",
    "real_parameters",
    "schedule",
    "sgd",
    "shift_adamax",
]


def real_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are no latent weights."""
    ids = {id(p) for p in latent_weights(model)}
    return [p for p in model.parameters() if id(p) not in ids]


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    groups = [
        {"params": latent_weights(model), "weight_decay": 0.0},
        {"params": real_parameters(model), "weight_decay": weight_decay},
    ]
    return [group for group in groups if group["params"]]


def adamw(model: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.AdamW:
    """Return AdamW that never decays latent weights.

    Parameters
    ----------
    model : torch.nn.Module
        What to train.
    learning_rate : float
        Of both groups.
    weight_decay : float, default 0.0
        Of the real-valued parameters.
    """
    return torch.optim.AdamW(_groups(model, weight_decay), lr=learning_rate, fused=True)


def adam(model: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.Adam:
    """Return Adam; its weight decay adds to the gradient. Parameters are those of `adamw`."""
    return torch.optim.Adam(_groups(model, weight_decay), lr=learning_rate, fused=True)


def sgd(model: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.SGD:
    """Return gradient descent with a momentum of 0.9. Parameters are those of `adamw`."""
    return torch.optim.SGD(_groups(model, weight_decay), lr=learning_rate, momentum=0.9, fused=True)


def adam_glorot(
    model: nn.Module, learning_rate: float, weight_decay: float = 0.0
) -> torch.optim.Adam:
    """Return Adam with the learning rates of BinaryConnect's code: a factor for each binary layer.

    The factor is sqrt((n_in + n_out) / 1.5) of the layer, one over Glorot's initial bound, so that
    latent weights move through their interval of ±1 as a real net's move through theirs
    (`W_LR_scale="Glorot"`, Courbariaux et al. 2015, arXiv:1511.00363). Parameters are those of `adamw`.
    """
    groups: list[dict[str, Any]] = []
    for layer in binary_layers(model).values():
        shape = layer.shape_by_output
        n_in, n_out = shape[1:].numel(), shape[0] * shape[2:].numel()
        rate = learning_rate * math.sqrt((n_in + n_out) / 1.5)
        groups.append({"params": [layer.latent_weight], "lr": rate, "weight_decay": 0.0})
    if real := real_parameters(model):
        groups.append({"params": real, "weight_decay": weight_decay})
    return torch.optim.Adam(groups, lr=learning_rate, fused=True)


class ShiftAdaMax(torch.optim.Optimizer):
    """AdaMax whose products with real numbers are shifts (BinaryNet, arXiv:1602.02830, algorithm 4).

    m ← β₁m + (1 − β₁)g and v ← max(β₂v, |g|), as AdaMax has them; then
    w ← w − AP2(α / (1 − β₁ᵗ)) · m · AP2(1 / v), where AP2 rounds to the nearest power of two.

    Parameters
    ----------
    params : iterable
        As of every torch optimizer.
    lr : float, default 2⁻¹⁰
        α.
    betas : tuple of float
        1 − β₁ = 2⁻³ and 1 − β₂ = 2⁻¹⁰ as published.
    weight_decay : float, default 0.0
        Added to the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2**-10,
        betas: tuple[float, float] = (1 - 2**-3, 1 - 2**-10),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do one step."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    _shift_step(p, self.state[p], group)


def _shift_step(p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    assert p.grad is not None
    if not state:
        state |= {"step": 0, "mean": torch.zeros_like(p), "largest": torch.zeros_like(p)}
    state["step"] += 1
    first, second = group["betas"]
    grad = p.grad.add(p, alpha=group["weight_decay"]) if group["weight_decay"] else p.grad
    state["mean"].lerp_(grad, 1 - first)
    largest = torch.maximum(state["largest"].mul_(second), grad.abs(), out=state["largest"])
    rate = (
        2.0 ** round(math.log2(group["lr"] / (1 - first ** state["step"]))) if group["lr"] else 0.0
    )
    inverse = torch.exp2(-largest.clamp_min(1e-30).log2().round())
    p.sub_(state["mean"] * inverse, alpha=rate)


class Bop(torch.optim.Optimizer):
    """Flip a binary weight when gradients have asked for it long enough; no latent magnitude.

    m ← (1 − γ)m + γg; a weight w of ±1 becomes −w where w·m > τ (Helwegen et al. 2019,
    arXiv:1906.02107). At the first step the parameters become their signs.

    Parameters
    ----------
    params : iterable
        Latent weights.
    gamma : float, default 1e-4
        γ. The training loop's schedule acts on it under the name "lr", as the paper's does.
    threshold : float, default 1e-8
        τ.
    """

    def __init__(self, params: Iterable[Any], gamma: float = 1e-4, threshold: float = 1e-8) -> None:
        super().__init__(params, {"lr": gamma, "threshold": threshold})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do one step."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["mean"] = torch.zeros_like(p)
                    p.copy_((p >= 0).to(p.dtype).mul_(2).sub_(1))
                state["mean"].lerp_(p.grad, group["lr"])
                p.copy_(torch.where(state["mean"] * p > group["threshold"], -p, p))


class Split:
    """Several optimizers as one: one for latent weights, another for the rest.

    Parameters
    ----------
    *optimizers : torch.optim.Optimizer
        Of disjoint parameters.
    """

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all of them."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self) -> None:
        """Do one step of each."""
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all of them."""
        return {str(i): o.state_dict() for i, o in enumerate(self.optimizers)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the states of all of them."""
        for i, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state[str(i)])


def bop(model: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> Split:
    """Return `Bop` for latent weights and Adam for the rest. Parameters are those of `adamw`."""
    latent, real = latent_weights(model), real_parameters(model)
    parts: list[torch.optim.Optimizer] = [Bop(latent)] if latent else []
    if real:
        adam = torch.optim.Adam(real, lr=learning_rate, weight_decay=weight_decay, fused=True)
        parts.append(adam)
    return Split(*parts)


def shift_adamax(
    model: nn.Module, learning_rate: float, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Return `ShiftAdaMax` for everything. Parameters are those of `adamw`."""
    return ShiftAdaMax(_groups(model, weight_decay), lr=learning_rate)


Stepper = torch.optim.Optimizer | Split


def metaplastic(model: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> Metaplastic:
    """Return the scale-free metaplastic rule for latent weights and Adam for the rest.

    For weights that go on learning when the data changes, see `bimetal.nn.Metaplastic`; binarizers should
    not clip then (`Binarizer("binaryconnect", clip=None)`). Parameters are those of `adamw`.
    """
    rule = {"m": 2.0, "relative": True, "adaptivity": 0.5}
    groups = [
        {"params": latent_weights(model), **rule},
        {"params": real_parameters(model), "m": 0.0, "weight_decay": weight_decay},
    ]
    return Metaplastic([group for group in groups if group["params"]], learning_rate)


OPTIMIZERS: dict[str, Callable[[nn.Module, float, float], Stepper]] = {
    f.__name__: f for f in (adamw, adam, adam_glorot, sgd, shift_adamax, bop, metaplastic)
}
"""What `TrainConfig.optimizer` may name."""


def optimizer(
    name: str, model: nn.Module, learning_rate: float, weight_decay: float = 0.0
) -> Stepper:
    """Return the optimizer of that name for a model.

    Raises
    ------
    DataError
        When there is none, or the model has no parameters.
    """
    if name not in OPTIMIZERS:
        raise DataError(f"optimizer must be one of {sorted(OPTIMIZERS)}, got {name!r}")
    if not any(True for _ in model.parameters()):
        raise DataError(f"{type(model).__name__} has no parameters, so there is nothing to train")
    return OPTIMIZERS[name](model, learning_rate, weight_decay)


def _cosine(done: float) -> float:
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _warm_cosine(done: float) -> float:
    return done / 0.05 if done < 0.05 else _cosine((done - 0.05) / 0.95)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": _cosine,  # to 2 %
    "warm_cosine": _warm_cosine,  # the same after a rise from 0 in the first 5 %
    "linear": lambda done: max(0.0, 1 - done),
    "exponential": lambda done: 3e-3**done,  # BinaryConnect: 1e-3 to 3e-6
    "steep_exponential": lambda done: 1e-4**done,  # BinaryNet: 3e-3 to 3e-7
    "halving": lambda done: 0.5 ** int(25 * done),  # FINN: every 40 of 1,000 epochs
}
"""Factors of the learning rate by the share of the training that is done."""


def schedule(name: str) -> Callable[[float], float]:
    """Return the schedule of that name.

    Raises
    ------
    DataError
        When there is none.

    Examples
    --------
    >>> schedule("linear")(0.25)
    0.75
    """
    if name not in SCHEDULES:
        raise DataError(f"schedule must be one of {sorted(SCHEDULES)}, got {name!r}")
    return SCHEDULES[name]
