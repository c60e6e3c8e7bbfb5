"""The plots of a report. To add one, write a function of a study and a theme and name it in `PLOTS`."""

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from bimetal import metrics
from bimetal.amounts import duration, short, size
from bimetal.report.study import CEILING, MODEL, Judged, Study
from bimetal.report.theme import Theme, axes, figure, plain

__all__ = ["PLOTS", "draw"]


def roc(study: Study, theme: Theme) -> Any:
    """Draw the ROC curve of every model."""
    drawn = figure(theme, 5.2, 4.6)
    event = plain(f"class {study.program.classes[1]}")
    ax = axes(
        drawn.subplots(), theme, f"share of the others taken for {event}", f"share of {event} found"
    )
    ax.plot([0, 1], [0, 1], color=theme.quiet, linewidth=0.8, linestyle=(0, (2, 3)))
    for place, judged in reversed(list(enumerate(study.models))):
        curve = metrics.roc(study.y, judged.p)
        label = f"{judged.name}  {judged.measures['auc']:.3f}"
        ax.plot(
            curve.false_positive, curve.true_positive, label=label, **_line(judged, place, theme)
        )
    ax.set(xlim=(0, 1), ylim=(0, 1.005))
    _legend(ax, theme, loc="lower right", reverse=True, title="AUC")
    return drawn


def ks(study: Study, theme: Theme) -> Any:
    """Draw how the two classes pile up along the score, and where they are furthest apart."""
    drawn = figure(theme, 5.2, 4.6)
    ax = axes(
        drawn.subplots(), theme, "probability given by the model", "share of the class at or below"
    )
    scores = np.sort(study.model.p)
    for value, colour in ((0, theme.zeros), (1, theme.ones)):
        of_class = np.sort(study.model.p[study.y == value])
        share = np.searchsorted(of_class, scores, side="right") / len(of_class)
        ax.plot(scores, share, color=colour, linewidth=1.9, label=_class_name(study, value))
    _mark_gap(ax, study, theme)
    ax.set(xlim=(0, _right_end(study)), ylim=(0, 1.01))
    _legend(ax, theme, loc="lower right")
    return drawn


def calibration(study: Study, theme: Theme) -> Any:
    """Draw predicted against observed shares, in ten bins of equal counts."""
    drawn = figure(theme, 5.2, 4.6)
    ax = axes(drawn.subplots(), theme, "mean probability in the bin", "share observed in the bin")
    rival = study.named("LightGBM")
    shown = [judged for judged in (rival, study.model) if judged is not None]
    top = 0.0
    for judged in shown:
        bins = metrics.reliability(study.y, judged.p)
        top = max(top, float(bins.high.max()), float(bins.predicted.max()))
        colour = theme.of(judged.name, study.models.index(judged))
        errors = np.abs(np.stack([bins.observed - bins.low, bins.high - bins.observed]))
        ax.errorbar(
            bins.predicted, bins.observed, errors, color=colour, ecolor=colour, elinewidth=1,
            linewidth=1.2, marker="o", label=judged.name, **_weight(judged),
        )  # fmt: skip
    end = min(1.0, top * 1.05)
    ax.plot([0, end], [0, end], color=theme.quiet, linewidth=0.8, linestyle=(0, (2, 3)))
    ax.set(xlim=(0, end), ylim=(0, end))
    _legend(ax, theme, loc="upper left", reverse=True)
    return drawn


def distribution(study: Study, theme: Theme) -> Any:
    """Draw how the probabilities are spread over the two classes."""
    drawn = figure(theme, 5.2, 4.6)
    ax = axes(drawn.subplots(), theme, "probability given by the model", "density", grid="y")
    edges = np.linspace(0, _right_end(study), 41)
    for value, colour in ((0, theme.zeros), (1, theme.ones)):
        p = study.model.p[study.y == value]
        how = {"density": True, "color": colour}
        ax.hist(p, edges, alpha=0.28, **how)
        ax.hist(p, edges, histtype="step", linewidth=1.5, label=_class_name(study, value), **how)
    ax.set(xlim=(0, edges[-1]))
    _legend(ax, theme, loc="upper right")
    return drawn


def challengers(study: Study, theme: Theme) -> Any:
    """Draw AUC and its interval for every model, and the lead of ours where the rows are the same."""
    n = len(study.models)
    drawn = figure(theme, 10.6, 1.1 + 0.42 * n)
    left, right = drawn.subplots(1, 2, sharey=True)
    axes(left, theme, "AUC and its 95 % interval", grid="x")
    axes(right, theme, "lead of bimetal in AUC, paired on the same rows", grid="x")
    right.axvline(0, color=theme.quiet, linewidth=0.9, linestyle=(0, (2, 3)))
    for place, judged in enumerate(study.models):
        colour = theme.of(judged.name, place)
        _whisker(left, place, judged.measures["auc"], judged.auc_interval, colour)
        if place:
            _whisker(right, place, judged.lead, judged.lead_interval, colour)
    left.set_yticks(
        range(n), [judged.name for judged in study.models], color=theme.ink, fontsize=9.5
    )
    left.set(ylim=(n - 0.5, -0.5))
    return drawn


