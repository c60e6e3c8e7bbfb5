"""The steps of a net with a forward of its own: layers, and sums of two ways from the same value.

Where two ways are added, the value that they part at is the nearest one that dominates the sum: all
ways from the input come by it. It is found by the method of Cooper, Harvey and Kennedy (A Simple, Fast
Dominance Algorithm, 2001), for which one pass is enough, since a traced forward has no loops.
"""

import operator
from collections.abc import Container
from dataclasses import dataclass

import torch
from torch import fx, nn

from bimetal.errors import DataError
from bimetal.nn.in_place import check_in_place
from bimetal.nn.residual import Residual
from bimetal.nn.tracing import as_layers, asks_a_size, name_of, owner_of, traced

__all__ = ["Layer", "Step", "Sum", "free_name", "joined", "steps"]

ADDS = (operator.add, operator.iadd, torch.add, "add", "add_")


@dataclass(frozen=True)
class Layer:
    """A step: one layer.

    Attributes
    ----------
    name : str
        In the net: of the module, or, of a function, "features.relu": its name after that of the
        module that calls it.
    layer : torch.nn.Module
        That of the net, or one that does what the function does.
    """

    name: str
    layer: nn.Module


@dataclass(frozen=True)
class Sum:
    """A step: the sum of two ways from the same value.

    Attributes
    ----------
    name : str
        In the net: of a `Residual`, or "block.add", after the module that adds.
    around : tuple of str
        The modules that the two ways are in.
    branch, shortcut : tuple of Layer and Sum
        The two ways; of a `Residual` as they are, else the shortcut is the one of fewer steps.
    """

    name: str
    around: tuple[str, str]
    branch: tuple["Step", ...]
    shortcut: tuple["Step", ...]


Step = Layer | Sum


def steps(model: nn.Module) -> tuple[Step, ...]:
    """Return what a net does, step by step, all of its nested sequences in one row.

    Raises
    ------
    DataError
        When it cannot be traced or written so; the step is named, with what to do.

    Examples
    --------
    >>> [step.name for step in steps(nn.Sequential(nn.Sequential(nn.ReLU()), Residual(nn.ReLU())))]
    ['0.0', '1']
    """
    graph, modules = traced(model), dict(model.named_modules())
    ways = _Ways(graph, modules)
    try:
        found = ways.between(ways.start, ways.end)
    except RecursionError:
        raise DataError(
            "the sums of the model are nested too deep, hundreds of them in one chain; a sequence of as "
            "many blocks inside each other could not run"
        ) from None
    check_in_place(graph, ways.dominators, modules)
    return found


class _Ways:
    """The ways of a value through a net.

    Attributes
    ----------
    start, end : torch.fx.Node
        The input and the answer.
    dominators : dict of torch.fx.Node to torch.fx.Node
        For each node that the answer is made of, the nearest one that all ways to it come by.
    """

    def __init__(self, graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
        self.modules, self.taken, self.written = modules, set(modules), set[fx.Node]()
        self.start, self.end = _ends(graph)
        self.order = {node: i for i, node in enumerate(graph.nodes)}
        self.dominators = dict[fx.Node, fx.Node]()
        for node in self._needed():
            self.dominators[node] = self._dominator(node)

    def _needed(self) -> list[fx.Node]:
        """Return the nodes that the answer is made of, in their order."""
        found, left = {self.start}, [self.end]
        while left:
            node = left.pop()
            if node not in found:
                found.add(node)
                left += _sources(node)
        return sorted(found - {self.start}, key=self.order.__getitem__)

    def _dominator(self, node: fx.Node) -> fx.Node:
        first, *others = _sources(node)
        for other in others:
            while first is not other:
                if self.order[first] > self.order[other]:
                    first = self.dominators[first]
                else:
                    other = self.dominators[other]
        return first

    def between(self, start: fx.Node, end: fx.Node) -> tuple[Step, ...]:
        """Return the steps from one value to another that it dominates."""
        found: list[Step] = []
        while end is not start:
            self._write_once(end)
            found[:0] = [self._sum(end)] if _summands(end) else self._layers(end)
            end = self.dominators[end]
        return tuple(found)

    def _write_once(self, node: fx.Node) -> None:
        if node in self.written:
            raise DataError(
                f"what '{name_of(node)}' makes is read in several places that do not meet in one sum; in "
                "a sequence, two ways part at one value, and nothing else reads them until they are added"
            )
        self.written.add(node)

    def _sum(self, node: fx.Node) -> Sum:
        start, owner = self.dominators[node], owner_of(node)
        branch, shortcut = (self.between(start, way) for way in _summands(node))
        if owner and isinstance(self.modules[owner], Residual):
            return Sum(owner, (f"{owner}.branch", f"{owner}.shortcut"), branch, shortcut)
        if len(branch) < len(shortcut):
            branch, shortcut = shortcut, branch
        return Sum(self._name(node), (owner, owner), branch, shortcut)

    def _layers(self, node: fx.Node) -> list[Step]:
        name = name_of(node) if node.op == "call_module" else self._name(node)
        return [Layer(name, layer) for layer in as_layers(node, self.modules)]

    def _name(self, node: fx.Node) -> str:
        """Return a name for a function that nothing else has."""
        name = free_name(name_of(node), self.taken)
        self.taken.add(name)
        return name


def _ends(graph: fx.Graph) -> tuple[fx.Node, fx.Node]:
    """Return the input and the answer."""
    inputs = [n for n in graph.nodes if n.op == "placeholder" and not n.args]
    answer = next(n for n in graph.nodes if n.op == "output").args[0]
    if len(inputs) != 1 or not isinstance(answer, fx.Node):
        kind = "a tensor" if isinstance(answer, fx.Node) else type(answer).__name__
        raise DataError(
            "a sequence has one input and one answer; the forward of this model has the inputs "
            f"{[str(n.target) for n in inputs]} and returns {kind}"
        )
    return inputs[0], answer


def _sources(node: fx.Node) -> list[fx.Node]:
    """Return the values that a step is made of, sizes left out."""
    found = [n for n in node.all_input_nodes if not asks_a_size(n)]
    if node.op in ("get_attr", "placeholder") or not found:
        raise DataError(
            f"the model reads '{name_of(node)}' beside its input; in a sequence there is one input, and "
            "parameters belong to layers"
        )
    return found if _summands(node) else found[:1]


def _summands(node: fx.Node) -> list[fx.Node]:
    """Return the two values of a sum; nothing where it is none, or that of a value and a number."""
    is_add = node.op in ("call_function", "call_method") and node.target in ADDS
    given = (*node.args, node.kwargs.get("input"), node.kwargs.get("other"))
    values = [n for n in given if isinstance(n, fx.Node)]
    return values if is_add and len(values) == 2 and "alpha" not in node.kwargs else []


def free_name(name: str, taken: Container[str]) -> str:
    """Return a name, with a number where it is taken.

    Examples
    --------
    >>> free_name("relu", {"relu"})
    'relu_2'
    """
    free, n = name, 1
    while free in taken:
        n += 1
        free = f"{name}_{n}"
    return free


def joined(around: str, name: str) -> str:
    """Return the full name of what is called so inside a module.

    Examples
    --------
    >>> joined("block", "conv"), joined("", "conv")
    ('block.conv', 'conv')
    """
    return f"{around}.{name}" if around and name else around or name
