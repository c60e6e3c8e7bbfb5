"""Binary layers. A latent weight is the parameter; its binary view is computed, never stored.

`BinaryLinear` is a drop-in for `torch.nn.Linear` with ±1 weights (`BinaryConv2d` of
`bimetal.nn.conv` is the one for `torch.nn.Conv2d`). With `groups` > 1 it is that many
independent layers side by side, which is how an ensemble trains in one tensor.

How weights become binary is said by a `Binarizer`. A scale is applied to the sums, after they were
made of ±1 alone: so the sums are whole numbers here as they are in an engine.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from bimetal.errors import DataError
from bimetal.nn.binarizers import Binarizer, Draw, binarizer, drawn_signs
from bimetal.nn.surrogates import surrogate

__all__ = [
    "BinaryLayer",
    "BinaryLinear",
    "Sign",
    "binary_layers",
    "clip_latent",
    "kept_signs",
    "latent_weights",
    "real_weights",
    "set_progress",
]


class Sign(nn.Module):
    """Binarize activations: the sign as ±1, with a named surrogate gradient.

    Parameters
    ----------
    surrogate_name : str, default "clipped"
        A name in `bimetal.nn.SURROGATES`.
    draw : {"sign", "stochastic", "progressive"}, default "sign"
        What stands for the sign in training, see `bimetal.nn.binarizers.drawn_signs`.
    """

    def __init__(self, surrogate_name: str = "clipped", draw: Draw = "sign") -> None:
        super().__init__()
        Binarizer(surrogate_name, draw=draw)  # refuses what it does not know
        surrogate(surrogate_name)
        self.surrogate_name, self.draw = surrogate_name, draw
        self.progress = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return ±1 of the shape of `x`."""
        return drawn_signs(x, self.surrogate_name, self.draw, self.training, self.progress)

    def extra_repr(self) -> str:
        """Name the surrogate when the layer is printed."""
        return repr(self.surrogate_name) + ("" if self.draw == "sign" else f", draw={self.draw!r}")


