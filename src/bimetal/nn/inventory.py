"""The layers with weights of any net: where they stand, which is first and last, what forbids a change.

A layer is found once however often it stands in the net. First and last go by the order of
``named_modules``, or, given an example, by the order in which the layers run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from bimetal.errors import DataError
from bimetal.nn.bytes import ByteConv2d, ByteLinear
from bimetal.nn.layers import BinaryLayer
from bimetal.nn.modes import in_eval_mode

__all__ = ["Found", "inventory", "kind_of", "obstacles", "remark", "whole_padding"]

WEIGHTED = (
    nn.Linear, nn.Bilinear, _ConvNd, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Embedding,
    nn.EmbeddingBag, BinaryLayer, ByteConv2d, ByteLinear,
)  # fmt: skip
READ_FROM_OUTSIDE = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Modules that read the weights of layers inside them, past the forward of those layers."""
BY_HAND = {
    "Embedding": "BinaryEmbedding", "GRU": "BinaryGRU", "LSTM": "BinaryLSTM",
    "MultiheadAttention": "BinaryAttention", "RNN": "BinaryRNN",
}  # fmt: skip
"""Layers whose binary kin differ from them too much to be put in their place by rule."""
WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


@dataclass(frozen=True)
class Found:
    """A layer with weights.

    Attributes
    ----------
    layer : torch.nn.Module
        The layer.
    names : tuple of str
        All places in which it stands, the first one first.
    ends : tuple of str
        "first", "last", both or neither.
    reader : str
        The kind of the module around it that reads its weights itself; empty where there is none.
    """

    layer: nn.Module
    names: tuple[str, ...]
    ends: tuple[str, ...] = ()
    reader: str = ""

    @property
    def name(self) -> str:
        """The first place in which it stands."""
        return self.names[0]


def kind_of(layer: nn.Module) -> str:
    """Return the name of a layer's class, of the one before any parametrization."""
    return parametrize.type_before_parametrizations(layer).__name__


def inventory(model: nn.Module, example: Tensor | Sequence[Any] | None = None) -> list[Found]:
    """Return the layers with weights, in the order of their names.

    Parameters
    ----------
    model : torch.nn.Module
        It is left as it is.
    example : torch.Tensor or sequence, optional
        An input, or the arguments of a call, that shows in which order layers run.

    Raises
    ------
    DataError
        When the model is wrapped for several processes, is a single layer, or cannot run the example.

    Examples
    --------
    >>> [(found.name, found.ends) for found in inventory(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))]
    [('0', ('first', 'last'))]
    """
    for name, module in model.named_modules():
        if isinstance(module, WRAPPERS):
            raise DataError(
                f"'{name or 'the net'}' is a {type(module).__name__}, which holds on to the parameters "
                "of the net inside: convert that net (its `module`) first, then wrap it"
            )
    if isinstance(model, WEIGHTED):
        raise DataError(
            f"a {kind_of(model)} cannot be replaced from inside itself: wrap it, nn.Sequential(layer)"
        )
    names = _names(model)
    layers = {key: _layer(model, of[0]) for key, of in names.items()}
    order = list(names) if example is None else _order(model, layers, example)
    ends = {"first": order[:1], "last": order[-1:]}
    readers = _readers(model)
    return [
        Found(
            layers[key],
            tuple(of),
            tuple(end for end, found in ends.items() if found == [key]),
            next((readers[n] for name in of for n in _around(name) if n in readers), ""),
        )
        for key, of in names.items()
    ]


def _names(model: nn.Module) -> dict[int, list[str]]:
    """Return all names of each layer with weights; what is inside an attention is a part of it."""
    found: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        is_part = any(
            isinstance(_layer(model, around), nn.MultiheadAttention) for around in _around(name)
        )
        if isinstance(module, WEIGHTED) and not is_part:
            found.setdefault(id(module), []).append(name)
    return found


def _layer(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name)


