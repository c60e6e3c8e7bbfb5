"""BiMU: each weight is a coin whose odds are learned, and odds that are certain resist being turned.

Binary metaplasticity for uncertainty (Cottart, Ballet, Bonnet & Querlioz 2026, arXiv:2605.30198): a
weight is +1 with probability σ(2λ), else −1. λ is what learns, by a step in closed form whose size
depends on λ and on the gradient, and which pulls λ back to 0 over a window of N steps, so that nothing
freezes. There are no boundaries, and no state beside λ. Written anew from the formula.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from bimetal.continual.learners.gradient import GradientLearner
from bimetal.continual.learners.learner import Method, Setting, Uses
from bimetal.continual.learners.rivals import row_net_of
from bimetal.errors import DataError, TrainingError
from bimetal.nn import latent_weights

__all__ = ["BIMU", "Bimu", "BimuLearner", "make_bimu"]

LIKELIHOOD, N_MEMORY = 161.0, 700.0
"""Published, for batches of one row: the likelihood's weight of a row, and N in rows."""


class Bimu(torch.optim.Optimizer):
    """The closed-form step of BiMU.

    With G = `likelihood` · ∂L/∂λ and s = 1 − tanh² λ:

        λ ← λ − (lr · G + λ · s / N) / (`prior` · s + 2 G tanh λ + 2 |G| + 1 / `lr_max`)

    Where G wants |λ| to grow, the two middle terms cancel as |λ| grows, and the step is the largest;
    where it wants |λ| to shrink they add to 4 |G|: attenuated, but never to nothing.

    Parameters
    ----------
    params : iterable
        λ of each weight.
    lr : float, default 4.9
        Published, as are the other numbers, for batches of one row and a layer of 100 units.
    n_memory : float, default 700
        N, in steps: how long λ is held.
    likelihood, prior : float
        Weights of the two terms of the free energy, k_lik and k_kl in the published code.
    lr_max : float, default 0.0023
        Bounds the step where nothing else does.

    Raises
    ------
    DataError
        When a number is not above 0.

    Examples
    --------
    >>> odds = nn.Parameter(torch.zeros(2))
    >>> odds.sum().backward()
    >>> Bimu([odds]).step()
    >>> bool((odds < 0).all())
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 4.9,
        n_memory: float = 700.0,
        likelihood: float = 161.0,
        prior: float = 3.76,
        lr_max: float = 0.0023,
    ) -> None:
        defaults = {
            "lr": lr, "n_memory": n_memory, "likelihood": likelihood, "prior": prior, "lr_max": lr_max,
        }  # fmt: skip
        for name, value in defaults.items():
            if not value > 0:
                raise DataError(f"{name} must be above 0, got {value!r}")
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; a parameter without a gradient stays."""
        del closure
        for group in self.param_groups:
            for odds in group["params"]:
                if odds.grad is not None:
                    _update(odds, odds.grad, group)


def _update(odds: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
    t = odds.tanh()
    s = t.square().neg_().add_(1)
    g = gradient * group["likelihood"]
    below = t.mul_(g).add_(g.abs()).mul_(2).add_(s, alpha=group["prior"]).add_(1 / group["lr_max"])
    above = s.mul_(odds).div_(group["n_memory"]).add_(g, alpha=group["lr"])
    odds.sub_(above.div_(below))


class BimuLearner(GradientLearner):
    """A net of coins that learns by `Bimu`; it answers with the more likely side of each.

    It was published for batches of one row; here a step has the batch of the harness. Published are
    also five drawn nets a step, whose weights are the relaxed ones, and answers that are means over
    drawn nets. Ours are one, ±1 as they will be deployed, and the answers of one net, sign λ, since that
    is a Program.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    net : torch.nn.Sequential
        Its latent weights are taken for λ.
    make_optimizer : callable
        Net → optimizer.
    n_samples : int, default 1
        Nets that are drawn for each step, their gradients averaged. 0 draws none: the weights are
        sign λ, and the gradient that of the mean, 1 − tanh² λ.
    temperature : float, default 1.0
        τ of the relaxation tanh((λ + noise) / τ), whose gradient stands for that of the drawn sign.
    """

    def __init__(
        self,
        setting: Setting,
        net: nn.Sequential,
        make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        n_samples: int = 1,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(setting, net, make_optimizer)
        self.n_samples, self.temperature = n_samples, temperature
        self._generator = torch.Generator().manual_seed(setting.seed)

    def observe(self, x: Tensor, y: Tensor) -> None:
        """Learn from a few rows: one step.

        Raises
        ------
        TrainingError
            When the loss is not finite.
        """
        self.net.train()
        self.optimizer.zero_grad()
        n = max(1, self.n_samples)
        for _ in range(n):
            loss = cross_entropy(functional_call(self.net, self._drawn(), (x.float(),)), y) / n
            if not bool(loss.isfinite()):
                raise TrainingError(f"the loss is {loss.item()}; lower the learning rate")
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def _drawn(self) -> dict[str, Tensor]:
        """Return ±1 weights by their names, whose gradients reach λ."""
        latent = {id(w) for w in latent_weights(self.net)}
        return {name: self._sides(w) for name, w in self.net.named_parameters() if id(w) in latent}

    def _sides(self, odds: Tensor) -> Tensor:
        mean = odds
        if self.n_samples:  # logistic noise: the sign of the sum is +1 with probability σ(2λ)
            u = torch.rand(odds.shape, generator=self._generator).clamp_(1e-7, 1 - 1e-7)
            mean = (odds + u.logit_().mul_(0.5)) / self.temperature
        soft = mean.tanh()
        known = soft.detach()
        return soft + (torch.where(known >= 0, 1.0, -1.0) - known)


def make_bimu(setting: Setting, strength: float, *, n_samples: int = 1) -> BimuLearner:
    """Return our net as coins; the numbers of `Bimu` are the published ones, for each row of a batch.

    Parameters
    ----------
    setting : Setting
        Of the comparison; its learning rate is not used.
    strength : float
        Learning rate of `Bimu`.
    n_samples : int, default 1
        See `BimuLearner`.

    Examples
    --------
    >>> make_bimu(Setting(4, 2, hidden=(8,)), 1.0).state_bytes()
    208
    """

    def optimizer(net: nn.Module) -> Bimu:
        n = setting.batch_size
        return Bimu(latent_weights(net), strength, N_MEMORY / n, LIKELIHOOD * n)

    return BimuLearner(setting, row_net_of(setting), optimizer, n_samples)


BIMU = Method(
    name="bimu",
    title="BiMU, Bayesian binary weights",
    source="Cottart et al. 2026",
    uses=Uses(),
    strengths=(2.0, 5.0, 10.0, 20.0, 40.0),
    strength_name="learning rate",
    make=make_bimu,
)