def cost(study: Study, theme: Theme) -> Any:
    """Draw size, time of one row, and rows a second, each on a scale of tens."""
    measured = [(i, m) for i, m in enumerate(study.models) if m.n_bytes and m.speed]
    drawn = figure(theme, 10.6, 1.1 + 0.42 * len(measured))
    panels = drawn.subplots(1, 3, sharey=True)
    names = ("bytes as stored", "microseconds for one row", "rows a second, in bulk")
    for panel, name in zip(panels, names, strict=True):
        axes(panel, theme, name, grid="x").set_xscale("log")
    for y, (place, judged) in enumerate(measured):
        assert judged.n_bytes and judged.speed
        colour = theme.of(judged.name, place)
        speed = judged.speed
        values = (judged.n_bytes, speed.one_row_median_us, speed.rows_per_second)
        texts = (size(values[0]), duration(values[1]), short(values[2]))
        for panel, value, text in zip(panels, values, texts, strict=True):
            panel.plot(value, y, "o", color=colour, markersize=8)
            panel.annotate(
                text, (value, y), xytext=(0, 8), textcoords="offset points", ha="center",
                color=theme.quiet, fontsize=8,
            )  # fmt: skip
    for panel in panels:
        panel.margins(x=0.25)
        panel.minorticks_off()
    drawn.get_layout_engine().set(w_pad=0.12)
    panels[0].set_yticks(
        range(len(measured)), [m.name for _, m in measured], color=theme.ink, fontsize=9.5
    )
    panels[0].set(ylim=(len(measured) - 0.5, -0.7))
    return drawn


PLOTS: tuple[Callable[[Study, Theme], Any], ...] = (
    challengers,
    roc,
    ks,
    calibration,
    distribution,
    cost,
)
"""Every plot; the page and the tests read this list."""


def draw(plot: Callable[[Study, Theme], Any], study: Study, theme: Theme) -> bytes:
    """Return a plot as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # a class label in a script that the font lacks is drawn as boxes, not refused
        warnings.filterwarnings("ignore", "Glyph")
        plot(study, theme).savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _line(judged: Judged, place: int, theme: Theme) -> dict[str, Any]:
    is_ours = judged.name == MODEL
    return {
        "color": theme.of(judged.name, place),
        "linewidth": 2.4 if is_ours else 1.3,
        "linestyle": (0, (4, 2)) if judged.name == CEILING else "-",
        "zorder": 4 if is_ours else 3,
    }


def _weight(judged: Judged) -> dict[str, Any]:
    return (
        {"markersize": 5.5, "zorder": 4}
        if judged.name == MODEL
        else {"markersize": 3.5, "alpha": 0.65}
    )


def _whisker(ax: Any, y: int, value: float, interval: tuple[float, float], colour: str) -> None:
    ax.plot(interval, (y, y), color=colour, linewidth=2.2, alpha=0.55, solid_capstyle="round")
    ax.plot(value, y, "o", color=colour, markersize=7)


def _mark_gap(ax: Any, study: Study, theme: Theme) -> None:
    curve = metrics.roc(study.y, study.model.p)
    i = int(np.argmax(curve.true_positive - curve.false_positive))
    if not np.isfinite(curve.threshold[i]):
        return
    low, high = 1 - curve.true_positive[i], 1 - curve.false_positive[i]
    ax.plot([curve.threshold[i]] * 2, [low, high], color=theme.model, linewidth=2.2)
    ax.annotate(
        f"KS {high - low:.3f}", (curve.threshold[i], (low + high) / 2), xytext=(8, 0),
        textcoords="offset points", color=theme.ink, fontsize=10, fontweight="bold", va="center",
        bbox={"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )  # fmt: skip


def _class_name(study: Study, value: int) -> str:
    label = study.program.classes[value]
    return plain(f"class {label}  ({int((study.y == value).sum()):,} rows)")


def _right_end(study: Study) -> float:
    return float(min(1.0, study.model.p.max() * 1.02 + 1e-9))


def _legend(ax: Any, theme: Theme, **where: Any) -> None:
    legend = ax.legend(frameon=False, fontsize=8.5, labelcolor=theme.ink, handlelength=1.4,
                       alignment="left", **where)  # fmt: skip
    legend.get_title().set(color=theme.quiet, fontsize=8.5)
