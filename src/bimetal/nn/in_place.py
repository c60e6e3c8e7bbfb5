"""Steps of a traced net that write into the value they read, and those of them that a sequence cannot have.

In a graph of values nothing is written over, and in a sequence ways may run in another order than in
the user's forward. Both answer as the net does only if nobody else reads what is written over.
"""

import operator
from collections.abc import Collection, Mapping

from torch import fx, nn

from bimetal.errors import DataError
from bimetal.nn.tracing import ACTIVATIONS, FUNCTIONS, NOTHING, as_layers, asks_a_size, name_of

__all__ = ["check_in_place"]

ALIASES = (*NOTHING, nn.Flatten)
"""Layers that may give back the very tensor they got."""

OPERATORS = tuple(getattr(operator, name) for name in dir(operator) if name in operator.__all__
                  and name.startswith("i") and name[1:] in operator.__all__)  # fmt: skip
"""``+=`` and the like."""


def check_in_place(
    graph: fx.Graph, needed: Collection[fx.Node], modules: Mapping[str, nn.Module]
) -> None:
    """Raise unless every value that is written over is read by the step that does it alone.

    Parameters
    ----------
    graph : torch.fx.Graph
        A `traced` net.
    needed : collection of torch.fx.Node
        Those that the answer is made of.
    modules : mapping of str to torch.nn.Module
        Those of the net.

    Raises
    ------
    DataError
        When others read it; both are named.

    Examples
    --------
    >>> from bimetal.nn.tracing import traced
    >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
    >>> graph = traced(net)
    >>> check_in_place(graph, list(graph.nodes), dict(net.named_modules()))
    """
    order = {node: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if not _writes(node, modules):
            continue
        if node not in needed:
            raise DataError(
                f"'{name_of(node)}' works in place and its result is not used: write x = {name_of(node)}"
                "(x), say"
            )
        # a function becomes a layer that does not write, so what read the value before does no harm
        last = -1 if node.op == "call_module" else order[node]
        for reader in _other_readers(node, modules):
            if order[reader] > last:
                raise DataError(
                    f"'{name_of(node)}' writes into a value that '{name_of(reader)}' reads as well; "
                    "give it inplace=False, or write x = x + y"
                )


def _writes(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    if node.op == "call_method":
        return str(node.target).endswith("_") and not str(node.target).endswith("__")
    if node.op != "call_function":
        return False
    kind = FUNCTIONS.get(node.target, nn.Module)
    by_place = issubclass(kind, (*ACTIVATIONS, *NOTHING)) and True in node.args[2:]
    named = str(getattr(node.target, "__name__", "")).endswith("_") or "out" in node.kwargs
    return node.target in OPERATORS or named or by_place or bool(node.kwargs.get("inplace"))


def _other_readers(node: fx.Node, modules: Mapping[str, nn.Module]) -> list[fx.Node]:
    """Return who else reads the value that a node writes into, by any name of it."""
    found = list[fx.Node]()
    while True:
        value = node.all_input_nodes[0]
        found += [n for n in value.users if n is not node and not asks_a_size(n)]
        if not _is_alias(value, modules):
            return found
        node = value


def _is_alias(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if node.op == "placeholder":
        return False
    try:
        return all(isinstance(layer, ALIASES) for layer in as_layers(node, modules))
    except DataError:
        return False
