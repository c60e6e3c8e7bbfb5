"""The page: facts and plots put into one HTML file that needs nothing but itself."""

import os
from pathlib import Path
from typing import Any

from bimetal.errors import MissingExtraError
from bimetal.files import atomic_write
from bimetal.report.sheet import embedded, machine, rendered
from bimetal.report.study import CEILING, Judged, Study
from bimetal.report.words import headline, remarks, versus

__all__ = ["write_report"]

TEMPLATE = "report.html.j2"
N_TOP_BITS = 16
CAPTIONS = {
    "challengers": "Left: each model alone. Right: how far bimetal leads; an interval over zero is noise.",
    "roc": "Higher and further left is better; the dotted diagonal is chance.",
    "ks": "The further apart the two curves, the better the classes are told apart.",
    "calibration": "On the dotted line, a probability of 20\u00a0% means 20 of 100. Bars: 95\u00a0% intervals.",
    "distribution": "Where the two classes lie along the model's probability.",
    "cost": "Scales of tens. One thread, raw rows in, probabilities out, called from Python.",
}
TITLES = {
    "challengers": "Ranking, side by side",
    "roc": "ROC",
    "ks": "Kolmogorov–Smirnov",
    "calibration": "Calibration",
    "distribution": "Scores by class",
    "cost": "Size and speed",
}
PARTS = {
    "linear": "additive points for the bits: a scorecard",
    "rules": "sparse binary neurons, each of a few bits",
    "members": "dense binary nets, trained side by side",
}


def write_report(study: Study, folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` and the plots as PNG files into a folder, which is made if needed.

    Parameters
    ----------
    study : Study
        The facts.
    folder : str or path-like
        Where to.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    MissingExtraError
        When matplotlib or Jinja is not installed.
    OSError
        When a file cannot be written.
    """
    target = Path(folder)
    plots = _plots(study, target / "plots")
    html = rendered(TEMPLATE, _facts(study) | {"plots": plots})
    with atomic_write(target / "report.html") as file:
        file.write(html.encode())
    return target / "report.html"


def _plots(study: Study, folder: Path) -> dict[str, dict[str, str]]:
    """Draw every plot for paper and for slate; the one for paper is also a file."""
    try:
        from bimetal.report.plots import PLOTS, draw
        from bimetal.report.theme import DARK, LIGHT

        drawn = {p.__name__: (draw(p, study, LIGHT), draw(p, study, DARK)) for p in PLOTS}
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "report", "the report") from error
    folder.mkdir(parents=True, exist_ok=True)
    for name, (light, _) in drawn.items():
        with atomic_write(folder / f"{name}.png") as file:
            file.write(light)
    return {
        name: {
            "light": embedded(light),
            "dark": embedded(dark),
            "title": TITLES[name],
            "caption": CAPTIONS[name],
        }
        for name, (light, dark) in drawn.items()
    }


def _facts(study: Study) -> dict[str, Any]:
    program, model = study.program, study.model
    program_cost = program.cost()
    return {
        "study": study,
        "title": study.portfolio.title,
        "is_simulated": study.portfolio.truth is not None,
        "model": model,
        "program": program,
        "cost": program_cost,
        "positive": study.portfolio.positive or f"of class {program.classes[1]}",
        "positive_name": study.portfolio.positive or f"class {program.classes[1]}",
        "share": float(study.y.mean()),
        "headline": headline(study),
        "remarks": remarks(study),
        "rows": [_row(study, judged) for judged in study.models],
        "parts": _parts(study),
        "points": _points(study),
        "machine": machine(),
    }


def _row(study: Study, judged: Judged) -> dict[str, Any]:
    ours, speed = study.model.speed, judged.speed
    real = [m for m in study.models if m.name != CEILING]
    row: dict[str, Any] = {
        "judged": judged,
        "is_ours": judged is study.model,
        "versus": "ceiling" if judged.name == CEILING else versus(judged),
        "best": {k for k in judged.measures if judged in real and _is_best(judged, real, k)},
    }
    if ours and speed:
        row["one_row_ratio"] = speed.one_row_median_us / ours.one_row_median_us
        row["batch_ratio"] = ours.rows_per_second / speed.rows_per_second
    return row


def _is_best(judged: Judged, rivals: list[Judged], measure: str) -> bool:
    """Tell whether no rival does better by this measure, going by the four digits shown."""
    shown = [round(m.measures[measure], 4) for m in rivals]
    best = min(shown) if measure in ("brier", "log_loss") else max(shown)
    return round(judged.measures[measure], 4) == best


def _parts(study: Study) -> list[dict[str, Any]]:
    weights, losses = study.fit.get("weights", {}), study.fit.get("losses", {})
    most = max(weights.values(), default=0) or 1
    return [
        {
            "name": name,
            "what": PARTS.get(name, ""),
            "weight": weight,
            "width": 100 * weight / most,
            "loss": losses.get(name),
        }
        for name, weight in weights.items()
    ]


def _points(study: Study) -> list[dict[str, Any]]:
    """Return the bits with the most points either way, largest first."""
    top = sorted(study.points, key=lambda bit: -abs(bit.points))[:N_TOP_BITS]
    most = max((abs(bit.points) for bit in top), default=0) or 1
    return [
        {"name": bit.name, "points": bit.points, "width": 100 * abs(bit.points) / most}
        for bit in top
        if bit.points
    ]
