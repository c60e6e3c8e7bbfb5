"""bimetal: binarized neural networks, from a table to bit operations, and back to a probability.

>>> import bimetal
>>> bimetal.isas()[-1]
'serial'

What stands here is the whole face of the library. Names are imported when they are first used, so
that a scoring server which installs no torch never looks for one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bimetal import continual, datasets, nn, zoo
    from bimetal.columns import Column
    from bimetal.continual.stream.classifier import ContinualClassifier
    from bimetal.encoders import CutPointEncoder, OptBinningEncoder, QuantileEncoder, TreeEncoder
    from bimetal.errors import BimetalError
    from bimetal.estimators import BinaryClassifier, BinaryRegressor
    from bimetal.format import load, save
    from bimetal.lower import lower_cnn
    from bimetal.packed import Packed, verify
    from bimetal.program import Program
    from bimetal.runtime import Engine, isas
    from bimetal.sizes import packed_summary

    __version__: str

__all__ = [
    "BimetalError",
    "BinaryClassifier",
    "BinaryRegressor",
    "Column",
    "ContinualClassifier",
    "CutPointEncoder",
    "Engine",
    "OptBinningEncoder",
    "Packed",
    "Program",
    "QuantileEncoder",
    "TreeEncoder",
    "__version__",
    "continual",
    "datasets",
    "isas",
    "load",
    "lower_cnn",
    "nn",
    "packed_summary",
    "save",
    "verify",
    "zoo",
]

_HOMES = {
    "BimetalError": "errors",
    "BinaryClassifier": "estimators",
    "BinaryRegressor": "estimators",
    "Column": "columns",
    "ContinualClassifier": "continual.stream.classifier",
    "CutPointEncoder": "encoders",
    "Engine": "runtime",
    "OptBinningEncoder": "encoders",
    "Packed": "packed",
    "Program": "program",
    "QuantileEncoder": "encoders",
    "TreeEncoder": "encoders",
    "isas": "runtime",
    "load": "format",
    "lower_cnn": "lower",
    "packed_summary": "sizes",
    "save": "format",
    "verify": "packed",
}
_MODULES = ("continual", "datasets", "nn", "zoo")
_OF_TRAINING = ("lightgbm", "scipy", "sklearn", "threadpoolctl", "torch")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("bimetal")
    elif name in _MODULES:
        found = _module(name, name)
    elif name in _HOMES:
        found = getattr(_module(_HOMES[name], name), name)
    else:
        raise AttributeError(f"module 'bimetal' has no name '{name}'; it has {', '.join(__all__)}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)


def _module(home: str, name: str) -> Any:
    try:
        return import_module(f"bimetal.{home}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _OF_TRAINING:
            raise
        from bimetal.errors import MissingExtraError

        raise MissingExtraError(error.name, "train", name) from error
