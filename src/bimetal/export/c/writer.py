"""One C99 header from one Program: sections in the order in which they are best read.

Each operation adds its functions, its constants and its call (`Part`); texts that are alike are
written once. The order is head, sizes, encoder, layers, readout, the net as a whole, link, class,
golden vectors and self-test.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bimetal.errors import ExportError
from bimetal.export.c.classify import class_text
from bimetal.export.c.dense import dense, kernel_for
from bimetal.export.c.elementwise import (
    add,
    affine,
    concat,
    planes,
    prelu,
    quantize,
    threshold,
)
from bimetal.export.c.encode import encode, row_type
from bimetal.export.c.golden import golden_text
from bimetal.export.c.head import has_floats, head_text
from bimetal.export.c.link import link_text
from bimetal.export.c.plan import Part, Plan, plan_for
from bimetal.export.c.rank import row_threshold
from bimetal.export.c.readout import readout
from bimetal.export.c.sizes import check_fits, sizes_text
from bimetal.export.c.sparse import lut, rules
from bimetal.export.c.template import fit, template
from bimetal.export.c.text import counted, section, table_bytes
from bimetal.export.c.windows import byte_conv, conv, pool
from bimetal.export.form import reads
from bimetal.export.names import check_identifier
from bimetal.export.target import Job
from bimetal.ops import (
    Add,
    Affine,
    ByteConv,
    Concat,
    Conv,
    Dense,
    Encode,
    Link,
    Lut,
    Op,
    Planes,
    Pool,
    PReLU,
    Quantize,
    Readout,
    RowThreshold,
    Rules,
    Threshold,
)

__all__ = ["OPS", "header", "write"]

WRITERS: Mapping[type[Op], Callable[[Plan, int, Any], Part]] = {
    Encode: encode,
    Dense: dense,
    Rules: rules,
    Lut: lut,
    Readout: readout,
    RowThreshold: row_threshold,
    Quantize: quantize,
    Planes: planes,
    Conv: conv,
    ByteConv: byte_conv,
    Pool: pool,
    Threshold: threshold,
    Affine: affine,
    PReLU: prelu,
    Add: add,
    Concat: concat,
}
OPS: tuple[type[Op], ...] = (*WRITERS, Link)
"""The operations that a header can express."""

ENCODER, LAYERS, READOUT = "Encoder: the raw row to bits", "Layers", "Readout: bits to points"
TITLES: Mapping[type[Op], str] = {Encode: ENCODER, Readout: READOUT}
STEADY = (Encode, Dense, Rules, Lut, Readout)
"""The operations that take the same steps for every row, if asked to."""


def write(job: Job) -> dict[str, bytes]:
    """Return the header, the one file of the target."""
    return {".h": header(job).encode()}


def header(job: Job) -> str:
    """Return one C99 header that computes a Program.

    Parameters
    ----------
    job : Job
        Its options are `COptions`.

    Raises
    ------
    ExportError
        When the name, an operation or an option cannot be had in C, or the net is too large for the
        core.
    """
    check_identifier(job.name, "c")
    plan = plan_for(job)
    parts = {i + 1: _part(plan, i) for i in plan.live[:-1]}
    golden, selftest = golden_text(plan)
    layers = _layers(plan, parts)
    body = [
        ("Sizes", [sizes_text(plan)]),
        *layers,
        ("The net: the raw row to points", [_points(plan, parts)]),
        *_tail(plan),
        ("Golden vectors and self-test", [_unless("SELFTEST", f"{golden}\n\n{selftest}")]),
    ]
    text = "\n\n".join(
        "\n\n".join([section(i, title), *texts]) for i, (title, texts) in enumerate(body, 1)
    )
    n_bytes = sum(table_bytes(t) for _, texts in layers for t in texts)
    check_fits(plan, n_bytes)
    head = head_text(plan, kernel_for(plan)[0] if any(plan.all(Dense)) else "", n_bytes)
    guard = "#ifndef NAME_HEADER\n#define NAME_HEADER"
    whole = f"{head}\n{guard}\n\n{text}\n\n#endif\n"
    return fit(whole, job.name, plan.core)


def _part(plan: Plan, i: int) -> Part:
    op = plan.program.ops[i]
    if not isinstance(op, STEADY):
        _check_maps(plan, i)
    return WRITERS[type(op)](plan, i + 1, op)


def _check_maps(plan: Plan, i: int) -> None:
    """Refuse an operation on maps where only those on rows of a table can be had."""
    known, name = ", ".join(kind.__name__ for kind in STEADY), type(plan.program.ops[i]).__name__
    if plan.options.constant_time:
        raise ExportError(
            f"constant_time covers {known}, but operation {i} is a {name}; export without it"
        )
    if plan.core.memory == "8051":
        raise ExportError(
            f"an 8051 has no room for the temporaries of operation {i}, a {name}: it can do {known}; "
            "choose a larger core, such as avr or cortex-m0"
        )


def _layers(plan: Plan, parts: Mapping[int, Part]) -> list[tuple[str, list[str]]]:
    """Return the sections of the operations: functions not seen above, then constants."""
    sections: list[tuple[str, list[str]]] = []
    written: set[str] = set()
    for title in (ENCODER, LAYERS, READOUT):
        texts = [template("strict.c")] if title == LAYERS and has_floats(plan) else []
        for value, part in parts.items():
            if TITLES.get(type(plan.program.ops[value - 1]), LAYERS) == title:
                texts += [text for text in dict.fromkeys(part.shared) if text not in written]
                texts += [part.tables] if part.tables else []
                written.update(part.shared)
        if texts:
            sections.append((title, texts))
    return sections


def _points(plan: Plan, parts: Mapping[int, Part]) -> str:
    """Return `NAME_points`: buffers, then one call after the other."""
    row = f"const {row_type(plan)} row[NAME_N_COLUMNS]"
    lines = [f"static inline void name_points({row}, int32_t points[NAME_N_POINTS])", "{"]
    for buffer in plan.buffers:
        values = ", ".join(map(str, buffer.values))
        declared = buffer.declaration("NAME_STORAGE " if plan.is_large else "")
        lines.append(f"    {declared} /* value{'s' * (len(buffer.values) > 1)} {values} */")
    for value, part in parts.items():
        lines += ["", f"    {_said(plan, value)}", *_indented(part.call)]
    return "\n".join([*lines, "}"])


def _said(plan: Plan, value: int) -> str:
    made, op = plan.value(value), plan.program.ops[value - 1]
    sources = ", ".join(map(str, reads(op))) if not isinstance(op, Encode) else "0, the row"
    return f"/* value {value}: {counted(made.n, made.kind)}, {type(op).__name__} of {sources} */"


def _indented(text: str) -> Iterable[str]:
    return (f"    {line}" if line else "" for line in text.split("\n"))


def _tail(plan: Plan) -> list[tuple[str, list[str]]]:
    """Return the sections behind the points: the link and the class."""
    answers = template("answers.c", {"ROW_T": row_type(plan)})
    link = f"{link_text(plan)}\n\n{answers}"
    named, is_whole = class_text(plan)
    needs = plan.link.kind != "table"
    strict = "" if has_floats(plan) else f"{template('strict.c')}\n\n"
    guarded = _unless("DOUBLE", f"{strict}{link}") if needs else link
    return [
        ("Link: points to answers", [guarded]),
        (
            "Class: the largest answer",
            [named if is_whole or not needs else _unless("DOUBLE", named)],
        ),
    ]


def _unless(what: str, text: str) -> str:
    return f"#ifndef NAME_NO_{what}\n\n{text}\n\n#endif"
