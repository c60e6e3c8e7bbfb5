"""One Program, written down for wherever it is needed: C, WebAssembly, SQL, Verilog and others.

>>> from bimetal import export
>>> ", ".join(export.TARGETS)[:8]
'c, libra'

`export` writes files, `verify` builds and runs them and compares with the reference, `size` tells
what a chip needs before anything is built. Each target is one file and one name in `TARGETS`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from bimetal.errors import DataError, ExportError
from bimetal.export import c, java, js, library, onnx, pmml, qonnx, sql, verilog, wasm
from bimetal.export.footprint import Size, size_of
from bimetal.export.names import check_identifier
from bimetal.export.target import Files, Job, Outcome, Place, Target, choices, options_of
from bimetal.export.verify import Verification, hold
from bimetal.files import atomic_write
from bimetal.program import Program

__all__ = [
    "TARGETS",
    "Files",
    "Job",
    "Outcome",
    "Place",
    "Size",
    "Target",
    "Verification",
    "choices",
    "export",
    "job_for",
    "place_named",
    "size",
    "target_for",
    "verify",
    "write",
]

_ALL = (
    c.TARGET,
    library.TARGET,
    wasm.TARGET,
    js.TARGET,
    onnx.TARGET,
    qonnx.TARGET,
    verilog.TARGET,
    sql.TARGET,
    java.TARGET,
    pmml.TARGET,
)

TARGETS: Mapping[str, Target] = {target.name: target for target in _ALL}
"""Every target by its name; the command line, the docs and the conformance suite read this list."""


def export(
    program: Program,
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    name: str | None = None,
    **options: Any,
) -> list[Path]:
    """Write a Program as source or module of another language.

    Parameters
    ----------
    program : Program
        What to write.
    path : str or path-like
        The main file; its suffix picks the target. Companions (a test bench, types) stand beside it.
    target : str, optional
        Of `TARGETS`, where the suffix does not say it.
    name : str, optional
        An identifier that functions, modules and tables are named after; by default the stem of
        `path`.
    **options
        Of the target: ``core="cortex-m0"``, ``dialect="duckdb"`` and so on.

    Returns
    -------
    list of Path
        What was written, the main file first. All of it is complete before the first name is taken:
        an interrupted export leaves what was there.

    Raises
    ------
    ExportError
        When the target cannot express an operation, a name or an option.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from bimetal import Column, export
    >>> from bimetal.program import GE, Encode, Link, Program, Readout
    >>> import numpy as np
    >>> none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    >>> encode = Encode(np.array([0], "u2"), np.array([GE], "u1"), np.array([30], "f4"),
    ...                 np.array([], "u2"), np.array([], "f4"))
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> program = Program((Column("age"),), (encode, points, Link(2, "identity", np.ones(1), np.zeros(1), *none)))
    >>> written = export.export(program, Path(tempfile.mkdtemp()) / "score.h")
    >>> written[0].name
    'score.h'
    """
    main = Path(path)
    chosen = target_for(main, target)
    has_suffix = main.name.endswith(chosen.suffix)
    stem = main.name.removesuffix(chosen.suffix) if has_suffix else main.stem
    job = job_for(program, chosen, name or stem, stem, options)
    files = write(chosen, job)
    paths = [main, *(main.with_name(job.stem + end) for end in list(files)[1:])]
    _write_all(paths, list(files.values()))
    return paths


def verify(
    program: Program,
    on: str,
    *,
    target: str | None = None,
    vectors: int = 10_000,
    seed: int = 0,
    rows: ArrayLike | None = None,
    name: str = "net",
    **options: Any,
) -> Verification:
    """Build what a target writes, run it here, and compare it with the reference, bit for bit.

    Parameters
    ----------
    program : Program
        What to write.
    on : str
        A place: "host:gcc", "qemu:cortex-m4", "duckdb", "node" and so on (``bimetal targets``).
    target : str, optional
        Of `TARGETS`, where several have a place of this name.
    vectors : int, default 10,000
        Rows to draw; the golden ones come first.
    seed : int, default 0
        For the rows.
    rows : array_like, optional
        Raw rows (n_rows, n_columns) to use instead.
    name : str, default "net"
        As in `export`.
    **options
        Of the target; what the place needs is set already.

    Raises
    ------
    ExportError
        When the target cannot express the Program, or its output does not build or run.
    MissingToolError
        When a compiler or simulator is not here; it says how to install it.
    """
    chosen, place = place_named(on, target)
    job = job_for(program, chosen, name, name, {**place.options, **options})
    return hold(chosen, place, job, vectors, seed, rows)


def size(
    program: Program, core: str, *, optimize: str = "-Os", measure: bool = False, **options: Any
) -> Size:
    """Tell what a Program needs on a chip, before anything is built, or from a build.

    Predictions are for GCC 12. Flash is within 2 % of what it builds, or 20 bytes where that is more;
    instructions are within 3 % or 30, but within 5 % where columns have special codes. A form that
    was never measured gives None.

    Parameters
    ----------
    program : Program
        What to run there.
    core : str
        "cortex-m0", "cortex-m4", "rv32imc" and so on.
    optimize : {"-Os", "-O3"}
        The compiler's level.
    measure : bool, default False
        Build it with the compiler that is here and count under emulation, instead of predicting:
        it takes a second, and is exact for that compiler. Also for "avr" and "8051".
    **options
        Of the target ``c``: ``constant_time=True``, ``input="int16"`` and so on.

    Raises
    ------
    ExportError
        When the core is unknown, the Program cannot be had there or does not fit.
    MissingToolError
        When `measure` is set and a compiler or emulator is not here.

    Examples
    --------
    >>> import numpy as np
    >>> from bimetal import Column, export
    >>> from bimetal.program import GE, Encode, Link, Program, Readout
    >>> none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    >>> encode = Encode(np.array([0], "u2"), np.array([GE], "u1"), np.array([30], "f4"),
    ...                 np.array([], "u2"), np.array([], "f4"))
    >>> points = Readout((1,), np.array([[20]], "i2"), np.array([600], "i4"))
    >>> link = Link(2, "identity", np.ones(1), np.zeros(1), *none)
    >>> export.size(Program((Column("age"),), (encode, points, link)), "cortex-m0").constants
    7
    """
    job = job_for(program, TARGETS["c"], "net", "net", {**options, "core": core})
    return size_of(job, optimize, measure)


def write(target: Target, job: Job) -> dict[str, bytes]:
    """Return the files of a target without touching the disk, by what is appended to the stem."""
    return target.write(job)


def job_for(
    program: Program, target: Target, name: str, stem: str, options: Mapping[str, Any]
) -> Job:
    """Return a checked job: operations, name and options are those that the target can express.

    Raises
    ------
    ExportError
        When they are not.
    """
    check_identifier(name, target.language)
    for i, op in enumerate(program.ops):
        if not isinstance(op, target.ops):
            others = [t.name for t in TARGETS.values() if issubclass(type(op), t.ops)]
            can = f"these can: {', '.join(others)}" if others else "no target can"
            raise ExportError(
                f"target '{target.name}' cannot express operation {i}, a {type(op).__name__}; {can}"
            )
    job = Job(program, name, stem, options_of(target, options))
    if target.check:
        target.check(job)
    return job


def target_for(path: Path, name: str | None = None) -> Target:
    """Return the target of a name, or else of a file's suffix.

    Raises
    ------
    ExportError
        When there is none.
    """
    if name is not None:
        if name not in TARGETS:
            raise ExportError(f"no target '{name}'; there are {', '.join(TARGETS)}")
        return TARGETS[name]
    fits = [t for t in TARGETS.values() if path.name.endswith(t.suffix) and path.name != t.suffix]
    if not fits:
        known = ", ".join(f"{t.suffix} ({t.name})" for t in TARGETS.values())
        raise ExportError(f"no target writes '{path.name}'; the suffixes are {known}")
    return max(fits, key=lambda t: len(t.suffix))


def place_named(on: str, target: str | None = None) -> tuple[Target, Place]:
    """Return the place of a name and the target that has it.

    Raises
    ------
    DataError
        When no target has it.
    """
    among = [target_for(Path(), target)] if target else list(TARGETS.values())
    for candidate in among:
        for place in candidate.places:
            if place.name == on:
                return candidate, place
    known = ", ".join(dict.fromkeys(p.name for t in among for p in t.places))
    raise DataError(f"no place '{on}'; there are {known}")


def _write_all(paths: list[Path], contents: list[bytes]) -> None:
    """Write all files beside their targets, then take the names: none is ever half there."""
    if not paths:
        return
    with atomic_write(paths[0]) as file:
        file.write(contents[0])
        _write_all(paths[1:], contents[1:])
