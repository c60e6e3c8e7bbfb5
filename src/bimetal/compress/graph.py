"""How the layers of the user's model hang together, found by tracing it (torch.fx).

Two questions are answered. Which channels can be taken out: those of a layer whose output goes, by
steps that treat each channel by itself, to exactly one other layer. And is the model one straight row
of layers: then it can be written anew as `torch.nn.Sequential`, whatever its own forward looks like.
"""

import copy
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from bimetal.errors import DataError

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "NOTHING",
    "Chain",
    "chains",
    "put",
    "straight",
    "without_channels",
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
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
FUNCTIONS: Mapping[Any, type[nn.Module]] = {
    functional.relu: nn.ReLU, torch.relu: nn.ReLU, functional.relu6: nn.ReLU6, functional.gelu: nn.GELU,
    functional.silu: nn.SiLU, functional.leaky_relu: nn.LeakyReLU, functional.elu: nn.ELU,
    functional.hardtanh: nn.Hardtanh, torch.tanh: nn.Tanh, functional.tanh: nn.Tanh,
    torch.sigmoid: nn.Sigmoid, functional.sigmoid: nn.Sigmoid, functional.dropout: nn.Dropout,
    functional.max_pool2d: nn.MaxPool2d, torch.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d, functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    functional.max_pool1d: nn.MaxPool1d, functional.avg_pool1d: nn.AvgPool1d,
    functional.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d, torch.flatten: nn.Flatten,
}  # fmt: skip
"""Functions and the layers that do the same; where arguments count, they have the same names."""
METHODS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "flatten": nn.Flatten
}  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """Channels that can be taken out.

    Attributes
    ----------
    producer : str
        The layer that makes them: `torch.nn.Linear`, `torch.nn.Conv1d` or `torch.nn.Conv2d`.
    between : tuple of str
        Norms, slopes and depthwise convolutions on the way, which have numbers for each channel.
    consumer : str
        The one layer that reads them.
    n_channels : int
        How many.
    """

    producer: str
    between: tuple[str, ...]
    consumer: str
    n_channels: int


def chains(model: nn.Module) -> tuple[Chain, ...]:
    """Return all channels that can be taken out, layer by layer.

    Raises
    ------
    DataError
        When the model cannot be traced.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    >>> chains(net)
    (Chain(producer='0', between=('1',), consumer='3', n_channels=8),)
    """
    graph, modules = _traced(model), dict(model.named_modules())
    once = _called_once(graph)
    found = []
    for node in graph.nodes:
        producer = modules.get(str(node.target)) if node.op == "call_module" else None
        if str(node.target) in once and _is_plain(producer):
            found += _followed(node, modules, once)
    return tuple(found)


