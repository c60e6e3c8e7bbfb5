"""The validation pack of a credit model: what an independent validator asks, by the book.

Names are imported when they are first used: fairness and monitoring stand on the statistics here, and
need no pack.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bimetal.finance.credit.validation.grades import MasterScale
    from bimetal.finance.credit.validation.pack import HEADINGS, SCHEMA, ValidationPack, validate
    from bimetal.finance.credit.validation.stress import Stress, parse_stress
    from bimetal.finance.credit.validation.thresholds import Finding, Thresholds

__all__ = [
    "HEADINGS",
    "SCHEMA",
    "Finding",
    "MasterScale",
    "Stress",
    "Thresholds",
    "ValidationPack",
    "parse_stress",
    "validate",
]

_HOMES = {
    "HEADINGS": "pack",
    "SCHEMA": "pack",
    "Finding": "thresholds",
    "MasterScale": "grades",
    "Stress": "stress",
    "Thresholds": "thresholds",
    "ValidationPack": "pack",
    "parse_stress": "stress",
    "validate": "pack",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'bimetal.finance.credit.validation' has no name '{name}'; it has {', '.join(__all__)}"
        )
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
