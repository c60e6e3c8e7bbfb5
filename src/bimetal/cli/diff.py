"""``bimetal diff``: which bits of a model flipped, and what else is different, between two files."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.looks import facts, table
from bimetal.diff import ProgramDiff
from bimetal.diff import diff as difference
from bimetal.format import load

__all__ = ["diff"]

Before = Annotated[Path, typer.Argument(help="A .bimetal file: before.", show_default=False)]
After = Annotated[Path, typer.Argument(help="A .bimetal file: after.", show_default=False)]
Limit = Annotated[
    int, typer.Option(min=0, help="Flips and moves of one array listed in JSON at most.")
]


@answering
def diff(before: Before, after: After, limit: Limit = 1000, as_json: AsJson = False) -> Answer:
    """Compare two models bit by bit: flipped weights, moved thresholds and points, columns, operations."""
    found = difference(load(before), load(after))
    values = {"files": [str(before), str(after)], **found.values(limit)}
    return Answer(values, _page(values, found))


def _page(values: dict[str, Any], found: ProgramDiff) -> Any:
    first, second = values["files"]
    flipped = f"{amount(found.n_flips)} binary weights ({found.flip_share:.2%})"
    summary = facts(
        {
            "before": f"{first}, {values['before']}",
            "after": f"{second}, {values['after']}",
            "verdict": "the same Program" if found.is_empty else "not the same Program",
            "flipped": flipped,
            "moved": f"{amount(found.n_moves)} numbers",
        }
    )
    told = map(escape, found.structure_lines())
    return Group(summary, _layers(found), *told)


def _layers(found: ProgramDiff) -> Any:
    shown = table("operation", "array", ">changed", ">of", ">share", ">farthest")
    for flips in found.flips:
        share = f"{flips.share:.2%}"
        shown.add_row(
            f"{flips.kind} {flips.op}",
            "weights",
            amount(flips.n),
            amount(flips.n_weights),
            share,
            "flip",
        )
    for moves in found.moves:
        share = f"{moves.n / moves.n_numbers:.2%}"
        shown.add_row(
            f"{moves.kind} {moves.op}", moves.array, amount(moves.n), amount(moves.n_numbers), share,
            f"{moves.largest:.6g}",
        )  # fmt: skip
    return shown
