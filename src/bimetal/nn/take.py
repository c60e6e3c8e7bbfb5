"""Taking a part of a sequence: the last step, which is where a causal net answers."""

from torch import Tensor, nn

__all__ = ["Last"]


class Last(nn.Module):
    """The last step of a sequence, ``x[..., -1]``.

    Examples
    --------
    >>> import torch
    >>> Last()(torch.arange(6.0).view(1, 2, 3)).tolist()
    [[2.0, 5.0]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_channels, n_steps) to (n_rows, n_channels)."""
        return x[..., -1]
