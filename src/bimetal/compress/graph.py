"""How the layers of the user's model hang together, found by tracing it (torch.fx).

Two questions are answered. Which channels can be taken out: those of a layer whose output goes, by
steps that treat each channel by itself, to exactly one other layer. And is the model one straight row
of layers: then it can be written anew as `torch.nn.Sequential`, whatever its own forward looks like.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from bimetal.errors import DataError
from bimetal.nn.tracing import (
    ACTIVATIONS,
    NOTHING,
    POOLS,
    as_layers,
    asks_a_size,
    has_known_forward,
    traced,
)
from bimetal.nn.ways import Layer, steps

__all__ = [
    "NORMS",
    "Chain",
    "chains",
    "put",
    "straight",
    "without_channels",
]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


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
    graph, modules = traced(model), dict(model.named_modules())
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
    found = list[tuple[str, nn.Module]]()
    for step in steps(model):
        if not isinstance(step, Layer):
            raise DataError(
                f"the model branches before '{step.name}'; a straight row of layers expected"
            )
        if not has_known_forward(step.layer):
            raise DataError(
                f"'{step.name}' ({type(step.layer).__name__}) has a forward of its own; layers of "
                "torch.nn expected"
            )
        found.append((step.name, step.layer))
    return found


def put(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of the one of that name."""
    around, _, last = name.rpartition(".")
    setattr(model.get_submodule(around), last, layer)


def _called_once(graph: fx.Graph) -> set[str]:
    calls = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    return {name for name in calls if calls.count(name) == 1}


def _is_plain(layer: nn.Module | None) -> bool:
    if layer is None or not has_known_forward(layer):
        return False
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return layer.groups == 1
    return isinstance(layer, nn.Linear)


def _followed(node: fx.Node, modules: Mapping[str, nn.Module], once: set[str]) -> list[Chain]:
    """Follow the output of a layer up to the one that reads it; nothing where the way forks."""
    producer, between = str(node.target), list[str]()
    n = _n_outputs(modules[producer])
    while True:
        readers = [user for user in node.users if not asks_a_size(user)]
        if len(readers) != 1:
            return []
        node = readers[0]
        name = str(node.target)
        layer = modules.get(name) if node.op == "call_module" else None
        if layer is not None and (name not in once or not has_known_forward(layer)):
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
        layers = as_layers(node, modules)
    except DataError:
        return False
    return all(_keeps_channels(layer) for layer in layers)


def _keeps_channels(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Flatten):
        return (layer.start_dim, layer.end_dim) == (1, -1)
    is_shared_slope = isinstance(layer, nn.PReLU) and layer.num_parameters == 1
    return is_shared_slope or isinstance(layer, (*ACTIVATIONS, *POOLS, *NOTHING))


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
