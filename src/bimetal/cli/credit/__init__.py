"""The commands of ``bimetal credit``."""

import typer

from bimetal.cli.credit.explain import explain
from bimetal.cli.credit.ifrs9 import ifrs9
from bimetal.cli.credit.monitor import monitor
from bimetal.cli.credit.page import page, verify
from bimetal.cli.credit.prove import prove
from bimetal.cli.credit.train import train
from bimetal.cli.credit.validate import validate

__all__ = ["COMMANDS", "credit"]

COMMANDS = (train, explain, prove, validate, monitor, ifrs9, page, verify)
"""Every command; the docs and the tests read this list."""

credit = typer.Typer(
    name="credit",
    help="Scorecards: train, prove, explain, validate, monitor; IFRS 9; a page for phones.",
    no_args_is_help=True,
)
for command in COMMANDS:
    credit.command()(command)
