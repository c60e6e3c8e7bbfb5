"""Statistics of norms, and ranges of 8-bit activations, found anew from data; no weight changes."""

import torch
from torch import Tensor, nn

from bimetal.errors import DataError
from bimetal.nn.activations import Bytes
from bimetal.nn.modes import in_eval_mode

__all__ = ["calibrate"]

Norm = nn.BatchNorm1d | nn.BatchNorm2d


@torch.no_grad()
def calibrate(
    net: nn.Module, x: Tensor | None = None, seed: int = 0, batch_size: int = 1000
) -> None:
    """Set the statistics of all batch norms, and the ranges of all `Bytes`, to those of some inputs.

    It is of use where a net answers with other weights than it was trained with: stochastic
    BinaryConnect adds the noise of its draws to every sum of the training, so its norms fit neither
    its signs nor its real weights, and without this its signs answer badly. Also for
    nets with random weights, which answer much the same for every input unless their norms fit.

    Parameters
    ----------
    net : torch.nn.Module
        Binary or not; changed in place.
    x : torch.Tensor, optional
        Inputs (n_rows, ...), two rows at least; by default eight of noise from 0 to 255, of the shape
        that ``net.image_shape`` names.
    seed : int, default 0
        Of the noise.
    batch_size : int, default 1000
        Rows at a time; statistics are means over the batches.

    Raises
    ------
    DataError
        When there are fewer than two inputs, or none and the net does not name their shape.

    Examples
    --------
    >>> net = nn.Sequential(nn.BatchNorm1d(2))
    >>> calibrate(net, torch.tensor([[0.0, 10.0], [2.0, 30.0]]))
    >>> net[0].running_mean.tolist()
    [1.0, 20.0]
    """
    x = _noise(net, seed) if x is None else x
    if len(x) < 2:
        raise DataError(f"statistics need two inputs at least, got {len(x)}")
    norms = [m for m in net.modules() if isinstance(m, Norm)]
    place = next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.float32)
    ranges = [m for m in net.modules() if isinstance(m, Bytes) and m.momentum is not None]
    momenta = [norm.momentum for norm in norms]
    with in_eval_mode(net):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
            norm.train()
        for each in ranges:
            each.n_batches.zero_()
            each.train()
        try:
            for batch in torch.split(x, batch_size):
                if len(batch) > 1:
                    net(batch.to(place))
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum


def _noise(net: nn.Module, seed: int) -> Tensor:
    shape = getattr(net, "image_shape", None)
    if shape is None:
        raise DataError("inputs are needed: the net does not name their shape (`image_shape`)")
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (8, *shape), generator=generator).float()
