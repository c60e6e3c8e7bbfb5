"""The page of a comparison of continual methods: curves, matrices, the table, and what each was told."""

import os
from pathlib import Path
from typing import Any

from bimetal.continual.harness.study import Study
from bimetal.continual.harness.table import Row, contenders
from bimetal.errors import DataError
from bimetal.files import atomic_write
from bimetal.report.continual_pictures import continual_pictures
from bimetal.report.continual_words import continual_headline, continual_remarks, percent
from bimetal.report.sheet import rendered

__all__ = ["write_continual"]

TEMPLATE = "continual.html.j2"


def write_continual(study: Study, folder: str | os.PathLike[str]) -> Path:
    """Write ``continual.html`` and its pictures as PNG files into a folder, made if needed.

    Parameters
    ----------
    study : bimetal.continual.Study
        The facts.
    folder : str or path-like
        Where to.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    DataError
        When no method has a whole run: there is nothing to show.
    MissingExtraError
        When matplotlib or Jinja is not installed.
    OSError
        When a file cannot be written.
    """
    if not study.methods:
        raise DataError(
            "no run of this study was finished, so there is nothing to show; resume it first"
        )
    target = Path(folder)
    rows = study.rows()
    facts = {
        "study": study,
        "facts": study.facts,
        "rows": rows,
        "best": contenders(rows)[0],
        "headline": continual_headline(study),
        "remarks": continual_remarks(study),
        "tiles": _tiles(study, rows),
        "tried": _tried(study),
        "insights": _insights(study),
        "plots": continual_pictures(study, target / "plots"),
        "percent": percent,
    }
    with atomic_write(target / "continual.html") as file:
        file.write(rendered(TEMPLATE, facts).encode())
    return target / "continual.html"


def _tiles(study: Study, rows: tuple[Row, ...]) -> list[dict[str, str]]:
    """Return the tiles: the best of those that are told nothing, of the others, and what packing changes."""
    tiles = []
    groups = {
        "best of those told nothing": [r for r in contenders(rows) if r.uses == "nothing"],
        "best of those told more": [r for r in contenders(rows) if r.uses != "nothing"],
    }
    for label, group in groups.items():
        if group:
            row = group[0]
            tiles.append(
                {"label": label, "value": percent(row.mean("average_accuracy")), "note": row.title}
            )
    counted = [row.n_differ for row in rows if row.n_differ is not None]
    if counted:
        n_rows = sum(p.n_rows for run in study.runs for p in run.lowered)
        tiles.append(
            {
                "label": "answered otherwise by Programs",
                "value": f"{sum(counted):,}",
                "note": f"of {n_rows:,} test rows",
            }
        )
    return tiles


def _tried(study: Study) -> list[dict[str, Any]]:
    """Return a line for each method and strength that was tried."""
    methods = study.facts["methods"]
    return [
        {
            "method": tuning.method,
            "strength": f"{methods[tuning.method]['strength_name']} {strength:g}",
            "average": percent(tuning.average(strength)) or "came to nothing",
            "learned": percent(_learned(tuning.trials, strength)),
            "is_best": strength == tuning.best,
        }
        for tuning in study.tunings
        for strength in tuning.strengths
    ]


def _learned(trials: Any, strength: float) -> float | None:
    found = [t.learned for t in trials if t.strength == strength and t.learned is not None]
    return sum(found) / len(found) if found else None


def _insights(study: Study) -> list[dict[str, Any]]:
    """Return what learners said of themselves after the first task and after the last."""
    found = []
    for method in study.methods:
        run = study.whole(method)[0]
        for name, last in run.insights[-1].items():
            first = run.insights[0].get(name)
            found.append({"method": method, "name": name, "first": first, "last": last})
    return found
