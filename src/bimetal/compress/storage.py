"""Real files of real bytes: a size in the table is that of a file that was written.

Float weights are stored as safetensors stores them. Weights of few levels are stored as codes of k
bits, packed without gaps, beside the scales of their outputs; pruned weights as they are (zeros take
room too) and deflated, which is where zeros pay.
"""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bimetal.compress.grid import Grid
from bimetal.errors import MissingExtraError
from bimetal.files import atomic_write
from bimetal.nn import BinaryLayer, ByteConv2d, ByteLinear

__all__ = ["coded_arrays", "float_arrays", "packed", "write_arrays", "write_deflated"]

Arrays = dict[str, NDArray[Any]]


def float_arrays(model: nn.Module) -> Arrays:
    """Return all parameters and buffers of a model by name, as `torch.save` would take them."""
    return {name: _array(tensor) for name, tensor in model.state_dict().items()}


def coded_arrays(model: nn.Module) -> Arrays:
    """Return what is needed to run a model whose weights have few levels.

    Weights of k bits are codes, 8 / k to a byte, with a float32 scale for each output; binary weights
    are one bit each; 8-bit ones one byte; everything else is float32.

    Examples
    --------
    >>> from bimetal.nn import BinaryLinear
    >>> arrays = coded_arrays(nn.Sequential(BinaryLinear(16, 3)))
    >>> {name: (str(a.dtype), a.shape) for name, a in arrays.items()}
    {'0.bits': ('uint8', (6,))}
    """
    arrays: Arrays = {}
    coded = {name: m for name, m in model.named_modules() if _is_coded(m)}
    for name, module in coded.items():
        arrays |= {f"{name}.{key}": value for key, value in _codes(module)}
    for name, tensor in model.state_dict().items():
        owner, _, last = name.rpartition(".")
        if not any(owner == n or owner.startswith(f"{n}.") for n in coded) or last == "bias":
            arrays[name] = _array(tensor)
    return arrays


def packed(codes: NDArray[np.unsignedinteger[Any]], n_bits: int) -> NDArray[np.uint8]:
    """Return whole numbers below ``2**n_bits`` without gaps between them, least significant bit first.

    Examples
    --------
    >>> packed(np.array([1, 2, 3, 0], "u1"), n_bits=2)
    array([57], dtype=uint8)
    """
    bits = (codes.reshape(-1, 1) >> np.arange(n_bits, dtype=codes.dtype)) & 1
    return np.packbits(bits.astype(bool), bitorder="little")


def write_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write a safetensors file, whole or not at all."""
    with atomic_write(path) as file:
        file.write(_dumped(arrays))


def write_deflated(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write a safetensors file, deflated by gzip; the same arrays give the same bytes."""
    with atomic_write(path) as file:
        file.write(gzip.compress(_dumped(arrays), compresslevel=9, mtime=0))


def _dumped(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    try:
        from safetensors.numpy import save
    except ModuleNotFoundError as error:
        raise MissingExtraError("safetensors", "compress", "a file of weights") from error
    return bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))


def _array(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().numpy()
    return array


def _is_coded(module: nn.Module) -> bool:
    return isinstance(module, BinaryLayer | ByteConv2d | ByteLinear) or _grid(module) is not None


def _grid(module: Any) -> Grid | None:
    if not parametrize.is_parametrized(module, "weight"):
        return None
    return next((g for g in module.parametrizations["weight"] if isinstance(g, Grid)), None)


@torch.no_grad()
def _codes(module: nn.Module) -> Iterator[tuple[str, NDArray[Any]]]:
    match module:
        case BinaryLayer():
            yield "bits", packed((module.binary_weight > 0).numpy().astype(np.uint8), 1)
            if module.alpha is not None:
                yield "alpha", _array(module.alpha)
        case ByteConv2d() | ByteLinear():
            whole, scale = module.rounded()
            yield "whole", _array(whole).astype(np.int8)
            yield "scale", _array(scale.scale).astype(np.float32)
            yield "offset", _array(scale.offset).astype(np.float32)
        case _:
            grid = _grid(module)
            assert grid is not None  # `_is_coded` says so
            yield "codes", packed(_array(grid.codes(_latent(module))), grid.n_bits)
            yield "scale", _array(grid.scale)


def _latent(module: Any) -> Tensor:
    weight: Tensor = module.parametrizations["weight"].original
    return weight
