"""A measured number with what it takes to judge it: how many rows, which interval, by what method.

Also what every part of a pack shares: JSON that is finite whatever was measured, and SciPy, which is
imported where it is used so that a service need not have it.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib import import_module
from typing import Any

import numpy as np

from bimetal.errors import MissingExtraError

__all__ = ["Estimate", "finite", "scipy_part"]


@dataclass(frozen=True)
class Estimate:
    """A number and its interval.

    Attributes
    ----------
    value : float
    low, high : float or None
        Of the interval; None where there is none.
    n : int
        Rows that it was measured on.
    method : str
        How the interval was made: "DeLong 95 %", "Wilson 95 %".
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str

    def spec(self) -> dict[str, Any]:
        """Return JSON values; what is not finite becomes None."""
        return dict(finite(asdict(self)))


def finite(value: Any) -> Any:
    """Return plain JSON values of anything that a pack holds: NaN and infinities become None.

    Examples
    --------
    >>> finite({"auc": np.float64(0.75), "n": np.int64(4), "low": float("nan")})
    {'auc': 0.75, 'n': 4, 'low': None}
    """
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: finite(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def scipy_part(name: str) -> Any:
    """Return a module of SciPy.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    try:
        return import_module(f"scipy.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy", "credit", "validation of a credit model") from error
