"""Synaptic intelligence: what a weight has done for the loss on its way is how much it matters.

Along the steps of a task each weight sums ω = −Σ g · Δw, its share of the fall of the loss. At the end
of the task Ω grows by ω / ((w_end − w_start)² + ξ), and from then on the loss has another term
c Σ Ω (w − w_end)² (Zenke, Poole & Ganguli 2017, arXiv:1703.04200). No extra pass over rows is needed,
but the method must be told where a task ends.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from bimetal.continual.learners.ewc import protected_layers
from bimetal.continual.learners.gradient import GradientLearner, Guard, tensor_bytes
from bimetal.continual.learners.learner import Method, Setting, Uses
from bimetal.continual.learners.rivals import on_batch_net, on_row_net
from bimetal.continual.sequence import Task
from bimetal.errors import DataError
from bimetal.nn import BinaryLinear, binarize

__all__ = ["SI", "SI_ROW", "Along", "Si", "make_si", "make_si_row"]

Along = Literal["latent", "binary"]


class Si(Guard):
    """Synaptic intelligence of the binary layers of a net.

    The penalty is on binary weights and passes straight through, as in the published code of binarized
    nets: only weights whose sign has changed are pulled. Two things are as in the paper, where that code
    is not: g is the gradient of the task's loss alone, without the penalty's, and a negative ω, of a
    weight that went uphill, counts as 0.

    Parameters
    ----------
    net : torch.nn.Module
        Whose binary layers are protected; norms are not.
    strength : float
        c.
    along : {"latent", "binary"}, default "latent"
        Which weights' way is integrated; by the straight-through gradient both have the same g.
    damping : float, default 0.1
        ξ.

    Raises
    ------
    DataError
        When a number is out of its range or a name is unknown.

    Examples
    --------
    >>> Si(nn.Sequential(BinaryLinear(3, 2)), 1.0).state_bytes()
    72
    """

    def __init__(
        self, net: nn.Module, strength: float, *, along: Along = "latent", damping: float = 0.1
    ) -> None:
        if not strength >= 0 or not damping > 0:
            raise DataError(
                f"strength must be 0 or more and damping above 0, got {strength!r} and {damping!r}"
            )
        if along not in ("latent", "binary"):
            raise DataError(f"along must be 'latent' or 'binary', got {along!r}")
        self.layers, self.strength = protected_layers(net), strength
        self.along, self.damping = along, damping
        self.importance = [torch.zeros_like(layer.latent_weight) for layer in self.layers]
        self.path = [torch.zeros_like(layer.latent_weight) for layer in self.layers]
        self.start = [self._weight(layer).clone() for layer in self.layers]
        self._step: list[tuple[Tensor, Tensor]] = []  # (g, weight before it), within a step only

    @torch.no_grad()
    def before_step(self) -> None:
        """Note gradient and weights, then add the gradient of the penalty, 2 c Ω (b − b_end)."""
        for layer, omega, start in zip(self.layers, self.importance, self.start, strict=True):
            g = layer.latent_weight.grad
            assert g is not None
            self._step.append((g.clone(), self._weight(layer).clone()))
            towards = layer.binary_weight.sub(binarize(start, torch.ones_like)).mul_(omega)
            g.add_(towards, alpha=2 * self.strength)

    @torch.no_grad()
    def after_step(self) -> None:
        """Add what the step has done, −g · Δw, to the way."""
        for layer, path, (g, before) in zip(self.layers, self.path, self._step, strict=True):
            path.addcmul_(g, before.sub_(self._weight(layer)))
        self._step = []

    @torch.no_grad()
    def end_task(self, task: Task) -> None:
        """Make importances of the way, and start another one."""
        del task
        for i, layer in enumerate(self.layers):
            end = self._weight(layer).clone()
            length = (end - self.start[i]).square_().add_(self.damping)
            self.importance[i].add_(self.path[i].clamp_min(0).div_(length))
            self.path[i].zero_()
            self.start[i] = end

    def _weight(self, layer: BinaryLinear) -> Tensor:
        weight = layer.latent_weight if self.along == "latent" else layer.binary_weight
        return weight.detach()

    def state_bytes(self) -> int:
        """Return the bytes of importances, ways, and where they started."""
        return sum(tensor_bytes(t) for t in (*self.importance, *self.path, *self.start))


def make_si(setting: Setting, strength: float, *, along: Along = "latent") -> GradientLearner:
    """Return the published body under SI: task ids at test time, the optimizer anew with each task.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    strength : float
        c.
    along : {"latent", "binary"}
        See `Si`.

    Examples
    --------
    >>> make_si(Setting(4, 2, hidden=(8,)), 1.0).guard.along
    'latent'
    """
    return on_batch_net(setting, lambda net: Si(net, strength, along=along))


def make_si_row(
    setting: Setting,
    strength: float,
    *,
    along: Along = "latent",
    threshold: float | None = None,
) -> GradientLearner:
    """Return the body of our default under SI: no task ids, one optimizer state; boundaries are told.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    strength : float
        c.
    along : {"latent", "binary"}
        See `Si`.
    threshold : float, optional
        Of hidden units: 0 makes them signs, by default they are those of our default.

    Examples
    --------
    >>> make_si_row(Setting(4, 2, hidden=(8,)), 1.0, along="binary").guard.along
    'binary'
    """
    return on_row_net(setting, lambda net: Si(net, strength, along=along), threshold)


SI = Method(
    name="si",
    title="SI, a norm for each task",
    source="Zenke et al. 2017",
    uses=Uses(boundaries=True, task_ids=True),
    strengths=(0.03, 0.1, 0.3, 1.0, 3.0),
    strength_name="c",
    make=make_si,
)
SI_ROW = Method(
    name="si_row",
    title="SI on our net",
    source="Zenke et al. 2017",
    uses=Uses(boundaries=True),
    strengths=(0.03, 0.1, 0.3, 1.0, 3.0),
    strength_name="c",
    make=make_si_row,
)
