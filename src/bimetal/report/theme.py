"""Colours and type of the report: gold is the model, steel its challengers, on paper or on slate."""

from dataclasses import dataclass
from typing import Any

from bimetal.report.study import CEILING, MODEL

__all__ = ["DARK", "LIGHT", "Theme", "axes", "figure", "plain"]

DPI = 160


@dataclass(frozen=True)
class Theme:
    """One set of colours.

    Attributes
    ----------
    paper, ink, quiet, line : str
        Background, text, less important text, grid lines.
    model, ones, zeros, ceiling : str
        Our model; the two classes; the true probability.
    challengers : tuple of str
        In the order of the challengers.
    """

    paper: str
    ink: str
    quiet: str
    line: str
    model: str
    ones: str
    zeros: str
    ceiling: str
    challengers: tuple[str, ...]

    def of(self, name: str, place: int) -> str:
        """Return the colour of the model with this name, at this place among the models."""
        named = {MODEL: self.model, CEILING: self.ceiling}
        return named.get(name) or self.challengers[(place - 1) % len(self.challengers)]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1d2733",
    quiet="#66717f",
    line="#e3e6ea",
    model="#b57d12",
    ones="#c4512d",
    zeros="#4d7ea8",
    ceiling="#7b4fa3",
    challengers=("#9aa5b1", "#4d7ea8", "#2f7d6b"),
)
DARK = Theme(
    paper="#1b222b",
    ink="#e8e6e1",
    quiet="#98a3b0",
    line="#313b47",
    model="#e3b04b",
    ones="#e8815c",
    zeros="#7fb0d8",
    ceiling="#b998dc",
    challengers=("#77828f", "#7fb0d8", "#5fbfa6"),
)


def figure(theme: Theme, width: float = 5.2, height: float = 4.0) -> Any:
    """Return an empty figure, without the global state of pyplot."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=DPI, facecolor=theme.paper, layout="constrained")


def axes(given: Any, theme: Theme, x: str = "", y: str = "", grid: str = "both") -> Any:
    """Dress axes: hairlines, quiet labels, no box."""
    given.set_facecolor(theme.paper)
    for side in ("top", "right"):
        given.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        given.spines[side].set_color(theme.line)
    given.tick_params(colors=theme.quiet, labelsize=8.5, length=0, pad=5)
    given.grid(True, axis=grid, color=theme.line, linewidth=0.7)
    given.set_axisbelow(True)
    given.set_xlabel(x, color=theme.quiet, fontsize=9)
    given.set_ylabel(y, color=theme.quiet, fontsize=9)
    return given


def plain(text: object) -> str:
    """Return text that matplotlib shows as it stands: a dollar begins no formula."""
    return str(text).replace("$", r"\$")
