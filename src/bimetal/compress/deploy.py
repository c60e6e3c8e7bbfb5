"""How a model leaves torch: the file that is written, and what runs it.

One function a kind of file. Each takes a model, the path of the file without its ending, and the data
(for an example row and for ranges), and returns a `Deployed`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from bimetal import format
from bimetal.compress import runtimes
from bimetal.compress.data import CompressData
from bimetal.compress.runtimes import EAGER, ENGINE, ORT, Floats, Start
from bimetal.compress.storage import coded_arrays, float_arrays, write_arrays, write_deflated
from bimetal.errors import MissingExtraError
from bimetal.files import atomic_write
from bimetal.program import Program

__all__ = ["PACKED", "Deploy", "Deployed", "as_codes", "as_deflated", "as_floats", "as_int8", "as_packed",
           "as_program", "as_torch"]  # fmt: skip

N_CALIBRATION = 512
PACKED = "packed bits, .bimetal"


@dataclass(frozen=True, eq=False)
class Deployed:
    """A file, and what runs it.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    stored : str
        Its format, in words.
    starts : mapping of str to callable
        What runs it, by name; the first one gives the answers that count.
    prepare : callable
        Rows of the data as tensors → arrays as `starts` read them.
    raw_bytes : int or None
        The size before deflation.
    is_torch : bool
        Whether what runs it is the model in torch itself, so that answers cannot differ.
    remark : str
        What else there is to say: that ONNX Runtime cannot run it, for example.
    """

    path: Path
    stored: str
    starts: Mapping[str, Start]
    prepare: Callable[[Tensor], Floats]
    raw_bytes: int | None = None
    is_torch: bool = True
    remark: str = ""


Deploy = Callable[[nn.Module, Path, CompressData], Deployed]


def as_floats(model: nn.Module, stem: Path, data: CompressData) -> Deployed:
    """Store float32 weights; run by PyTorch and ONNX Runtime."""
    path = _ending(stem, ".safetensors")
    write_arrays(float_arrays(model), path)
    starts, remark = _float_runtimes(model, data)
    return Deployed(path, "float32, safetensors", starts, _floats(data), remark=remark)


def as_deflated(model: nn.Module, stem: Path, data: CompressData) -> Deployed:
    """Store float32 weights, deflated; they run as if no weight were zero."""
    raw, path = _ending(stem, ".safetensors"), _ending(stem, ".safetensors.gz")
    write_arrays(float_arrays(model), raw)
    write_deflated(float_arrays(model), path)
    n_raw = raw.stat().st_size
    raw.unlink()
    starts, remark = _float_runtimes(model, data)
    stored = "float32, safetensors, gzip"
    return Deployed(path, stored, starts, _floats(data), n_raw, remark=remark)


def as_codes(model: nn.Module, stem: Path, data: CompressData) -> Deployed:
    """Store weights of few levels as packed codes; they run as the float32 numbers they stand for."""
    path = _ending(stem, ".safetensors")
    write_arrays(coded_arrays(model), path)
    starts, remark = _float_runtimes(runtimes.as_float(model), data)
    stored = "packed codes and scales, safetensors"
    return Deployed(path, stored, starts, _floats(data), remark=remark)


def as_int8(model: nn.Module, stem: Path, data: CompressData) -> Deployed:
    """Store 8-bit weights and activations as ONNX, ranges from training rows; run by ONNX Runtime."""
    path, floats = _ending(stem, ".onnx"), _floats(data)
    rows = floats(data.train.x[:N_CALIBRATION])
    runtimes.calibrated(runtimes.exported(model, torch.from_numpy(rows[:1])), rows, path)
    starts = {ORT: runtimes.onnx_runtime(path)}
    return Deployed(path, "int8, ONNX", starts, floats, is_torch=False)


def as_torch(
    model: nn.Module, stem: Path, data: CompressData, stored: str = "float32, torch"
) -> Deployed:
    """Store what ``torch.save`` stores of a model that only PyTorch runs."""
    path = _ending(stem, ".pt")
    with atomic_write(path) as file:
        torch.save(model.state_dict(), file)
    return Deployed(path, stored, {EAGER: runtimes.pytorch(model)}, _floats(data))


def as_packed(model: nn.Module, stem: Path, data: CompressData) -> Deployed:
    """Store the packed bits of a binary net that does not lower; it runs in PyTorch."""
    path = _ending(stem, ".safetensors")
    write_arrays(coded_arrays(model), path)
    starts = {EAGER: runtimes.pytorch(model)}
    return Deployed(path, "packed bits, safetensors", starts, _floats(data))


def as_program(
    lower: Callable[[nn.Module], Program],
    model: nn.Module,
    stem: Path,
    data: CompressData,
    stored: str = PACKED,
) -> Deployed:
    """Lower a binary net, store it as a .bimetal file; run by our Engine."""
    path = _ending(stem, ".bimetal")
    format.save(lower(model), path)
    starts = {ENGINE: runtimes.bimetal_engine(format.load(path))}
    return Deployed(path, stored, starts, partial(_raw_rows, data), is_torch=False)


def _ending(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _float_runtimes(model: nn.Module, data: CompressData) -> tuple[dict[str, Start], str]:
    """Return PyTorch, ONNX Runtime where the model can be exported, and a remark where it cannot."""
    starts = {EAGER: runtimes.pytorch(model)}
    try:
        file = runtimes.exported(model, data.floats(data.train.x[:1]))
        starts[ORT] = runtimes.onnx_runtime(file)
    except MissingExtraError:
        raise
    except Exception as error:  # a model may use what ONNX lacks; then PyTorch alone runs it
        return starts, f"not run by ONNX Runtime: {' '.join(str(error).split())[:120]}"
    return starts, ""


def _floats(data: CompressData) -> Callable[[Tensor], Floats]:
    return lambda x: data.floats(x).contiguous().numpy()


def _raw_rows(data: CompressData, x: Tensor) -> Floats:
    """Return rows as a Program reads them: features as they are, pictures as bytes, channels last."""
    if data.picture_shape is None:
        return data.floats(x).contiguous().numpy()
    pictures = data.bytes(x).permute(0, 2, 3, 1).flatten(1).contiguous()
    rows: Floats = pictures.numpy()
    return rows
