"""Weights of few levels on a layer of the user's model: DoReFa's grid, times a scale of each output.

DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160) puts weights on 2^k levels within ±1, and trusts the
batch norm that follows to restore their size. The user's model may have no norm, so here each output
has a learned scale, which begins where the grid is closest to the user's weights.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bimetal.errors import DataError
from bimetal.nn.kbit import DoReFaWeight

__all__ = ["Grid", "on_grid"]

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)


class Grid(nn.Module):
    """A parametrization of weights: w → scale of the output · DoReFa_k(w).

    Parameters
    ----------
    n_bits : int
        2 to 8; for one bit there is BinaryConnect.
    weight : torch.Tensor
        The weights to be close to at first, (n_out, ...).

    Raises
    ------
    DataError
        When there are not 2 to 8 bits.
    """

    def __init__(self, n_bits: int, weight: Tensor) -> None:
        super().__init__()
        if not 2 <= n_bits <= 8:
            raise DataError(f"a grid of weights has 2 to 8 bits, got {n_bits}")
        self.n_bits, self.levels = n_bits, DoReFaWeight(n_bits)
        with torch.no_grad():
            level, w = self.levels(weight).flatten(1), weight.flatten(1)
            closest = (level * w).sum(1) / level.square().sum(1).clamp_min(1e-12)
        self.scale = nn.Parameter(closest)

    def forward(self, w: Tensor) -> Tensor:
        """Map weights (n_out, ...) to the same shape."""
        levels: Tensor = self.levels(w)
        return levels * self.scale.view(-1, *[1] * (w.ndim - 1))

    def codes(self, w: Tensor) -> Tensor:
        """Return the number of each weight's level, 0 to 2^k − 1, as uint8."""
        with torch.no_grad():
            levels: Tensor = self.levels(w)
            steps = (levels + 1) / 2 * (2**self.n_bits - 1)
            codes: Tensor = steps.round().to(torch.uint8)
            return codes


def on_grid(model: nn.Module, n_bits: int) -> nn.Module:
    """Put all weights of linear and convolutional layers on 2^k levels, in place; return the model.

    Examples
    --------
    >>> net = on_grid(nn.Sequential(nn.Linear(8, 1)), n_bits=2)
    >>> len(net[0].weight.unique()) <= 4
    True
    """
    for layer in [m for m in model.modules() if isinstance(m, WEIGHTED)]:
        grid = Grid(n_bits, layer.weight.detach())
        parametrize.register_parametrization(layer, "weight", grid)
    return model
