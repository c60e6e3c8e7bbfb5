"""`transfer`: weights from one net into another by name, and not one of them lost in silence.

Training in stages hands weights on, and a loader that skips what does not fit hands on nothing when a
name has changed: in the public two-step code of ReActNet, 28.3 of 29.3 million parameters are dropped
so. Here every tensor has a partner, or is named by the caller as one that needs none, or it is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from bimetal.errors import DataError

__all__ = ["Transfer", "transfer"]

RENAMED = ("weight", "latent_weight")
"""Last parts of names that mean the same tensor in a float net and in its binary twin."""


@dataclass(frozen=True)
class Transfer:
    """What a transfer did.

    Attributes
    ----------
    copied : tuple of pairs of str
        Names in the source and in the target.
    left_behind : tuple of str
        Tensors of the source that went nowhere, all allowed.
    as_before : tuple of str
        Tensors of the target that got nothing, all allowed.
    n_values : int
        Numbers that were copied.
    """

    copied: tuple[tuple[str, str], ...]
    left_behind: tuple[str, ...]
    as_before: tuple[str, ...]
    n_values: int

    def __str__(self) -> str:
        lines = [f"{len(self.copied)} tensors copied, {self.n_values:,} numbers"]
        lines += [f"  {a} → {b}" for a, b in self.copied if a != b]
        lines += [f"  {name}: left behind" for name in self.left_behind]
        lines += [f"  {name}: as before" for name in self.as_before]
        return "\n".join(lines)


def transfer(
    source: nn.Module | Mapping[str, Tensor],
    target: nn.Module,
    allow: Sequence[str] = (),
) -> Transfer:
    """Copy all parameters and buffers of one net into another, in place.

    A tensor goes to the one of the same name, or, between a binary net and a float one, from "weight"
    to "latent_weight" of the same layer, or back. Shapes have to be equal, but for a 1 in front: a
    `BinaryLinear` of one group has (1, n_out, n_in). The numbers are copied as they are; latent
    weights beyond the clip are clipped at the first step of a training.

    Parameters
    ----------
    source : torch.nn.Module or mapping of str to torch.Tensor
        A net, or its state.
    target : torch.nn.Module
        Changed in place, unless an error is raised.
    allow : sequence of str
        Names, or globs, of tensors of either net that may go without a partner.

    Returns
    -------
    Transfer
        What was copied and what was not.

    Raises
    ------
    DataError
        When a tensor of either net has no partner of its shape and its name is not allowed; all of
        them are named, and nothing is changed.

    Examples
    --------
    >>> from bimetal.nn import BinaryLinear, float_twin
    >>> net = nn.Sequential(BinaryLinear(4, 2))
    >>> print(transfer(float_twin(net), net))
    1 tensors copied, 8 numbers
      0.weight → 0.latent_weight
    """
    if isinstance(allow, str):
        raise DataError(f"allow must be a sequence of names, got {allow!r}")
    given = dict(source.state_dict() if isinstance(source, nn.Module) else source)
    wanted = target.state_dict()
    pairs = {a: b for a in given if (b := _partner(a, given, wanted)) is not None}
    fitting = {a: b for a, b in pairs.items() if _fits(given[a], wanted[b])}
    left_behind = [a for a in given if a not in fitting]
    as_before = [b for b in wanted if b not in fitting.values()]
    _check(given, wanted, pairs, left_behind, as_before, allow)
    with torch.no_grad():
        for a, b in fitting.items():
            wanted[b].copy_(given[a].reshape(wanted[b].shape))
    n = sum(given[a].numel() for a in fitting)
    return Transfer(tuple(fitting.items()), tuple(left_behind), tuple(as_before), n)


def _partner(name: str, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """Return the name in the target, unless another tensor of the source has the better claim on it."""
    if name in wanted:
        return name
    layer, dot, own = name.rpartition(".")
    for mine, other in (RENAMED, RENAMED[::-1]):
        renamed = f"{layer}{dot}{other}"
        if own == mine and renamed in wanted and renamed not in given:
            return renamed
    return None


def _fits(a: Tensor, b: Tensor) -> bool:
    long, short = (a, b) if a.ndim > b.ndim else (b, a)
    same_shape = long.shape in (short.shape, (1, *short.shape))
    return same_shape and a.is_floating_point() == b.is_floating_point()


def _check(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    pairs: Mapping[str, str],
    left_behind: list[str],
    as_before: list[str],
    allow: Sequence[str],
) -> None:
    """Raise unless everything without a partner is allowed to be."""
    lost, unset = (
        [name for name in names if not any(fnmatchcase(name, glob) for glob in allow)]
        for names in (left_behind, as_before)
    )
    if not lost and not unset:
        return
    told = [f"{a} {_shape(given[a])} of the source {_why(a, given, wanted, pairs)}" for a in lost]
    told += [f"{b} {_shape(wanted[b])} of the target gets nothing" for b in unset]
    n_lost, n_given = sum(given[a].numel() for a in lost), sum(t.numel() for t in given.values())
    raise DataError(
        f"{n_lost:,} of {n_given:,} numbers of the source would be lost, and "
        f"{sum(wanted[b].numel() for b in unset):,} of the target would keep what they are:\n  "
        + "\n  ".join(told)
        + "\nGive the layers the same names and shapes, or name in allow what shall have no partner. "
        "Nothing was changed"
    )


def _why(
    a: str, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], pairs: Mapping[str, str]
) -> str:
    if a not in pairs:
        return "has no partner"
    return f"does not fit {pairs[a]} {_shape(wanted[pairs[a]])}"


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}"
