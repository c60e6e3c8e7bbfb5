"""Pictures of continual learning: the matrix of one run, and curves of methods over several seeds."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.continual.harness.matrix import AccuracyMatrix, Metric
from bimetal.errors import DataError
from bimetal.report.theme import Theme, axes, figure, plain

__all__ = ["draw_curves", "draw_matrix"]

MOST_NUMBERS = 12  # tasks up to which a cell has room for its number, and an edge for names
MOST_MARKS = 25  # tasks up to which each point of a curve is marked
LONGEST_NAME = 18
DASHES = ("solid", "dashed", "dotted", "dashdot")
WORDS: dict[Metric, str] = {"accuracy": "accuracy", "auc": "AUC"}
CHANCE: dict[Metric, float] = {"accuracy": 0.0, "auc": 0.5}

Floats = NDArray[np.float64]
Matrices = Sequence[AccuracyMatrix]


def draw_matrix(matrix: AccuracyMatrix, theme: Theme) -> bytes:
    """Return the picture of a matrix as a PNG file: a row for each time, a column for each task.

    Tasks that had not come yet are left out, and so is what was not measured. The shade goes from 0
    (of an AUC from 0.5) to 1, so that pictures of several methods compare.

    Parameters
    ----------
    matrix : AccuracyMatrix
        One run, or the mean of several.
    theme : Theme
        The colours.
    """
    from matplotlib.colors import LinearSegmentedColormap

    n = matrix.n_tasks
    side = min(7.0, 2.6 + 0.42 * n)
    drawn = figure(theme, side + (0.0 if n <= MOST_NUMBERS else 0.9), side)
    word = WORDS[matrix.metric]
    ax = axes(drawn.subplots(), theme, f"{word} on task", "after learning task")
    shown = np.ma.masked_invalid(np.where(np.tri(n, dtype=bool), matrix.accuracy, np.nan))
    shades = LinearSegmentedColormap.from_list("shades", [theme.line, theme.model])
    image = ax.imshow(shown, cmap=shades, vmin=CHANCE[matrix.metric], vmax=1.0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    _name_tasks(ax, matrix.tasks)
    if n <= MOST_NUMBERS:
        _write_numbers(ax, shown, shades, image.norm, theme)
    else:
        bar = drawn.colorbar(image, ax=ax, shrink=0.7, format=lambda v, _: f"{100 * v:.0f} %")
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=theme.quiet, labelsize=8.5, length=0)
    return _png(drawn)


def draw_curves(matrices_by_method: Mapping[str, Matrices], theme: Theme) -> bytes:
    """Return the picture of several methods as a PNG file.

    On the left the mean over the tasks seen so far, on the right the first task, both after each task;
    lines are means over seeds, bands one sample standard deviation to each side. Where all tasks are
    asked about the same rows (a stream) both are one, and the right one is left out.

    Parameters
    ----------
    matrices_by_method : mapping of str to sequence of AccuracyMatrix
        By title: one matrix for each seed. The first method has the colour of our model.
    theme : Theme
        The colours.

    Raises
    ------
    DataError
        When there is nothing to draw, matrices differ in the number of tasks or in their metric, or
        an entry that is drawn was not measured.
    """
    metric, n = _kind(matrices_by_method)
    word = WORDS[metric]
    panels: dict[str, Callable[[AccuracyMatrix], Floats]] = {
        f"mean {word} on the tasks seen so far": AccuracyMatrix.curve,
        f"{word} on the first task": _of_first_task,
    }
    if all(_is_stream(m) for runs in matrices_by_method.values() for m in runs):
        panels = {f"{word} on the same test rows": AccuracyMatrix.curve}
    drawn = figure(theme, 3.0 + 4.4 * len(panels), 4.2)
    made = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for given, (title, of) in zip(made, panels.items(), strict=True):
        ax = axes(given, theme, "tasks learned", title)
        for place, (name, runs) in enumerate(matrices_by_method.items()):
            _draw_line(ax, np.array([of(run) for run in runs]), name, place, theme)
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
        ax.yaxis.set_tick_params(labelleft=True)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlim(1 - 0.03 * n, n + 0.03 * n)
    made[-1].legend(
        frameon=False, fontsize=8.5, labelcolor=theme.ink, loc="upper left", bbox_to_anchor=(1, 1)
    )
    return _png(drawn)


def _kind(matrices_by_method: Mapping[str, Matrices]) -> tuple[Metric, int]:
    """Return the metric and the number of tasks that all matrices have."""
    empty = [name for name, runs in matrices_by_method.items() if not runs]
    kinds = {(m.metric, m.n_tasks) for runs in matrices_by_method.values() for m in runs}
    if empty or len(kinds) != 1:
        what = f"none for {empty}" if empty else sorted(kinds) or "nothing"
        raise DataError(
            "curves need at least one matrix for each method, all with equally many tasks and one "
            f"metric, got {what}"
        )
    return kinds.pop()


def _of_first_task(matrix: AccuracyMatrix) -> Floats:
    matrix.curve()  # tells of an entry that was not measured
    return matrix.accuracy[:, 0]


def _is_stream(matrix: AccuracyMatrix) -> bool:
    """Whether all tasks are always answered equally well, as they are if they share their test rows."""
    seen = np.where(np.tri(matrix.n_tasks, dtype=bool), matrix.accuracy, matrix.accuracy[:, :1])
    return bool((seen == seen[:, :1]).all())


def _draw_line(ax: Any, runs: Floats, name: str, place: int, theme: Theme) -> None:
    """Draw the mean of runs (n_runs, n_tasks), and a band around it if there are several."""
    colour, dashes = _look(place, theme)
    mean, tasks = runs.mean(axis=0), np.arange(1, runs.shape[1] + 1)
    ax.plot(
        tasks, mean, color=colour, label=plain(name), linewidth=2.4 if place == 0 else 1.4,
        linestyle=dashes, zorder=4 if place == 0 else 3,
        marker="o" if len(tasks) <= MOST_MARKS else "", markersize=3.5,
    )  # fmt: skip
    if len(runs) > 1:
        sd = runs.std(axis=0, ddof=1)
        low, high = np.clip(mean - sd, 0, 1), np.clip(mean + sd, 0, 1)
        ax.fill_between(tasks, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)


def _look(place: int, theme: Theme) -> tuple[str, str]:
    """Return colour and dashes of a method: the first has our model's colour, and no other has it."""
    if place == 0:
        return theme.model, "solid"
    rivals = (theme.zeros, theme.ones, theme.challengers[2], theme.ceiling, theme.quiet)
    turn, place = divmod(place - 1, len(rivals))
    return rivals[place], DASHES[turn % len(DASHES)]


