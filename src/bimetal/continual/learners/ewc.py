"""Elastic weight consolidation: a step is pulled back where the past says that a weight matters.

After each task t the loss has another term ½ λ Σ F_t (w − w_t)², with w_t the weights as the task left
them and F_t the diagonal of the Fisher information, which is estimated on the task's own rows
(Kirkpatrick et al. 2017, PNAS 114:3521). The method must therefore be told where a task ends. "online"
has one running F with a decay γ and one w_t, the last (Huszár 2018, arXiv:1712.03847; Schwarz et al.
2018, arXiv:1805.06370).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bimetal.continual.learners.gradient import GradientLearner, Guard, tensor_bytes
from bimetal.continual.learners.learner import Method, Setting, Uses
from bimetal.continual.learners.rivals import on_batch_net, on_row_net
from bimetal.continual.sequence import Task
from bimetal.errors import DataError
from bimetal.nn import BinaryLinear, binary_layers
from bimetal.nn.modes import in_eval_mode

__all__ = [
    "EWC",
    "EWC_ONLINE",
    "EWC_ONLINE_ROW",
    "EWC_ROW",
    "Ewc",
    "Keeps",
    "Protects",
    "fisher",
    "make_ewc",
    "make_ewc_row",
    "protected_layers",
]

Protects = Literal["binary", "latent"]
Keeps = Literal["separate", "online"]


def protected_layers(net: nn.Module) -> list[BinaryLinear]:
    """Return the layers whose weights a guard protects: the binary ones. Norms are free, as published.

    Raises
    ------
    DataError
        When there is none, or one that is no `BinaryLinear`.

    Examples
    --------
    >>> len(protected_layers(nn.Sequential(BinaryLinear(4, 2), nn.BatchNorm1d(2))))
    1
    """
    layers = binary_layers(net)
    others = [name for name, layer in layers.items() if not isinstance(layer, BinaryLinear)]
    if others or not layers:
        raise DataError(
            f"a net with BinaryLinear layers expected, got {len(layers)} binary layers, of which "
            f"{others} are of another kind; protect a dense net"
        )
    return [layer for layer in layers.values() if isinstance(layer, BinaryLinear)]


def fisher(net: nn.Module, x: Tensor, y: Tensor, n_at_once: int = 500) -> list[Tensor]:
    """Return the diagonal of the empirical Fisher information of the binary weights of each layer.

    It is the mean over rows of the square of the row's own gradient of −log p(y | x), y the true class,
    in eval mode. The gradient of a row for the weights of a layer is the product of two vectors, its
    input x and the gradient δ of its sums, so that the sum of squares over rows is (δ²)ᵀ x², and no row
    needs a backward pass of its own. By the straight-through gradient it is also that of the latent
    weights. The net is left as it was, to the last bit.

    Parameters
    ----------
    net : torch.nn.Module
        Its binary layers are `BinaryLinear`; nothing in it couples rows in eval mode.
    x : torch.Tensor
        Rows (n_rows, n_in).
    y : torch.Tensor
        Their classes, int64 (n_rows,).
    n_at_once : int, default 500
        Rows of one backward pass.

    Returns
    -------
    list of torch.Tensor
        0 or more, of the shape of the latent weights of each layer.

    Raises
    ------
    DataError
        When there are no rows, or a binary layer is no `BinaryLinear`.

    Examples
    --------
    >>> net = nn.Sequential(BinaryLinear(3, 2))
    >>> fisher(net, torch.tensor([[1, 0, 2]]), torch.tensor([1]))[0][0, :, 1]
    tensor([0., 0.])
    """
    layers = protected_layers(net)
    if not len(x):
        raise DataError("a Fisher information needs one row at least, got none")
    sums = [torch.zeros_like(layer.latent_weight) for layer in layers]
    with in_eval_mode(net), torch.enable_grad(), _watched(layers) as seen:
        for rows, classes in zip(torch.split(x, n_at_once), torch.split(y, n_at_once), strict=True):
            loss = cross_entropy(net(rows.float()), classes, reduction="sum")
            deltas = torch.autograd.grad(loss, [seen[layer][1] for layer in layers])
            for total, layer, delta in zip(sums, layers, deltas, strict=True):
                total += _squares(layer, seen[layer][0], delta)
    return [total / len(x) for total in sums]


@contextmanager
def _watched(layers: list[BinaryLinear]) -> Iterator[dict[nn.Module, tuple[Tensor, Tensor]]]:
    """Note what each layer read and made, within a ``with`` block."""
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        seen[layer] = inputs[0].detach(), output

    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _squares(layer: BinaryLinear, x: Tensor, delta: Tensor) -> Tensor:
    """Return Σ (δ²)ᵀ x² over rows, of the shape of the latent weights: (groups, outputs, inputs)."""
    delta = delta if layer.alpha is None else delta * layer.alpha
    by_group = (len(x), layer.groups, -1)
    x, delta = (t.reshape(by_group).transpose(0, 1).square() for t in (x, delta))
    return delta.transpose(1, 2) @ x


class Ewc(Guard):
    """Elastic weight consolidation of the binary layers of a net.

    The published code keeps one F_t and one w_t for each past task. What they add to a gradient is
    λ Σ F_t (w − w_t) = λ (w Σ F_t − Σ F_t w_t): two sums, and these are kept. So the bytes do not grow
    with the number of tasks, and the steps are those of the published code.

    Parameters
    ----------
    net : torch.nn.Module
        Whose binary layers are protected; norms are not, as published.
    strength : float
        λ.
    keeps : {"separate", "online"}, default "separate"
        Whether every past task has its own w_t, or only the last one's counts, with a running F.
    gamma : float, default 1.0
        "online": F is multiplied by it before that of a further task is added.
    protects : {"binary", "latent"}, default "binary"
        What w is: the binary weights, as in the published code of binarized nets, so that only weights
        whose sign has changed are pulled, by the straight-through gradient; or the latent ones.
    n_samples : int, default 5000
        Rows of a task that F is estimated on, drawn from all of them.
    seed : int, default 0
        Of that draw.

    Raises
    ------
    DataError
        When a number is out of its range or a name is unknown.

    Examples
    --------
    >>> net = nn.Sequential(BinaryLinear(3, 2))
    >>> Ewc(net, 100.0).state_bytes()
    48
    """

    def __init__(
        self,
        net: nn.Module,
        strength: float,
        *,
        keeps: Keeps = "separate",
        gamma: float = 1.0,
        protects: Protects = "binary",
        n_samples: int = 5000,
        seed: int = 0,
    ) -> None:
        if not strength >= 0 or not 0 <= gamma <= 1 or n_samples < 1:
            raise DataError(
                "strength must be 0 or more, gamma within 0 and 1, n_samples 1 or more; got "
                f"{strength!r}, {gamma!r} and {n_samples!r}"
            )
        if keeps not in ("separate", "online") or protects not in ("binary", "latent"):
            raise DataError(
                "keeps must be 'separate' or 'online' and protects 'binary' or 'latent', got "
                f"{keeps!r} and {protects!r}"
            )
        self.net, self.layers, self.strength = net, protected_layers(net), strength
        self.keeps, self.gamma, self.protects, self.n_samples = keeps, gamma, protects, n_samples
        self.importance = [torch.zeros_like(layer.latent_weight) for layer in self.layers]
        self.pull = [torch.zeros_like(layer.latent_weight) for layer in self.layers]
        self._generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def before_step(self) -> None:
        """Add the gradient of the penalty, λ (w Σ F_t − Σ F_t w_t), to that of the loss."""
        for layer, f, pull in zip(self.layers, self.importance, self.pull, strict=True):
            if layer.latent_weight.grad is not None:
                towards = torch.addcmul(pull.neg(), f, self._weight(layer))
                layer.latent_weight.grad.add_(towards, alpha=self.strength)

    def end_task(self, task: Task) -> None:
        """Estimate how much each weight matters to a task, and add it up."""
        places = torch.randperm(len(task.x_train), generator=self._generator)[: self.n_samples]
        x, y = torch.tensor(task.x_train)[places], torch.tensor(task.y_train)[places]
        for i, f in enumerate(fisher(self.net, x, y)):
            self._add(i, f)

    @torch.no_grad()
    def _add(self, i: int, f: Tensor) -> None:
        now, importance = self._weight(self.layers[i]), self.importance[i]
        if self.keeps == "online":
            importance.mul_(self.gamma).add_(f)
            self.pull[i] = importance * now
        else:
            importance.add_(f)
            self.pull[i].addcmul_(f, now)

    def _weight(self, layer: BinaryLinear) -> Tensor:
        weight = layer.binary_weight if self.protects == "binary" else layer.latent_weight
        return weight.detach()

    def state_bytes(self) -> int:
        """Return the bytes of both sums."""
        return sum(tensor_bytes(t) for t in (*self.importance, *self.pull))


def make_ewc(setting: Setting, strength: float, *, keeps: Keeps = "separate") -> GradientLearner:
    """Return the published body under EWC: task ids at test time, the optimizer anew with each task.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    strength : float
        λ.
    keeps : {"separate", "online"}
        See `Ewc`.

    Examples
    --------
    >>> make_ewc(Setting(4, 2, hidden=(8,)), 100.0).guard.keeps
    'separate'
    """
    return on_batch_net(setting, lambda net: Ewc(net, strength, keeps=keeps, seed=setting.seed))


def make_ewc_row(
    setting: Setting,
    strength: float,
    *,
    keeps: Keeps = "separate",
    threshold: float | None = None,
) -> GradientLearner:
    """Return the body of our default under EWC: no task ids, one optimizer state; boundaries are told.

    Parameters
    ----------
    setting : Setting
        Of the comparison.
    strength : float
        λ.
    keeps : {"separate", "online"}
        See `Ewc`.
    threshold : float, optional
        Of hidden units: 0 makes them signs, by default they are those of our default.

    Examples
    --------
    >>> make_ewc_row(Setting(4, 2, hidden=(8,)), 100.0, keeps="online").guard.keeps
    'online'
    """

    def guard(net: nn.Module) -> Ewc:
        return Ewc(net, strength, keeps=keeps, seed=setting.seed)

    return on_row_net(setting, guard, threshold)


EWC = Method(
    name="ewc",
    title="EWC, a norm for each task",
    source="Kirkpatrick et al. 2017",
    uses=Uses(boundaries=True, task_ids=True),
    strengths=(30.0, 100.0, 300.0, 1000.0, 5000.0),
    strength_name="lambda",
    make=make_ewc,
)
EWC_ONLINE = Method(
    name="ewc_online",
    title="online EWC, a norm for each task",
    source="Schwarz et al. 2018",
    uses=Uses(boundaries=True, task_ids=True),
    strengths=(30.0, 100.0, 300.0, 1000.0, 5000.0),
    strength_name="lambda",
    make=partial(make_ewc, keeps="online"),
)
EWC_ROW = Method(
    name="ewc_row",
    title="EWC on our net",
    source="Kirkpatrick et al. 2017",
    uses=Uses(boundaries=True),
    strengths=(30.0, 100.0, 300.0, 1000.0, 5000.0),
    strength_name="lambda",
    make=make_ewc_row,
)
EWC_ONLINE_ROW = Method(
    name="ewc_online_row",
    title="online EWC on our net",
    source="Schwarz et al. 2018",
    uses=Uses(boundaries=True),
    strengths=(30.0, 100.0, 300.0, 1000.0, 5000.0),
    strength_name="lambda",
    make=partial(make_ewc_row, keeps="online"),
)
