"""Attention whose projections are binary and whose softmax is real.

The four projections hold all weights and nearly all the work, so they are what becomes bits: binary
weights, and signs with learned thresholds before them. What lies between stays real: BiBERT (Qin et
al. 2022, arXiv:2203.06390) and BiT (Liu et al. 2022, arXiv:2205.13016) binarize queries, keys, values
and the attention weights as well, and need distillation from a float teacher to bear it.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from bimetal.errors import DataError
from bimetal.nn.adaptive import rsign
from bimetal.nn.binarizers import Binarizer
from bimetal.nn.layers import BinaryLinear

__all__ = ["BinaryAttention"]


class BinaryAttention(nn.Module):
    """Attention of several heads, with binary projections and without biases.

    Parameters
    ----------
    n_features : int
        Of the input, the output, and the queries, keys and values of all heads together.
    n_heads : int, default 1
        A divisor of `n_features`.
    is_input_binary : bool, default True
        Whether each projection reads signs, with a learned threshold for each feature (`rsign`),
        rather than real numbers.
    is_causal : bool, default False
        Whether a step sees itself and earlier steps only.
    surrogate_name : str, default "clipped"
        Of those signs.
    binarizer : Binarizer or str, default "xnor_corrected"
        Of the weights. It centres each output's weights and scales them by their mean size, as
        BiBERT does (which takes the scale for a constant); without a scale the softmax begins
        saturated.
    generator : torch.Generator, optional
        Source of the initial weights.

    Raises
    ------
    DataError
        When sizes are not positive, or heads do not divide the features; in a call, when the shape
        does not fit, or a causal layer is given another `memory` than its own input.

    Examples
    --------
    >>> layer = BinaryAttention(8, n_heads=2, is_causal=True)
    >>> layer(torch.randn(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        n_features: int,
        n_heads: int = 1,
        is_input_binary: bool = True,
        is_causal: bool = False,
        surrogate_name: str = "clipped",
        binarizer: Binarizer | str = "xnor_corrected",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(n_features, n_heads) < 1 or n_features % n_heads:
            raise DataError(
                f"{n_features} features do not divide into {n_heads} heads; both must be positive, "
                "and heads a divisor of features"
            )
        self.n_features, self.n_heads, self.is_causal = n_features, n_heads, is_causal

        def projection() -> nn.Sequential:
            signs = rsign(n_features, surrogate_name) if is_input_binary else ()
            linear = BinaryLinear(n_features, n_features, binarizer=binarizer, generator=generator)
            return nn.Sequential(*signs, linear)

        self.query, self.key, self.value = projection(), projection(), projection()
        self.out = projection()

    def forward(
        self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Map (n_rows, n_steps, n_features) to the same shape.

        Parameters
        ----------
        x : torch.Tensor
            What asks.
        memory : torch.Tensor, optional
            What is asked, (n_rows, n_places, n_features); by default x.
        mask : torch.Tensor, optional
            True where a step may look at a place: a shape that broadcasts with
            (n_rows, n_heads, n_steps, n_places). A step that may look nowhere answers from zeros.
        """
        self._check(x, memory)
        asked = x if memory is None else memory
        queries = self._heads(self.query, x)
        keys, values = self._heads(self.key, asked), self._heads(self.value, asked)
        allowed = self._allowed(x, asked, mask)
        mixed = scaled_dot_product_attention(queries, keys, values, allowed)
        return _by_step(self.out, mixed.transpose(1, 2).flatten(2))

    def _heads(self, projection: nn.Module, x: Tensor) -> Tensor:
        """Project to (n_rows, n_heads, n_steps, features of a head)."""
        sizes = (*x.shape[:2], self.n_heads, self.n_features // self.n_heads)
        return _by_step(projection, x).view(sizes).transpose(1, 2)

    def _allowed(self, x: Tensor, asked: Tensor, mask: Tensor | None) -> Tensor | None:
        """Return where a step may look at a place, (..., n_steps, n_places); None is everywhere."""
        if mask is None and not self.is_causal:
            return None
        allowed = torch.ones(x.shape[1], asked.shape[1], dtype=torch.bool, device=x.device)
        past = allowed.tril() if self.is_causal else allowed
        return past if mask is None else past & mask

    def _check(self, x: Tensor, memory: Tensor | None) -> None:
        for given in (x,) if memory is None else (x, memory):
            if given.ndim != 3 or given.shape[2] != self.n_features:
                raise DataError(
                    f"expected (n_rows, n_steps, {self.n_features}), got {tuple(given.shape)}"
                )
        if self.is_causal and memory is not None:
            raise DataError(
                "a causal layer attends to its own input; build it with is_causal=False"
            )

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return f"{self.n_features}, n_heads={self.n_heads}, is_causal={self.is_causal}"


def _by_step(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer on rows (n, n_features) to every step of (n_rows, n_steps, n_features)."""
    made: Tensor = layer(x.flatten(0, 1))
    return made.view(*x.shape[:2], made.shape[1])
