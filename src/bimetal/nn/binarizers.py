"""Binarization = prepare × sign × surrogate × scale: how latent weights become ±1 and a scale.

Four short lists, and the methods of the literature are lines of `BINARIZERS`, which pick one of
each. The sign itself may be plain, drawn at random (BinaryConnect), or approached step by step
(BNext); once training is over it is always plain, so every method is deployed as bits (but AdaBin's,
whose two values are no multiples of ±1).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from bimetal.errors import DataError
from bimetal.nn.surrogates import FUSED, binarize, clipped, clipped_weights, identity, surrogate

__all__ = [
    "BINARIZERS",
    "DRAWS",
    "PREPARATIONS",
    "SCALES",
    "Binarizer",
    "Draw",
    "binarizer",
    "drawn_signs",
]

Draw = Literal["sign", "stochastic", "progressive"]
DRAWS: tuple[Draw, ...] = ("sign", "stochastic", "progressive")
XNOR = "xnor"
"""A surrogate of whole rows of weights, see `_xnor_slope`."""


class _Centre(torch.autograd.Function):
    """w less its mean over axis 1. It is its own gradient: so said, it takes half the sweeps."""

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        return w - w.mean(dim=1, keepdim=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] - grads[0].mean(dim=1, keepdim=True)


class _Standardize(torch.autograd.Function):
    """Rows less their means, over their deviations: in a third of the sweeps that autograd would take.

    With z = (w − mean) / s and s² = Σ(w − mean)² / (n − 1), the gradient of w is
    (g − mean(g) − z Σ(gz) / (n − 1)) / s.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        z = rows - rows.mean(dim=1, keepdim=True)
        n = max(rows.shape[1] - 1, 1)
        s = (torch.linalg.vector_norm(z, dim=1, keepdim=True) / math.sqrt(n)).clamp_min(1e-12)
        z = z.div_(s)
        ctx.save_for_backward(z, s)
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        z, s = ctx.saved_tensors
        g, n = grads[0], max(z.shape[1] - 1, 1)
        along = torch.linalg.vecdot(g, z, dim=1).unsqueeze(1) / n
        centred = g - g.mean(dim=1, keepdim=True)
        found: Tensor = torch.addcmul(centred, z, along, value=-1) / s
        return found


# What is done to latent weights before the sign: (n_out, ...) and the share of training done → same


def as_they_are(w: Tensor, progress: float) -> Tensor:
    """Return the weights."""
    return w


def centred(w: Tensor, progress: float) -> Tensor:
    """Subtract the mean over the input channels (XNOR-Net's code, arXiv:1603.05279)."""
    return _Centre.apply(w)  # type: ignore[no-any-return, no-untyped-call]


def standardized(w: Tensor, progress: float) -> Tensor:
    """Give each output mean 0 and deviation 1: balanced bits (IR-Net's Libra, arXiv:1909.10788)."""
    return _Standardize.apply(w.flatten(1)).view_as(w)  # type: ignore[no-any-return, no-untyped-call]


def recu(w: Tensor, progress: float) -> Tensor:
    """Standardize, then move the weights in the tails to ±Q, so that they can flip again.

    Q = −E|w| ln(2 − 2τ), the τ-quantile of a Laplace distribution; τ goes from 0.85 to 0.99
    (ReCU, Xu et al. 2021, arXiv:2103.12369).
    """
    w = standardized(w, progress)
    tau = 0.85 + (0.99 - 0.85) * progress
    bound = -mean_abs_detached(w) * math.log(2 - 2 * tau)
    bound = bound.view(-1, *[1] * (w.ndim - 1))
    return torch.clamp(w, -bound, bound)


PREPARATIONS: tuple[Callable[[Tensor, float], Tensor], ...] = (
    as_they_are, centred, standardized, recu,
)  # fmt: skip

# Scales: prepared weights (n_out, ...) → one positive number an output


def mean_abs(w: Tensor) -> Tensor:
    """α = mean |w|, the best scale of a sign; the gradient flows through it (XNOR-Net, corrected)."""
    rows = w.flatten(1)
    sums: Tensor = torch.linalg.vector_norm(rows, ord=1, dim=1)
    return sums / rows.shape[1]


def mean_abs_detached(w: Tensor) -> Tensor:
    """α = mean |w|, taken for a constant by the gradient (Bi-Real Net, Larq)."""
    return mean_abs(w.detach())


