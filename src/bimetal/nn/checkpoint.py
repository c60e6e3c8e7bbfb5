"""Checkpoints: a training that was cut off goes on as if nothing had happened, bit for bit.

A checkpoint is one file of tensors and plain data, read without running any code of it
(``weights_only``), and written beside and then renamed, so that there is always a whole one.
"""

import io
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bimetal.errors import CheckpointError
from bimetal.files import atomic_write
from bimetal.nn.config import Epoch, TrainConfig
from bimetal.nn.insight import Histogram, LayerInsight

__all__ = ["as_epoch", "as_plain", "read", "write"]

VERSION = 1
State = dict[str, Any]


def write(
    path: str | os.PathLike[str], model: nn.Module, config: TrainConfig, state: State
) -> None:
    """Write a checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    document = {
        "version": VERSION,
        "config": asdict(config),
        "architecture": _architecture(model),
        "layers": _layers(model),
        "state": state,
    }
    torch.save(document, buffer)
    with atomic_write(Path(path)) as file:
        file.write(buffer.getbuffer())


def read(path: str | os.PathLike[str], model: nn.Module, config: TrainConfig) -> State:
    """Read the state of a training of this model with this config.

    Raises
    ------
    CheckpointError
        When the file is damaged, or was written by a training of another model or with another
        config; what differs is named.
    """
    document = _document(Path(path))
    _require_same(path, "config", document["config"], asdict(config))
    _require_same(path, "architecture", document["architecture"], _architecture(model))
    if "layers" in document:  # not in files of the first days
        _require_same(path, "architecture", document["layers"], _layers(model))
    state: State = document["state"]
    return state


def _document(path: Path) -> State:
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # bytes of any kind make torch and pickle raise errors of any kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"'{path}' cannot be read as a checkpoint ({reason}); remove it to start anew"
        ) from None
    is_ours = isinstance(document, dict) and {"version", "config", "architecture", "state"} <= {
        *document
    }
    if not is_ours or document["version"] != VERSION:
        raise CheckpointError(
            f"'{path}' is no checkpoint of this version of bimetal ({VERSION}); remove it to start anew"
        )
    return document  # type: ignore[no-any-return]


def _architecture(model: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


HOW = ("binarizer", "surrogate_name", "pad_value")


def _layers(model: nn.Module) -> dict[str, str]:
    """Return the kind of each layer, and how it binarizes: nets of equal shapes may differ in it."""
    return {
        name or "the net": " ".join(
            [
                type(layer).__name__,
                *(str(getattr(layer, own)) for own in HOW if hasattr(layer, own)),
            ]
        )
        for name, layer in model.named_modules()
    }


def _require_same(path: object, what: str, saved: State, wanted: State) -> None:
    differing = [
        f"{name} (checkpoint: {saved.get(name, 'absent')}, now: {wanted.get(name, 'absent')})"
        for name in sorted({*saved, *wanted})
        if saved.get(name, "absent") != wanted.get(name, "absent")
    ]
    if differing:
        more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
        raise CheckpointError(
            f"'{path}' belongs to another {what}: {', '.join(differing[:4])}{more}. Go on with what "
            "it was begun with, or name another file"
        )


def as_plain(epoch: Epoch) -> State:
    """Return an epoch as dicts of numbers."""
    return asdict(epoch)


def as_epoch(plain: State) -> Epoch:
    """Return the epoch that `as_plain` was given."""
    layers = {
        name: LayerInsight(**{**one, "histogram": Histogram(**one["histogram"])})
        for name, one in plain.get("layers", {}).items()
    }
    return Epoch(**{**plain, "layers": layers})
