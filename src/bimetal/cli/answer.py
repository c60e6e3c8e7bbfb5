"""What all commands share: an answer for a machine or a person, and errors that fit on a line."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from bimetal.errors import BimetalError

__all__ = [
    "Answer",
    "AsJson",
    "answering",
    "error_values",
    "narrated",
    "progress_console",
    "say",
    "show_error",
]

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout; all else on stderr.")]


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Attributes
    ----------
    values : mapping
        For a machine: JSON values.
    shown : object
        For a person: anything that rich can draw.
    exit_code : int
        0 unless something is wrong all the same.
    """

    values: Mapping[str, Any]
    shown: Any
    exit_code: int = 0


def answering(command: Callable[..., Answer]) -> Callable[..., None]:
    """Turn a function that returns an `Answer` into a command with ``--json`` and exit codes."""

    @wraps(command)
    def run(*args: Any, as_json: bool = False, **kwargs: Any) -> None:
        try:
            answer = command(*args, as_json=as_json, **kwargs)
            _show(answer, as_json)
        except BrokenPipeError:
            # Whoever read our output has left; nothing more can be said there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (BimetalError, OSError, UnicodeError) as error:
            show_error(error, as_json)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            say("stopped")
            raise typer.Exit(130) from None
        if answer.exit_code:
            raise typer.Exit(answer.exit_code)

    return run


def _show(answer: Answer, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(answer.values, indent=2, allow_nan=False) + "\n")
    else:
        Console(highlight=False).print(answer.shown)
    sys.stdout.flush()


def show_error(error: BaseException, as_json: bool) -> None:
    """Write an error as one line on stderr, or as JSON on stdout."""
    values = error_values(error)
    if as_json:
        sys.stdout.write(json.dumps({"error": values}, indent=2) + "\n")
    else:
        notes = "".join(f"; {note}" for note in values["notes"])
        say(f"error: {values['message']}{notes}")


def error_values(error: BaseException) -> dict[str, Any]:
    """Return type, message and notes of an error as JSON values."""
    text = " ".join(_text(error).split()) or type(error).__name__
    notes = [str(note) for note in getattr(error, "__notes__", [])]
    return {"type": type(error).__name__, "message": text, "notes": notes}


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"'{error.filename}': {error.strerror}"
    return str(error)


def say(text: str) -> None:
    """Write a line for a person on stderr, whatever brackets are in it."""
    progress_console().print(text, markup=False, highlight=False, soft_wrap=True)


def progress_console() -> Console:
    """Return the console on stderr, where progress and remarks go."""
    return Console(stderr=True)


@contextmanager
def narrated(is_shown: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that says what is being done, beside a turning sign."""
    if not is_shown:
        yield lambda text: None
        return
    with progress_console().status("") as status:
        yield lambda text: status.update(escape(text))
