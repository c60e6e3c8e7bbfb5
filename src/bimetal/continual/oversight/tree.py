"""Trees of plain values and tensors as bytes: the same tree, the same bytes, and no pickle.

`torch.save` would do, but for two things: equal states should be equal bytes, so that a test or an
auditor can compare them, and what is read back should hold nothing but numbers. The tree is JSON in which
a tensor stands as its number, beside the tensors as arrays (`bimetal.continual.stream.tensors`).
"""

import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bimetal.container import DTYPES
from bimetal.continual.stream import tensors
from bimetal.errors import CheckpointError

__all__ = ["Tree", "dumps", "loads"]

Tree = Any


def dumps(tree: Tree) -> bytes:
    """Return a tree of dicts (their keys strings), lists, plain values and tensors as bytes.

    Raises
    ------
    CheckpointError
        When it holds anything else, or a tensor of a type that NumPy lacks.

    Examples
    --------
    >>> loads(dumps({"w": torch.ones(2), "n": [1, None]}))
    {'w': tensor([1., 1.]), 'n': [1, None]}
    """
    arrays: dict[str, NDArray[Any]] = {}

    def told(value: Any) -> Any:
        if not isinstance(value, Tensor) or not _is_kept(value):
            what = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise CheckpointError(f"a state holds tensors and plain values, not a {what}")
        name = str(len(arrays))
        arrays[name] = value.detach().cpu().numpy()
        return {"tensor": name}

    text = json.dumps(tree, default=told, separators=(",", ":"))
    return tensors.dumps(text, arrays)


def _is_kept(value: Tensor) -> bool:
    names = {np.dtype(code).name for code in DTYPES.values()}
    return str(value.dtype).removeprefix("torch.") in names


def loads(data: bytes) -> Tree:
    """Return the tree that `dumps` wrote.

    Raises
    ------
    CheckpointError
        When the bytes are something else.
    """
    text, arrays = tensors.loads(data)

    def seen(value: dict[str, Any]) -> Any:
        return torch.from_numpy(arrays[value["tensor"]]) if set(value) == {"tensor"} else value

    try:
        return json.loads(text, object_hook=seen)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"expected a state of get_state, got other bytes: {error}; take it again from its source"
        ) from None