class BinaryLayer(nn.Module):
    """What binary layers share: a latent weight, its binary view, and a scale of the outputs.

    Parameters
    ----------
    shape : tuple of int
        Of the latent weights.
    n_out : int
        Outputs: the latent weights are `n_out` rows of equal length, in this order.
    given : Binarizer or str
        How weights become binary: a `Binarizer`, a name in `BINARIZERS`, or a surrogate's name.
    generator : torch.Generator, optional
        Source of the initial latent weights, uniform in ±`init_bound`.
    init_bound : float
        Small beside the clip of 1, so that early gradients can flip any weight.

    Attributes
    ----------
    uses_latent : bool
        Whether the latent weights themselves work in place of their signs: the first stage of a
        training in two stages, and how BinaryConnect may answer. See `real_weights`.
    progress : float
        Share of the training that is done; the training loop sets it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        n_out: int,
        given: Binarizer | str,
        generator: torch.Generator | None,
        init_bound: float = 0.1,
    ) -> None:
        super().__init__()
        self.latent_weight = nn.Parameter(
            torch.rand(shape, generator=generator).mul_(2).sub_(1).mul_(init_bound)
        )
        self.n_out, self.binarizer = n_out, binarizer(given)
        self.uses_latent, self.progress = False, 0.0
        if self.binarizer.scale == "learned":
            self.scale = nn.Parameter(torch.ones(n_out))
        self._kept: Tensor | None = None

    @property
    def binary_weight(self) -> Tensor:
        """±1 weights of the shape of the latent ones, with the surrogate gradient."""
        if self._kept is not None:
            return self._kept
        signs = self.binarizer.signs(self._prepared(), self.training, self.progress)
        return signs.view_as(self.latent_weight)

    @torch.no_grad()
    def is_plus(self) -> Tensor:
        """Return where weights are +1 as the layer would be deployed: not drawn, as in training."""
        was_training, self.training = self.training, False
        try:
            return self.binary_weight > 0
        finally:
            self.training = was_training

    @property
    def alpha(self) -> Tensor | None:
        """The scale of each output, shape (n_out,); None where it is 1."""
        if self.uses_latent:
            return None
        learned: Tensor | None = self._parameters.get("scale")
        return self.binarizer.alpha(self._prepared()) if learned is None else learned

    @property
    def shape_by_output(self) -> torch.Size:
        """Outputs, inputs that each of them reads, and the sizes of the kernel if there is one."""
        return self._by_output(self.latent_weight).shape

    def _prepared(self) -> Tensor:
        return self.binarizer.prepared(self._by_output(self.latent_weight), self.progress)

    def _by_output(self, w: Tensor) -> Tensor:
        """Return weights as (n_out, inputs of a group, ...)."""
        return w

    def _working(self) -> tuple[Tensor, Tensor | None]:
        """Return what the forward pass multiplies with, of the latent shape, and the scale of its sums.

        Weights are prepared once for both: that is what a step of the finer methods costs most.
        """
        if self._kept is not None and not self.uses_latent and not self.binarizer.is_shifted:
            return self._kept, self.alpha
        prepared = self._prepared()
        if self.uses_latent:
            return prepared.view_as(self.latent_weight), None
        alpha: Tensor | None = self._parameters.get("scale")
        alpha = self.binarizer.alpha(prepared) if alpha is None else alpha
        signs = self.binarizer.signs(prepared, self.training, self.progress)
        middle = self.binarizer.shift(prepared)
        if middle is not None:  # the scale acts on the sums, so the middle is divided by it here
            scale = 1.0 if alpha is None else alpha.view_as(middle).clamp_min(1e-12)
            signs = signs + middle / scale
        return signs.view_as(self.latent_weight), alpha

    def _exact(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return input and weights as float64 where sums of bytes times ±1 would outgrow float32."""
        if self.training or 255 * (w.numel() // self.n_out) < 2**24:
            return x, w
        return x.double(), w.double()

    def _scaled(self, sums: Tensor, alpha: Tensor | None) -> Tensor:
        """Scale the sums (n_rows, n_out, ...), or of one row without an axis of rows."""
        sums = self._narrowed(sums)
        n_axes = self.latent_weight.ndim - 2
        return sums if alpha is None else sums * alpha.view(-1, *[1] * n_axes)

    def _require_inputs(self, x: Tensor, n: int, axis: int) -> None:
        if x.ndim < -axis or x.shape[axis] != n:
            raise DataError(
                f"{type(self).__name__} reads {n} {'inputs' if axis == -1 else 'channels'}, got an input "
                f"of shape {tuple(x.shape)}"
            )

    def _narrowed(self, sums: Tensor) -> Tensor:
        return sums.to(self.latent_weight.dtype) if sums.dtype == torch.float64 else sums

    def _how(self) -> str:
        """Return the binarizer as the end of a list of sizes, unless it is the usual one."""
        return "" if self.binarizer == Binarizer() else f", {self.binarizer}"


class BinaryLinear(BinaryLayer):
    """Linear layer with weights −1 and +1, no bias (the norm that follows has one).

    Parameters
    ----------
    n_in, n_out : int
        Sizes of the whole input and output.
    groups : int, default 1
        Independent parts: part *g* of the output reads part *g* of the input.
    binarizer : Binarizer or str, default "binarynet"
        How weights become binary; with latent weights clipped to ±1, "binarynet" equals
        "binaryconnect" (Courbariaux et al. 2015, arXiv:1511.00363).
    generator : torch.Generator, optional
        Source of the initial latent weights, uniform in ±`init_bound`.
    init_bound : float, default 0.1
        Small beside the clip of 1, so that early gradients can flip any weight.

    Raises
    ------
    DataError
        When a size is not positive, or the sizes do not divide into the groups; in a call, when the
        last axis is not of `n_in`.

    Examples
    --------
    >>> layer = BinaryLinear(4, 3)
    >>> set(layer(torch.ones(1, 4)).flatten().tolist()) <= {-4.0, -2.0, 0.0, 2.0, 4.0}
    True
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        groups: int = 1,
        binarizer: Binarizer | str = "binarynet",
        generator: torch.Generator | None = None,
        init_bound: float = 0.1,
    ) -> None:
        if min(n_in, n_out, groups) < 1 or n_in % groups or n_out % groups:
            raise DataError(
                f"{n_in} inputs and {n_out} outputs do not divide into {groups} groups; all three "
                "must be positive, and groups a divisor of both"
            )
        shape = (groups, n_out // groups, n_in // groups)
        super().__init__(shape, n_out, binarizer, generator, init_bound)
        self.n_in, self.groups = n_in, groups

    def _by_output(self, w: Tensor) -> Tensor:
        return w.view(self.n_out, -1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_in) to (..., n_out)."""
        self._require_inputs(x, self.n_in, axis=-1)
        w, alpha = self._working()
        x, w = self._exact(x, w)
        if self.groups == 1:
            return self._scaled(linear(x, w.view(self.n_out, self.n_in)), alpha)
        parts = x.reshape(-1, self.groups, w.shape[2]).transpose(0, 1)
        sums = torch.bmm(parts, w.transpose(1, 2)).transpose(0, 1)
        sums = sums.reshape(*x.shape[:-1], self.n_out)
        # torch's norms round differently on strided memory, and lowering asks them on contiguous
        return self._scaled(sums.contiguous(), alpha)

    def _scaled(self, sums: Tensor, alpha: Tensor | None) -> Tensor:
        """Scale the sums (n_rows, ..., n_out), outputs last as in torch's own layer."""
        sums = self._narrowed(sums)
        return sums if alpha is None else sums * alpha

    def extra_repr(self) -> str:
        """Name the sizes when the layer is printed."""
        return f"{self.n_in}, {self.n_out}, groups={self.groups}{self._how()}"


def binary_layers(model: nn.Module) -> dict[str, BinaryLayer]:
    """Return every binary layer in a model by its name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, BinaryLayer)}


def latent_weights(model: nn.Module) -> list[nn.Parameter]:
    """Return the latent weights of every binary layer in a model."""
    return [layer.latent_weight for layer in binary_layers(model).values()]


@torch.no_grad()
def clip_latent(model: nn.Module, bound: float | None = None) -> None:
    """Clip every latent weight, as BinaryConnect does after each step.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    bound : float, optional
        By default the one that each layer's binarizer names.
    """
    for layer in binary_layers(model).values():
        most = layer.binarizer.clip if bound is None else bound
        if most is not None:
            layer.latent_weight.clamp_(-most, most)


def set_progress(model: nn.Module, progress: float) -> None:
    """Tell every layer what share of the training is done: some surrogates change with it."""
    for module in model.modules():
        if isinstance(module, Sign | BinaryLayer):
            module.progress = progress


@contextmanager
def real_weights(model: nn.Module) -> Iterator[None]:
    """Let latent weights work in place of their signs within a ``with`` block.

    It is the first stage of a training in two stages (binary activations, real weights), and how a
    net of stochastic BinaryConnect may answer. Nothing is copied from one stage to the next, so
    nothing can be lost on the way.

    Examples
    --------
    >>> layer = BinaryLinear(4, 1)
    >>> with real_weights(layer):
    ...     torch.allclose(layer(torch.ones(1, 4)), layer.latent_weight.sum())
    True
    """
    layers = [m for m in binary_layers(model).values() if not m.uses_latent]
    for layer in layers:
        layer.uses_latent = True
    try:
        yield
    finally:
        for layer in layers:
            layer.uses_latent = False


@contextmanager
def kept_signs(model: nn.Module) -> Iterator[None]:
    """Work out binary weights once for all calls within a ``with`` block, in which nothing is learned.

    Examples
    --------
    >>> layer = BinaryLinear(4, 1).eval()
    >>> with kept_signs(layer):
    ...     layer.binary_weight is layer.binary_weight
    True
    """
    layers = list(binary_layers(model).values())
    with torch.no_grad():
        for layer in layers:
            layer._kept = layer.binary_weight
    try:
        yield
    finally:
        for layer in layers:
            layer._kept = None
