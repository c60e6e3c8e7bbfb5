"""An exported C header, compiled by clang for any machine: what WebAssembly and shared libraries share.

One clang compiles for every machine, and its linkers link for every system; nothing here needs a C
library of the target. The header is written for an inner model, so that the functions which are
exported may have its name.
"""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from bimetal.export.c import header
from bimetal.export.c.options import COptions
from bimetal.export.target import Job
from bimetal.export.tools import Tool, command, require

__all__ = ["CLANG", "FLAGS", "INNER", "found", "lay_out", "llvm", "stack_bytes"]

INNER = "inner"
"""What the model is called in the header that is compiled."""

FLAGS = (
    *("-std=c99", "-O3", "-ffreestanding", "-fvisibility=hidden", "-ffunction-sections"),
    *(
        "-fdata-sections",
        "-ffp-contract=off",
        "-fno-ident",
        "-fno-stack-protector",
        "-Wall",
        "-Wextra",
        "-Werror",
    ),
)
"""For any machine; a multiplication and an addition are never fused."""

_FOLDERS = ("/usr/lib/llvm-*/bin", "/opt/homebrew/opt/llvm/bin", "/usr/local/opt/llvm/bin")


def llvm(name: str, package: str = "lld") -> Tool:
    """Return a tool of LLVM, which some systems keep in folders of their own."""
    return command(name, f"apt-get install {package}", *_FOLDERS)


CLANG = llvm("clang", "clang")


def found(tool: Tool, purpose: str) -> str:
    """Return where a tool is.

    Raises
    ------
    MissingToolError
        When it is not here.
    """
    require((tool,), purpose)
    return str(tool.find())


def lay_out(job: Job, options: COptions, folder: Path, package: str, *templates: str) -> None:
    """Put the header ``inner.h``, the templates of a package and ``freestanding.c`` into a folder."""
    inner = replace(job, name=INNER, stem=INNER, options=options)
    (folder / "inner.h").write_text(header(inner), encoding="utf-8")
    sources = [(package, name) for name in templates]
    for where, name in [*sources, ("bimetal.export.library", "freestanding.c")]:
        text = (files(where) / "templates" / name).read_text(encoding="utf-8")
        (folder / name).write_text(text, encoding="utf-8")


def stack_bytes(job: Job) -> int:
    """Return a bound on the stack that a model needs: all values at once, three times, and some room."""
    widths = {"row": 0, "bits": 1, "bytes": 1, "ints": 4, "floats": 4}
    needed = sum(4 + value.n * widths[value.kind] for value in job.program.values)
    return 3 * needed + 16384
