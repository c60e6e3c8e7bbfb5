"""A batch norm with one mean and one variance for all outputs, for the end of a binary net.

A binary last layer makes whole sums; a norm for each output would learn ten offsets and scales, while
this one learns a single pair, so that an integer argmax over the sums is already the answer. It is
the last layer of the fully connected nets of FINN (Umuroglu et al. 2017, arXiv:1612.07119).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

__all__ = ["TensorNorm"]


class TensorNorm(nn.BatchNorm1d):
    """``(x − mean) / sqrt(var + eps) * weight + bias`` with one of each number for all outputs.

    Parameters
    ----------
    n : int
        Outputs; the statistics are kept once for each, all alike, so that it is a batch norm to
        whoever reads it.
    eps, momentum : float
        As of `torch.nn.BatchNorm1d`.

    Examples
    --------
    >>> norm = TensorNorm(2)
    >>> norm(torch.tensor([[0.0, 2.0], [2.0, 0.0]])).round().tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n: int, eps: float = 1e-4, momentum: float = 0.1) -> None:
        super().__init__(n, eps, momentum)
        self.weight, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n) to the same shape."""
        if not self.training:
            weight, bias = (p.expand(self.num_features) for p in (self.weight, self.bias))
            return batch_norm(x, self.running_mean, self.running_var, weight, bias, eps=self.eps)
        mean, var = self.running_mean[:1].clone(), self.running_var[:1].clone()
        flat = x.reshape(-1, 1)
        y = batch_norm(flat, mean, var, self.weight, self.bias, True, self._share(), self.eps)
        self.running_mean.copy_(mean.expand_as(self.running_mean))
        self.running_var.copy_(var.expand_as(self.running_var))
        return y.view_as(x)

    def _share(self) -> float:
        """Return the share of this batch in the statistics; without a momentum all count alike."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        return 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
