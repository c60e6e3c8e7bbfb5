"""Dense binary layers → operations: norms and signs become integer thresholds.

A binary sum over n inputs takes only the n + 1 values s = n − 2c, where c counts the inputs that
differ from the weights. So the norm is not folded by algebra but *asked*: the trained layer's own norm
is evaluated on all n + 1 sums, and the place where its sign flips is read off.

* It rises with s (positive scale): the neuron fires for c <= t, with t the last c that fires.
* It falls with s (negative scale): flip the weights; c becomes n − c, and the case above returns.
* It never flips: always on is t = n, always off is t = −1.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bimetal.bits import pack
from bimetal.errors import ProgramError
from bimetal.lower.binary import scale_of
from bimetal.nn import BinaryLinear, BinaryMLP
from bimetal.nn.modes import in_eval_mode
from bimetal.program import Dense

__all__ = ["LoweredMLP", "lower_dense", "lower_mlp"]


@dataclass(frozen=True)
class LoweredMLP:
    """A `BinaryMLP` as bit operations and a real-valued readout of bits (1 or 0).

    Attributes
    ----------
    ops : tuple of Dense
        The first reads the input bits (value 1), each next one the one before.
    readout : numpy.ndarray
        float64 (n_outputs, n_hidden): weight of each fired neuron of the last layer.
    linear : numpy.ndarray
        float64 (n_outputs, n_bits): weight of each input bit that is set.
    bias : numpy.ndarray
        float64 (n_outputs,).
    """

    ops: tuple[Dense, ...]
    readout: NDArray[np.float64]
    linear: NDArray[np.float64]
    bias: NDArray[np.float64]


def lower_mlp(model: BinaryMLP) -> LoweredMLP:
    """Lower a trained `BinaryMLP`; its answer is the mean over members.

    Parameters
    ----------
    model : BinaryMLP
        In any mode; it is asked in eval mode.

    Examples
    --------
    >>> lowered = lower_mlp(BinaryMLP(5, 1, hidden=(4,), n_members=2))
    >>> lowered.ops[0].weights.shape, lowered.readout.shape
    ((8, 1), (1, 8))
    """
    ops = []
    for i, (layer, norm) in enumerate(model.binary_layers()):
        ops.append(lower_dense(layer, norm, input_value=i + 1))
    readout = (
        model.readout.detach().double().numpy() / model.n_members
    )  # (members, hidden, outputs)
    flat = readout.reshape(-1, model.n_outputs).T
    linear = model.linear.weight.detach().double().numpy()
    bias = model.linear.bias.detach().double().numpy()
    # w * (2b - 1) = 2w * b - w for a bit b that stands for ±1
    return LoweredMLP(
        tuple(ops), 2 * flat, 2 * linear, bias - flat.sum(axis=1) - linear.sum(axis=1)
    )


def lower_dense(layer: BinaryLinear, norm: nn.Module, input_value: int) -> Dense:
    """Lower one binary layer and the norm that follows it.

    Parameters
    ----------
    layer : BinaryLinear
        The layer.
    norm : torch.nn.Module
        Any module that maps (n_rows, n_out) to (n_rows, n_out) neuron by neuron, monotonically.
    input_value : int
        Number of the Program value that the layer reads.

    Raises
    ------
    ProgramError
        When the norm's sign flips more than once as the sum grows, or the layer does not work with
        signs times a scale.
    """
    n_group, scale = layer.n_in // layer.groups, scale_of(layer)
    norm = norm if scale is None else nn.Sequential(scale, norm)
    fires = _ask(norm, n_group, layer.n_out)  # (n_group + 1, n_out), row c: c inputs differ
    falls = fires[-1] & ~fires[0]
    fires = np.where(falls, fires[::-1], fires)
    if (fires[1:] & ~fires[:-1]).any():
        raise ProgramError(
            "the norm after a binary layer is not monotone; it has no single threshold"
        )
    thresholds = fires.sum(axis=0).astype(np.int32) - 1
    with in_eval_mode(layer):
        weights = (layer.binary_weight.detach() > 0).reshape(layer.n_out, n_group).numpy()
    packed = pack(weights ^ falls[:, None])
    return Dense(input_value, layer.n_in, packed, thresholds, layer.groups)


@torch.no_grad()
def _ask(norm: nn.Module, n: int, n_out: int) -> NDArray[np.bool_]:
    sums = torch.arange(n, -n - 1, -2, dtype=torch.float32)
    with in_eval_mode(norm):
        answers = norm(sums[:, None].expand(n + 1, n_out).contiguous())
    fires: NDArray[np.bool_] = (answers >= 0).numpy()
    return fires
