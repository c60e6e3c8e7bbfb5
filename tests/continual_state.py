"""All that a learner holds, found by walking it: for tests of what it keeps and of what it leaves alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def kept(value: Any, seen: set[int] | None = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every tensor, array and source of randomness that an object holds, once.

    Left out: gradients (of one step), and what is worked out anew from the rest.
    """
    seen = set() if seen is None else seen
    if id(value) in seen or path.endswith(("._solved", ".setting")):
        return
    seen.add(id(value))
    if isinstance(value, Tensor | np.ndarray | torch.Generator | np.random.Generator):
        yield path, value
    elif isinstance(value, dict):
        for i, (key, item) in enumerate(value.items()):
            yield from kept(item, seen, f"{path}[{key if isinstance(key, str) else i}]")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from kept(item, seen, f"{path}[{i}]")
    elif (
        hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value)
    ) or isinstance(value, nn.Module):
        for key, item in vars(value).items():
            yield from kept(item, seen, f"{path}.{key}")


def state(value: Any) -> dict[str, Any]:
    """Return all that an object holds, as values that can be compared."""
    found: dict[str, Any] = {}
    for path, item in kept(value):
        match item:
            case torch.Generator():
                found[path] = item.get_state().tolist()
            case np.random.Generator():
                found[path] = item.bit_generator.state
            case Tensor():
                found[path] = item.detach().clone()
            case _:
                found[path] = item.copy()
    return found


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def equal(a: Any, b: Any) -> bool:
        return torch.equal(a, b) if isinstance(a, Tensor) else bool(np.all(a == b))

    return list(one) == list(other) and all(equal(one[path], other[path]) for path in one)
