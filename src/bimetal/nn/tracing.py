"""The forward of any net as a graph of layers (torch.fx), and the layer that does what a function does.

What counts as one layer are the modules of `torch.nn` and of this library, and classes derived from
them; `torch.nn.Sequential`, `Residual` and modules of the user's own are looked into. Nets are traced
in eval mode: what a forward does in training only is not seen.
"""

import inspect
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from bimetal.errors import DataError
from bimetal.nn.modes import in_eval_mode
from bimetal.nn.replacement import Rows
from bimetal.nn.residual import Repeat, Residual

__all__ = [
    "ACTIVATIONS",
    "NOTHING",
    "POOLS",
    "as_layers",
    "asks_a_size",
    "has_known_forward",
    "is_sequence",
    "name_of",
    "owner_of",
    "traced",
    "word_of",
]

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh,
)  # fmt: skip
POOLS = (
    nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.MaxPool2d, nn.AvgPool2d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
"""Layers that do nothing in eval mode."""

FUNCTIONS: Mapping[Any, type[nn.Module]] = {
    functional.relu: nn.ReLU, torch.relu: nn.ReLU, torch.relu_: nn.ReLU, functional.relu6: nn.ReLU6,
    functional.gelu: nn.GELU, functional.silu: nn.SiLU, functional.leaky_relu: nn.LeakyReLU,
    functional.elu: nn.ELU, functional.hardtanh: nn.Hardtanh, torch.tanh: nn.Tanh,
    functional.tanh: nn.Tanh, torch.sigmoid: nn.Sigmoid, functional.sigmoid: nn.Sigmoid,
    functional.softmax: nn.Softmax, torch.softmax: nn.Softmax,
    functional.log_softmax: nn.LogSoftmax, torch.log_softmax: nn.LogSoftmax,
    functional.dropout: nn.Dropout, functional.dropout2d: nn.Dropout2d,
    functional.max_pool2d: nn.MaxPool2d, torch.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d, functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    functional.max_pool1d: nn.MaxPool1d, torch.max_pool1d: nn.MaxPool1d,
    functional.avg_pool1d: nn.AvgPool1d, functional.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d,
    torch.flatten: nn.Flatten,
}  # fmt: skip
"""Functions and the layers that do the same; where arguments count, they have the same names."""
METHODS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU, "relu_": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "flatten": nn.Flatten,
    "softmax": nn.Softmax, "log_softmax": nn.LogSoftmax,
}  # fmt: skip
JOINS = (torch.cat, torch.concat, torch.concatenate)
MEANS: Mapping[tuple[int, ...], type[nn.Module]] = {
    (2, 3): nn.AdaptiveAvgPool2d, (-2, -1): nn.AdaptiveAvgPool2d, (2,): nn.AdaptiveAvgPool1d
}  # fmt: skip
"""Axes that a mean may run over, and the layer that does it."""

ONLY_FUNCTIONS = ("input", "inplace", "training", "_stacklevel")
OF_MAX_POOLS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
"""The arguments of the functions; the last two stand the other way round in the layers."""

ADVICE: Mapping[str, str] = {
    "view": "write x.flatten(1)", "reshape": "write x.flatten(1)", "squeeze": "write x.flatten(1)",
    "sign": "take bimetal.nn.Sign, for which sign(0) is +1",
    **dict.fromkeys(
        ("mul", "div", "truediv", "sub"),
        "a product or difference of two values has no layer; with numbers, take bimetal.nn.Scale, or "
        "bimetal.nn.Pixels for (x / 255 - mean) / std",
    ),
    "add": "a sum is of two values of the net; with numbers, take bimetal.nn.Shift",
    "cat": "only one value may be joined with itself, over the channels; values that differ can be added",
    "mean": "a mean may run over all of a map, x.mean((2, 3)), or a sequence, x.mean(2)",
    "dropout": "give it training=self.training, or take nn.Dropout",
}  # fmt: skip
"""What to do about functions that are no layers."""


