"""What the signs between the layers do: how many are fixed, how many no gradient reaches.

A neuron that is +1 for every row tells nothing to the next layer, and one whose input is always
beyond the surrogate's support cannot learn to tell anything. Both are common in binary nets, and
neither shows in the loss.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bimetal.nn.insight import dead_share
from bimetal.nn.layers import Sign

__all__ = ["Activity", "SignInsight", "watch_activations"]


@dataclass(frozen=True)
class SignInsight:
    """What a `Sign` did with the values it read; shares are of these values, 0 to 1.

    Attributes
    ----------
    n_values : int
        Read in all.
    positive_share : float
        Share that became +1.
    dead_share : float
        Share where the surrogate has no slope, so that no gradient passes.
    n_neurons : int
        Neurons, or channels of a map: the second axis.
    n_constant : int
        Those of them that were +1 for every row (and pixel), or −1 for every one.
    """

    n_values: int
    positive_share: float
    dead_share: float
    n_neurons: int
    n_constant: int


class Activity:
    """What has been seen so far of each `Sign`, see `watch_activations`."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Tensor, int, float]] = {}

    def add(self, name: str, sign: Sign, x: Tensor) -> None:
        """Count what a `Sign` reads, values of shape (n_rows, n_neurons, ...)."""
        if not x.numel():
            return
        n_plus = (x.detach() >= 0).transpose(0, 1).flatten(1).sum(1)
        before, n, dead = self._seen.get(name, (torch.zeros_like(n_plus), 0, 0.0))
        dead += dead_share(x, sign.surrogate_name, sign.progress) * x.numel()
        self._seen[name] = (before + n_plus, n + x.numel(), dead)

    def insight(self) -> dict[str, SignInsight]:
        """Return what each `Sign` did, by its name; those that read nothing are left out."""
        return {name: _insight(*seen) for name, seen in self._seen.items()}


def _insight(n_plus: Tensor, n: int, dead: float) -> SignInsight:
    per_neuron = n // len(n_plus)
    is_constant = (n_plus == 0) | (n_plus == per_neuron)
    return SignInsight(
        n_values=n,
        positive_share=int(n_plus.sum()) / n,
        dead_share=dead / n,
        n_neurons=len(n_plus),
        n_constant=int(is_constant.sum()),
    )


@contextmanager
def watch_activations(model: nn.Module) -> Iterator[Activity]:
    """Count what every `Sign` of a model reads within a ``with`` block.

    Parameters
    ----------
    model : torch.nn.Module
        Called in the block by the user, as often as wanted; in eval mode, say, on validation rows.

    Yields
    ------
    Activity
        Ask its `insight` within the block or after it.

    Examples
    --------
    >>> model = nn.Sequential(Sign())
    >>> with watch_activations(model) as activity:
    ...     _ = model(torch.tensor([[0.5, -0.5, 3.0], [0.1, 0.1, 2.0]]))
    >>> seen = activity.insight()["0"]
    >>> seen.n_neurons, seen.n_constant, round(seen.dead_share, 2)
    (3, 2, 0.33)
    """
    activity = Activity()

    def counter(name: str) -> Any:
        return lambda sign, inputs: activity.add(name, sign, inputs[0])

    handles = [
        module.register_forward_pre_hook(counter(name or "model"))
        for name, module in model.named_modules()
        if isinstance(module, Sign)
    ]
    try:
        yield activity
    finally:
        for handle in handles:
            handle.remove()
