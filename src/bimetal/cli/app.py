"""The commands in one place, and what happens when an option is not understood."""

from collections.abc import Sequence

import typer

from bimetal.cli.answer import show_error
from bimetal.cli.audit import audit
from bimetal.cli.bench import bench
from bimetal.cli.compress import compress
from bimetal.cli.continual import continual
from bimetal.cli.credit import credit
from bimetal.cli.datasets import datasets
from bimetal.cli.demo import demo
from bimetal.cli.diff import diff
from bimetal.cli.export import export, size, targets, verify
from bimetal.cli.inspect import inspect
from bimetal.cli.keys import keys
from bimetal.cli.score import score
from bimetal.cli.serve import serve
from bimetal.cli.train import train

__all__ = ["COMMANDS", "UsageError", "app", "run"]

COMMANDS = (
    demo, train, score, inspect, diff, export, size, verify, targets, bench, datasets, compress, serve,
)  # fmt: skip
"""Every command; the tests and the docs read this list."""

app = typer.Typer(
    name="bimetal",
    help="Binarized neural networks for finance: train, turn into bits, score anywhere.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)
for group in (continual, credit, keys, audit):
    app.add_typer(group)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        import bimetal

        typer.echo(f"bimetal {bimetal.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


class UsageError(Exception):
    """The command line was not understood."""


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; with ``--json`` usage errors are JSON as well."""
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), prog_name="bimetal", standalone_mode=not as_json)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except Exception as error:
        # typer's own copy of click, or click's: their usage errors have no other common mark.
        if not hasattr(error, "format_message"):
            raise
        show_error(UsageError(error.format_message()), as_json)
        return 2
    return code if isinstance(code, int) else 0
