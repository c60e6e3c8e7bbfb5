"""One layer of torch.nn made binary: norm → sign → binary layer → bias, of the same sizes.

The order is that of an XNOR-Net block (Rastegari et al. 2016, arXiv:1603.05279): a norm before the
sign, so that about half of the bits are +1 even where the values come from a ReLU.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bimetal.nn.binarizers import binarizer
from bimetal.nn.conv import BinaryConv2d
from bimetal.nn.inventory import whole_padding
from bimetal.nn.layers import BinaryLayer, BinaryLinear, Sign
from bimetal.nn.policy import Policy
from bimetal.nn.scales import RPReLU, Shift
from bimetal.nn.sequence import BinaryConv1d

__all__ = ["Rows", "loses_all", "replacement"]


class Rows(nn.Sequential):
    """Layers on the last axis, whatever axes stand before it, as `torch.nn.Linear` works on it.

    Examples
    --------
    >>> Rows(nn.BatchNorm1d(4), nn.Linear(4, 2))(torch.zeros(3, 5, 4)).shape
    torch.Size([3, 5, 2])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_in) to (..., n_out)."""
        rows = x.reshape(-1, x.shape[-1])
        for layer in self:
            rows = layer(rows)
        return rows.reshape(*x.shape[:-1], rows.shape[-1])


def replacement(layer: Any, rule: Policy, is_real: bool) -> tuple[nn.Module, str]:
    """Return a binary layer in place of one of torch's, and what else there is to say of it.

    Parameters
    ----------
    layer : torch.nn.Linear, torch.nn.Conv1d or torch.nn.Conv2d
        It is left as it is.
    rule : Policy
        How.
    is_real : bool
        Whether it goes on reading real numbers, without a sign.

    Examples
    --------
    >>> replacement(nn.Linear(4, 2, bias=False), Policy(norm="none"), is_real=False)[0]
    Rows(
      (0): Sign('clipped')
      (1): BinaryLinear(4, 2, groups=1)
    )
    """
    binary = _binary(layer, rule, is_real)
    note = _take_weights(binary, layer.weight.detach())
    pieces: list[nn.Module] = [*([] if is_real else _sign(layer, rule)), binary]
    if layer.bias is not None:
        pieces.append(_shift(layer.bias))
    if rule.after == "rprelu":
        pieces.append(RPReLU(binary.n_out))
    whole = Rows(*pieces) if isinstance(layer, nn.Linear) else nn.Sequential(*pieces)
    binary.latent_weight.requires_grad_(layer.weight.requires_grad)
    whole.to(device=layer.weight.device, dtype=layer.weight.dtype).train(layer.training)
    return whole, "; ".join(words for words in (note, _edge(layer, binary)) if words)


def loses_all(layer: Any, rule: Policy) -> list[str]:
    """Return why nothing would be left of a layer's weights, in words.

    Less its own mean a single weight is 0: its sign would be +1 for ever, and no gradient reach it.

    Examples
    --------
    >>> loses_all(nn.Conv2d(8, 8, 3, groups=8), Policy("xnor"))
    ["its outputs read one channel each, and less its mean that is 0: use 'bi_real', say"]
    """
    given = binarizer(rule.binarizer)
    is_centred = given.prepare == "centred"
    n = layer.weight.shape[1] if is_centred else layer.weight[0].numel()
    if n > 1 or (given.prepare == "as_they_are" and not given.is_shifted):
        return []
    one = "channel" if is_centred else "number"
    return [f"its outputs read one {one} each, and less its mean that is 0: use 'bi_real', say"]


def _sign(layer: Any, rule: Policy) -> list[nn.Module]:
    sign = Sign(str(rule.activations))
    if rule.norm == "none":
        return [sign]
    if isinstance(layer, nn.Conv2d):
        return [nn.BatchNorm2d(layer.in_channels), sign]
    is_linear = isinstance(layer, nn.Linear)
    return [nn.BatchNorm1d(layer.in_features if is_linear else layer.in_channels), sign]


def _binary(layer: Any, rule: Policy, is_real: bool) -> BinaryLayer:
    generator = torch.Generator().manual_seed(0)  # the weights are replaced at once
    if isinstance(layer, nn.Linear):
        return BinaryLinear(
            layer.in_features, layer.out_features, binarizer=rule.binarizer, generator=generator
        )
    is_flat = isinstance(layer, nn.Conv2d)
    sizes: dict[str, Any] = {
        name: tuple(given) if is_flat else given[0]
        for name, given in (
            ("kernel_size", layer.kernel_size),
            ("stride", layer.stride),
            ("padding", whole_padding(layer) or (0, 0)),
            ("dilation", layer.dilation),
        )
    }
    kind: Any = BinaryConv2d if is_flat else BinaryConv1d
    return kind(  # type: ignore[no-any-return]
        layer.in_channels, layer.out_channels, **sizes, groups=layer.groups,
        pad_value=0 if is_real else rule.pad_value, binarizer=rule.binarizer, generator=generator,
    )  # fmt: skip


@torch.no_grad()
def _take_weights(binary: BinaryLayer, weight: Tensor) -> str:
    """Make float weights latent ones, within the clip; return how they were scaled."""
    clip, largest = binary.binarizer.clip, float(weight.abs().max())
    factor = 1.0 if clip is None or largest <= clip else clip / largest
    scaled = weight if factor == 1 else (weight * factor).clamp(-clip, clip)  # type: ignore[operator]
    # float64 weights stay so until the whole layer is moved to their type
    binary.to(weight.dtype)
    binary.latent_weight.copy_(scaled.view_as(binary.latent_weight))
    if binary.binarizer.scale == "learned":
        binary.get_parameter("scale").copy_(weight.abs().flatten(1).mean(1))
    return "" if factor == 1 else f"weights × {factor:.3g}, into ±{clip:g}"


def _shift(bias: nn.Parameter) -> Shift:
    shift = Shift(len(bias))
    shift.shift = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)
    return shift


def _edge(layer: Any, binary: Any) -> str:
    return f"edge counts as {binary.pad_value}" if any(whole_padding(layer) or ()) else ""