def _name_tasks(ax: Any, tasks: Sequence[str]) -> None:
    """Write names at the edges while there is room, numbers from 1 otherwise."""
    if len(tasks) > MOST_NUMBERS:
        places = range(0, len(tasks), max(1, len(tasks) // 10))
        names = [str(place + 1) for place in places]
    else:
        places, names = range(len(tasks)), [plain(_short(name)) for name in tasks]
    is_long = max(map(len, names)) > 3
    ax.set_xticks(places, names, rotation=40 if is_long else 0, ha="right" if is_long else "center")
    ax.set_yticks(places, names)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _write_numbers(ax: Any, shown: Any, shades: Any, norm: Any, theme: Theme) -> None:
    """Write percents into the cells, in whichever of ink and paper stands out."""
    for i, j in np.argwhere(~np.ma.getmaskarray(shown)):
        ground = shades(norm(shown[i, j]))[:3]
        colour = max((_contrast(c, ground), c) for c in (theme.ink, theme.paper))[1]
        ax.text(
            j, i, f"{100 * shown[i, j]:.1f}", ha="center", va="center", fontsize=8, color=colour
        )


def _contrast(colour: str, ground: tuple[float, float, float]) -> float:
    """Return the contrast ratio of two colours (WCAG 2: 1 of equals, 21 of black and white)."""
    from matplotlib.colors import to_rgb

    low, high = sorted((_luminance(to_rgb(colour)), _luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: tuple[float, float, float]) -> float:
    c = np.array(rgb)
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _png(drawn: Any) -> bytes:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
