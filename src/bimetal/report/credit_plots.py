"""The pictures of a validation pack and of monitoring, drawn from the JSON that they report.

Each plot is a function of the facts and a theme, and gives None where there is nothing to draw. To
add one, write it and name it in `VALIDATION_PLOTS` or `MONITORING_PLOTS`.
"""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bimetal.report.theme import Theme, axes, figure, plain

__all__ = ["MONITORING_PLOTS", "VALIDATION_PLOTS", "drawn_png"]

Facts = Mapping[str, Any]
Plot = Callable[[Facts, Theme], Any]
DOTTED = (0, (2, 3))
LONGEST = 24


def ranking(facts: Facts, theme: Theme) -> Any:
    """Draw the ROC curve, and where goods and bads lie along the score."""
    found = facts["outcomes"]["discrimination"]
    curves, auc = found["curves"], found["measures"]["auc"]
    drawn = figure(theme, 10.6, 4.2)
    left, right = drawn.subplots(1, 2)
    axes(left, theme, "share of goods taken for bad", "share of bads found")
    left.plot([0, 1], [0, 1], color=theme.quiet, linewidth=0.8, linestyle=DOTTED)
    label = f"AUC {auc['value']:.3f}  ({auc['low']:.3f} – {auc['high']:.3f})"
    left.plot(
        curves["false_positive"],
        curves["true_positive"],
        color=theme.model,
        linewidth=2.2,
        label=label,
    )
    left.set(xlim=(0, 1), ylim=(0, 1.005))
    _legend(left, theme, loc="lower right")
    axes(right, theme, "score", "share of the class", grid="y")
    edges = np.asarray(curves["score_edges"])
    for key, colour in (("goods", theme.zeros), ("bads", theme.ones)):
        counts = np.asarray(curves[key], float)
        share = counts / counts.sum()
        right.stairs(share, edges, fill=True, color=colour, alpha=0.25)
        right.stairs(
            share, edges, color=colour, linewidth=1.4, label=f"{key}  ({counts.sum():,.0f})"
        )
    _cutoff(right, facts, theme)
    _legend(right, theme, loc="upper left")
    return drawn


def calibration(facts: Facts, theme: Theme) -> Any:
    """Draw observed against predicted: in tenths of the rows, and grade by grade."""
    bins = facts["outcomes"]["calibration"]["reliability"]
    drawn = figure(theme, 10.6, 4.2)
    left, right = drawn.subplots(1, 2)
    axes(left, theme, "mean probability of a tenth of the rows", "share in default")
    top = 1.05 * max(max(bins["high"]), max(bins["predicted"]))
    left.plot([0, top], [0, top], color=theme.quiet, linewidth=0.8, linestyle=DOTTED)
    observed = np.asarray(bins["observed"])
    errors = np.abs([observed - bins["low"], np.asarray(bins["high"]) - observed])
    left.errorbar(
        bins["predicted"], observed, errors, fmt="o", color=theme.model, ecolor=theme.model,
        elinewidth=1.2, markersize=5,
    )  # fmt: skip
    left.set(xlim=(0, top), ylim=(0, top))
    _grades(
        axes(right, theme, "grade (1 is best)", "default rate", grid="y"),
        facts["outcomes"]["grades"]["grades"],
        theme,
    )
    return drawn


def stability(facts: Facts, theme: Theme) -> Any:
    """Draw the score then and now, and the index of each column."""
    found = facts["outcomes"]["stability"]
    if "not_computed" in found:
        return None
    return _shifts(found["score"], found["columns"], facts["summary"]["thresholds"]["csi"], theme)


