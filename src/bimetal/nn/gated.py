"""GRU and LSTM with binary weights.

Weights of ±1 make sums so large that gates saturate and gradients explode; a norm on each of the
two products is what makes such layers learn (Ardakani et al. 2019, arXiv:1809.11086, with batch norm;
Hou et al. 2019, "Normalization Helps Training of Quantized LSTM", with layer norm too). Where those
papers keep the state real, `is_state_binary` lets the recurrent product read its signs, so that it
is bits by bits as well.
"""

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.binarizers import Binarizer
from bimetal.nn.recurrent import Recurrent
from bimetal.nn.step_norm import NormName, step_norm

__all__ = ["BinaryGRU", "BinaryLSTM"]

State = tuple[Tensor, Tensor]


class _Gated(Recurrent):
    """A norm for each product, and a state whose signs the recurrent product may read."""

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        norm: NormName = "layer",
        n_steps: int | None = None,
        is_input_binary: bool = False,
        is_state_binary: bool = False,
        surrogate_name: str = "clipped",
        binarizer: Binarizer | str = "binarynet",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            n_in, n_hidden, norm, n_steps, is_input_binary, surrogate_name, binarizer, generator
        )
        self.is_state_binary = is_state_binary
        n, scale = self.n_gates * n_hidden, self._first_scale()
        self.input_norm = step_norm(norm, n, n_steps, scale, n_in)
        self.state_norm = step_norm(norm, n, n_steps, scale, n_hidden)

    def _first_scale(self) -> float:
        return 0.1 if self.norm == "batch" else 1.0

    def _read(self, h: Tensor, is_nothing: bool) -> Tensor:
        """Return the state as the recurrent product reads it."""
        return self.sign(h) if self.is_state_binary and not is_nothing else h


class BinaryGRU(_Gated):
    """Gated recurrent unit with binary weights, torch's order of gates and torch's reset.

    With a = norm(W x_t) and b = norm(U h_{t−1}), each in three parts: r = σ(a_r + b_r),
    z = σ(a_z + b_z), n = tanh(a_n + r · b_n), and h_t = (1 − z) · n + z · h_{t−1}. The norms stand where
    Ardakani et al. 2019 (arXiv:1809.11086) have them in their LSTM's products. Without a norm and with
    real weights it is `torch.nn.GRU`. Without a state, the first step reads none: its U h is 0.

    Parameters
    ----------
    n_in, n_hidden : int
        Features of a step, and of the state.
    norm : {"affine", "batch", "layer", "none"}, default "layer"
        Of each product: a learned scale and offset; batch norm with statistics for each step; layer
        norm; or an offset alone.
    n_steps : int, optional
        Steps with statistics of their own where the norm is "batch": the length of the sequences.
    is_input_binary, is_state_binary : bool, default False
        Whether the products read the signs of the input and of the state.
    surrogate_name : str, default "clipped"
        Of those signs.
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
    >>> outputs, state = BinaryGRU(3, 5)(torch.randn(2, 7, 3))
    >>> outputs.shape, state.shape
    (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    n_gates = 3

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (n_rows, n_steps, n_in) to outputs (n_rows, n_steps, n_hidden) and the last state."""
        h, outputs = self._start(x, state), []
        inputs, recurrent = self._products(x)
        for step, product in enumerate(inputs):
            a = self.input_norm(product, step).chunk(3, 1)
            b = self.state_norm(recurrent(self._read(h, state is None and not step)), step).chunk(
                3, 1
            )
            reset, keep = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
            h = torch.lerp(torch.tanh(a[2] + reset * b[2]), h, keep)
            outputs.append(h)
        return torch.stack(outputs, 1), h[None]


class BinaryLSTM(_Gated):
    """Long short-term memory with binary weights, torch's order of gates.

    With s = norm(W x_t) + norm(U h_{t−1}), in four parts: i, f, o = σ of theirs, g = tanh of its,
    c_t = f · c_{t−1} + i · g, and h_t = o · tanh(norm(c_t)) (Ardakani et al. 2019, arXiv:1809.11086,
    with batch norm whose γ begins at 0.1; Hou et al. 2019 with layer norm). The offset of f begins at 1.
    The paper draws its binary weights at random in training, which `binarizer` may say
    ("binaryconnect_stochastic"). Without a norm and with real weights it is `torch.nn.LSTM`.

    Parameters
    ----------
    n_in, n_hidden, norm, n_steps, is_input_binary, is_state_binary, surrogate_name, binarizer, generator
        As of `BinaryGRU`.

    Raises
    ------
    DataError
        When a size is not positive or the norm unknown; in a call, when a shape does not fit.

    Examples
    --------
    >>> outputs, (h, c) = BinaryLSTM(3, 5, is_state_binary=True)(torch.randn(2, 7, 3))
    >>> outputs.shape, h.shape, c.shape
    (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]), torch.Size([1, 2, 5]))
    """

    n_gates = 4

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        norm: NormName = "layer",
        n_steps: int | None = None,
        is_input_binary: bool = False,
        is_state_binary: bool = False,
        surrogate_name: str = "clipped",
        binarizer: Binarizer | str = "binarynet",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(
            n_in, n_hidden, norm, n_steps, is_input_binary, is_state_binary, surrogate_name,
            binarizer, generator,
        )  # fmt: skip
        scale = self._first_scale()
        self.cell_norm = None if norm == "none" else step_norm(norm, n_hidden, n_steps, scale)
        nn.init.ones_(self.state_norm.get_parameter("bias")[n_hidden : 2 * n_hidden])

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map (n_rows, n_steps, n_in) to outputs (n_rows, n_steps, n_hidden) and the last (h, c)."""
        if state is not None and len(state) != 2:
            raise DataError(f"the state of an LSTM is (h, c), got {len(state)} parts")
        h, c = (self._start(x, given) for given in state or (None, None))
        inputs, recurrent = self._products(x)
        outputs = []
        for step, product in enumerate(inputs):
            sums = self.input_norm(product, step)
            sums = sums + self.state_norm(
                recurrent(self._read(h, state is None and not step)), step
            )
            i, f, g, o = sums.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            shown = c if self.cell_norm is None else self.cell_norm(c, step)
            h = torch.sigmoid(o) * torch.tanh(shown)
            outputs.append(h)
        return torch.stack(outputs, 1), (h[None], c[None])