def _around(name: str) -> list[str]:
    """Return the names of the modules around a module, the innermost first."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


def _readers(model: nn.Module) -> dict[str, str]:
    return {
        name: type(module).__name__
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, READ_FROM_OUTSIDE)
    }


@torch.no_grad()
def _order(model: nn.Module, layers: dict[int, nn.Module], example: Any) -> list[int]:
    """Return the keys of layers as they run, each at its first call."""
    ran: dict[int, None] = {}

    def note(layer: nn.Module, *_: Any) -> None:
        ran.setdefault(id(layer))

    handles = [layer.register_forward_pre_hook(note) for layer in layers.values()]
    try:
        with in_eval_mode(model):
            model(*([example] if isinstance(example, Tensor) else example))
    except Exception as error:
        raise DataError(f"the net cannot run the example: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    return list(ran)


def remark(found: Found, kinds: tuple[str, ...]) -> str:
    """Return why a layer stays although it is meant, or nothing where it is one to replace.

    Examples
    --------
    >>> remark(Found(nn.LSTM(2, 2), ("memory",)), ("Linear",))
    'the rule is for Linear; by hand: BinaryLSTM'
    """
    layer, kind = found.layer, kind_of(found.layer)
    if isinstance(layer, BinaryLayer):
        return "binary already"
    if found.reader:
        return f"{found.reader} reads its weights itself"
    if kind in kinds and parametrize.type_before_parametrizations(layer) is getattr(nn, kind, None):
        return ""
    if isinstance(layer, LazyModuleMixin):
        return ""
    bases = [base.__name__ for base in type(layer).__mro__[1:] if base.__name__ in kinds]
    if bases:
        return f"its forward may not be that of {bases[0]}"
    return f"the rule is for {', '.join(kinds)}" + (
        f"; by hand: {BY_HAND[kind]}" if kind in BY_HAND else ""
    )


def obstacles(found: Found, model: nn.Module) -> list[str]:
    """Return what forbids to replace a layer, in words.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(1, 1, 2, padding="same"))
    >>> obstacles(Found(net[0], ("0",)), net)
    ["padding 'same' of an even kernel is not the same on both sides: pad with nn.ZeroPad2d"]
    """
    layer = found.layer
    if isinstance(layer, LazyModuleMixin):
        return ["it is lazy and has no sizes yet: run the net once"]
    if parametrize.is_parametrized(layer) or "weight" not in layer._parameters:
        return ["its weight is computed from others: remove the parametrization"]
    weight = layer.get_parameter("weight")
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks,
             layer._backward_pre_hooks)  # fmt: skip
    tied = [n for n, p in model.named_parameters(remove_duplicate=False) if p is weight]
    others = [n for n in tied if n.removesuffix(".weight") not in found.names]
    checks = (
        (any(hooks), "it has hooks, which would be lost: remove them"),
        (bool(others), f"its weight is also that of {others}"),
        (not torch.isfinite(weight.detach()).all(), "it has weights that are not finite"),
        (getattr(layer, "padding_mode", "zeros") != "zeros",
         f"padding_mode {getattr(layer, 'padding_mode', '')!r} is not one that bits have, "
         "which is a constant"),
        (whole_padding(layer) is None,
         "padding 'same' of an even kernel is not the same on both sides: pad with nn.ZeroPad2d"),
    )  # fmt: skip
    return [words for is_so, words in checks if is_so]


def whole_padding(layer: nn.Module) -> tuple[int, ...] | None:
    """Return the padding of a convolution as numbers, nothing where "same" is no whole number.

    Examples
    --------
    >>> whole_padding(nn.Conv2d(1, 1, (3, 5), padding="same", dilation=2)), whole_padding(nn.Linear(1, 1))
    ((2, 4), ())
    """
    if not isinstance(layer, _ConvNd):
        return ()
    if not isinstance(layer.padding, str):
        return tuple(layer.padding)
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    totals = [d * (k - 1) for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
    return None if any(total % 2 for total in totals) else tuple(total // 2 for total in totals)
