"""The page of a validation pack: ``report.html`` and ``report.json`` in a folder, for people and machines."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bimetal.errors import MissingExtraError
from bimetal.files import atomic_write
from bimetal.finance.credit.validation.pack import HEADINGS, ValidationPack
from bimetal.report.sheet import embedded, rendered

__all__ = ["pictures", "write_validation"]

TEMPLATE = "validation.html.j2"
ORDER = ("red", "amber", "green")
CAPTIONS = {
    "ranking": (
        "Ranking",
        "Left: higher and further left is better. Right: goods and bads along the score.",
    ),
    "calibration": (
        "Calibration",
        "Left: on the dotted line, 20\u00a0% means 20 of 100; Wilson 95\u00a0%. Right: observed default rate and its "
        "Jeffreys interval against the mean probability of the grade (dash).",
    ),
    "stability": (
        "Stability",
        "Left: rows by score, development and now. Right: index of each column; the tick is what chance stays "
        "below in 95 of 100 samples.",
    ),
    "periods": (
        "Period by period",
        "Bars: 95\u00a0% intervals. Dotted on the right: AUC of all rows.",
    ),
    "rivals": ("Beside its challengers", "Right of the dotted line, the challenger ranks better."),
    "sensitivity": (
        "Sensitivity",
        "Wide bars: the column dealt out anew among the rows. Narrow bars: every value moved by one bin.",
    ),
    "stress": ("Stress", "Before and after each shock, on the same rows."),
    "impact": (
        "Approval beside the reference group",
        "Dotted: equality, and four fifths, which is a convention. Intervals: Katz 95\u00a0%.",
    ),
    "shifted": (
        "Score and columns, then and now",
        "The tick is what chance stays below in 95 of 100 samples.",
    ),
    "held": (
        "Grade by grade",
        "Observed default rate with its Jeffreys interval against the mean probability (dash).",
    ),
}


def write_validation(pack: ValidationPack, folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` and ``report.json`` into a folder, which is made if needed.

    Parameters
    ----------
    pack : ValidationPack
        The facts.
    folder : str or path-like
        Where to.

    Returns
    -------
    pathlib.Path
        The page: it needs no network and no other file.

    Raises
    ------
    MissingExtraError
        When matplotlib or Jinja is not installed.
    OSError
        When a file cannot be written.
    """
    from bimetal.report.credit_plots import VALIDATION_PLOTS

    target = Path(folder)
    facts = pack.facts
    page = rendered(
        TEMPLATE,
        {
            "facts": facts,
            "headings": HEADINGS,
            "findings": _sorted(pack.findings),
            "lights": _lights(pack.findings),
            "stated": {s: [f for f in facts["statements"] if f["section"] == s] for s in HEADINGS},
            "plots": pictures(facts, VALIDATION_PLOTS),
            "number": {key: k for k, key in enumerate(HEADINGS, 1)},
        },
    )
    target.mkdir(parents=True, exist_ok=True)
    pack.write(target / "report.json")
    with atomic_write(target / "report.html") as file:
        file.write(page.encode())
    return target / "report.html"


def pictures(facts: Mapping[str, Any], plots: Sequence[Any]) -> dict[str, dict[str, str]]:
    """Draw every plot that has something to show, for paper and for slate.

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    """
    try:
        from bimetal.report.credit_plots import drawn_png
        from bimetal.report.theme import DARK, LIGHT

        drawn = {p.__name__: [drawn_png(p, facts, t) for t in (LIGHT, DARK)] for p in plots}
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "report", "the report") from error
    return {
        name: {
            "light": embedded(light),
            "dark": embedded(dark),
            "title": CAPTIONS[name][0],
            "caption": CAPTIONS[name][1],
        }
        for name, (light, dark) in drawn.items()
        if light is not None and dark is not None
    }


def _sorted(findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(findings, key=lambda f: ORDER.index(f["light"]))


def _lights(findings: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {light: sum(f["light"] == light for f in findings) for light in ORDER}
