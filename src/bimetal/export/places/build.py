"""The harness around an exported header: its files in a folder, and how they know the header.

One harness serves all places. It sees the header only through ``model.c``, which gives its functions
fixed names, so nothing here depends on the net's name or on how its header is written.
"""

from importlib.resources import files as resources
from pathlib import Path

from bimetal.errors import ExportError
from bimetal.export.form import link_of
from bimetal.export.target import Files, Job
from bimetal.export.tools import Tool, command

__all__ = [
    "CC",
    "FIRST",
    "STRICT",
    "add",
    "configure",
    "drop_selftest",
    "found",
    "n_points",
    "row_kind",
]

CC = command("gcc", "apt-get install gcc")
"""The compiler of this machine, for itself."""
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
"""Warnings that a header may not give."""
FIRST = "-fmax-errors=1"
"""Tell gcc to tell the first error only: the others mostly follow from it."""
ROW_TYPES = {"float": "float", "int16": "int16_t", "int32": "int32_t"}


def row_kind(job: Job) -> str:
    """Return what a raw row is made of: "float", "int16" or "int32"."""
    return str(getattr(job.options, "input", "float"))


def n_points(job: Job) -> int:
    """Return how many points the link reads."""
    return len(link_of(job.program).scale)


def configure(
    job: Job, files: Files, folder: Path, block_bytes: int = 0, has_double: bool = True
) -> None:
    """Put the exported files into a folder, and the ``config.h`` by which the harness knows them.

    Parameters
    ----------
    job, files
        What was asked for and written.
    folder : Path
        Where to.
    block_bytes : int
        About how much memory the harness may take for rows.
    has_double : bool
        Whether the chip's C has a float64.

    Raises
    ------
    ExportError
        When there is no header among `files`.
    """
    header = next((end for end in files if end.endswith(".h")), None)
    if header is None:
        raise ExportError(f"a C header expected, but the target wrote {', '.join(files)}")
    for end, content in files.items():
        (folder / f"{job.stem}{end}").write_bytes(content)
    known = {
        "MODEL_HEADER": f'"{job.stem}{header}"',
        "MODEL_NAME": job.name,
        "MODEL_UPPER": job.name.upper(),
        "MODEL_ROW": ROW_TYPES[row_kind(job)],
        "MODEL_COLUMNS": job.program.n_columns,
        "MODEL_POINTS": n_points(job),
        "MODEL_ANSWERS": job.program.n_outputs,
        "PLACE_BLOCK": max(1, block_bytes // (4 * job.program.n_columns)),
    }
    if not has_double:
        known |= {"PLACE_NO_DOUBLE": 1, f"{job.name.upper()}_NO_DOUBLE": 1}
    lines = [f"#define {name} {value}" for name, value in known.items()]
    (folder / "config.h").write_text("\n".join(lines) + "\n")


def drop_selftest(folder: Path) -> None:
    """Change the ``config.h`` of a folder: the header is built without its self-test."""
    config = folder / "config.h"
    text = config.read_text()
    upper = text.split("#define MODEL_UPPER ")[1].split("\n")[0]
    config.write_text(f"{text}#define PLACE_NO_SELFTEST 1\n#define {upper}_NO_SELFTEST 1\n")


def add(folder: Path, *templates: str) -> None:
    """Put some of the templates into a folder."""
    for name in templates:
        source = resources("bimetal.export.places") / "templates" / name
        (folder / name).write_bytes(source.read_bytes())


def found(tool: Tool) -> str:
    """Return where a tool is; whoever runs a place has made sure that it is there."""
    return tool.find() or tool.name
