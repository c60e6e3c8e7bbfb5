"""Trees of plain values and tensors as bytes: the same tree, the same bytes, and no pickle.

`torch.save` would do, but for two things: equal states should be equal bytes, so that a test or an
auditor can compare them, and what is read back should hold nothing but numbers. The file is eight bytes
of length, JSON in which a tensor stands as its number, type and shape, and the tensors one after another.
"""

import json
import math
from typing import Any

import torch
from torch import Tensor

from bimetal.errors import CheckpointError

__all__ = ["Tree", "dumps", "loads"]

Tree = Any
TYPES = {
    str(t).removeprefix("torch."): t
    for t in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
        torch.bfloat16, torch.float32, torch.float64,
    )
}  # fmt: skip


def dumps(tree: Tree) -> bytes:
    """Return a tree of dicts (their keys strings), lists, plain values and tensors as bytes.

    Examples
    --------
    >>> loads(dumps({"w": torch.ones(2), "n": [1, None]}))
    {'w': tensor([1., 1.]), 'n': [1, None]}
    """
    bodies: list[bytes] = []

    def told(value: Any) -> Any:
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"a state holds tensors and plain values, not a {type(value).__name__}"
            )
        flat = value.detach().cpu().contiguous().reshape(-1)
        bodies.append(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        return {"tensor": [str(value.dtype).removeprefix("torch."), list(value.shape)]}

    text = json.dumps(tree, default=told, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *bodies])


def loads(data: bytes) -> Tree:
    """Return the tree that `dumps` wrote.

    Raises
    ------
    CheckpointError
        When the bytes are something else.
    """
    at = 8 + int.from_bytes(data[:8], "little")

    def seen(value: dict[str, Any]) -> Any:
        nonlocal at
        if set(value) != {"tensor"}:
            return value
        name, shape = value["tensor"]
        n = math.prod(shape) * TYPES[name].itemsize
        body, at = data[at : at + n], at + n
        if len(body) != n:
            raise ValueError(f"{n} bytes of a tensor expected, got {len(body)}")
        raw = (
            torch.frombuffer(bytearray(body), dtype=TYPES[name])
            if n
            else torch.empty(0, dtype=TYPES[name])
        )
        return raw.reshape(shape)

    try:
        tree = json.loads(data[8:at].decode(), object_hook=seen)
        if at != len(data):
            raise ValueError(f"{at} bytes expected, got {len(data)}")
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, RecursionError) as error:
        raise CheckpointError(
            f"expected a state of get_state, got other bytes: {error}; take it again from its source"
        ) from None
    return tree
