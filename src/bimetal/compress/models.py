"""The user's model: a function that makes it, named on the command line, and its weights in a file.

A pickled module is refused: unpickling runs whatever the file says. A file of weights alone runs
nothing. (The file with the function does run, as any program does that one starts.)
"""

import importlib
import importlib.util
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bimetal.compress.data import CompressData
from bimetal.errors import DataError, MissingExtraError

__all__ = ["check_model", "load_model", "load_weights"]


def load_model(
    spec: str, weights: str | os.PathLike[str] | None = None, seed: int = 0
) -> nn.Module:
    """Call the function that makes a model, and load weights into it.

    Parameters
    ----------
    spec : str
        ``path/to/file.py:function`` (the file is run) or ``module.path:function`` (it is imported,
        the working folder included). The function takes no arguments.
    weights : str or path-like, optional
        A .safetensors file, or what ``torch.save(model.state_dict(), path)`` wrote.
    seed : int, default 0
        Of what the function draws from torch's generator: its initial weights.

    Raises
    ------
    DataError
        When there is no such file, module or function, it fails or returns no module, or the weights
        are of another architecture.

    Examples
    --------
    >>> type(load_model("torch.nn:Identity")).__name__
    'Identity'
    """
    make = _function(spec)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = make()
    except Exception as error:
        raise DataError(
            f"'{spec}' was called without arguments and failed: {_said(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise DataError(f"'{spec}' should return a torch.nn.Module, got {type(model).__name__}")
    if weights is not None:
        load_weights(model, weights)
    return model


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a file of weights into a model, every tensor of both sides accounted for.

    Raises
    ------
    DataError
        When the file cannot be read, holds other things than tensors, or tensors of another model.
    MissingExtraError
        When safetensors is needed and not installed.
    """
    found = _tensors(Path(path))
    wanted = model.state_dict()
    wrong = [f"'{n}' is missing" for n in wanted if n not in found]
    wrong += [f"'{n}' is not in the model" for n in found if n not in wanted]
    wrong += [
        f"'{n}' has shape {tuple(found[n].shape)}, the model's {tuple(wanted[n].shape)}"
        for n in wanted
        if n in found and found[n].shape != wanted[n].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise DataError(
            f"'{path}' holds the weights of another architecture: {'; '.join(wrong[:4])}{more}"
        )
    model.load_state_dict(dict(found))


def check_model(model: nn.Module, data: CompressData) -> None:
    """Raise `DataError` unless a model answers rows of the data with one logit a class."""
    shape = data.sample_shape
    try:
        with torch.inference_mode():
            answers = model.eval()(data.floats(data.train.x[:2]))
    except Exception as error:
        raise DataError(
            f"the model cannot read rows of shape {shape}: {_said(error)}; rows are "
            "(n_rows, n_features), or (n_rows, channels, height, width)"
        ) from error
    if not isinstance(answers, Tensor) or answers.ndim != 2 or len(answers) != 2:
        came = tuple(answers.shape) if isinstance(answers, Tensor) else type(answers).__name__
        raise DataError(f"the model should answer 2 rows with logits (2, n_classes), got {came}")
    if answers.shape[1] < max(2, data.n_classes):
        raise DataError(
            f"the model answers with {answers.shape[1]} logits, but there are {data.n_classes} classes; "
            "one logit for each class expected, two where the answer is yes or no"
        )


def _function(spec: str) -> Callable[[], Any]:
    where, colon, name = spec.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise DataError(
            f"a model is named as path/to/file.py:function or module.path:function, got '{spec}'"
        )
    module = _run_file(Path(where)) if where.endswith(".py") else _import(where)
    found = getattr(module, name, None)
    if not callable(found):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise DataError(f"'{where}' has no function '{name}'; it has {', '.join(names) or 'none'}")
    return found  # type: ignore[no-any-return]


def _run_file(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"there is no file '{path}'")
    spec = importlib.util.spec_from_file_location(f"_model_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # the name ends with .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DataError(f"'{path}' was run and failed: {_said(error)}") from error
    return module


def _import(name: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise DataError(f"the module '{name}' cannot be imported: {_said(error)}") from error
    finally:
        sys.path.remove(here)


def _tensors(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise DataError(f"there is no file of weights '{path}'")
    found = _safetensors(path) if path.suffix == ".safetensors" else _state_dict(path)
    nested = found.get("state_dict", found) if isinstance(found, Mapping) else None
    if not isinstance(nested, Mapping) or not all(isinstance(v, Tensor) for v in nested.values()):
        raise DataError(
            f"'{path}' should hold a state_dict, tensors by name; got {type(found).__name__}"
        )
    return nested


def _state_dict(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"'{path}' holds more than tensors (a whole pickled module, say), and reading it would run "
            "code from the file; save model.state_dict() in its place, or a .safetensors file"
        ) from error
    except Exception as error:
        raise DataError(f"'{path}' cannot be read as weights: {_said(error)}") from error


def _safetensors(path: Path) -> Any:
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingExtraError("safetensors", "compress", "a .safetensors file") from error
    try:
        return load_file(path)
    except Exception as error:
        raise DataError(f"'{path}' cannot be read as a safetensors file: {_said(error)}") from error


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
