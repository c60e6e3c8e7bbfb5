"""The command line: ``bimetal demo | train | score | inspect | diff | bench | datasets | compress | ...``.

One file a command. A command returns an `Answer`: JSON values for machines, and what a person sees;
`answering` shows one of the two. Exit codes: 0 all is well, 2 the user can mend it (one clear line, no
traceback), 130 Ctrl-C.
"""

import signal
import sys
from collections.abc import Sequence
from typing import Any

from bimetal.errors import MissingExtraError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A polite end (a scheduler's SIGTERM) cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, _stop)
    try:
        from bimetal.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        missing = MissingExtraError(error.name, "cli", "the command line")
        sys.stderr.write(f"error: {missing}\n")
        sys.exit(2)
    sys.exit(run(given))


def _stop(number: int, frame: Any) -> None:
    sys.exit(128 + number)
