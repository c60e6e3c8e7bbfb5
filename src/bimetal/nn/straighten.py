"""A net with a forward of its own, written anew as nested `torch.nn.Sequential` and `Residual`.

The layers are those of the net, not copies, so that both are trained as one; functions become layers.
Layers of one module of the net stand together in a sequence of its name, so names are nearly kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from torch import nn

from bimetal.nn.residual import Residual
from bimetal.nn.tracing import is_sequence
from bimetal.nn.ways import Layer, Step, Sum, free_name, joined, steps

__all__ = ["Straight", "as_sequence", "straightened"]


@dataclass(frozen=True)
class Straight:
    """A net as a sequence.

    Attributes
    ----------
    row : torch.nn.Module
        The sequence; the net itself where it is one, or a single layer.
    names : dict of str to str
        For the modules of the row, what they are called in the net: "layer1.0.conv1" of
        "layer1.0.add.branch.conv1"; empty where the net itself is the row.
    """

    row: nn.Module
    names: dict[str, str]


def as_sequence(model: nn.Module) -> nn.Sequential:
    """Return a net as nested `torch.nn.Sequential` and `Residual`, whatever its own forward looks like.

    The layers are the same objects: to train one of both is to train the other. It answers as the net
    does in eval mode, and in training as well unless the forward does something else there.

    Understood are modules of `torch.nn` and of this library with one input and one output, and classes
    derived from them, each called as often as one likes; functions and methods for activations,
    poolings, dropout and flatten; ``x.mean((2, 3))``; ``x.view(x.size(0), -1)``; sums of two ways from
    one value, nested and in chains, ``+=`` among them; and ``torch.cat([x, x], 1)``, which is `Repeat`.

    Parameters
    ----------
    model : torch.nn.Module
        It is left as it is; one that is a sequence already is returned itself.

    Raises
    ------
    DataError
        When it cannot be traced or written so; the step is named, with what to do.

    Examples
    --------
    >>> import torch
    >>> class Block(nn.Module):
    ...     __module__ = "yours"  # not of this library, whose classes are layers
    ...     def __init__(self) -> None:
    ...         super().__init__()
    ...         self.conv, self.act = nn.Conv2d(4, 4, kernel_size=1), nn.Tanh()
    ...     def forward(self, x):
    ...         return torch.relu(self.act(self.conv(x)) + x)
    >>> as_sequence(Block())
    Sequential(
      (add): Residual(
        (branch): Sequential(
          (conv): Conv2d(4, 4, kernel_size=(1, 1), stride=(1, 1))
          (act): Tanh()
        )
        (shortcut): Identity()
      )
      (relu): ReLU()
    )
    """
    row = straightened(model).row
    return row if isinstance(row, nn.Sequential) else nn.Sequential(row)


def straightened(model: nn.Module) -> Straight:
    """Return a net as `as_sequence` does, with what its layers are called in the net.

    Parameters and errors are those of `as_sequence`.

    Examples
    --------
    >>> straightened(nn.Sequential(nn.ReLU())).names
    {}
    """
    if is_sequence(model):
        return Straight(model, {})
    names, known = dict[str, str](), set(model.modules())
    row = _sequence(steps(model), "", "", names)
    for module in row.modules():
        if module not in known:
            module.training = model.training
    if hasattr(model, "image_shape"):
        row.image_shape = model.image_shape
    return Straight(row, names)


def _sequence(
    found: Iterable[Step], around: str, path: str, names: dict[str, str]
) -> nn.Sequential:
    """Return steps as a sequence; those of one module of the net together, in one of its name.

    Parameters
    ----------
    found : iterable of Layer and Sum
        The steps.
    around : str
        The module of the net in which they are.
    path : str
        Where the sequence will stand.
    names : dict of str to str
        What is found in it is added.
    """
    row = nn.Sequential()
    for place, step in _grouped(found, around):
        key = free_name(place.own, row._modules)
        here = joined(path, key)
        if isinstance(step, list):
            row.add_module(key, _sequence(step, joined(place.seen_from, place.own), here, names))
        else:
            row.add_module(key, _module(step, here, names))
    return row


class _Place(NamedTuple):
    """The module that a step is seen from, the next name from there, and whether it is further inside."""

    seen_from: str
    own: str
    is_inside: bool


def _grouped(found: Iterable[Step], around: str) -> Iterator[tuple[_Place, Step | list[Step]]]:
    """Return single steps, and in a list those one after another that are inside the same module."""
    for place, run in groupby(found, lambda step: _place(step.name, around)):
        if place.is_inside:
            yield place, list(run)
        else:
            yield from ((place, step) for step in run)


def _place(name: str, around: str) -> _Place:
    seen_from = around if name.startswith(f"{around}.") else ""
    own, _, rest = name[len(seen_from) :].removeprefix(".").partition(".")
    return _Place(seen_from, own, bool(rest))


def _module(step: Step, here: str, names: dict[str, str]) -> nn.Module:
    names[here] = step.name
    if isinstance(step, Layer):
        for inside, _ in step.layer.named_modules():
            names[joined(here, inside)] = joined(step.name, inside)
        return step.layer
    branch = _way(step, 0, f"{here}.branch", names)
    return Residual(
        nn.Identity() if branch is None else branch, _way(step, 1, f"{here}.shortcut", names)
    )


def _way(step: Sum, i: int, here: str, names: dict[str, str]) -> nn.Sequential | None:
    found = (step.branch, step.shortcut)[i]
    return _sequence(found, step.around[i], here, names) if found else None
