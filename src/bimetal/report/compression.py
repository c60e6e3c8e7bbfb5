"""The page of a compression study: the table, the Pareto pictures, and what they say."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bimetal.amounts import amount, duration, times
from bimetal.compress.result import Result
from bimetal.compress.study import Study
from bimetal.errors import MissingExtraError
from bimetal.files import atomic_write
from bimetal.report.sheet import embedded, rendered

__all__ = ["compression_headline", "compression_remarks", "write_compression"]

TEMPLATE = "compression.html.j2"
COSTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "n_bytes": ("smallest", lambda n: f"{amount(n)} bytes"),
    "one_row_us": ("fastest for one row", duration),
    "batch_row_us": ("fastest in a batch", duration),
}


def write_compression(study: Study, folder: str | os.PathLike[str]) -> Path:
    """Write ``compression.html`` and its pictures as PNG files into a folder, made if needed.

    Parameters
    ----------
    study : bimetal.compress.Study
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
    facts = {
        "study": study,
        "headline": compression_headline(study),
        "remarks": compression_remarks(study),
        "best": _best(study),
        "fronts": {by: {r.name for r in study.pareto(by)} for by in COSTS},
        "plots": _plots(study, target / "plots"),
    }
    with atomic_write(target / "compression.html") as file:
        file.write(rendered(TEMPLATE, facts).encode())
    return target / "compression.html"


def compression_headline(study: Study) -> str:
    """Return the result in one or two sentences: what is as accurate as the baseline, and smallest."""
    found = _as_accurate(study, "n_bytes")
    if found is None:
        return "Nothing that was tried is smaller and within one standard error of the baseline's accuracy."
    ratio = times(study.baseline.n_bytes / found.n_bytes)
    return (
        f"Within one standard error of the baseline's accuracy, the smallest is “{found.name}”: a file "
        f"{ratio} smaller, with {_percent(found.accuracy)} of test rows right where the baseline has "
        f"{_percent(study.baseline.accuracy)}."
    )


def compression_remarks(study: Study) -> list[str]:
    """Return what a careful reader should know."""
    error = 100 * study.baseline.standard_error
    said = [
        f"An accuracy on {amount(study.baseline.n_test)} test rows is known to about ±{error:.2f} points "
        "(one standard error). Smaller differences are noise, and so is the order of a front where points "
        "lie that close.",
        "To choose a model, go by the validation column; to say how good the one chosen is, by the test "
        "column. Whoever chooses by test rows overstates what he chose.",
        "Everything was trained on the same terms, stated below, and with one seed; a method with a schedule "
        "of its own may do better than here.",
    ]
    said += [_speed(study), _differing(study)]
    if study.was_interrupted:
        said.insert(
            0, "The study was stopped before its end; methods that were not reached are missing."
        )
    return [remark for remark in said if remark]


def _speed(study: Study) -> str:
    binary = [r for r in study.results if r.is_packed and r.one_row_us]
    base = study.baseline
    if not binary or not base.one_row_us:
        return ""
    best = max(binary, key=lambda r: r.accuracy)
    assert best.one_row_us is not None
    ratio = base.one_row_us / best.one_row_us
    verb = f"{times(ratio)} as fast as" if ratio >= 1 else f"{times(1 / ratio)} slower than"
    return (
        f"The most accurate binary net that runs packed, “{best.name}”, is {verb} the baseline in "
        f"{base.runtime} for one row, with {100 * (base.accuracy - best.accuracy):.2f} points less accuracy."
        if best.accuracy < base.accuracy
        else f"The most accurate binary net that runs packed, “{best.name}”, is {verb} the baseline in "
        f"{base.runtime} for one row, and no less accurate on these rows."
    )


def _differing(study: Study) -> str:
    checked = [r for r in study.results if r.runtime == "bimetal" and r.n_differ is not None]
    if not checked:
        return ""
    n = sum(r.n_differ or 0 for r in checked)
    return (
        f"From their .bimetal files, {len(checked)} nets answer every test row as they do in torch."
        if n == 0
        else f"{n} test rows are answered otherwise from a .bimetal file than in torch: averages over "
        "other than a power of two pixels round differently."
    )


def _as_accurate(study: Study, by: str) -> Result | None:
    """Return the cheapest result within a standard error of the baseline, if cheaper than it."""
    base = study.baseline
    least, most = base.accuracy - base.standard_error, getattr(base, by)
    found = [
        r
        for r in study.results[1:]
        if r.accuracy >= least and getattr(r, by) is not None and getattr(r, by) < (most or 0)
    ]
    return min(found, key=lambda r: float(getattr(r, by)), default=None)


def _best(study: Study) -> list[dict[str, Any]]:
    """Return the tiles: what is cheapest by each cost, as accurate as the baseline."""
    tiles = []
    for by, (label, show) in COSTS.items():
        found = _as_accurate(study, by)
        if found is not None:
            value = getattr(found, by)
            ratio = times(getattr(study.baseline, by) / value)
            tiles.append({"label": label, "name": found.name, "value": show(value), "ratio": ratio})
    return tiles


def _plots(study: Study, folder: Path) -> dict[str, dict[str, str]]:
    try:
        from bimetal.report.compression_plots import COST_TITLES, draw_front
        from bimetal.report.theme import DARK, LIGHT

        measured = [by for by in COSTS if getattr(study.baseline, by) is not None]
        drawn = {by: (draw_front(study, by, LIGHT), draw_front(study, by, DARK)) for by in measured}
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "report", "the report") from error
    folder.mkdir(parents=True, exist_ok=True)
    for by, (light, _) in drawn.items():
        with atomic_write(folder / f"pareto_{by}.png") as file:
            file.write(light)
    return {
        by: {"light": embedded(light), "dark": embedded(dark), "title": COST_TITLES[by]}
        for by, (light, dark) in drawn.items()
    }


def _percent(share: float) -> str:
    return f"{100 * share:.2f}\u00a0%"
