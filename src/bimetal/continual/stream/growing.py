"""Nets that grow while they learn: more inputs behind the old ones, one more class.

Nothing that is there is touched: latent weights, their moments and so all that is remembered stay, and
an old row is answered as before until a new bit turns on. A binary weight is never 0 (the sign of 0 is
+1), so new inputs cannot begin silent; they begin as quiet as weights of ±1 allow, and so small that
the first gradients may turn any of them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn import BinaryLinear, Scale

__all__ = ["FIRST", "add_inputs", "add_output"]

FIRST = 0.05
"""Latent weights begin within ± this."""


@torch.no_grad()
def add_inputs(
    net: nn.Sequential, optimizer: torch.optim.Optimizer, order: Sequence[int], seed: int
) -> None:
    """Give the first layer more inputs, behind those it has.

    Along `order` the signs of a unit's new weights alternate. So whatever a thermometer says, the
    sum of a unit changes by 1 at most; a one-hot code and a bit for missing values change it by 1 too.

    Parameters
    ----------
    net : torch.nn.Sequential
        Begins with a `BinaryLinear`; changed in place.
    optimizer : torch.optim.Optimizer
        Of the net: its state grows along. New second moments begin at the mean of the old ones.
    order : sequence of int
        The new inputs (numbers from the old `n_in` on), those of a thermometer in the order in which
        they turn on.
    seed : int
        Of the new weights.

    Raises
    ------
    DataError
        When the net does not begin with a binary layer, or `order` is not what comes after its inputs.

    Examples
    --------
    >>> from bimetal.continual.learners.nets import row_net
    >>> net = row_net(3, 2, (4,), seed=0)
    >>> add_inputs(net, torch.optim.Adam(net.parameters()), [3, 4], seed=1)
    >>> net[0].n_in, net[0].latent_weight.shape
    (5, torch.Size([1, 4, 5]))
    """
    layer = net[0]
    n = len(order)
    if not isinstance(layer, BinaryLinear) or layer.groups != 1:
        raise DataError(f"the net must begin with a BinaryLinear, got {type(layer).__name__}")
    if sorted(order) != list(range(layer.n_in, layer.n_in + n)):
        raise DataError(f"the inputs from {layer.n_in} on expected, each once, got {list(order)!r}")
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (1, layer.n_out, 1), generator=generator) * 2.0 - 1
    rank = torch.empty(n, dtype=torch.long)
    rank[torch.tensor(order, dtype=torch.long) - layer.n_in] = torch.arange(n)
    size = torch.rand((1, layer.n_out, n), generator=generator).clamp_(min=0.02) * FIRST
    new = size * signs * (1.0 - 2.0 * (rank % 2))
    _grow(layer, optimizer, new, axis=2)
    layer.n_in += n


@torch.no_grad()
def add_output(net: nn.Sequential, optimizer: torch.optim.Optimizer, seed: int) -> None:
    """Give the net one more class: a row of the last binary layer, and its entry in the scale behind it.

    Parameters are those of `add_inputs`.

    Raises
    ------
    DataError
        When the net does not end with a `BinaryLinear` and a `Scale`.

    Examples
    --------
    >>> from bimetal.continual.learners.nets import row_net
    >>> net = row_net(3, 2, (4,), seed=0)
    >>> add_output(net, torch.optim.Adam(net.parameters()), seed=1)
    >>> net(torch.zeros(1, 3)).shape
    torch.Size([1, 3])
    """
    layer, scale = net[-2], net[-1]
    if not isinstance(layer, BinaryLinear) or not isinstance(scale, Scale):
        raise DataError("the net must end with a BinaryLinear and a Scale")
    generator = torch.Generator().manual_seed(seed)
    new = (torch.rand((1, 1, layer.n_in), generator=generator) * 2 - 1) * FIRST
    _grow(layer, optimizer, new, axis=1)
    layer.n_out += 1
    for name, first in (("scale", scale.scale[0].item()), ("offset", 0.0)):
        old = scale.get_parameter(name)
        longer = torch.cat([old.detach(), old.new_tensor([first])])
        setattr(scale, name, nn.Parameter(longer, requires_grad=old.requires_grad))


def _grow(layer: BinaryLinear, optimizer: torch.optim.Optimizer, new: Tensor, axis: int) -> None:
    """Put new latent weights behind the old ones, in the layer and in the state of the optimizer."""
    old = layer.latent_weight
    longer = nn.Parameter(torch.cat([old.detach(), new], axis))
    state = optimizer.state.pop(old, {})
    for name, value in state.items():
        if isinstance(value, Tensor) and value.shape == old.shape:
            fill = float(value.mean()) if name == "square" else 0.0
            state[name] = torch.cat([value, torch.full_like(new, fill)], axis)
    if state:
        optimizer.state[longer] = state
    for group in optimizer.param_groups:
        group["params"] = [longer if p is old else p for p in group["params"]]
    layer.latent_weight = longer