def without_channels(model: nn.Module, kept: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of a model with fewer channels, which are really gone.

    Parameters
    ----------
    model : torch.nn.Module
        It is left as it is.
    kept : mapping of str to torch.Tensor
        For producers of `chains`: numbers of the channels to keep, int64, at least one.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> without_channels(net, {"0": torch.tensor([1, 5])})
    Sequential(
      (0): Linear(in_features=4, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=2, bias=True)
    )
    """
    small = copy.deepcopy(model)
    for chain in chains(model):
        if chain.producer not in kept:
            continue
        rows = kept[chain.producer]
        for name in (chain.producer, *chain.between):
            put(small, name, _with_outputs(small.get_submodule(name), rows))
        put(small, chain.consumer, _with_inputs(small.get_submodule(chain.consumer), rows, chain))
    return small


def straight(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers of a model that is one straight row of them, functions turned into layers.

    The layers are those of the model, not copies.

    Raises
    ------
    DataError
        When the model cannot be traced or has branches, or a step that is no layer.

    Examples
    --------
    >>> [name for name, _ in straight(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))]
    ['0', '1', '2']
    """
    modules, found = dict(model.named_modules()), []
    for node in _traced(model).nodes:
        if node.op in ("placeholder", "output") or _asks_a_size(node):
            continue
        inputs = [n for n in node.all_input_nodes if not _asks_a_size(n)]
        readers = [n for n in node.users if not _asks_a_size(n)]
        if len(inputs) != 1 or len(readers) != 1:
            raise DataError(
                f"the model branches at '{node.name}'; a straight row of layers expected"
            )
        name = node.target if node.op == "call_module" else node.name
        found.append((str(name), _as_layer(node, modules)))
    return found


def put(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of the one of that name."""
    around, _, last = name.rpartition(".")
    setattr(model.get_submodule(around), last, layer)


def _traced(model: nn.Module) -> fx.Graph:
    try:
        return fx.symbolic_trace(model).graph
    except Exception as error:  # whatever the forward of the user does with a traced value
        raise DataError(
            f"the model cannot be traced (its forward goes by values, say): {' '.join(str(error).split())}"
        ) from error


def _called_once(graph: fx.Graph) -> set[str]:
    calls = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    return {name for name in calls if calls.count(name) == 1}


def _is_plain(layer: nn.Module | None) -> bool:
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return layer.groups == 1
    return isinstance(layer, nn.Linear)


def _followed(node: fx.Node, modules: Mapping[str, nn.Module], once: set[str]) -> list[Chain]:
    """Follow the output of a layer up to the one that reads it; nothing where the way forks."""
    producer, between = str(node.target), list[str]()
    n = _n_outputs(modules[producer])
    while True:
        readers = [user for user in node.users if not _asks_a_size(user)]
        if len(readers) != 1:
            return []
        node = readers[0]
        name = str(node.target)
        layer = modules.get(name) if node.op == "call_module" else None
        if layer is not None and name not in once:
            return []
        if layer is not None and _is_plain(layer):
            fits = isinstance(layer, nn.Linear) or layer.in_channels == n
            return [Chain(producer, tuple(between), name, n)] if fits else []
        if layer is not None and _has_numbers_a_channel(layer, n):
            between.append(name)
        elif not _is_channelwise(node, modules):
            return []


def _n_outputs(layer: nn.Module) -> int:
    return len(layer.get_parameter("weight"))


def _has_numbers_a_channel(layer: nn.Module, n: int) -> bool:
    if isinstance(layer, nn.Conv1d | nn.Conv2d):  # depthwise
        return layer.groups == layer.in_channels == layer.out_channels == n
    if isinstance(layer, nn.PReLU):
        return layer.num_parameters == n > 1
    return isinstance(layer, NORMS) and layer.num_features == n


def _is_channelwise(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    try:
        layer = _as_layer(node, modules)
    except DataError:
        return False
    if isinstance(layer, nn.Flatten):
        return (layer.start_dim, layer.end_dim) == (1, -1)
    is_shared_slope = isinstance(layer, nn.PReLU) and layer.num_parameters == 1
    return is_shared_slope or isinstance(layer, (*ACTIVATIONS, *POOLS, *NOTHING))


def _as_layer(node: fx.Node, modules: Mapping[str, nn.Module]) -> nn.Module:
    if node.op == "call_module":
        return modules[str(node.target)]
    if node.op == "call_function" and node.target in FUNCTIONS:
        return _built(FUNCTIONS[node.target], node)
    if node.op == "call_method" and node.target in METHODS:
        return _built(METHODS[str(node.target)], node)
    if node.op == "call_method" and node.target in ("view", "reshape") and _flattens(node):
        return nn.Flatten()
    raise DataError(
        f"the step '{node.name}' of the model ({node.target}) is no layer that is known here"
    )


def _built(kind: type[nn.Module], node: fx.Node) -> nn.Module:
    """Build the layer with the arguments of the function, but for its input and what only it has."""
    given = {k: v for k, v in node.kwargs.items() if k not in ("input", "inplace", "training")}
    arguments = node.args[1:]
    if issubclass(kind, (*ACTIVATIONS, *NOTHING)):
        arguments = tuple(a for a in arguments if not isinstance(a, bool))
    if any(isinstance(a, fx.Node) for a in (*arguments, *given.values())):
        raise DataError(f"the step '{node.name}' of the model has sizes that are computed")
    if kind is nn.Flatten and not arguments and not given:
        arguments = (0,)  # torch.flatten begins at the rows
    return kind(*arguments, **given)


def _flattens(node: fx.Node) -> bool:
    """Tell whether a view is (n_rows, −1): n_rows asked of a tensor, not a number."""
    shape = node.args[1:]
    if len(shape) == 1 and isinstance(shape[0], tuple):
        shape = shape[0]
    return len(shape) == 2 and isinstance(shape[0], fx.Node) and bool(shape[1] == -1)


def _asks_a_size(node: fx.Node) -> bool:
    """Tell whether a node is x.size(...), x.shape, or an element of one."""
    if node.op == "call_method" and node.target in ("size", "dim"):
        return True
    if node.op == "call_function" and node.target is getattr and node.args[1] == "shape":
        return True
    is_element = node.op == "call_function" and node.target is operator.getitem
    return is_element and isinstance(node.args[0], fx.Node) and _asks_a_size(node.args[0])


def _with_outputs(layer: nn.Module, rows: Tensor) -> nn.Module:
    """Return a layer that makes some of its channels only."""
    small, n = copy.deepcopy(layer), len(rows)
    for name, tensor in [*layer.named_parameters(), *layer.named_buffers()]:
        if tensor.ndim:  # num_batches_tracked counts no channels
            _set(small, name, tensor.detach()[rows])
    match small:
        case nn.Linear():
            small.out_features = n
        case nn.Conv1d() | nn.Conv2d():
            small.out_channels = n
            if small.groups > 1:
                small.in_channels = small.groups = n
        case nn.PReLU():
            small.num_parameters = n
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            small.num_features = n
    return small


def _with_inputs(layer: nn.Module, rows: Tensor, chain: Chain) -> nn.Module:
    """Return a layer that reads some of its channels only; a flattened channel is many inputs."""
    small, weight = copy.deepcopy(layer), layer.get_parameter("weight").detach()
    width = weight.shape[1] // chain.n_channels
    columns = (rows[:, None] * width + torch.arange(width)).flatten()
    _set(small, "weight", weight[:, columns])
    match small:
        case nn.Linear():
            small.in_features = len(columns)
        case nn.Conv1d() | nn.Conv2d():
            small.in_channels = len(columns)
    return small


def _set(layer: nn.Module, name: str, tensor: Tensor) -> None:
    value: Callable[[Tensor], Tensor] = nn.Parameter if name in layer._parameters else Tensor.clone
    setattr(layer, name, value(tensor.clone()))
