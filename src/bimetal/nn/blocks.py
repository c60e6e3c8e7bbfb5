"""Networks made of binary layers.

`BinaryMLP` is the tabular net of the house: bits in, several small members side by side, each with
its own float readout; their mean is the answer (TabM, Gorishniy et al. 2024, arXiv:2410.24210, is the
float-valued relative; BENN, Zhu et al. 2018, arXiv:1806.07550, why binary nets gain most from it).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.layers import BinaryLinear, Sign

__all__ = ["BinaryMLP"]


class BinaryMLP(nn.Module):
    """Members of binary hidden layers on shared input bits, plus a linear path around them.

    Parameters
    ----------
    n_bits : int
        Input bits, given as −1.0 and +1.0.
    n_outputs : int
        Answers of each member.
    hidden : sequence of int
        Neurons of each hidden layer of a member; at least one layer.
    n_members : int
        Members trained side by side.
    surrogate_name : str, default "clipped"
        Surrogate of activations and weights.
    dropout : float, default 0.1
        Share of hidden activations dropped while training.
    generator : torch.Generator, optional
        Source of the initial weights.

    Examples
    --------
    >>> net = BinaryMLP(6, 1, hidden=(4, 4), n_members=3)
    >>> net(torch.ones(5, 6)).shape
    torch.Size([5, 3, 1])
    """

    def __init__(
        self,
        n_bits: int,
        n_outputs: int,
        hidden: Sequence[int] = (64, 64),
        n_members: int = 8,
        surrogate_name: str = "clipped",
        dropout: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1 or n_members < 1:
            raise DataError(
                f"hidden layers and members must be positive, got {hidden}, {n_members}"
            )
        self.n_members, self.n_outputs = n_members, n_outputs
        layers: list[nn.Module] = []
        n_in, groups = n_bits, 1  # the first layer reads the same bits for every member
        for width in hidden:
            n_out = n_members * width
            layers += [
                BinaryLinear(n_in, n_out, groups, surrogate_name, generator),
                nn.BatchNorm1d(n_out),
                Sign(surrogate_name),
                nn.Dropout(dropout),
            ]
            n_in, groups = n_out, n_members
        self.hidden = nn.Sequential(*layers)
        self.readout = nn.Parameter(torch.zeros(n_members, hidden[-1], n_outputs))
        self.linear = _linear_without_drawing(n_bits, n_outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, bits: Tensor) -> Tensor:
        """Map (n_rows, n_bits) of ±1 to (n_rows, n_members, n_outputs)."""
        fired: Tensor = self.hidden(bits).view(len(bits), self.n_members, self.readout.shape[1])
        members = torch.einsum("bmh,mho->bmo", fired, self.readout)
        around: Tensor = self.linear(bits)
        return members + around[:, None]

    def binary_layers(self) -> list[tuple[BinaryLinear, nn.BatchNorm1d]]:
        """Return the hidden layers with their norms, first to last."""
        modules = list(self.hidden)
        return [
            (layer, norm)
            for layer, norm in zip(modules[::4], modules[1::4], strict=True)
            if isinstance(layer, BinaryLinear) and isinstance(norm, nn.BatchNorm1d)
        ]


def _linear_without_drawing(n_in: int, n_out: int) -> nn.Linear:
    """Return an uninitialised layer: torch's own start would draw from the global generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, n_in, n_out)  # type: ignore[no-untyped-call]
    return layer
