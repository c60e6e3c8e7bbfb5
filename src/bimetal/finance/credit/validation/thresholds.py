"""Thresholds and what they find: green, amber, red by numbers that are stated and can be changed.

None of them is law. A finding carries the value, the thresholds it was held to, and a sentence; the
worst of all findings is the light of the pack, and the exit code of a scheduler.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from bimetal.errors import DataError
from bimetal.finance.credit.validation.estimate import finite

__all__ = ["Finding", "Light", "Thresholds", "above", "below", "worst"]

Light = Literal["green", "amber", "red"]
ORDER: tuple[Light, ...] = ("green", "amber", "red")


@dataclass(frozen=True)
class Thresholds:
    """Pairs of (amber, red).

    Parameters
    ----------
    auc : tuple of float
        Below which an AUC is amber, red.
    auc_drop : tuple of float
        Fall of the AUC since development, if DeLong's test finds it at 5 %.
    psi, csi : tuple of float
        Stability of score and columns: conventions.
    ratio : tuple of float
        Distance of actual over expected defaults from 1, as a factor (1.1: from 0.909 to 1.1), if the
        test finds it at 5 %.
    grade : tuple of float
        Jeffreys' p-value of a grade, Holm-adjusted over grades.
    calibration_test : tuple of float
        p-values of Hosmer–Lemeshow and Spiegelhalter; with many rows they reject any model, so that
        red is 0 (never) by default.
    concentration : tuple of float
        Normalised Herfindahl index over grades.
    challenger : tuple of float
        Lead in AUC of a challenger, if DeLong's test finds it at 5 %.
    adverse_impact : tuple of float
        Below which the ratio is amber, red; a convention, used where the section is on.
    group_ratio : tuple of float
        As `ratio`, within groups.
    unseen, missing, beyond : tuple of float
        Rise of the share of rows with categories never seen; change of the share missing, either way;
        rise of the share beyond the policy's limits.
    approval : tuple of float
        Change of the approval rate since the reference.

    Raises
    ------
    DataError
        When a pair holds something else than two numbers.
    """

    auc: tuple[float, float] = (0.70, 0.60)
    auc_drop: tuple[float, float] = (0.02, 0.05)
    psi: tuple[float, float] = (0.10, 0.25)
    csi: tuple[float, float] = (0.10, 0.25)
    ratio: tuple[float, float] = (1.10, 1.25)
    grade: tuple[float, float] = (0.05, 0.01)
    calibration_test: tuple[float, float] = (0.01, 0.0)
    concentration: tuple[float, float] = (0.30, 0.60)
    challenger: tuple[float, float] = (0.0, 0.02)
    adverse_impact: tuple[float, float] = (0.90, 0.80)
    group_ratio: tuple[float, float] = (1.25, 1.5)
    unseen: tuple[float, float] = (0.01, 0.05)
    missing: tuple[float, float] = (0.05, 0.15)
    beyond: tuple[float, float] = (0.005, 0.05)
    approval: tuple[float, float] = (0.05, 0.15)

    def __post_init__(self) -> None:
        for f in fields(self):
            given = getattr(self, f.name)
            pair = tuple(given) if isinstance(given, list | tuple) else ()
            if len(pair) != 2 or not all(isinstance(v, int | float) for v in pair):
                raise DataError(f"threshold '{f.name}': (amber, red) expected, got {given!r:.80}")
            object.__setattr__(self, f.name, (float(pair[0]), float(pair[1])))

    def spec(self) -> dict[str, list[float]]:
        """Return JSON values."""
        return {f.name: list(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Thresholds":
        """Build them from JSON values; those not named are as by default.

        Raises
        ------
        DataError
            When a name is unknown, or a value no pair of numbers.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(spec) - set(known))
        if unknown:
            raise DataError(f"thresholds of {', '.join(known)} expected, got {unknown[0]!r:.40}")
        return cls(**spec)


@dataclass(frozen=True)
class Finding:
    """One light and its reason.

    Attributes
    ----------
    section : str
        Key of the section of the pack.
    what : str
    light : {"green", "amber", "red"}
    value : float or None
    amber, red : float or None
        What the value was held to.
    text : str
        A sentence.
    """

    section: str
    what: str
    light: Light
    value: float | None
    amber: float | None
    red: float | None
    text: str

    def spec(self) -> dict[str, Any]:
        """Return JSON values."""
        return dict(finite(self))


def above(value: float, pair: tuple[float, float], is_real: bool = True) -> Light:
    """Return the light of a value that should be small; green when the difference is not real.

    Examples
    --------
    >>> above(0.12, (0.10, 0.25)), above(0.12, (0.10, 0.25), is_real=False)
    ('amber', 'green')
    """
    if not is_real or value <= pair[0]:
        return "green"
    return "amber" if value <= pair[1] else "red"


def below(value: float, pair: tuple[float, float], is_real: bool = True) -> Light:
    """Return the light of a value that should be large.

    Examples
    --------
    >>> below(0.65, (0.70, 0.60)), below(0.5, (0.70, 0.60))
    ('amber', 'red')
    """
    if not is_real or value >= pair[0]:
        return "green"
    return "amber" if value >= pair[1] else "red"


def worst(lights: Iterable[Light]) -> Light:
    """Return the worst of lights; green when there are none."""
    return ORDER[max((ORDER.index(light) for light in lights), default=0)]
