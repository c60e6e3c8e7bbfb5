"""The target `java`: one class without dependencies, for Java 11 and later.

The class is a template that compiles as it stands (``templates/Net.java``); the writer puts the
Program's arrays and steps into its marked parts and drops the functions that nothing calls.
"""

import re
from dataclasses import dataclass
from importlib.resources import files

from bimetal.errors import ExportError
from bimetal.export.form import link_of, live
from bimetal.export.java.data import data, steps
from bimetal.export.names import check_identifier, comment
from bimetal.export.target import Job
from bimetal.program import Program

__all__ = ["JavaOptions", "check", "write"]

MAX_BYTES = 16_000_000
MAX_OPS = 1_000
MAX_NAMES = 20_000
MAX_GOLDEN = 1_000
TAKEN = frozenset(
    [
        "ArrayList",
        "Arrays",
        "Base64",
        "Boolean",
        "BufferedReader",
        "ByteBuffer",
        "ByteOrder",
        "Collections",
        "Double",
        "Float",
        "HashMap",
        "IllegalArgumentException",
        "InputStreamReader",
        "Integer",
        "IOException",
        "List",
        "Number",
        "PrintStream",
        "StandardCharsets",
        "System",
    ]
)
"""Classes that the file uses, so that its own cannot be called so."""


@dataclass(frozen=True)
class JavaOptions:
    """Options of the target `java`.

    Attributes
    ----------
    package : str
        Of the class, such as "com.bank.scores"; "" is none.
    golden : int
        Rows in the self-test.
    """

    package: str = ""
    golden: int = 8


def check(job: Job) -> None:
    """Raise `ExportError` for names and sizes that a Java class cannot have."""
    program, options = job.program, job.options
    if job.name != job.stem:
        raise ExportError(
            f"javac wants the class '{job.name}' in a file '{job.name}.java', got '{job.stem}.java'; "
            "let the file's name and name= agree"
        )
    if job.name in TAKEN:
        raise ExportError(
            f"the class cannot be called '{job.name}', as it uses Java's own of that name"
        )
    for part in options.package.split(".") if options.package else ():
        check_identifier(part, "java")
    if not 0 <= options.golden <= MAX_GOLDEN:
        raise ExportError(f"golden must be 0 to {MAX_GOLDEN} rows, got {options.golden}")
    _check_size(program)


def _check_size(program: Program) -> None:
    n_names = len(program.columns) + sum(len(c.categories) for c in program.columns)
    n_bytes_ = sum(a.nbytes for op in program.ops for a in op.arrays().values())
    for n, most, what in (
        (n_names, MAX_NAMES, "columns and categories"),
        (len(program.ops), MAX_OPS, "operations"),
        (n_bytes_, MAX_BYTES, "bytes of arrays"),
    ):
        if n > most:
            raise ExportError(
                f"the Program has {n:,} {what} and one Java class takes up to {most:,}; "
                "export target=c as a library and call it from Java"
            )


def write(job: Job) -> dict[str, bytes]:
    """Return the class."""
    check(job)
    text = (files(__package__) / "templates" / "Net.java").read_text("ascii")
    ops = {i: job.program.ops[i] for i in live(job.program)}
    link = link_of(job.program)
    text = _replaced(text, "data", data(job.program, job.options.golden))
    text = _replaced(text, "steps", "".join(f"        {line}\n" for line in steps(job.program)))
    call = {"table": "staircase"}.get(link.kind, link.kind)
    text = _replaced(text, "link", f"        return {call}(points);\n")
    used = {type(op).__name__.lower() for op in ops.values()} | {link.kind}
    used |= {"exp"} if link.kind in ("sigmoid", "softmax") else set()
    for part in (
        "dense",
        "rules",
        "lut",
        "rowthreshold",
        "identity",
        "sigmoid",
        "softmax",
        "table",
        "exp",
    ):
        text = _kept(text, part, part in used)
    text = re.sub(r"\bNet\b", job.name, text.replace("// @head\n", _head(job)))
    return {".java": text.encode("ascii")}


def _replaced(text: str, part: str, by: str) -> str:
    pattern = rf" *// <{part}>\n.*? *// </{part}>\n"
    return re.sub(pattern, lambda _: by, text, count=1, flags=re.DOTALL)


def _kept(text: str, part: str, is_used: bool) -> str:
    pattern = rf" *// <{part}>\n(.*?) *// </{part}>\n\n?"
    return re.sub(pattern, lambda m: f"{m[1]}\n" if is_used else "", text, count=1, flags=re.DOTALL)


def _head(job: Job) -> str:
    lines = [
        f"{comment(job.name)}: a binarized neural network, written by bimetal. Java 11 or later.",
        f"Program {job.program.id}",
        "The code is yours to use as you like (SPDX-License-Identifier: 0BSD).",
    ]
    package = f"\npackage {job.options.package};\n" if job.options.package else ""
    return "".join(f"// {line}\n" for line in lines) + package
