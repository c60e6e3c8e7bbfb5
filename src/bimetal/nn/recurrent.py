"""What recurrent layers with binary weights share, and the plainest of them, whose state is bits.

All of them read (n_rows, n_steps, n_in) and return the outputs of every step and the last state. The
product with the input is made for all steps at once, and binary weights are worked out once a call.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.binarizers import Binarizer
from bimetal.nn.layers import BinaryLinear, Sign
from bimetal.nn.step_norm import NormName, step_norm

__all__ = ["BinaryRNN", "Recurrent"]


def _once(layer: BinaryLinear) -> Callable[[Tensor], Tensor]:
    """Return the layer with its weights worked out, so that all steps of a call have the same ones."""
    weight, alpha = layer._working()
    w = weight[0].T
    return lambda x: x @ w if alpha is None else x @ w * alpha


class Recurrent(nn.Module):
    """What the layers share: two binary products, and a loop over steps.

    Parameters
    ----------
    n_in, n_hidden : int
        Features of a step, and of the state.
    norm : {"affine", "batch", "layer", "none"}
        A name in `STEP_NORMS`; see `step_norm`.
    n_steps : int or None
        Steps with statistics of their own where the norm is "batch".
    is_input_binary : bool
        Whether the input's product reads its signs.
    surrogate_name : str
        Of all signs of activations.
    binarizer : Binarizer or str
        Of the weights.
    generator : torch.Generator or None
        Source of the initial weights.
    """

    n_gates = 1

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        norm: NormName,
        n_steps: int | None,
        is_input_binary: bool,
        surrogate_name: str,
        binarizer: Binarizer | str,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        if min(n_in, n_hidden) < 1:
            raise DataError(f"sizes must be at least 1, got {n_in} inputs and {n_hidden} hidden")
        self.n_in, self.n_hidden, self.norm = n_in, n_hidden, norm
        self.is_input_binary = is_input_binary
        self.sign = Sign(surrogate_name)
        n = self.n_gates * n_hidden
        self.input = BinaryLinear(n_in, n, binarizer=binarizer, generator=generator)
        self.recurrent = BinaryLinear(n_hidden, n, binarizer=binarizer, generator=generator)

    def _products(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return the input's product, (n_steps, n_rows, n), and the state's as a function."""
        if x.ndim != 3 or x.shape[2] != self.n_in:
            raise DataError(f"expected (n_rows, n_steps, {self.n_in}), got {tuple(x.shape)}")
        if not x.shape[1]:
            raise DataError("a sequence has at least one step, got 0")
        read = self.sign(x) if self.is_input_binary else x
        return _once(self.input)(read).transpose(0, 1), _once(self.recurrent)

    def _start(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Return the state to begin with, (n_rows, n_hidden): without one, zeros."""
        if state is None:
            return x.new_zeros(len(x), self.n_hidden)
        if state.shape != (1, len(x), self.n_hidden):
            raise DataError(
                f"expected a state of shape (1, {len(x)}, {self.n_hidden}), got {tuple(state.shape)}"
            )
        return state[0]

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return f"{self.n_in}, {self.n_hidden}, norm={self.norm!r}"


class BinaryRNN(Recurrent):
    """h_t = sign(norm(W x_t + U h_{t−1})): a recurrent layer whose state is bits.

    With ±1 inputs (or `is_input_binary`), a step in evaluation is a whole sum and one threshold a
    neuron, unless the norm is "layer". Without a state, the first step reads none: its U h is 0.

    Parameters
    ----------
    n_in, n_hidden : int
        Features of a step, and of the state.
    norm : {"affine", "batch", "layer", "none"}, default "affine"
        Of the sum: a learned scale and offset; batch norm with statistics for each step; layer norm;
        or an offset alone, which leaves sums beyond the reach of most surrogates. Batch norm remembers
        longest: the first of 24 symbols in 3 of 3 trials, "affine" in 1 of 3 (of 8, both always).
    n_steps : int, optional
        Steps with statistics of their own where the norm is "batch": the length of the sequences.
    is_input_binary : bool, default False
        Whether the input's product reads its signs.
    surrogate_name : str, default "clipped"
        Of the signs.
    binarizer : Binarizer or str, default "binarynet"
        Of the weights.
    generator : torch.Generator, optional
        Source of the initial weights.

    Raises
    ------
    DataError
        When a size is not positive or the norm unknown; in a call, when a shape does not fit.

    Examples
    --------
    >>> outputs, state = BinaryRNN(3, 5)(torch.randn(2, 7, 3))
    >>> outputs.shape, state.shape, sorted(set(outputs.flatten().tolist()))
    (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]), [-1.0, 1.0])
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        norm: NormName = "affine",
        n_steps: int | None = None,
        is_input_binary: bool = False,
        surrogate_name: str = "clipped",
        binarizer: Binarizer | str = "binarynet",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            n_in, n_hidden, norm, n_steps, is_input_binary, surrogate_name, binarizer, generator
        )
        self.sum_norm = step_norm(norm, n_hidden, n_steps, 1.0, n_in + n_hidden)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (n_rows, n_steps, n_in) to outputs (n_rows, n_steps, n_hidden) and the last state.

        A state is (1, n_rows, n_hidden) of ±1.
        """
        h, outputs = self._start(x, state), []
        inputs, recurrent = self._products(x)
        for step, product in enumerate(inputs):
            h = self.sign(self.sum_norm(product + recurrent(h), step))
            outputs.append(h)
        return torch.stack(outputs, 1), h[None]
