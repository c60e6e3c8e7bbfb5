"""The files of the target ``library``: a library for one platform, and its header."""

import re
import tempfile
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

from bimetal.errors import ExportError
from bimetal.export.c.head import row_and_answers
from bimetal.export.c.options import COptions
from bimetal.export.c.plan import Plan, plan_for
from bimetal.export.clang import lay_out
from bimetal.export.form import link_of
from bimetal.export.library.platforms import (
    Kind,
    Platform,
    PlatformName,
    build,
    build_static,
    build_with_zig,
    platform_named,
    tools,
)
from bimetal.export.target import Job
from bimetal.export.tools import require

__all__ = ["LibraryOptions", "check", "header_text", "named", "write"]

PURPOSE = "exporting a library"
MOST_STACK = 4 * 2**20  # the main thread of most systems has 8 MiB


@dataclass(frozen=True)
class LibraryOptions:
    """What may be chosen.

    Attributes
    ----------
    platform : str
        The system and processor that it is for; "host" is this machine.
    kind : {"shared", "static"}
        A library that is loaded (.so, .dylib, .dll), or one that is linked in (.a).
    compiler : {"clang", "ziglang"}
        clang with LLVM's linkers, or the Python package that brings them along.
    march : str
        The least processor, in the compiler's words: "x86-64-v2" has popcount. By default any.
    golden : int
        Rows and their answers in the self-test, 0 to 256.
    """

    platform: PlatformName = "host"
    kind: Kind = "shared"
    compiler: Literal["clang", "ziglang"] = "clang"
    march: str = ""
    golden: int = 8


def check(job: Job) -> None:
    """Refuse options that no compiler would understand, and nets that overflow a thread's stack."""
    options = job.options
    COptions(golden=options.golden)  # which says how many there may be
    if not re.fullmatch(r"[a-z0-9_.+-]*", options.march, re.ASCII):
        raise ExportError(
            f"march must be a processor's name in the compiler's words, such as 'x86-64-v2', got {options.march!r:.80}"
        )
    if options.kind == "static" and options.compiler == "ziglang":
        raise ExportError(
            "ziglang builds shared libraries here; use compiler='clang' for kind='static'"
        )
    if working_bytes(job) > MOST_STACK:
        raise ExportError(
            f"a call would work in {working_bytes(job):,} bytes of stack, and threads have few more than "
            f"{MOST_STACK:,}; score this net with bimetal's own engine"
        )


def write(job: Job) -> dict[str, bytes]:
    """Return the library and its header; for Windows also the import library."""
    platform = platform_named(job.options.platform)
    with tempfile.TemporaryDirectory(prefix="bimetal-") as name:
        folder = Path(name)
        options = COptions(platform.core, golden=job.options.golden)
        lay_out(job, options, folder, __package__, "library.c", "libSystem.tbd")
        main = {_suffix(job, platform): _built(job, platform, folder)}
        implib = folder / "model.lib"
        beside = {".lib": implib.read_bytes()} if implib.is_file() else {}
    return main | {".h": header_text(job).encode()} | beside


def working_bytes(job: Job) -> int:
    """Return the bytes of stack in which one call works."""
    return _plan(job).n_buffer_bytes


def _plan(job: Job) -> Plan:
    return plan_for(replace(job, options=COptions()))


def header_text(job: Job) -> str:
    """Return the header that users of the library read."""
    program = job.program
    sizes = {
        "COLUMNS": program.n_columns,
        "POINTS": len(link_of(program).scale),
        "ANSWERS": program.n_outputs,
    }
    text = named("library.h", job.name).replace("0000", program.id)
    text = text.replace("0 bytes\n", f"{working_bytes(job):,} bytes\n")
    for what, n in sizes.items():
        text = text.replace(f"_N_{what} 1 ", f"_N_{what} {n} ")
    lines = (f" * {line}".rstrip() for line in row_and_answers(_plan(job)))
    return text.replace(" * ROW_AND_ANSWERS", "\n".join(lines))


def named(template: str, name: str) -> str:
    """Return a template with its model called `name`: model_x becomes name_x, MODEL_X NAME_X."""
    text = (files(__package__) / "templates" / template).read_text(encoding="utf-8")
    return re.sub(r"\bMODEL_", f"{name.upper()}_", re.sub(r"\bmodel_", f"{name}_", text))


def _suffix(job: Job, platform: Platform) -> str:
    return ".a" if job.options.kind == "static" else platform.suffix


def _built(job: Job, platform: Platform, folder: Path) -> bytes:
    options = job.options
    if options.compiler == "ziglang":
        return build_with_zig(platform, folder, job.name, job.stem, options.march)
    require(tools(platform, options.kind), PURPOSE)
    if options.kind == "static":
        return build_static(platform, folder, job.name, options.march)
    return build(platform, folder, job.name, job.stem, options.march)
