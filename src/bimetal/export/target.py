"""What an export target is: a way to write a Program down, and places where that can be run.

A target is one value of `Target` in a file of its own; `TARGETS` lists them. Writing is a pure
function from a `Job` to files in memory; a `Place` builds and runs those files on this machine, so
that they can be held against the reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.tools import Tool
from bimetal.ops import Op
from bimetal.program import Program

__all__ = ["Files", "Job", "NoOptions", "Outcome", "Place", "Target", "choices", "options_of"]

Files = Mapping[str, bytes]
"""What a writer makes: what is appended to the stem of the files → their bytes."""


@dataclass(frozen=True)
class NoOptions:
    """The options of a target that has none."""


@dataclass(frozen=True)
class Job:
    """What a writer is asked for.

    Attributes
    ----------
    program : Program
        What to write down.
    name : str
        An identifier of the target's language: functions, modules and tables are named after it.
    stem : str
        What the names of the files begin with.
    options : object
        An instance of the target's own options.
    """

    program: Program
    name: str
    stem: str
    options: Any


@dataclass(frozen=True)
class Outcome:
    """What a run of the built files gave; None is what the target does not give.

    Attributes
    ----------
    points : numpy.ndarray or None
        What the link reads, int32 (n_rows, n_points).
    answers : numpy.ndarray or None
        float32 (n_rows, n_outputs).
    instructions : float or None
        The mean of one row, where a simulator counts them exactly.
    notes : mapping
        Whatever else the place measures: cycles, bytes, area.
    """

    points: NDArray[np.int32] | None = None
    answers: NDArray[np.float32] | None = None
    instructions: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where the files of a target can be built and run on this machine.

    Attributes
    ----------
    name : str
        Such as "qemu:cortex-m4".
    title : str
        One line for people.
    tools : tuple of Tool
        All that it needs.
    run : callable
        ``run(job, files, folder, rows) -> Outcome``, `folder` an empty one to work in, `rows` raw
        rows, float32 (n_rows, n_columns).
    options : mapping
        Options of the target that fit this place.
    largest : int or None
        The most bytes of arrays that fit here.
    """

    name: str
    title: str
    tools: tuple[Tool, ...]
    run: Callable[[Job, Files, Path, NDArray[np.float32]], Outcome]
    options: Mapping[str, Any] = field(default_factory=dict)
    largest: int | None = None

    def missing(self) -> list[Tool]:
        """Return the tools that this machine lacks."""
        return [tool for tool in self.tools if tool.find() is None]


@dataclass(frozen=True)
class Target:
    """A way to write a Program down.

    Attributes
    ----------
    name, title : str
        Its name, and one line for people.
    suffix : str
        Of the main file; it picks the target from a file's name.
    ops : tuple of type
        The operations that it can express.
    options : type
        A frozen dataclass with a default for each field; what `export` may set.
    write : callable
        ``write(job)``: what is appended to the stem → bytes, the main file first.
    places : tuple of Place
        Where it can be run.
    language : str
        Whose identifiers `Job.name` must be; "" is any.
    check : callable or None
        Further refusals.
    """

    name: str
    title: str
    suffix: str
    ops: tuple[type[Op], ...]
    options: type
    write: Callable[[Job], dict[str, bytes]]
    places: tuple[Place, ...]
    language: str = ""
    check: Callable[[Job], None] | None = None


def choices(options: type, name: str) -> tuple[Any, ...]:
    """Return what a field of an options class may be, if it is one of a few; else ()."""
    kind = {f.name: f.type for f in fields(options)}[name]
    return get_args(kind) if get_origin(kind) is Literal else ()


def options_of(target: Target, given: Mapping[str, Any]) -> Any:
    """Build the options of a target from names and values; text is read as the field's type.

    Raises
    ------
    ExportError
        When an option is unknown, or its value is of another type or none of the choices.
    """
    known = {f.name: f for f in fields(target.options)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise ExportError(f"target '{target.name}' has no option '{unknown[0]}'; {has}")
    values = {name: _value(target, name, known[name].type, value) for name, value in given.items()}
    return target.options(**values)


def _value(target: Target, name: str, kind: Any, given: Any) -> Any:
    allowed = choices(target.options, name)
    if allowed:
        fits = {str(choice): choice for choice in allowed}.get(str(given))
        wanted = "one of " + ", ".join(map(str, allowed))
    elif kind is bool:
        fits = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            str(given).lower()
        )
        wanted = "true or false"
    elif kind is int:
        text = str(given)
        fits = int(text) if text.removeprefix("-").isdecimal() and text.isascii() else None
        wanted = "a whole number"
    else:
        fits, wanted = (given if isinstance(given, str) else None), "text"
    if fits is None:
        raise ExportError(
            f"option '{name}' of target '{target.name}' must be {wanted}, got {given!r:.80}"
        )
    return fits
