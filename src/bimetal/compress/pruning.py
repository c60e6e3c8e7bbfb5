"""Parameter pruning: the smallest weights set to zero, or whole channels taken out.

Both choose by magnitude, as `torch.nn.utils.prune` does it, and fine-tune afterwards (Han et al. 2015,
arXiv:1506.02626; filters by their norm: Li et al. 2017, arXiv:1608.08710). A zero saves room only where
the file is deflated, and no time at all without sparse kernels; a channel that is gone saves both.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from bimetal.compress.deploy import as_deflated, as_floats
from bimetal.compress.graph import chains, without_channels
from bimetal.compress.lesson import Lesson
from bimetal.compress.result import Candidate
from bimetal.errors import DataError

__all__ = ["channels_pruned", "kept_channels", "masked", "unmasked", "weights_pruned"]

FAMILY = "pruning"
SPARSITIES = (0.5, 0.8, 0.9, 0.95)
CHANNEL_SHARES = (0.25, 0.5, 0.75)
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)


def weights_pruned(lesson: Lesson) -> Iterator[Candidate]:
    """Set weights to zero, more and more of them, each time from the net that was pruned before."""
    model, seconds = lesson.copy(), 0.0
    for sparsity in lesson.levels(SPARSITIES):
        name = f"weights pruned, {sparsity:.0%}"
        masked(model, sparsity)
        seconds += lesson.tune(model, name)
        done = unmasked(model)
        note = f"the smallest {sparsity:.0%} of all weights are zero, net-wide; fine-tuned"
        yield Candidate(name, FAMILY, note, done, as_deflated, seconds)


def channels_pruned(lesson: Lesson) -> Iterator[Candidate]:
    """Take out the channels with the smallest norms, the same share of every layer."""
    for share in lesson.levels(CHANNEL_SHARES):
        name = f"channels pruned, {share:.0%}"
        model = without_channels(lesson.model, kept_channels(lesson.model, share))
        seconds = lesson.tune(model, name)
        note = f"{share:.0%} of the channels of each inner layer taken out; fine-tuned"
        yield Candidate(name, FAMILY, note, model, as_floats, seconds)


def masked(model: nn.Module, sparsity: float) -> nn.Module:
    """Mask the smallest weights of all layers together, in place; return the model.

    Masks hold through training, until `unmasked`. Masking again goes on from the weights that are left.

    Examples
    --------
    >>> net = masked(nn.Sequential(nn.Linear(10, 10)), 0.9)
    >>> int((net[0].weight != 0).sum())
    10
    """
    layers: list[Any] = [m for m in model.modules() if isinstance(m, WEIGHTED)]
    if not layers:
        raise DataError("the model has no linear or convolutional layer")
    n_zero = sum(int((m.weight_mask == 0).sum()) for m in layers if hasattr(m, "weight_mask"))
    more = round(sparsity * sum(m.weight.numel() for m in layers)) - n_zero
    if more > 0:
        prune.global_unstructured(
            [(m, "weight") for m in layers], prune.L1Unstructured, amount=more
        )
    return model


def unmasked(model: nn.Module) -> nn.Module:
    """Return a copy in which masked weights are plain zeros."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for layer in _masked_layers(model):  # a computed weight cannot be copied
        layer.weight = layer.weight_orig.detach()
    plain = copy.deepcopy(model)
    plain.load_state_dict(state)
    for layer in _masked_layers(plain):
        prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
    return plain.eval()


def _masked_layers(model: nn.Module) -> list[Any]:
    return [m for m in model.modules() if hasattr(m, "weight_orig")]


def kept_channels(model: nn.Module, share: float) -> dict[str, Tensor]:
    """Return, for each inner layer, the channels that are left when a share of them goes.

    Parameters
    ----------
    model : torch.nn.Module
        It is left as it is.
    share : float
        Of each layer's channels, those with the smallest Euclidean norm of weights; one is left at
        least.

    Raises
    ------
    DataError
        When no layer has channels that can be taken out.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> {name: len(rows) for name, rows in kept_channels(net, 0.75).items()}
    {'0': 2}
    """
    found = chains(model)
    if not found:
        raise DataError(
            "no layer has channels that can be taken out: none is read by exactly one other layer, "
            "channel by channel"
        )
    return {chain.producer: _largest(model.get_submodule(chain.producer), share) for chain in found}


def _largest(layer: nn.Module, share: float) -> Tensor:
    n = len(layer.get_parameter("weight"))
    amount = min(n - 1, round(share * n))
    if not amount:
        return torch.arange(n)
    trial = copy.deepcopy(layer)
    prune.ln_structured(trial, "weight", amount, n=2, dim=0)  # type: ignore[no-untyped-call]
    is_kept: Tensor = trial.get_buffer("weight_mask").flatten(1).any(1)
    return is_kept.nonzero()[:, 0]