def power_of_two(w: Tensor) -> Tensor:
    """α = 2^round(log2 mean |w|), a shift (IR-Net)."""
    return torch.exp2(mean_abs_detached(w).clamp_min(1e-12).log2().round())


def deviation(w: Tensor) -> Tensor:
    """α = the standard deviation of w (AdaBin, Tu et al. 2022, arXiv:2208.08084)."""
    return w.flatten(1).std(dim=1, unbiased=False)


SCALES: tuple[Callable[[Tensor], Tensor], ...] = (
    mean_abs, mean_abs_detached, power_of_two, deviation,
)  # fmt: skip

_PREPARATIONS = {f.__name__: f for f in PREPARATIONS}
_SCALES = {f.__name__: f for f in SCALES}


@dataclass(frozen=True)
class Binarizer:
    """How the latent weights of a layer become binary.

    Attributes
    ----------
    surrogate : str
        Gradient of the sign: a name in `SURROGATES`, or "xnor", the published gradient of XNOR-Net,
        q'(w) = 1[|w| <= 1] + 1 / Σ|w| (the sum over the weights of the output).
    scale : str
        "none", "learned" (one parameter an output, XNOR-Net++, arXiv:1909.13863), or a name in
        `SCALES`.
    prepare : str
        A name in `PREPARATIONS`.
    draw : {"sign", "stochastic", "progressive"}
        In training; in evaluation it is always "sign". See `drawn_signs`.
    clip : float or None
        Latent weights are kept within ±`clip` after each step.
    is_shifted : bool
        Whether the two values are β ± α with β the mean of the weights (AdaBin), not ±α.

    Raises
    ------
    DataError
        When a name is unknown or the clip is not positive.

    Examples
    --------
    >>> Binarizer(surrogate="approx_sign", scale="mean_abs")
    Binarizer(surrogate='approx_sign', scale='mean_abs')
    """

    surrogate: str = "clipped"
    scale: str = "none"
    prepare: str = "as_they_are"
    draw: Draw = "sign"
    clip: float | None = 1.0
    is_shifted: bool = False

    def __post_init__(self) -> None:
        if self.surrogate != XNOR:
            surrogate(self.surrogate)
        for name, known in (
            ("scale", ["none", "learned", *_SCALES]),
            ("prepare", list(_PREPARATIONS)),
            ("draw", list(DRAWS)),
        ):
            if getattr(self, name) not in known:
                raise DataError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise DataError(f"clip must be a positive number or None, got {self.clip!r}")

    def __repr__(self) -> str:
        changed = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"Binarizer({', '.join(changed)})"

    def prepared(self, w: Tensor, progress: float = 0.0) -> Tensor:
        """Return what the sign is taken of: the weights (n_out, n_in, ...), prepared.

        Raises
        ------
        DataError
            When an output has so few weights that the preparation would leave nothing of them.
        """
        n = w.shape[1] if self.prepare == "centred" else w[0].numel()
        if n < 2 and self.prepare != "as_they_are":
            raise DataError(
                f"'{self.prepare}' weights need two inputs or more for each output, and here is one (a "
                "depthwise convolution?): all would be equal. Choose a binarizer that prepares nothing"
            )
        return _PREPARATIONS[self.prepare](w, progress)

    def signs(self, prepared: Tensor, is_training: bool, progress: float = 0.0) -> Tensor:
        """Return ±1 of prepared weights (n_out, ...), with the surrogate gradient."""
        centre = self.shift(prepared)
        x = prepared if centre is None else prepared - centre
        if self.surrogate == "clipped" and self.draw == "sign":
            return binarize(x, clipped_weights)
        return drawn_signs(x, self.surrogate, self.draw, is_training, progress, self.clip or 1.0)

    def alpha(self, prepared: Tensor) -> Tensor | None:
        """Return the scale of each output, shape (n_out,), or None where it is 1 or a parameter."""
        found = _SCALES.get(self.scale)
        return None if found is None else found(prepared)

    def shift(self, prepared: Tensor) -> Tensor | None:
        """Return the middle of the two values, shaped to broadcast, or None where it is 0."""
        if not self.is_shifted:
            return None
        return prepared.flatten(1).mean(1).view(-1, *[1] * (prepared.ndim - 1))


