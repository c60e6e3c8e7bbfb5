"""The compilers, simulators and packages of others that build and run what we export.

None of them is needed to export; all are looked for when they are first used, and a missing one is
named together with the words that install it.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bimetal.errors import ExportError, MissingToolError

__all__ = ["Tool", "call", "command", "node_module", "package", "require"]


@dataclass(frozen=True)
class Tool:
    """Something of others that a place needs.

    Attributes
    ----------
    name : str
        As its users call it.
    install : str
        The words that install it.
    look : callable
        Returns where it is, or None.
    """

    name: str
    install: str
    look: Callable[[], str | None]

    def find(self) -> str | None:
        """Return where it is on this machine, or None."""
        return self.look()


def command(name: str, install: str, *folders: str) -> Tool:
    """Return a tool that is a command on the PATH or in one of `folders` (patterns of them).

    Examples
    --------
    >>> command("no-such-compiler", "apt-get install none").find() is None
    True
    """

    def look() -> str | None:
        found = shutil.which(name)
        elsewhere = (
            str(p) for f in folders for p in sorted(Path("/").glob(f"{f.lstrip('/')}/{name}"))
        )
        return found or next(elsewhere, None)

    return Tool(name, install, look)


def package(name: str, install: str) -> Tool:
    """Return a tool that is a Python package.

    Examples
    --------
    >>> package("numpy", "pip install numpy").find() is None
    False
    """

    def look() -> str | None:
        found = find_spec(name)
        return (found.origin or name) if found else None

    return Tool(name, install, look)


def node_module(name: str, install: str) -> Tool:
    """Return a tool that is a module of Node, in NODE_PATH or a ``node_modules`` here or above."""

    def look() -> str | None:
        given = [Path(p) for p in os.environ.get("NODE_PATH", "").split(os.pathsep) if p]
        here = Path.cwd()
        folders = [*given, *(folder / "node_modules" for folder in (here, *here.parents))]
        return next((str(f / name) for f in folders if (f / name / "package.json").is_file()), None)

    return Tool(name, install, look)


def require(tools: Sequence[Tool], purpose: str) -> None:
    """Raise `MissingToolError` for the first of `tools` that is not here."""
    for tool in tools:
        if tool.find() is None:
            raise MissingToolError(tool.name, purpose, tool.install)


def call(
    words: Sequence[str | Path],
    cwd: Path,
    timeout: float = 300,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
) -> bytes:
    """Run a command and return what it printed; its children end with it.

    Raises
    ------
    ExportError
        When it cannot be started, fails or takes more than `timeout` seconds; with the end of what
        it said.
    """
    line = [str(word) for word in words]
    try:
        process = subprocess.Popen(
            line,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,
        )
    except OSError as error:
        raise ExportError(f"'{line[0]}' cannot be started: {error}") from error
    try:
        out, err = process.communicate(stdin, timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise ExportError(f"'{line[0]}' took more than {timeout:g} seconds") from None
        raise
    if process.returncode:
        said = (err or out).decode(errors="replace").strip()[-2000:]
        raise ExportError(f"'{' '.join(line)[:300]}' ended with {process.returncode}: {said}")
    return out
