"""Macroeconomic scenarios for default hazards: a probability each, and what moves in it.

What moves is the log-odds of default, month by month (where a satellite model has been asked elsewhere),
or a covariate of the hazard model itself (unemployment, say). Read from JSON that a person writes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bimetal.errors import DataError
from bimetal.strict_json import parse_object

__all__ = ["Scenario", "read_scenarios"]


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    Parameters
    ----------
    name : str
    probability : float
        Above 0 and at most 1; those of all scenarios sum to 1.
    shift : tuple of float
        Added to the log-odds of default in month 1, 2, ...; the last goes on.
    covariates : mapping of str to tuple of float
        Values of covariates in month 1, 2, ...; the last goes on.

    Raises
    ------
    DataError
        When a part does not fit.

    Examples
    --------
    >>> Scenario("downturn", 0.2, shift=(0.1, 0.3, 0.5)).probability
    0.2
    """

    name: str
    probability: float
    shift: tuple[float, ...] = (0.0,)
    covariates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise DataError(f"a scenario has a name, got {self.name!r:.80}")
        if not _is_number(self.probability) or not 0 < self.probability <= 1:
            raise DataError(
                f"scenario '{self.name}': a probability above 0 and at most 1 expected, got "
                f"{self.probability!r:.80}"
            )
        for what, path in {"shift": self.shift, **self.covariates}.items():
            if not path or not all(map(_is_number, path)):
                raise DataError(
                    f"scenario '{self.name}', {what}: numbers by month expected, got {path!r:.80}"
                )


def read_scenarios(source: Path | bytes) -> tuple[Scenario, ...]:
    """Read scenarios from JSON.

    Parameters
    ----------
    source : path or bytes
        ``{"scenarios": [{"name": "base", "probability": 0.6}, {"name": "downturn", "probability":
        0.4, "shift": [0.2, 0.4], "covariates": {"unemployment": [6.0, 7.5]}}]}``; `shift` may be one
        number.

    Raises
    ------
    DataError
        When keys are unknown, names come twice, or probabilities do not sum to 1.
    FormatError
        When it is no such JSON.
    OSError
        When there is no such file.

    Examples
    --------
    >>> text = b'{"scenarios": [{"name": "base", "probability": 1, "shift": 0.1}]}'
    >>> read_scenarios(text)[0].shift
    (0.1,)
    """
    raw = source if isinstance(source, bytes) else Path(source).read_bytes()
    given = parse_object(raw, "the scenarios")
    listed = given.get("scenarios")
    if set(given) != {"scenarios"} or not isinstance(listed, list) or not listed:
        raise DataError(f"an object with a list 'scenarios' expected, got keys {sorted(given)}")
    scenarios = tuple(_scenario(spec) for spec in listed)
    names = [scenario.name for scenario in scenarios]
    if len(set(names)) < len(names):
        raise DataError(f"scenarios must have names of their own, got {names}")
    total = math.fsum(scenario.probability for scenario in scenarios)
    if abs(total - 1) > 1e-9:
        raise DataError(f"probabilities of scenarios must sum to 1, got {total:.6g}")
    return scenarios


def _scenario(spec: Any) -> Scenario:
    known = {"name", "probability", "shift", "covariates"}
    if not isinstance(spec, dict) or not {"name", "probability"} <= set(spec) <= known:
        raise DataError(
            f"a scenario has name and probability, and may have shift and covariates, got {spec!r:.120}"
        )
    paths = spec.get("covariates", {})
    if not isinstance(paths, dict):
        raise DataError(f"covariates by name expected, got {paths!r:.80}")
    return Scenario(
        spec["name"],
        spec["probability"],
        _path(spec.get("shift", 0.0)),
        {name: _path(path) for name, path in paths.items()},
    )


def _path(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list) else (given,)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