def _xnor_slope(w: Tensor) -> Tensor:
    """Return 1[|w| <= 1] + 1 / Σ|w|, the sum over each output (XNOR-Net, arXiv:1603.05279, section 3.1).

    Published is the gradient of α·sign(w) as g(1/n + α 1[|w| <= 1]), g being that of the scaled weight.
    Here the scale stands behind the sum, so that αg arrives: divide, with nα = Σ|w|.
    """
    return clipped(w) + 1 / _row_sums(w)


def _row_sums(w: Tensor) -> Tensor:
    """Return Σ|w| of each output, shaped to broadcast."""
    sums: Tensor = torch.linalg.vector_norm(w.flatten(1), ord=1, dim=1).clamp_min(1e-12)
    return sums.view(-1, *[1] * (w.ndim - 1))


def _xnor_back(grad: Tensor, w: Tensor) -> Tensor:
    """Return ``grad * _xnor_slope(w)`` in few sweeps."""
    return torch.addcdiv(FUSED[clipped_weights](grad, w), grad, _row_sums(w))


FUSED[_xnor_slope] = _xnor_back


def drawn_signs(
    x: Tensor,
    surrogate_name: str,
    draw: Draw,
    is_training: bool,
    progress: float = 0.0,
    bound: float = 1.0,
) -> Tensor:
    """Return the sign of x as ±1, or, in training, what stands for it.

    * "sign": the sign.
    * "stochastic": +1 with probability clip((x / `bound` + 1) / 2, 0, 1), else −1 (BinaryConnect,
      Courbariaux et al. 2015, arXiv:1511.00363).
    * "progressive": clip(x / (1 − T), −1, 1) with T = 1 − 4^(−10 · progress), which nears the sign; its
      gradient is that of the identity (BNext, Guo et al. 2022, arXiv:2211.12933).

    Examples
    --------
    >>> drawn_signs(torch.tensor([0.2, -3.0]), "clipped", "progressive", is_training=True)
    tensor([ 0.2000, -1.0000])
    """
    slope = _xnor_slope if surrogate_name == XNOR else surrogate(surrogate_name, progress)
    if draw == "sign" or not is_training:
        return binarize(x, slope)
    known = x.detach()
    if draw == "progressive":
        return binarize(x, identity, (known / max(4.0 ** (-10 * progress), 1e-7)).clamp(-1, 1))
    is_plus = torch.rand_like(known) < (known / bound + 1) / 2
    return binarize(x, slope, is_plus.to(x.dtype).mul_(2).sub_(1))


BINARIZERS: dict[str, Binarizer] = {
    "binaryconnect": Binarizer(surrogate="identity"),
    "binaryconnect_stochastic": Binarizer(surrogate="identity", draw="stochastic"),
    "binarynet": Binarizer(surrogate="clipped"),
    "xnor": Binarizer(surrogate=XNOR, scale="mean_abs_detached", prepare="centred"),
    "xnor_corrected": Binarizer(surrogate="clipped", scale="mean_abs", prepare="centred"),
    "xnor_learned": Binarizer(surrogate="clipped", scale="learned"),
    "bi_real": Binarizer(surrogate="clipped", scale="mean_abs_detached"),
    "ir_net": Binarizer(surrogate="ede", scale="power_of_two", prepare="standardized", clip=None),
    "recu": Binarizer(surrogate="identity", scale="learned", prepare="recu", clip=None),
    "adabin": Binarizer(surrogate="identity", scale="deviation", is_shifted=True, clip=None),
    "progressive": Binarizer(surrogate="identity", draw="progressive", clip=1.5),
}
"""The methods of the literature for weights, by name; their papers stand at the parts they pick."""


def binarizer(given: Binarizer | str) -> Binarizer:
    """Return a binarizer by the name of its method, or of a surrogate, or as it is.

    Raises
    ------
    DataError
        When there is no such name.

    Examples
    --------
    >>> binarizer("xnor").scale, binarizer("approx_sign").scale
    ('mean_abs_detached', 'none')
    """
    if isinstance(given, Binarizer):
        return given
    if given in BINARIZERS:
        return BINARIZERS[given]
    try:
        return Binarizer(surrogate=given)
    except DataError:
        raise DataError(
            f"binarizer must be a Binarizer, one of {sorted(BINARIZERS)}, or a surrogate's name; "
            f"got {given!r}"
        ) from None
