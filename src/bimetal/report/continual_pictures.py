"""The pictures of a page of continual learning: which ones there are, for paper and for slate, and as files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bimetal.continual.harness.matrix import AccuracyMatrix
from bimetal.continual.harness.study import Study
from bimetal.errors import MissingExtraError
from bimetal.files import atomic_write
from bimetal.report.continual_words import percent
from bimetal.report.sheet import embedded
from bimetal.report.theme import DARK, LIGHT, Theme

__all__ = ["Picture", "continual_pictures", "mean_matrix"]

Picture = dict[str, str]
"""A picture on the page: title, caption, and its two addresses, "light" and "dark"."""

Draw = Callable[[Theme], bytes]


def continual_pictures(study: Study, folder: Path) -> dict[str, list[Picture]]:
    """Draw the curves, if all that they need was asked, and the matrix of each method.

    Parameters
    ----------
    study : bimetal.continual.Study
        The facts.
    folder : pathlib.Path
        Where the pictures for paper are written as PNG files; made if needed.

    Returns
    -------
    dict of str to list
        "curves" (one or none) and "matrices".

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    """
    try:
        from bimetal.report.continual_plots import draw_curves, draw_matrix

        runs = {name: [run.matrix for run in study.whole(name)] for name in _ordered(study)}
        titles = {row.name: row.title for row in study.rows()}
        curves = []
        if all(_has_curve(matrix) for found in runs.values() for matrix in found):
            drawn = _drawn(lambda theme: draw_curves(runs, theme), folder / "curves.png")
            curves = [drawn | {"title": "After each task", "caption": _curve_caption(study)}]
        matrices = []
        for name, found in runs.items():
            mean = mean_matrix(found)
            drawn = _drawn(_of(draw_matrix, mean), folder / f"matrix_{name}.png")
            matrices.append(drawn | {"title": titles[name], "caption": _matrix_caption(mean)})
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "report", "the report") from error
    return {"curves": curves, "matrices": matrices}


def mean_matrix(matrices: list[AccuracyMatrix]) -> AccuracyMatrix:
    """Return the mean over seeds, entry by entry.

    Examples
    --------
    >>> mean_matrix([AccuracyMatrix([[0.5]]), AccuracyMatrix([[1.0]])]).accuracy
    array([[0.75]])
    """
    mean = np.mean([matrix.accuracy for matrix in matrices], axis=0)
    return AccuracyMatrix(mean, None, matrices[0].tasks, matrices[0].metric)


def _ordered(study: Study) -> list[str]:
    """Return the methods, those first that are told nothing."""
    rows = study.rows()
    return [row.name for row in sorted(rows, key=lambda row: row.uses != "nothing")]


def _has_curve(matrix: AccuracyMatrix) -> bool:
    return matrix.measures()["anytime_accuracy"] is not None


def _of(draw: Callable[[AccuracyMatrix, Theme], bytes], matrix: AccuracyMatrix) -> Draw:
    return lambda theme: draw(matrix, theme)


def _drawn(draw: Draw, path: Path) -> Picture:
    light, dark = draw(LIGHT), draw(DARK)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(light)
    return {"light": embedded(light), "dark": embedded(dark)}


def _curve_caption(study: Study) -> str:
    n = len(study.facts["seeds"])
    band = f" Bands: one standard deviation over {n} seeds." if n > 1 else ""
    return (
        "Left: the mean over the tasks seen so far. Right: the first task alone. A method that forgets "
        f"falls on the right.{band}"
    )


def _matrix_caption(matrix: AccuracyMatrix) -> str:
    last = matrix.accuracy[-1]
    return (
        f"Down a column: what becomes of a task while others are learned. At the end the first has "
        f"{percent(float(last[0]))}, the last {percent(float(last[-1]))}."
    )
