"""The bodies that learners train: one that knows no task, and the published one that is told.

`row_net` is the default: each row is normed by itself, without parameters, and a hidden unit fires when
it stands out of its row. Nothing in it remembers a batch or a task, so the answer for a row depends on
the weights and on that row alone. `batch_net` is the published body (Laborieux et al. 2021): batch norms
with parameters and statistics of their own for each task, which must be told the task at test time.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bimetal.nn import Binarizer, BinaryLinear, Scale, Sign
from bimetal.nn.row_threshold import RowThreshold

__all__ = [
    "UNBOUND",
    "TaskNorms",
    "batch_net",
    "binary_linear",
    "default_threshold",
    "deployed",
    "row_net",
    "task_norms",
]

UNBOUND = Binarizer(surrogate="identity", clip=None)
"""Signs with the straight-through gradient and no clip: the magnitude of a latent weight is a memory."""


def default_threshold(n_hidden: int) -> float:
    """Return the threshold of hidden units of a layer of this width, in standard deviations.

    The wider the layer, the fewer of its units may fire: chosen on validation streams, see
    benchmarks/continual_choices.py.

    Examples
    --------
    >>> default_threshold(512)
    2.0
    """
    return 2.0 if n_hidden >= 192 else 1.5 if n_hidden >= 64 else 1.0


def binary_linear(n_in: int, n_out: int, generator: torch.Generator | None = None) -> BinaryLinear:
    """Return a binary layer whose latent weights begin in ±0.05, as published, and know no bound."""
    return BinaryLinear(n_in, n_out, binarizer=UNBOUND, generator=generator, init_bound=0.05)


def row_net(
    n_in: int,
    n_classes: int,
    hidden: Sequence[int] = (512, 512),
    threshold: float | None = None,
    seed: int | None = None,
) -> nn.Sequential:
    """Return a net that knows no task: binary layer → row threshold, ..., binary layer → constant scale.

    Parameters
    ----------
    n_in, n_classes : int
        Inputs (bytes or bits; the norm does not care for their scale) and classes.
    hidden : sequence of int, default (512, 512)
        Units of each hidden layer.
    threshold : float, optional
        Of hidden units in standard deviations; 0 makes them signs, ±1. By default `default_threshold`.
    seed : int, optional
        Of the weights.

    Examples
    --------
    >>> net = row_net(784, 10, hidden=(64, 64), seed=0).eval()
    >>> net(torch.zeros(2, 784)).shape
    torch.Size([2, 10])
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    fire = 1.0
    for n, m in pairwise([n_in, *hidden]):
        t = default_threshold(m) if threshold is None else threshold
        step = RowThreshold(t, "0/1" if t else "-1/+1")
        fire = _share(t)
        layers += [binary_linear(n, m, generator), step]
    scale = Scale(n_classes, 1 / (fire * hidden[-1]) ** 0.5)
    layers += [binary_linear(hidden[-1], n_classes, generator), scale.requires_grad_(False)]
    return nn.Sequential(*layers)


def _share(threshold: float) -> float:
    """Return how large a share of normal sums is above a threshold; 1 of signs, which all say something."""
    if not threshold:
        return 1.0
    return float(0.5 * torch.erfc(torch.tensor(threshold / 2**0.5)))


class TaskNorms(nn.Module):
    """Batch norms, one for each task seen; the published protocol keeps them and is told which to use.

    Parameters
    ----------
    n : int
        Units.

    Attributes
    ----------
    current : int
        Task whose norm is at work.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm1d(n)])
        self.current = 0

    @property
    def norm(self) -> nn.Module:
        """The norm at work."""
        return self.norms[self.current]

    def begin(self, task: int) -> None:
        """Go on with a norm for a further task, which starts as the last one ended."""
        while len(self.norms) <= task:
            last = self.norms[-1]
            norm = nn.BatchNorm1d(last.num_features)  # type: ignore[arg-type]
            norm.load_state_dict(last.state_dict())
            self.norms.append(norm)
        self.current = task

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n) to the same shape by the norm at work."""
        y: Tensor = self.norm(x)
        return y


def batch_net(
    n_in: int, n_classes: int, hidden: Sequence[int] = (512, 512), seed: int | None = None
) -> nn.Sequential:
    """Return the published body: binary layer → batch norm of the task → sign, ..., binary layer → norm.

    Parameters are those of `row_net`.

    Examples
    --------
    >>> net = batch_net(784, 10, hidden=(64, 64), seed=0).eval()
    >>> net(torch.zeros(2, 784)).shape
    torch.Size([2, 10])
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for n, m in pairwise([n_in, *hidden]):
        layers += [binary_linear(n, m, generator), TaskNorms(m), Sign("clipped")]
    layers += [binary_linear(hidden[-1], n_classes, generator), TaskNorms(n_classes)]
    return nn.Sequential(*layers)


def task_norms(net: nn.Module) -> list[TaskNorms]:
    """Return the norms of a net that are kept for each task."""
    return [module for module in net.modules() if isinstance(module, TaskNorms)]


def deployed(net: nn.Sequential, task: int = 0) -> nn.Sequential:
    """Return what lowers: the layers themselves, of norms the one of a task, behind a Flatten."""
    layers = [m.norms[task] if isinstance(m, TaskNorms) else m for m in net]
    return nn.Sequential(nn.Flatten(), *layers)