class _Layers(fx.Tracer):
    """A tracer that looks into all but layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return _is_layer(m)


def is_sequence(model: nn.Module) -> bool:
    """Tell whether a net is made of layers, nested `torch.nn.Sequential` and `Residual` alone.

    Examples
    --------
    >>> is_sequence(nn.Sequential(nn.Sequential(nn.ReLU()), Residual(nn.Tanh())))
    True
    """
    if _is_nest(model) or type(model).forward is Rows.forward:
        return all(is_sequence(child) for child in model.children())
    return _is_layer(model)


def _is_nest(model: nn.Module) -> bool:
    return type(model).forward in (nn.Sequential.forward, Residual.forward)


def _is_layer(module: nn.Module) -> bool:
    """Tell whether a module is one layer: its class, or one that it derives from, is known."""
    nests = (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict, Residual)
    bases = [base for base in type(module).__mro__ if base not in nests]
    return not _is_nest(module) and any(map(_is_known, bases))


def _is_known(kind: type) -> bool:
    return f"{kind.__module__}.".startswith(("torch.nn.", "torch.ao.nn.", "bimetal."))


def has_known_forward(layer: nn.Module) -> bool:
    """Tell whether a layer does what its class does, and is not derived from one to do something else.

    Examples
    --------
    >>> has_known_forward(nn.ReLU())
    True
    """
    return _is_known(next(base for base in type(layer).__mro__ if "forward" in vars(base)))


def traced(model: nn.Module) -> fx.Graph:
    """Return the forward of a net as a graph; arguments that have defaults have those.

    Raises
    ------
    DataError
        When its forward cannot be followed.

    Examples
    --------
    >>> [node.op for node in traced(nn.Sequential(nn.ReLU())).nodes]
    ['placeholder', 'call_module', 'output']
    """
    given = inspect.signature(model.forward).parameters.values()
    defaults = {p.name: p.default for p in given if p.default is not p.empty}
    with in_eval_mode(model):
        try:
            return _Layers().trace(model, concrete_args=defaults or None)
        except Exception as error:  # whatever the forward of the user does with a traced value
            raise DataError(
                "the model cannot be traced (its forward goes by values, say): "
                f"{' '.join(str(error).split())}"
            ) from error


def word_of(node: fx.Node) -> str:
    """Return the name of what a node calls: "relu" of ``torch.relu``; "add" of ``+=``."""
    word = _word(node.target)
    return {f"i{w}": w for w in ("add", "sub", "mul", "truediv")}.get(word, word)


def _word(target: Any) -> str:
    return str(getattr(target, "__name__", target)).removesuffix("_")


def owner_of(node: fx.Node) -> str:
    """Return the name of the module whose forward has this node; empty where it is the model."""
    around = list(node.meta.get("nn_module_stack", {}).values())
    return str(around[-1][0]) if around else ""


def name_of(node: fx.Node) -> str:
    """Return the name of the layer, or of the function with that of the module that calls it."""
    if node.op == "call_module":
        return str(node.target)
    owner = owner_of(node)
    return f"{owner}.{word_of(node)}" if owner else word_of(node)


def as_layers(node: fx.Node, modules: Mapping[str, nn.Module]) -> tuple[nn.Module, ...]:
    """Return the layers, nearly always one, that do what a node does to its one input.

    Parameters
    ----------
    node : torch.fx.Node
        Of a `traced` model.
    modules : mapping of str to torch.nn.Module
        Those of the model.

    Raises
    ------
    DataError
        When there are none; the step is named, with what to do.

    Examples
    --------
    >>> _, node, _ = traced(nn.Sequential(nn.ReLU())).nodes
    >>> as_layers(node, {"0": nn.ReLU()})
    (ReLU(),)
    """
    kind = FUNCTIONS.get(node.target) if node.op == "call_function" else None
    if node.op == "call_method":
        kind = METHODS.get(str(node.target))
    if node.op == "call_module" and len(node.all_input_nodes) == 1 and not node.kwargs:
        return (modules[str(node.target)],)
    if kind is not None:
        return (_built(kind, node),)
    if node.op == "call_method" and node.target in ("view", "reshape") and _flattens(node):
        return (nn.Flatten(),)
    if node.target in JOINS:
        return (_repeat(node),)
    if node.target in (torch.mean, "mean"):
        return _mean(node)
    raise _no_layer(node)


def _no_layer(node: fx.Node) -> DataError:
    names = sorted({_word(target) for target in (*FUNCTIONS, *METHODS)} | {"add"})
    advice = f"besides layers, there may be {', '.join(names)}, and means over all of a map"
    if node.op == "call_module":
        advice = "here, a layer is given one value and no options"
    advice = ADVICE.get(word_of(node), advice)
    return DataError(
        f"the step '{name_of(node)}' of the model is no layer that is known here: {advice}"
    )


def _built(kind: type[nn.Module], node: fx.Node) -> nn.Module:
    """Build the layer with the arguments of the function, but for its input and what only it has."""
    given = {k: v for k, v in node.kwargs.items() if k not in ONLY_FUNCTIONS}
    arguments = node.args[1:]
    if issubclass(kind, NOTHING) and _drops_always(node):
        raise _no_layer(node)
    if issubclass(kind, (*ACTIVATIONS, *NOTHING)):
        arguments = tuple(a for a in arguments if not isinstance(a, bool))
    if given.get("dtype", 0) is None:
        del given["dtype"]
    if issubclass(kind, nn.MaxPool1d | nn.MaxPool2d):
        given |= dict(zip(OF_MAX_POOLS, arguments, strict=False))
        arguments = ()
    if any(isinstance(a, fx.Node) for a in (*arguments, *given.values())):
        raise DataError(f"the step '{name_of(node)}' of the model has sizes that are computed")
    if kind is nn.Flatten and not arguments and not given:
        arguments = (0,)  # torch.flatten begins at the rows
    try:
        return kind(*arguments, **given)
    except TypeError:  # an option that the layer has not
        raise _no_layer(node) from None


def _drops_always(node: fx.Node) -> bool:
    """Tell whether a functional dropout works in eval mode as well, in which the model is traced."""
    is_given_false = any(given is False for given in node.args[2:3])
    return bool(node.kwargs.get("training", True)) and not is_given_false


def _flattens(node: fx.Node) -> bool:
    """Tell whether a view has two axes, the first of them as many as there are rows."""
    shape = node.args[1:]
    if len(shape) == 1 and isinstance(shape[0], tuple):
        shape = shape[0]
    return len(shape) == 2 and isinstance(shape[0], fx.Node) and _asks_for_rows(shape[0])


def _asks_for_rows(node: fx.Node) -> bool:
    if node.op == "call_method" and node.target == "size":
        return 0 in (*node.args[1:], node.kwargs.get("dim"))
    is_element = node.op == "call_function" and node.target is operator.getitem
    return is_element and 0 in node.args[1:] and asks_a_size(node)


def _repeat(node: fx.Node) -> nn.Module:
    """Return the layer that joins a value with itself."""
    parts: Any = node.args[0] if node.args else node.kwargs.get("tensors")
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis"))
    if not isinstance(parts, list | tuple) or len(set(parts)) != 1 or axis != 1:
        raise _no_layer(node)
    return Repeat(len(parts))


def _mean(node: fx.Node) -> tuple[nn.Module, ...]:
    """Return global average pooling, and a flatten where the axes are not kept."""
    given = dict(zip(("dim", "keepdim"), node.args[1:], strict=False)) | node.kwargs
    axes: Any = given.get("dim")
    axes = (axes,) if isinstance(axes, int) else tuple(sorted(axes or ()))
    if axes not in MEANS or given.get("dtype") is not None:
        raise _no_layer(node)
    pool = MEANS[axes](1)
    return (pool,) if given.get("keepdim") else (pool, nn.Flatten())


def asks_a_size(node: fx.Node) -> bool:
    """Tell whether a node is x.size(...), x.shape, or an element of one."""
    if node.op == "call_method" and node.target in ("size", "dim"):
        return True
    if node.op == "call_function" and node.target is getattr and node.args[1] == "shape":
        return True
    is_element = node.op == "call_function" and node.target is operator.getitem
    return is_element and isinstance(node.args[0], fx.Node) and asks_a_size(node.args[0])
