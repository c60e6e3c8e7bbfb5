"""`binarize_`: an existing net turned binary in place, by rule, with a list of what became of what.

Each layer that the policy means is replaced by a small sequence with the same input and output:
norm → sign → binary layer → bias. So the net around it, whatever its forward does, stays as it is.
Nothing is guessed from shapes, and a layer that is meant but cannot be replaced is an error.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.inventory import Found, inventory, kind_of, obstacles, remark
from bimetal.nn.policy import SPECIALS, Policy, is_named
from bimetal.nn.policy import policy as named_policy
from bimetal.nn.replacement import loses_all, replacement

__all__ = ["Conversion", "LayerChange", "binarize_"]


@dataclass(frozen=True)
class LayerChange:
    """What became of one layer.

    Attributes
    ----------
    name : str
        Of the layer; of all its places, where it stands in several.
    kind : str
        Its class.
    became : str
        What stands there now; empty where the layer stayed.
    why : str
        Why it stayed, or what else there is to say of the new one.
    n_weights : int
        Of the layer, biases left out.
    """

    name: str
    kind: str
    became: str
    why: str
    n_weights: int


@dataclass(frozen=True)
class Conversion:
    """What `binarize_` did: a table when printed.

    Attributes
    ----------
    layers : tuple of LayerChange
        All layers with weights, in the order of their names.
    """

    layers: tuple[LayerChange, ...]

    @property
    def replaced(self) -> tuple[str, ...]:
        """Names of the layers that are binary now."""
        return tuple(layer.name for layer in self.layers if layer.became)

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the layers that stayed as they were."""
        return tuple(layer.name for layer in self.layers if not layer.became)

    def __str__(self) -> str:
        rows = [(x.name, x.kind, x.became or "–", x.why) for x in self.layers]
        n = sum(x.n_weights for x in self.layers)
        n_binary = sum(x.n_weights for x in self.layers if x.became)
        return (
            f"{_table(('layer', 'was', 'became', 'why'), rows)}\n"
            f"{len(self.replaced)} of {len(rows)} layers made binary, {n_binary:,} of {n:,} weights "
            f"({n_binary / max(n, 1):.1%})"
        )


def binarize_(
    model: nn.Module,
    policy: Policy | str = "xnor",
    example: Tensor | Sequence[Any] | None = None,
) -> Conversion:
    """Make the layers of a net binary, in place.

    * Weights become latent weights with the same signs. Where the largest of a layer exceeds the
      binarizer's clip, all of them are multiplied by clip / largest; others are copied as they are,
      so that a scale such as mean |w| approximates the float layer. A learned scale begins at
      mean |w| of each output.
    * A bias becomes a `Shift` after the binary layer.
    * Padding keeps its size; where the input is binary, it counts as the policy's `pad_value`, else
      as 0. Strides, dilations and groups stay; "same" becomes numbers where they are whole.
    * A linear layer goes on reading its last axis, whatever the others are (`Rows`).
    * A layer that stands in several places is replaced by one layer in all of them.

    Norms that are put before signs begin with mean 0 and variance 1 and get their statistics in
    training. Build optimizers after the conversion, since the parameters are new ones. torch's random
    generator is not touched.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place; not itself the layer to change.
    policy : Policy or str, default "xnor"
        A `Policy`, or the name of one in `POLICIES`.
    example : torch.Tensor or sequence, optional
        An input of the net, or its arguments: "first" and "last" then go by the order in which
        layers run, otherwise by that of ``named_modules``.

    Returns
    -------
    Conversion
        What was replaced, what stayed, and why; a table when printed.

    Raises
    ------
    DataError
        When the policy means no layer, names one that is not there, or means one that cannot be
        replaced (all of them are named). Nothing is changed then.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> print(binarize_(net, "xnor"))
    layer  was     became                                     why
    0      Linear  –                                          kept: first
    2      Linear  BatchNorm1d → Sign → BinaryLinear → Shift
    4      Linear  –                                          kept: last
    1 of 3 layers made binary, 64 of 112 weights (57.1%)
    """
    rule = named_policy(policy)
    layers = inventory(model, example)
    _check_names(rule, layers)
    reasons = [_reason(found, rule) for found in layers]
    if all(reasons):
        raise DataError(_nothing_to_do(layers, reasons))
    _check_obstacles(layers, reasons, rule, model)
    changes = []
    for found, reason in zip(layers, reasons, strict=True):
        new, note = (None, reason) if reason else _replaced(found, rule)
        if new is not None:
            _put(model, found.names, new)
        changes.append(_change(found, new, note))
    return Conversion(tuple(changes))


def _is_meant(found: Found, patterns: tuple[str, ...]) -> bool:
    return is_named(found.names, patterns, found.ends)


def _check_names(rule: Policy, layers: list[Found]) -> None:
    """Refuse names that no layer has: a misspelt one would silently do nothing."""
    for part in ("keep", "only", "real_input"):
        for pattern in getattr(rule, part) if layers else ():
            if pattern not in SPECIALS and not any(
                _is_meant(found, (pattern,)) for found in layers
            ):
                raise DataError(
                    f"{part} names {pattern!r}, which is no layer of this net; "
                    f"there are {_listed(found.name for found in layers)}"
                )


def _reason(found: Found, rule: Policy) -> str:
    """Return why a layer stays, or nothing where it is replaced."""
    if _is_meant(found, rule.keep):
        ends = [end for end in found.ends if end in rule.keep]
        return f"kept: {' and '.join(ends) or 'by name'}"
    if not _is_meant(found, rule.only):
        return "not named by only"
    return remark(found, rule.kinds)


def _nothing_to_do(layers: list[Found], reasons: list[str]) -> str:
    if not layers:
        return "the policy makes no layer binary: the net has no layer with weights"
    each = [f"{x.name} ({kind_of(x.layer)}: {r})" for x, r in zip(layers, reasons, strict=True)]
    return f"the policy makes no layer binary; the layers are {_listed(each)}"


def _check_obstacles(
    layers: list[Found], reasons: list[str], rule: Policy, model: nn.Module
) -> None:
    meant = [x for x, reason in zip(layers, reasons, strict=True) if not reason]
    problems = [
        f"'{x.name}' ({kind_of(x.layer)}): {words}"
        for x in meant
        for words in obstacles(x, model) or loses_all(x.layer, rule)
    ]
    if problems:
        raise DataError(
            f"cannot make binary {'; '.join(problems)}. Or name them in the policy's keep. "
            "Nothing was changed"
        )


def _replaced(found: Found, rule: Policy) -> tuple[nn.Module, str]:
    is_real = rule.activations is None or _is_meant(found, rule.real_input)
    new, note = replacement(found.layer, rule, is_real)
    return new, "; ".join(words for words in ("input stays real" if is_real else "", note) if words)


def _put(model: nn.Module, names: tuple[str, ...], new: nn.Module) -> None:
    """Put one module in all places in which the old one stood."""
    for name in names:
        around, _, own = name.rpartition(".")
        model.get_submodule(around).register_module(own, new)


def _change(found: Found, new: nn.Module | None, why: str) -> LayerChange:
    became = "" if new is None else " → ".join(type(piece).__name__ for piece in new.children())
    n = sum(p.numel() for p in found.layer.parameters() if p.ndim > 1)
    return LayerChange(", ".join(found.names), kind_of(found.layer), became, why, n)


def _listed(words: Iterable[str], most: int = 30) -> str:
    words = list(words)
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    )
