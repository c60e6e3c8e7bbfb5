"""`binarize_`: an existing net turned binary in place, by rule, with a list of what became of what.

Each layer that the policy means is replaced by a small sequence with the same input and output:
norm → sign → binary layer → bias. So the net around it, whatever its forward does, stays as it is.
Nothing is guessed from shapes, and a layer that cannot be replaced as it should be is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.conversion import Conversion
from bimetal.nn.inventory import Found, inventory
from bimetal.nn.policy import Policy, policy

__all__ = ["binarize_"]


@dataclass(frozen=True)
class _Verdict:
    """What shall become of a layer: it is replaced, or stays, and why."""

    found: Found
    is_replaced: bool
    why: str


def binarize_(
    model: nn.Module,
    how: Policy | str = "xnor",
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
    how : Policy or str, default "xnor"
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
        replaced; all such layers are named, and nothing is changed.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> print(binarize_(net, "xnor"))
    layer  was     became                                     why
    0      Linear  –                                          first layer
    2      Linear  BatchNorm1d → Sign → BinaryLinear → Shift
    4      Linear  –                                          last layer
    1 of 3 layers binary, 64 of 112 weights (57.1 %)
    """
    rule = policy(how)
    layers = inventory(model, example)
    _check_names(rule, layers)
    verdicts = [_verdict(found, rule) for found in layers]
    if not any(verdict.is_replaced for verdict in verdicts):
        raise DataError(_nothing_to_do(verdicts))
    changes = [_change(verdict, rule) for verdict in verdicts]
    _put(
        {id(new): (v.found, new) for v, (_, new) in zip(verdicts, changes, strict=True) if new},
        model,
    )
    return Conversion(tuple(change for change, _ in changes))
