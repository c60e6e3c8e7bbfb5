"""Quantizers of k bits, and ternary ones: what stands between binary and float32.

They are modules on a tensor, so one of weights is put on an ordinary layer of torch by
``torch.nn.utils.parametrize.register_parametrization(layer, "weight", DoReFaWeight(2))``. They are for
training and for comparison (a net of 2 bits beside its binary twin); they do not lower to bit
operations. Forward and gradient are those of DoReFa-Net (Zhou et al. 2016, arXiv:1606.06160), ternary
weight networks (Li et al. 2016, arXiv:1605.04711) and Larq's ``SteTern``.
"""

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.surrogates import binarize, clipped, identity

__all__ = ["DoReFaActivation", "DoReFaWeight", "TernaryWeight", "straight_through"]

TINY = 1e-12


def straight_through(x: Tensor, value: Tensor) -> Tensor:
    """Return `value`, which was worked out from `x`, with the gradient of x itself.

    Examples
    --------
    >>> x = torch.tensor([0.4, 2.6], requires_grad=True)
    >>> y = straight_through(x, x.detach().round())
    >>> y.tolist(), torch.autograd.grad(y.sum(), x)[0].tolist()
    ([0.0, 3.0], [1.0, 1.0])
    """
    return binarize(x, identity, value)


def _require_bits(n_bits: int) -> None:
    if not (isinstance(n_bits, int) and 1 <= n_bits <= 8):
        raise DataError(
            f"n_bits must be 1 to 8, got {n_bits!r}; for more, keep the tensor as it is"
        )


def _on_grid(x: Tensor, n_bits: int) -> Tensor:
    """Round x of 0 to 1 to a multiple of 1/n, n = 2^k − 1; the gradient passes as if it had not been."""
    n = 2**n_bits - 1
    return straight_through(x, (x.detach() * n).round() / n)


class DoReFaWeight(nn.Module):
    """Weights of k bits: 2q(tanh(w) / (2 max |tanh w|) + 1/2) − 1, q rounding to 2^k levels in [0, 1].

    The gradient passes q, and the maximum counts as a constant, so that q'(w) = (1 − tanh² w) /
    max |tanh w|. None of the 2^k levels is 0. One bit is sign(w) · mean |w|, one scale for the whole
    tensor, with the gradient of the identity (DoReFa-Net, arXiv:1606.06160, section 2.3).

    Parameters
    ----------
    n_bits : int
        1 to 8.

    Raises
    ------
    DataError
        When there are not 1 to 8 bits.

    Examples
    --------
    >>> layer = nn.Linear(4, 2)
    >>> layer = nn.utils.parametrize.register_parametrization(layer, "weight", DoReFaWeight(2))
    >>> set((3 * layer.weight).round().int().flatten().tolist()) <= {-3, -1, 1, 3}
    True
    """

    def __init__(self, n_bits: int) -> None:
        super().__init__()
        _require_bits(n_bits)
        self.n_bits = n_bits

    def forward(self, w: Tensor) -> Tensor:
        """Map weights of any shape to the same shape."""
        if self.n_bits == 1:
            known = w.detach()
            return straight_through(w, binarize(known) * known.abs().mean())
        bent = torch.tanh(w)
        largest = bent.detach().abs().amax().clamp_min(TINY)
        return 2 * _on_grid(bent / (2 * largest) + 0.5, self.n_bits) - 1

    def extra_repr(self) -> str:
        """Name the bits when the quantizer is printed."""
        return str(self.n_bits)


class DoReFaActivation(nn.Module):
    """Activations of k bits: round(clip(x, 0, 1) · n) / n with n = 2^k − 1.

    The gradient is q'(x) = 1[0 <= x <= 1] (DoReFa-Net, arXiv:1606.06160, section 2.4).

    Parameters
    ----------
    n_bits : int
        1 to 8.

    Raises
    ------
    DataError
        When there are not 1 to 8 bits.

    Examples
    --------
    >>> DoReFaActivation(1)(torch.tensor([-1.0, 0.3, 0.7, 9.0])).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, n_bits: int) -> None:
        super().__init__()
        _require_bits(n_bits)
        self.n_bits = n_bits

    def forward(self, x: Tensor) -> Tensor:
        """Map values of any shape to the same shape."""
        return _on_grid(x.clamp(0, 1), self.n_bits)

    def extra_repr(self) -> str:
        """Name the bits when the layer is printed."""
        return str(self.n_bits)


class TernaryWeight(nn.Module):
    """Weights −α, 0 and +α: the sign where |w| exceeds a threshold Δ, else 0.

    * Without a `threshold`: Δ = 0.7 mean |w|, and α is the mean of the |w| above Δ, one of each for the
      whole tensor; q'(w) = 1 (ternary weight networks, Li et al. 2016, arXiv:1605.04711).
    * With one: Δ is that number and α = 1; q'(w) = 1[|w| <= 1] (Larq's ``SteTern``, where it is 0.05).
      It may stand for a sign of activations, too.

    Parameters
    ----------
    threshold : float, optional
        A fixed Δ.

    Raises
    ------
    DataError
        When the threshold is negative.

    Examples
    --------
    >>> w = torch.tensor([-0.5, -0.02, 0.3, 0.1])
    >>> TernaryWeight(0.05)(w).tolist(), TernaryWeight()(w)
    ([-1.0, 0.0, 1.0, 1.0], tensor([-0.4000, 0.0000, 0.4000, 0.0000]))
    """

    def __init__(self, threshold: float | None = None) -> None:
        super().__init__()
        if threshold is not None and not threshold >= 0:
            raise DataError(f"threshold must be 0 or more, or None for TWN's, got {threshold!r}")
        self.threshold = threshold

    def forward(self, w: Tensor) -> Tensor:
        """Map weights of any shape to the same shape."""
        known = w.detach()
        size = known.abs()
        delta = 0.7 * size.mean() if self.threshold is None else self.threshold
        signs = (known > delta).to(w.dtype) - (known < -delta).to(w.dtype)
        if self.threshold is not None:
            return binarize(w, clipped, signs)
        is_large = signs.abs()
        alpha = (size * is_large).sum() / is_large.sum().clamp_min(1)
        return straight_through(w, signs * alpha)

    def extra_repr(self) -> str:
        """Name the threshold when the quantizer is printed."""
        return "" if self.threshold is None else f"threshold={self.threshold}"
