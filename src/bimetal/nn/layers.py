"""Binary layers. A latent weight is the parameter; its binary view is computed, never stored.

`BinaryLinear` is a drop-in for `torch.nn.Linear` with ±1 weights (`BinaryConv2d` of
`bimetal.nn.conv` is the one for `torch.nn.Conv2d`). With `groups` > 1 it is that many
independent layers side by side, which is how an ensemble trains in one tensor.
"""

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.surrogates import binarize, surrogate

__all__ = ["BinaryLayer", "BinaryLinear", "Sign", "clip_latent", "latent_weights"]


class Sign(nn.Module):
    """Binarize activations: the sign as ±1, with a named surrogate gradient.

    Parameters
    ----------
    surrogate_name : str, default "clipped"
        A name in `bimetal.nn.SURROGATES`.
    """

    def __init__(self, surrogate_name: str = "clipped") -> None:
        super().__init__()
        self.surrogate_name = surrogate_name
        self._slope = surrogate(surrogate_name)

    def forward(self, x: Tensor) -> Tensor:
        """Return ±1 of the shape of `x`."""
        return binarize(x, self._slope)

    def extra_repr(self) -> str:
        """Name the surrogate when the layer is printed."""
        return repr(self.surrogate_name)


class BinaryLayer(nn.Module):
    """What binary layers share: a latent weight and its binary view.

    Parameters
    ----------
    shape : tuple of int
        Of the weights.
    surrogate_name : str
        Gradient of the weights' sign.
    generator : torch.Generator, optional
        Source of the initial latent weights, uniform in ±`init_bound`.
    init_bound : float
        Small beside the clip of 1, so that early gradients can flip any weight.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        surrogate_name: str,
        generator: torch.Generator | None,
        init_bound: float = 0.1,
    ) -> None:
        super().__init__()
        self.latent_weight = nn.Parameter(
            torch.rand(shape, generator=generator).mul_(2).sub_(1).mul_(init_bound)
        )
        self._slope = surrogate(surrogate_name)

    @property
    def binary_weight(self) -> Tensor:
        """±1 weights of the shape of the latent ones, with the surrogate gradient."""
        return binarize(self.latent_weight, self._slope)


class BinaryLinear(BinaryLayer):
    """Linear layer with weights −1 and +1, no bias (the norm that follows has one).

    Parameters
    ----------
    n_in, n_out : int
        Sizes of the whole input and output.
    groups : int, default 1
        Independent parts: part *g* of the output reads part *g* of the input.
    surrogate_name : str, default "clipped"
        Gradient of the weights' sign; with latent weights clipped to ±1, "clipped" equals the
        identity (BinaryConnect, Courbariaux et al. 2015, arXiv:1511.00363).
    generator : torch.Generator, optional
        Source of the initial latent weights, uniform in ±`init_bound`.
    init_bound : float, default 0.1
        Small beside the clip of 1, so that early gradients can flip any weight.

    Raises
    ------
    DataError
        When a size is not positive, or the sizes do not divide into the groups.

    Examples
    --------
    >>> layer = BinaryLinear(4, 3)
    >>> sorted(set(layer(torch.ones(1, 4)).flatten().tolist()) <= {-4.0, -2.0, 0.0, 2.0, 4.0} for _ in "x")
    [True]
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        groups: int = 1,
        surrogate_name: str = "clipped",
        generator: torch.Generator | None = None,
        init_bound: float = 0.1,
    ) -> None:
        if min(n_in, n_out, groups) < 1 or n_in % groups or n_out % groups:
            raise DataError(
                f"{n_in} inputs and {n_out} outputs do not divide into {groups} groups; all three "
                "must be positive, and groups a divisor of both"
            )
        shape = (groups, n_out // groups, n_in // groups)
        super().__init__(shape, surrogate_name, generator, init_bound)
        self.n_in, self.n_out, self.groups = n_in, n_out, groups

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in) to (n_rows, n_out)."""
        w = self.binary_weight
        if self.groups == 1:
            return x @ w[0].T
        parts = x.reshape(len(x), self.groups, w.shape[2]).transpose(0, 1)
        sums = torch.bmm(parts, w.transpose(1, 2)).transpose(0, 1).reshape(len(x), self.n_out)
        # torch's norms round differently on strided memory, and lowering asks them on contiguous
        return sums.contiguous()

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return f"{self.n_in}, {self.n_out}, groups={self.groups}"


def latent_weights(model: nn.Module) -> list[nn.Parameter]:
    """Return the latent weights of every binary layer in a model."""
    return [m.latent_weight for m in model.modules() if isinstance(m, BinaryLayer)]


@torch.no_grad()
def clip_latent(model: nn.Module, bound: float = 1.0) -> None:
    """Clip every latent weight to ±bound, as BinaryConnect does after each step."""
    for weight in latent_weights(model):
        weight.clamp_(-bound, bound)
