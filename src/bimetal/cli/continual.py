"""``bimetal continual run | list``: methods of continual learning on a sequence of tasks, side by side."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape

from bimetal.amounts import amount, short
from bimetal.cli.answer import Answer, AsJson, answering, narrated
from bimetal.cli.looks import facts, table
from bimetal.cli.options import names_of
from bimetal.datasets.files import FOLDER_VARIABLE, find, named
from bimetal.errors import DataError, MissingExtraError
from bimetal.files import atomic_write

__all__ = ["continual", "seeds_of", "strengths_of"]

QUICK: dict[str, Any] = {"tasks": 3, "rows": 600, "hidden": (64, 64), "epochs": 10, "seeds": (0,)}
FULL: dict[str, Any] = {
    "tasks": None, "rows": None, "hidden": (512, 512), "epochs": 3, "seeds": (0, 1, 2),
}  # fmt: skip
TOLD = {"boundaries": "ends", "task_ids": "ids", "stored_data": "rows"}
NOTE = (
    "average: over all tasks after the last, percent. BWT: what later tasks did to earlier ones, points. "
    "learned: each task right after it. told: where tasks end, ids of tasks at test time, or old rows are "
    "kept. state: bytes to go on learning. differ: test rows that a Program answers otherwise."
)
SUFFIXES = (".npz", ".parquet", ".csv")

continual = typer.Typer(
    name="continual",
    help="Learn task after task without forgetting: methods side by side.",
    no_args_is_help=True,
)

Name = Annotated[
    str, typer.Argument(help="A sequence of `bimetal continual list`.", show_default=False)
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        help="Some methods only: metaplastic,ewc; with a strength it is not tuned: ewc=300"
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        help="How many, or which: 3 is 0,1,2. [default: 3; with --quick 1]", show_default=False
    ),
]
Tasks = Annotated[int | None, typer.Option(help="How many tasks. [default: by sequence]", min=1)]
Rows = Annotated[
    int | None, typer.Option(help="Most training rows of a task. [default: by sequence]", min=1)
]
Hidden = Annotated[str | None, typer.Option(help="Units of each hidden layer. [default: 512,512]")]
Epochs = Annotated[
    int | None, typer.Option(help="Passes over the rows of a task. [default: 3]", min=1)
]
Tune = Annotated[
    bool | None,
    typer.Option(
        "--tune/--no-tune",
        help="Choose the strength of each method on the validation stream first. "
        "[default: yes; with --quick no]",
        show_default=False,
    ),
]
TuneTasks = Annotated[
    int | None, typer.Option(help="Tasks of the validation stream. [default: as --tasks]", min=1)
]
Asks = Annotated[
    str,
    typer.Option(
        "--evaluate",
        help="What is asked after a task: seen, all (for forward transfer), last, or 10: those seen, "
        "after every 10th.",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for page, table, runs and Programs.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="3 tasks, 600 rows, small nets, one seed: a look.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Take finished runs from --out, and do the rest.")
]


@continual.command("run")
@answering
def run(
    sequence: Name,
    methods: Methods = None,
    seeds: Seeds = None,
    tasks: Tasks = None,
    rows: Rows = None,
    hidden: Hidden = None,
    epochs: Epochs = None,
    batch_size: Annotated[int, typer.Option(help="Rows of a step.", min=1)] = 100,
    learning_rate: Annotated[float, typer.Option(help="Of latent weights.")] = 0.005,
    tune: Tune = None,
    tune_tasks: TuneTasks = None,
    evaluate: Asks = "seen",
    workers: Annotated[int, typer.Option(help="Processes, one thread each.", min=1)] = 1,
    out: Out = Path("runs/continual"),
    quick: Quick = False,
    resume: Resume = False,
    as_json: AsJson = False,
) -> Answer:
    """Let methods learn a sequence of tasks, and tell what each still knows, and what it was told."""
    _require()
    from bimetal.continual.harness.compare import compare
    from bimetal.continual.harness.run import method_named
    from bimetal.continual.sequences import SEQUENCES

    usual = QUICK if quick else FULL
    maker = named(sequence, tuple(SEQUENCES.values()), "sequence")
    strengths = strengths_of(names_of(methods))
    chosen = [method_named(name) for name in strengths] or None
    n_tasks = tasks or _at_most(usual["tasks"], maker)
    tunes = (not quick) if tune is None else tune
    out.mkdir(parents=True, exist_ok=True)
    with narrated(not as_json) as progress:
        study = compare(
            maker, chosen, seeds_of(seeds) if seeds else usual["seeds"],
            n_tasks=n_tasks, n_rows=rows or usual["rows"],
            strengths={name: value for name, value in strengths.items() if value is not None},
            tunes=tunes, tuning_tasks=tune_tasks, evaluates=_asks(evaluate), workers=workers, folder=out,
            resumes=resume, progress=progress, hidden=_whole(hidden, "--hidden") if hidden else usual["hidden"],
            n_epochs=epochs or usual["epochs"], batch_size=batch_size, learning_rate=learning_rate,
        )  # fmt: skip
        progress("drawing")
        values = _written(study, out)
    return Answer(values, _page(study, values), 130 if study.was_interrupted else 0)


@continual.command("list")
@answering
def listing(as_json: AsJson = False) -> Answer:
    """List the sequences and what data they need, and the methods and what they are told."""
    _require("torch")
    from bimetal.continual.harness.table import described
    from bimetal.continual.learners.methods import METHODS
    from bimetal.continual.sequences import SEQUENCES

    values = {
        "folder_variable": FOLDER_VARIABLE,
        "sequences": [_sequence(maker) for maker in SEQUENCES.values()],
        "methods": [{"name": name, **described(method)} for name, method in METHODS.items()],
    }
    return Answer(values, _listed(values))


def seeds_of(text: str) -> tuple[int, ...]:
    """Read how many seeds, or which.

    Raises
    ------
    DataError
        When the text is of another form.

    Examples
    --------
    >>> seeds_of("3"), seeds_of("0,4"), seeds_of("7,")
    ((0, 1, 2), (0, 4), (7,))
    """
    found = _whole(text.rstrip(","), "--seeds")
    if "," in text:
        return found
    if found[0] < 1:
        raise DataError(
            f"--seeds expects how many (1 or more), or which with a comma (0, or 0,1,2); got {text!r}"
        )
    return tuple(range(found[0]))


def strengths_of(names: Sequence[str]) -> dict[str, float | None]:
    """Read names of methods, some with a strength.

    Raises
    ------
    DataError
        When a strength is no number, or a method is named twice.

    Examples
    --------
    >>> strengths_of(["metaplastic", "ewc=300"])
    {'metaplastic': None, 'ewc': 300.0}
    """
    found: dict[str, float | None] = {}
    for text in names:
        name, equals, number = text.partition("=")
        if name in found:
            raise DataError(f"--methods names {name!r} twice")
        try:
            found[name] = float(number) if equals else None
        except ValueError:
            raise DataError(
                f"--methods expects name=number such as ewc=300, got {text!r}"
            ) from None
    return found


def _whole(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"{option} expects whole numbers such as 512,512; got {text!r}") from None


def _asks(text: str) -> Any:
    """Return what is asked after each task; `compare` says what is wrong with it."""
    return int(text) if text.isdecimal() else text


def _at_most(n_tasks: int | None, maker: Any) -> int | None:
    """Return how many tasks a look takes: no more than there are."""
    if n_tasks is None or maker.most_tasks is None:
        return n_tasks
    return min(n_tasks, int(maker.most_tasks))


def _require(*packages: str) -> None:
    """Say what is missing before the training, not after it."""
    extras = {"torch": "train", "matplotlib": "report", "jinja2": "report"}
    for package in packages or extras:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, extras[package], "bimetal continual")


def _written(study: Any, out: Path) -> dict[str, Any]:
    """Write the table as JSON, then the page, if anything was finished."""
    from bimetal.report.continual import write_continual

    with atomic_write(out / "study.json") as file:
        file.write(study.to_json().encode())
    page = write_continual(study, out) if study.methods else None
    return {**study.values(), "out": str(out), "report": str(page) if page else None}


def _page(study: Any, values: dict[str, Any]) -> Any:
    from bimetal.continual.harness.table import contenders

    shown = table("method", "told", ">average", ">BWT", ">learned", ">state", ">CPU s", ">differ")
    shown.columns[0].no_wrap = True
    rows = study.rows()
    best = contenders(rows)[0].name if rows else ""
    for row in rows:
        name = escape(row.name + (f" {row.strength:g}" if row.strength_name else ""))
        shares = ("average_accuracy", "backward_transfer", "learning_accuracy")
        shown.add_row(
            f"[bold]{name}[/bold]" if row.name == best else name,
            _told(study.facts["methods"][row.name]), *map(row.percent, shares),
            short(row.mean("state_bytes") or 0), f"{row.mean('cpu_seconds') or 0:.1f}",
            "" if row.n_differ is None else amount(row.n_differ),
        )  # fmt: skip
    left_out = [escape(f"left out: {s.name}: {s.reason}") for s in study.skipped]
    files = {"report": values["report"] or "none: nothing was finished", "all of it": values["out"]}
    said: list[Any] = [shown, NOTE] if rows else []
    return Group(*said, *left_out, *_stopped(study), facts(files))


def _told(method: Mapping[str, Any]) -> str:
    """Return what a method is told or keeps, in few letters."""
    return ", ".join(word for name, word in TOLD.items() if method[name]) or "nothing"


def _stopped(study: Any) -> list[str]:
    if not study.was_interrupted:
        return []
    parts = [run for run in study.runs if not run.is_whole]
    part = "".join(
        f"; {run.method}, seed {run.setting.seed}, after {run.n_finished} tasks" for run in parts
    )
    return [escape(f"stopped: the table holds what was finished{part}; --resume goes on")]


def _sequence(maker: Any) -> dict[str, Any]:
    missing = [name for name in maker.needs if find(name, SUFFIXES) is None]
    return {
        "name": maker.name,
        "title": maker.title,
        "n_tasks": maker.n_tasks,
        "needs": list(maker.needs),
        "missing": missing,
    }


def _listed(values: dict[str, Any]) -> Any:
    # Names are to be copied: they stay whole.
    sequences = table("sequence", "what it is", ">tasks", "data")
    for row in values["sequences"]:
        needs = ", ".join(
            f"{name} (missing)" if name in row["missing"] else f"{name} (here)"
            for name in row["needs"]
        )
        sequences.add_row(
            row["name"], escape(row["title"]), str(row["n_tasks"] or ""), needs or "none needed"
        )
    methods = table("method", "what it is", "is told", "tried strengths")
    sequences.columns[0].no_wrap = methods.columns[0].no_wrap = True
    for row in values["methods"]:
        tried = ", ".join(f"{strength:g}" for strength in row["strengths"])
        strengths = f"{row['strength_name']}: {tried}" if len(row["strengths"]) > 1 else ""
        source = f" ({row['source']})" if row["source"] else ""
        methods.add_row(row["name"], escape(row["title"] + source), row["uses"], strengths)
    advice = (
        f"Data is looked for in the folder that the environment variable {FOLDER_VARIABLE} names."
    )
    return Group(sequences, methods, advice)
