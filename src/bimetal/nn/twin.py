"""`float_twin`: the float32 net of the same layers and sizes, what a binary net is compared with.

It is trained by the same loop on the same data, so that the difference in accuracy is the price of
the bits and of nothing else.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bimetal.nn.adaptive import XnorConv2d
from bimetal.nn.bytes import ByteConv2d, ByteLinear
from bimetal.nn.conv import BinaryConv2d
from bimetal.nn.embedding import BinaryEmbedding
from bimetal.nn.float_layers import (
    GroupedLinear,
    PixelConv2d,
    Polynomials,
    SidedConv1d,
    StepLinear,
    Table,
)
from bimetal.nn.kbit import DoReFaActivation, DoReFaWeight, TernaryWeight
from bimetal.nn.layers import BinaryLinear, Sign
from bimetal.nn.lut import LutLinear
from bimetal.nn.recurrent import Recurrent
from bimetal.nn.sequence import BinaryConv1d

__all__ = ["float_twin"]


def _linear(layer: BinaryLinear) -> nn.Module:
    if layer.groups > 1:
        with torch.random.fork_rng(devices=[]):
            grouped = GroupedLinear(layer.n_in, layer.n_out, layer.groups)
        return _with(grouped, layer.latent_weight)
    plain = nn.Linear(layer.n_in, layer.n_out, bias=False, device="meta")
    return _with(plain, layer.latent_weight, layer.latent_weight[0])


def _with(layer: Any, latent: nn.Parameter, weight: Tensor | None = None) -> nn.Module:
    """Give a float layer the latent weights, or a part of them."""
    values = (latent if weight is None else weight).detach().clone()
    layer.weight = nn.Parameter(values, latent.requires_grad)
    return layer  # type: ignore[no-any-return]


def _conv(b: BinaryConv2d) -> nn.Module:
    plain = nn.Conv2d(
        b.n_in, b.n_out, b.kernel_size, b.stride, b.padding, b.dilation, b.groups, bias=False,
        device="meta",
    )  # fmt: skip
    return _with(plain, b.latent_weight)


def _conv1d(b: BinaryConv1d) -> nn.Module:
    left, right = b.padding
    if left != right:
        return SidedConv1d(b)
    plain = nn.Conv1d(
        b.n_in, b.n_out, b.kernel_size, b.stride, left, b.dilation, b.groups, bias=False,
        device="meta",
    )  # fmt: skip
    return _with(plain, b.latent_weight)


def _byte_linear(layer: ByteLinear) -> nn.Module:
    plain = nn.Linear(layer.n_in, layer.n_out, device="meta")
    plain.weight, plain.bias = layer.weight, layer.bias
    return plain


def _sign(sign: Sign) -> nn.Module:
    # The identity's own twin would make a linear net of the whole, which is no fair comparison.
    bound = 1.25 if sign.surrogate_name == "clipped_wide" else 1.0
    return nn.Hardtanh(-bound, bound)


def _xnor_conv(layer: XnorConv2d) -> nn.Module:
    # K gives back the magnitude that a sign takes away; here nothing is taken.
    return nn.Sequential(OrderedDict(sign=_sign(layer.sign), conv=_conv(layer.conv)))


def _recurrent(layer: Any) -> nn.Module:
    """Return the layer, which may be changed, with float products and soft signs; its norms stay."""
    for name in ("input", "recurrent"):
        binary = getattr(layer, name)
        product = StepLinear(binary.n_in, binary.n_out, bias=False, device="meta")
        setattr(layer, name, _with(product, binary.latent_weight, binary.latent_weight[0]))
    layer.sign = _sign(layer.sign)
    return layer  # type: ignore[no-any-return]


TWINS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    BinaryLinear: _linear,
    BinaryConv1d: _conv1d,
    BinaryConv2d: _conv,
    BinaryEmbedding: Table,
    Recurrent: _recurrent,
    XnorConv2d: _xnor_conv,
    ByteConv2d: PixelConv2d,
    ByteLinear: _byte_linear,
    LutLinear: lambda layer: Polynomials(layer, _sign(layer.sign)),
    Sign: _sign,
    DoReFaActivation: lambda layer: nn.Hardtanh(0.0, 1.0),
}
"""Layers and what makes the float ones of them; all others stay."""


def float_twin(model: nn.Module) -> nn.Module:
    """Return the float32 net of the same layers, names and sizes.

    ======================  ================================================================
    `BinaryLinear`          `torch.nn.Linear`, or `GroupedLinear`: the latent weights at work
    `BinaryConv2d` and 1d   `torch.nn.Conv2d` and 1d, padded with zeros
    `BinaryEmbedding`       `Table`, a `torch.nn.Embedding`
    `LutLinear`             `Polynomials`, of real inputs
    recurrent layers        the same ones, with float products
    `Sign`                  `torch.nn.Hardtanh`, whose slope is the clipped surrogate
    `ByteConv2d`            `PixelConv2d`: the same normalization, weights not rounded
    `ByteLinear`            `torch.nn.Linear`
    quantizers of `kbit`    taken off their weights; `torch.nn.Hardtanh` for activations
    ======================  ================================================================

    Everything else stays: norms, scales, shortcuts, and what makes bits or bytes of numbers. Shapes
    of all outputs are equal, and so is the number of parameters, but for a learned scale of each
    binary output, which a float weight has in itself. Weights go both ways by `transfer`.

    Parameters
    ----------
    model : torch.nn.Module
        Binary in parts or throughout; it is left as it is.

    Examples
    --------
    >>> float_twin(nn.Sequential(Sign(), BinaryLinear(4, 2)))
    Sequential(
      (0): Hardtanh(min_val=-1.0, max_val=1.0)
      (1): Linear(in_features=4, out_features=2, bias=False)
    )
    """
    return _twin(copy.deepcopy(model), {})


def _twin(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    """Return the twin of a module that may be changed; one that stands in two places has one twin."""
    if module not in made:
        make = next((f for kind, f in TWINS.items() if isinstance(module, kind)), None)
        made[module] = module if make is None else make(module).train(module.training)
        if make is None:
            _without_quantizer(module)
            for name, child in module._modules.items():
                if child is not None:
                    module.register_module(name, _twin(child, made))
    return made[module]


def _without_quantizer(module: nn.Module) -> None:
    """Take k-bit and ternary quantizers off the weight."""
    if parametrize.is_parametrized(module, "weight"):
        chain: Any = module.parametrizations["weight"]  # type: ignore[index]
        if all(isinstance(step, DoReFaWeight | TernaryWeight) for step in chain):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
