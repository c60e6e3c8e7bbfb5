"""Pareto pictures of a compression study: accuracy against size, and against latency."""

import io
import math
from collections.abc import Sequence
from typing import Any

from bimetal.amounts import duration
from bimetal.compress.result import Result
from bimetal.compress.study import BASELINE, Study
from bimetal.report.theme import Theme, axes, figure, plain

__all__ = ["COSTS", "COST_TITLES", "draw_front", "floor_of"]

COSTS = ("n_bytes", "one_row_us", "batch_row_us")
COST_TITLES = {
    "n_bytes": "size of the file",
    "one_row_us": "time of one row",
    "batch_row_us": "time of a row in a batch",
}
FAMILIES = (
    BASELINE, "pruning", "quantization", "low rank", "compact filters", "distillation",
    "binarization", "combination",
)  # fmt: skip
MARKERS = "*oDsp^PX"
CARET_DOWN = 7
MOST_BELOW = 0.15  # accuracy further below the best than this is drawn at the edge
UNITS = ("B", "KiB", "MiB", "GiB")


def draw_front(study: Study, by: str, theme: Theme) -> bytes:
    """Return the picture as a PNG file.

    Parameters
    ----------
    study : Study
        The facts.
    by : str
        The cost, of `COSTS`.
    theme : Theme
        The colours.
    """
    from matplotlib.ticker import LogLocator

    drawn = figure(theme, 10.6, 5.2)
    ax = axes(drawn.subplots(), theme, COST_TITLES[by], "accuracy on test rows")
    floor = floor_of(study)
    shown = [r for r in study.results if getattr(r, by) is not None]
    ax.set_xscale("log")
    _front(ax, study.pareto(by), by, floor, theme)
    for family in FAMILIES:
        _family(ax, [r for r in shown if r.family == family], family, by, floor, theme)
    _names(ax, study.pareto(by), by, floor, theme)
    ax.xaxis.set_major_locator(LogLocator(2) if by == "n_bytes" else LogLocator(10, (1, 2, 5)))
    ax.xaxis.set_major_formatter(_sizes if by == "n_bytes" else lambda us, _: duration(us))
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
    ax.minorticks_off()
    costs = [getattr(r, by) for r in shown]
    ax.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
    ax.margins(y=0.08)
    ax.legend(
        frameon=False, fontsize=8.5, labelcolor=theme.ink, loc="upper left", bbox_to_anchor=(1, 1)
    )
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def floor_of(study: Study) -> float:
    """Return the accuracy below which a result is drawn at the edge."""
    return max(0.0, max(r.accuracy for r in study.results) - MOST_BELOW)


def _front(ax: Any, front: Sequence[Result], by: str, floor: float, theme: Theme) -> None:
    x, y = [getattr(r, by) for r in front], [max(floor, r.accuracy) for r in front]
    ax.plot(x, y, color=theme.quiet, linewidth=1.2, alpha=0.6, drawstyle="steps-post", zorder=1)


def _family(
    ax: Any, results: Sequence[Result], family: str, by: str, floor: float, theme: Theme
) -> None:
    if not results:
        return
    colour, size = _colour(family, theme), 13 if family == BASELINE else 7
    kept = [r for r in results if r.accuracy >= floor]
    below = [getattr(r, by) for r in results if r.accuracy < floor]
    errors = [(r.accuracy - r.interval[0], r.interval[1] - r.accuracy) for r in kept]
    how = {"color": colour, "linestyle": "none", "zorder": 3}
    ax.errorbar(
        [getattr(r, by) for r in kept], [r.accuracy for r in kept], list(zip(*errors, strict=True)) or None,
        ecolor=colour, elinewidth=0.8, marker=MARKERS[FAMILIES.index(family)], markersize=size,
        markerfacecolor=theme.paper if family == "combination" else colour, label=family, **how,
    )  # fmt: skip
    ax.plot(below, [floor] * len(below), marker=CARET_DOWN, markersize=8, **how)


def _names(ax: Any, front: Sequence[Result], by: str, floor: float, theme: Theme) -> None:
    """Write the names of the front beside it, above and below by turns."""
    for i, result in enumerate(r for r in front if r.accuracy >= floor):
        ax.annotate(
            plain(result.name), (getattr(result, by), result.accuracy), xytext=(7, 9 - 19 * (i % 2)),
            textcoords="offset points", color=theme.ink, fontsize=8, zorder=5,
        )  # fmt: skip


def _colour(family: str, theme: Theme) -> str:
    colours = (
        theme.ink, theme.zeros, theme.ceiling, theme.challengers[2], theme.ones, theme.quiet,
        theme.model, theme.model,
    )  # fmt: skip
    return colours[FAMILIES.index(family)] if family in FAMILIES else theme.quiet


def _sizes(n_bytes: float, _: Any) -> str:
    power = 0 if n_bytes < 1 else min(len(UNITS) - 1, int(math.log(n_bytes, 1024) + 1e-9))
    return f"{n_bytes / 1024**power:.3g} {UNITS[power]}"
