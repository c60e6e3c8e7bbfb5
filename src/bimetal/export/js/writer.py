"""One Program as one JavaScript file: constants, face, operations and net, in this order."""

from dataclasses import dataclass

from bimetal.errors import ExportError
from bimetal.export.js.face import NAMES, Form, constants, template, types
from bimetal.export.js.net import link_text, net_text, parts_of
from bimetal.export.target import Job

__all__ = ["JsOptions", "assembled", "check", "suffixes", "write"]


@dataclass(frozen=True)
class JsOptions:
    """What may be chosen.

    Attributes
    ----------
    form : {"module", "script"}
        An ES module (.mjs), or a classic script that makes one global object named after the
        model, which a page opened from a folder (file://) can load too.
    golden : int
        Rows and their answers in the self-test, 0 to 256; the Program's golden rows come first.
    """

    form: Form = "module"
    golden: int = 8


MAX_GOLDEN = 256
_TAKEN = """Array Float32Array Int32Array JSON Map Math Number Object Promise Set String Symbol Uint8Array
WebAssembly document frames globalThis history location name navigator parent self top window"""
TAKEN = frozenset(_TAKEN.split())
"""Globals of pages and workers that a classic script must not replace."""


def check(job: Job) -> None:
    """Refuse names and options that make no file."""
    if job.options.form == "script" and job.name in TAKEN:
        raise ExportError(
            f"'{job.name}' is a global of every page, which a script must not replace; name it "
            f"with name='my_{job.name}', or use form='module'"
        )
    if not 0 <= job.options.golden <= MAX_GOLDEN:
        raise ExportError(f"golden must be 0 to {MAX_GOLDEN} rows, got {job.options.golden}")


def suffixes(form: Form) -> tuple[str, str]:
    """Return what is appended to the stem of the code and of its types."""
    return (".js", ".d.ts") if form == "script" else (".mjs", ".d.mts")


def write(job: Job) -> dict[str, bytes]:
    """Return the code and its types."""
    code, declared = suffixes(job.options.form)
    parts = parts_of(job.program)
    body = [
        *("// ---- 1. what the net was trained on\n", constants(job)),
        *("// ---- 2. values in, answers out\n", template("face.js")),
        *("// ---- 3. the operations\n", *map(template, parts)),
        *("// ---- 4. the net\n", net_text(job.program), link_text(job.program)),
        *("// ---- 5. the model\n", template("engine.js")),
    ]
    text = assembled(job, "\n".join(body), NAMES)
    return {code: text.encode(), declared: types(job, job.options.form, is_loaded=False)}


def assembled(job: Job, body: str, names: tuple[str, ...], model: str = "MODEL") -> str:
    """Return a whole file: a heading, the body, and what it exports of the object `model`."""
    heading = (
        f"// {job.name}: a binarized neural network as one {job.options.form} without dependencies.\n"
        f"// Program {job.program.id}\n"
        "// Written by bimetal; this file belongs to whoever exported it.\n"
    )
    if job.options.form == "script":
        closing = f"globalThis.{job.name} = {model};"
        return f'{heading}(() => {{\n"use strict";\n\n{body}\n{closing}\n}})();\n'
    exported = f"export const {{ {', '.join(names)} }} = {model};\nexport default {model};\n"
    return f"{heading}\n{body}\n{template('worker.js')}\n{exported}"
