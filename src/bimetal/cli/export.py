"""``bimetal export | verify | targets``: a model for other machines, proved there, and where that can be."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bimetal.amounts import amount
from bimetal.cli.answer import Answer, AsJson, answering, narrated
from bimetal.cli.looks import facts, table
from bimetal.cli.options import require_folder
from bimetal.errors import DataError
from bimetal.format import load

if TYPE_CHECKING:  # some two hundred modules, which other commands do not wait for
    from bimetal.export import Place, Target, Verification

__all__ = ["export", "size", "targets", "verify"]

Model = Annotated[Path, typer.Argument(help="A .bimetal file.", show_default=False)]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", help="The main file: credit.h, credit.v, …", show_default=False),
]
TargetName = Annotated[
    str | None, typer.Option("--target", help="Where the suffix does not say it; see `targets`.")
]
Name = Annotated[
    str | None, typer.Option(help="An identifier to name functions and modules after.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", "-O", help="An option of the target: core=cortex-m0")
]
Core = Annotated[
    str, typer.Option("--target", help="A core: cortex-m0, rv32imc, …", show_default=False)
]
Optimize = Annotated[str, typer.Option(help="The compiler's level: -Os or -O3.")]
Measure = Annotated[
    bool, typer.Option("--measure", help="Build and count it here, in place of a prediction.")
]
On = Annotated[str, typer.Option("--on", help="Where: qemu:cortex-m4, duckdb, node, …")]
Vectors = Annotated[int, typer.Option(min=1, help="Rows to draw; the golden ones come first.")]
Seed = Annotated[int, typer.Option(min=0, help="For the rows.")]


@answering
def export(
    model: Model,
    out: Out,
    target: TargetName = None,
    name: Name = None,
    option: Set = None,
    as_json: AsJson = False,
) -> Answer:
    """Write a model as C, WebAssembly, SQL, Verilog and more; the suffix picks the target."""
    from bimetal.export import export as write_files
    from bimetal.export import target_for

    require_folder(out)
    program = load(model)
    options = options_from(option)
    chosen = target_for(out, target)
    written = write_files(program, out, target=chosen.name, name=name, **options)
    values = {
        "model": str(model),
        "id": program.id,
        "target": chosen.name,
        "files": [{"file": str(path), "bytes": path.stat().st_size} for path in written],
    }
    sizes = {str(path): f"{amount(path.stat().st_size)} bytes" for path in written}
    return Answer(values, facts({"target": chosen.title, "model": program.id, **sizes}))


@answering
def size(
    model: Model,
    core: Core,
    optimize: Optimize = "-Os",
    measure: Measure = False,
    option: Set = None,
    as_json: AsJson = False,
) -> Answer:
    """Tell what a model needs on a chip, predicted or measured: flash, RAM, stack, instructions."""
    from bimetal.export import size as needed

    program = load(model)
    found = needed(program, core, optimize=optimize, measure=measure, **options_from(option))
    values = {"model": str(model), "id": program.id, "flash": found.flash, **vars(found)}
    head = {"model": program.id, "core": found.core, "compiled with": found.optimize}
    return Answer(values, facts({**head, **found.facts()}))


@answering
def verify(
    model: Model,
    on: On,
    target: TargetName = None,
    vectors: Vectors = 10_000,
    seed: Seed = 0,
    option: Set = None,
    as_json: AsJson = False,
) -> Answer:
    """Build a model for another machine, run it there, and compare it with the reference, bit for bit."""
    from bimetal.export import verify as run_there

    program = load(model)
    with narrated(not as_json) as tell:
        tell(f"building and running {amount(vectors)} rows on {on}")
        found = run_there(
            program, on, target=target, vectors=vectors, seed=seed, **options_from(option)
        )
    values = {**vars(found), "notes": dict(found.notes), "is_exact": found.is_exact}
    return Answer(values, _verdict(found), 0 if found.is_exact else 1)


def _verdict(found: "Verification") -> Any:
    differ = {"points": found.n_points_differ, "answers": found.n_answers_differ}
    told = {
        kind: "not given here"
        if n is None
        else f"{amount(n)} of {amount(found.n_rows)} rows differ"
        for kind, n in differ.items()
    }
    if found.instructions is not None:
        told["instructions a row"] = amount(round(found.instructions))
    verdict = "equal, bit for bit" if found.is_exact else "NOT EQUAL"
    head = {"target": found.target, "place": found.place, "model": found.program_id}
    return facts({**head, **told, **dict(found.notes), "verdict": verdict})


@answering
def targets(as_json: AsJson = False) -> Answer:
    """List what a model can become, where that can be run here, and what is missing for it."""
    from bimetal.export import TARGETS, choices

    values = [_target_values(target) for target in TARGETS.values()]
    shown = table("target", "suffix", "what it is, and where it runs")
    for target in TARGETS.values():
        shown.add_row(target.name, target.suffix, target.title)
        for place in target.places:
            shown.add_row("", "", f"  {place.name}: {_state(place)}")
        for f in fields(target.options):
            allowed = choices(target.options, f.name)
            among = f" ({', '.join(map(str, allowed))})" if allowed else ""
            shown.add_row("", "", f"  -O {f.name}={f.default}{among}")
    return Answer({"targets": values}, shown)


def _target_values(target: "Target") -> dict[str, Any]:
    return {
        "name": target.name,
        "title": target.title,
        "suffix": target.suffix,
        "operations": [op.__name__ for op in target.ops],
        "options": {f.name: f.default for f in fields(target.options)},
        "places": [
            {
                "name": place.name,
                "title": place.title,
                "missing": {tool.name: tool.install for tool in place.missing()},
            }
            for place in target.places
        ],
    }


def _state(place: "Place") -> str:
    missing = place.missing()
    if not missing:
        return "ready"
    return "; ".join(f"needs {tool.name}: {tool.install}" for tool in missing)


def options_from(given: Sequence[str] | None) -> dict[str, Any]:
    """Read ``name=value`` of each; the target says what it makes of them.

    Raises
    ------
    DataError
        When one is of another form, or is given twice.

    Examples
    --------
    >>> options_from(["core=cortex-m0", "golden=4"])
    {'core': 'cortex-m0', 'golden': '4'}
    """
    options: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise DataError(f"--set expects option=value such as core=cortex-m0; got {text!r}")
        if name in options:
            raise DataError(f"--set {name} is given twice")
        options[name] = value
    return options
