"""Asking a net in eval mode, and leaving it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["in_eval_mode"]


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a net in eval mode within a ``with`` block; each module is then as it was.

    Examples
    --------
    >>> net = nn.Sequential(nn.Dropout())
    >>> with in_eval_mode(net):
    ...     net[0].training
    False
    >>> net[0].training
    True
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