def periods(facts: Facts, theme: Theme) -> Any:
    """Draw default rates and the AUC period by period."""
    found = facts["outcomes"]["over_time"].get("vintages")
    if not found or len(found) < 2:
        return None
    drawn = figure(theme, 10.6, 3.9)
    left, right = drawn.subplots(1, 2)
    names, x = [v["period"] for v in found], np.arange(len(found))
    axes(left, theme, "", "default rate", grid="y")
    _whiskers(left, x, [v["actual"] for v in found], theme.model, "observed")
    left.plot(x, [v["expected"] for v in found], color=theme.zeros, linewidth=1.8, label="expected")
    left.set(ylim=(0, None))
    _legend(left, theme, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    axes(right, theme, "", "AUC", grid="y")
    measured = [(k, v["auc"]) for k, v in enumerate(found) if v["auc"]]
    if measured:
        _whiskers(right, [k for k, _ in measured], [a for _, a in measured], theme.model, "AUC")
    auc = facts["outcomes"]["discrimination"]["measures"]["auc"]["value"]
    right.axhline(auc, color=theme.quiet, linewidth=0.9, linestyle=DOTTED)
    for ax in (left, right):
        ax.set_xticks(
            x,
            names,
            rotation=60 if len(names) > 6 else 0,
            ha="right" if len(names) > 6 else "center",
        )
    return drawn


def rivals(facts: Facts, theme: Theme) -> Any:
    """Draw the AUC of every model, and its lead over ours on the same rows."""
    models = facts["challengers"].get("models")
    if not models:
        return None
    drawn = figure(theme, 10.6, 1.1 + 0.45 * len(models))
    left, right = drawn.subplots(1, 2, sharey=True)
    axes(left, theme, "AUC and its 95 % interval", grid="x")
    axes(right, theme, "lead over this model in AUC, paired on the same rows", grid="x")
    right.axvline(0, color=theme.quiet, linewidth=0.9, linestyle=DOTTED)
    for y, m in enumerate(models):
        colour = theme.model if not y else theme.challengers[(y - 1) % len(theme.challengers)]
        _whisker(left, m["auc"], y, colour)
        if y:
            _whisker(right, m["lead"]["difference"], y, colour)
    left.set_yticks(
        range(len(models)), [_short(m["name"]) for m in models], color=theme.ink, fontsize=9.5
    )
    left.set(ylim=(len(models) - 0.5, -0.5))
    return drawn


def sensitivity(facts: Facts, theme: Theme) -> Any:
    """Draw how far the score follows each column, and how many decisions turn."""
    found = facts["sensitivity"]["movements"][:20]
    drawn = figure(theme, 10.6, 1.3 + 0.3 * len(found))
    left, right = drawn.subplots(1, 2, sharey=True)
    axes(left, theme, "mean |change| of the score, points", grid="x")
    axes(right, theme, "decisions that turn, %", grid="x")
    y = np.arange(len(found))
    left.barh(
        y, [m["shuffled"] for m in found], color=theme.model, height=0.62, label="dealt out anew"
    )
    steps = [max(m["up"] or 0, m["down"] or 0) for m in found]
    left.barh(y, steps, color=theme.zeros, height=0.24, label="moved by one bin")
    right.barh(y, [100 * m["flipped_shuffled"] for m in found], color=theme.model, height=0.62)
    turned = [100 * max(m["flipped_up"] or 0, m["flipped_down"] or 0) for m in found]
    right.barh(y, turned, color=theme.zeros, height=0.24)
    left.set_yticks(y, [_short(m["column"]) for m in found], color=theme.ink, fontsize=9)
    left.set(ylim=(len(found) - 0.4, -0.6))
    _legend(left, theme, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    return drawn


def stress(facts: Facts, theme: Theme) -> Any:
    """Draw scores and approvals before and after each stress."""
    found = facts["sensitivity"]["stresses"]
    if not found:
        return None
    drawn = figure(theme, 10.6, 1.4 + 0.5 * len(found))
    left, right = drawn.subplots(1, 2, sharey=True)
    axes(left, theme, "score: middle half, 5 to 95 %, mean", grid="x")
    axes(right, theme, "approved, %", grid="x")
    for y, s in enumerate(found):
        for state, shift, colour in (("before", -0.16, theme.zeros), ("after", 0.16, theme.ones)):
            q, at = s[state]["quantiles"], y + shift
            left.plot([q[0], q[4]], [at, at], color=colour, linewidth=1.2)
            left.plot(
                [q[1], q[3]], [at, at], color=colour, linewidth=5, alpha=0.6, solid_capstyle="butt"
            )
            left.plot(
                s[state]["mean_score"],
                at,
                "o",
                color=colour,
                markersize=5,
                label=state if not y else None,
            )
        before, after = (100 * s[state]["approved"] for state in ("before", "after"))
        right.plot([before, after], [y, y], color=theme.quiet, linewidth=1.4)
        right.plot(before, y, "o", color=theme.zeros, markersize=7)
        right.plot(after, y, "o", color=theme.ones, markersize=7)
    left.set_yticks(
        range(len(found)), [_short(s["name"]) for s in found], color=theme.ink, fontsize=9
    )
    left.set(ylim=(len(found) - 0.4, -0.6))
    _legend(left, theme, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    return drawn


def impact(facts: Facts, theme: Theme) -> Any:
    """Draw the adverse impact ratio of every group that is shown."""
    attributes = facts["fairness"].get("effects", {}).get("groups", ())
    rows = [(a, g) for a in attributes for g in a["groups"] if g["adverse_impact"]]
    if not rows:
        return None
    drawn = figure(theme, 10.6, 1.2 + 0.36 * len(rows))
    ax = axes(drawn.subplots(), theme, "approval rate over that of the reference group", grid="x")
    ax.axvline(1, color=theme.quiet, linewidth=0.9, linestyle=DOTTED)
    ax.axvline(facts["fairness"]["four_fifths"], color=theme.ones, linewidth=0.9, linestyle=DOTTED)
    for y, (_, g) in enumerate(rows):
        _whisker(ax, g["adverse_impact"], y, theme.model)
    names = [_short(f"{a['name']}: {g['name']}") for a, g in rows]
    ax.set_yticks(range(len(rows)), names, color=theme.ink, fontsize=9)
    ax.set(ylim=(len(rows) - 0.5, -0.5))
    return drawn


def shifted(facts: Facts, theme: Theme) -> Any:
    """Draw the score then and now, and the index of each column, of monitoring."""
    found = facts["shifts"]
    return _shifts(found["score"], found["columns"], facts["summary"]["thresholds"]["csi"], theme)


def held(facts: Facts, theme: Theme) -> Any:
    """Draw expected and actual defaults by grade, of monitoring."""
    grades = facts["outcomes"].get("grades")
    if not grades:
        return None
    drawn = figure(theme, 10.6, 3.9)
    _grades(
        axes(drawn.subplots(), theme, "grade (1 is best)", "default rate", grid="y"), grades, theme
    )
    return drawn


VALIDATION_PLOTS: tuple[Plot, ...] = (
    ranking, calibration, stability, periods, rivals, sensitivity, stress, impact,
)  # fmt: skip
MONITORING_PLOTS: tuple[Plot, ...] = (shifted, held)


def drawn_png(plot: Plot, facts: Facts, theme: Theme) -> bytes | None:
    """Return a plot as the bytes of a PNG file; None where there is nothing to draw."""
    drawn = plot(facts, theme)
    if drawn is None:
        return None
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # a name in a script that the font lacks is drawn as boxes, not refused
        warnings.filterwarnings("ignore", "Glyph")
        drawn.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _shifts(score: Facts, columns: Sequence[Facts], limits: Sequence[float], theme: Theme) -> Any:
    shown = columns[:20]
    drawn = figure(theme, 10.6, max(3.6, 1.2 + 0.27 * len(shown)))
    left, right = drawn.subplots(1, 2, width_ratios=(1, 1))
    axes(left, theme, "score", "share of rows", grid="y")
    x = np.arange(len(score["labels"]))
    for counts, n, shift, colour, name in (
        (score["expected"], score["n_expected"], -0.2, theme.zeros, "development"),
        (score["actual"], score["n_actual"], 0.2, theme.model, "now"),
    ):
        left.bar(
            x + shift, np.asarray(counts) / n, width=0.38, color=colour, label=f"{name}  ({n:,})"
        )
    left.set_xticks(x, [plain(v) for v in score["labels"]], rotation=50, ha="right")
    _legend(left, theme, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    axes(right, theme, "stability index of the column", grid="x")
    y = np.arange(len(shown))
    colours = [_of_index(s, limits, theme) for s in shown]
    right.barh(y, [s["index"] for s in shown], color=colours, height=0.6)
    right.plot(
        [s["by_chance"] for s in shown],
        y,
        "|",
        color=theme.ink,
        markersize=10,
        label="by chance, 95 %",
    )
    for limit in limits:
        if limit <= 1.3 * max(s["index"] for s in shown):
            right.axvline(limit, color=theme.quiet, linewidth=0.9, linestyle=DOTTED)
    right.set_yticks(y, [_short(s["name"]) for s in shown], color=theme.ink, fontsize=9)
    right.set(ylim=(len(shown) - 0.4, -0.6))
    _legend(right, theme, loc="lower right")
    return drawn


def _of_index(shift: Facts, limits: Sequence[float], theme: Theme) -> str:
    """Quiet when it is small or chance; else gold, and rust beyond the second threshold."""
    if shift["index"] <= max(limits[0], shift["by_chance"]):
        return theme.zeros
    return theme.model if shift["index"] <= limits[1] else theme.ones


def _grades(ax: Any, grades: Sequence[Facts], theme: Theme) -> None:
    x = [g["grade"] for g in grades]
    ax.plot(x, [g["expected"] for g in grades], color=theme.quiet, linewidth=1.2, linestyle=DOTTED)
    ax.plot(
        x, [g["expected"] for g in grades], "_", color=theme.ink, markersize=15, label="expected"
    )
    colours = {"green": theme.zeros, "amber": theme.model, "red": theme.ones}
    for light, colour in colours.items():
        here = [g for g in grades if g["light"] == light]
        if here:
            name = {"green": "observed", "amber": "amber (p < 5 %)", "red": "red (p < 1 %)"}[light]
            _whiskers(ax, [g["grade"] for g in here], [g["actual"] for g in here], colour, name)
    ax.set_xticks(x)
    ax.set(ylim=(0, None))
    _legend(ax, theme, loc="upper left")


def _whiskers(ax: Any, x: Any, estimates: Sequence[Facts], colour: str, label: str) -> None:
    value = np.array([e["value"] for e in estimates])
    low, high = (np.array([e[k] for e in estimates]) for k in ("low", "high"))
    ax.errorbar(
        x, value, np.clip([value - low, high - value], 0, None), fmt="o", color=colour, ecolor=colour,
        elinewidth=1.3, markersize=5, label=label,
    )  # fmt: skip


def _whisker(ax: Any, estimate: Facts, y: int, colour: str) -> None:
    ax.plot(
        (estimate["low"], estimate["high"]), (y, y), color=colour, linewidth=2.2, alpha=0.55,
        solid_capstyle="round",
    )  # fmt: skip
    ax.plot(estimate["value"], y, "o", color=colour, markersize=7)


def _cutoff(ax: Any, facts: Facts, theme: Theme) -> None:
    at = facts["purpose"]["cutoff_score"]
    low, high = ax.get_xlim()
    if low < at < high:
        ax.axvline(at, color=theme.model, linewidth=1.3, label=f"cut-off {at:g}")


def _short(name: str) -> str:
    return plain(name if len(name) <= LONGEST else name[: LONGEST - 1] + "…")


def _legend(ax: Any, theme: Theme, **where: Any) -> None:
    ax.legend(frameon=False, fontsize=8.5, labelcolor=theme.ink, handlelength=1.4, **where)
