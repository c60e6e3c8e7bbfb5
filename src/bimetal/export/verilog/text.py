"""A netlist as Verilog-2001: names for its nodes, declarations, assignments, registers, ports.

A name says what it is: ``v2_d1[7]`` is bit 7 of value 2 of the Program as it is computed in cycle 1,
``v2_q2`` that bit one register later. Logic stands in one ``always @*`` for each value: a simulator
then computes a value once, and not again for every bit that it reads. Only what an output depends on is written.
"""

import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence

from bimetal.export.names import comment
from bimetal.export.target import Job
from bimetal.export.verilog.columns import value_names
from bimetal.export.verilog.layers import Design
from bimetal.export.verilog.logic import opposite_of
from bimetal.export.verilog.netlist import ALWAYS, ONE, ZERO, Expr, Node
from bimetal.export.verilog.sums import extended
from bimetal.export.verilog.winner import MOST_CLASSES

__all__ = ["module_text", "port_list"]

LINE = 110
_WIRES = ("t", "k", "c")  # buses of constants and of parts of the row, which no logic makes
WAIVER = """// A comparison with a constant does not read every bit of its word, nor a model every column.
/* verilator lint_off UNUSED */
"""


class _Names:
    """What each live node is called."""

    def __init__(self, design: Design, live: Sequence[int]) -> None:
        self.nodes, self.is_timed = design.net.nodes, design.latency > 0
        self.of: dict[int, str] = {ZERO: "1'b0", ONE: "1'b1"}
        self.vectors: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._bases: dict[int, str] = {}
        self._serials: dict[str, int] = defaultdict(int)
        for i in live:
            if i not in self.of:
                self.of[i] = self._named(i, self.nodes[i])

    def _named(self, i: int, node: Node) -> str:
        opposite = opposite_of(node)
        if opposite is not None:
            return f"~{self.of[opposite]}"
        if node.width > 1 or node.bus in _WIRES:
            return self._base(i, node) + self._cycle(node)
        name = node.bus + self._cycle(node)
        vector = self.vectors[node.bus, name]
        vector.append(i)
        return f"{name}[{len(vector) - 1}]"

    def _cycle(self, node: Node) -> str:
        if node.cycle == ALWAYS or not self.is_timed:
            return ""
        return f"_{'q' if node.is_register else 'd'}{node.cycle}"

    def _base(self, i: int, node: Node) -> str:
        if node.is_register:
            self._bases[i] = self._bases[node.reads[0]]
        elif node.name:
            self._bases[i] = node.name
        else:
            self._bases[i] = f"{node.bus}_{self._serials[node.bus]}"
            self._serials[node.bus] += 1
        return self._bases[i]

    def text(self, expr: Expr) -> str:
        """Return an expression with names for its nodes."""
        return "".join(self.of[part] if isinstance(part, int) else part for part in expr)


def port_list(job: Job, design: Design) -> list[tuple[str, str, int]]:
    """Return direction, name and width of each port; 0 is a single bit without a range."""
    row = design.bits * job.program.n_columns
    results = [("output", "points", design.point_bits * len(design.points))]
    results += [("output", "class_index", design.class_bits)] if design.class_bits else []
    if not design.latency:
        return [("input", "row", row), *results]
    reset = [("input", "rst", 0)] if job.options.reset else []
    return [
        ("input", "clk", 0),
        *reset,
        ("input", "valid_in", 0),
        ("input", "row", row),
        ("output", "valid_out", 0),
        *results,
    ]


def module_text(job: Job, design: Design) -> str:
    """Return the whole file of a module."""
    ports = ",\n".join(
        f"    {way} wire {f'[{width - 1}:0] ' if width else ''}{name}"
        for way, name, width in port_list(job, design)
    )
    body = "\n".join(_sections(job, design))
    return (
        f"{_head(job, design)}\n{WAIVER}module {job.name} (\n{ports}\n);\n{body}\nendmodule\n"
        "/* verilator lint_on UNUSED */\n"
    )


def _head(job: Job, design: Design) -> str:
    program, options = job.program, job.options
    named = [
        f"  row[{design.bits * (j + 1) - 1}:{design.bits * j}]  {name}"
        for j, name in enumerate(value_names(program))
    ]
    lines = [
        f"{job.name}: {len(program.columns)} columns to points. Written by bimetal; Verilog-2001, no vendor's parts.",
        f"Program {program.id}",
        f"Latency: {_latency(design)}",
        f"A column is {_column(options.input)}. A category is its code, -1 when it is unknown.",
        *named[:200],
        *(["  ..."] if len(named) > 200 else []),
        f"points holds {len(design.points)} signed sums of {design.point_bits} bits, sum c in bits "
        f"{design.point_bits}*c and up: no row can make one that does not fit.",
        *_about_class(job, design),
        "A probability or score is a function of the points: a table or formula outside this module.",
        "The code is yours to use as you like (SPDX-License-Identifier: 0BSD).",
    ]
    return "".join(f"// {line}\n" for line in lines)


def _latency(design: Design) -> str:
    if not design.latency:
        return "none, combinational."
    edges = "edge" if design.latency == 1 else "edges"
    return (
        f"{design.latency} clock {edges} from valid_in to valid_out; a row may enter at every edge."
    )


def _column(kind: str) -> str:
    if kind == "float32":
        return "an IEEE float32, any NaN meaning missing"
    bits = int(kind.removeprefix("int"))
    return f"a signed whole number of {bits} bits, {-(2 ** (bits - 1))} meaning missing"


def _about_class(job: Job, design: Design) -> list[str]:
    if not design.class_bits:
        return [
            f"No class_index: there are no classes, more than {MOST_CLASSES}, or it is not proved that the "
            "largest points make the largest answer."
        ]
    labels = ", ".join(f"{i} {comment(str(c), 40)}" for i, c in enumerate(job.program.classes))
    return [f"class_index is that of the largest answer, the lowest among equals. {labels}".strip()]


def _sections(job: Job, design: Design) -> Iterator[str]:
    outputs = [*design.points] + ([] if design.class_index is None else [design.class_index])
    live = design.net.live(outputs)
    names = _Names(design, live)
    if design.latency:
        yield _valid(job, design)
    buses = {bus: i for i, bus in enumerate(("t", "k", "c", "x"))}
    parts: dict[str, list[int]] = defaultdict(list)
    for i in live:
        if i not in (ZERO, ONE):
            parts[design.net.nodes[i].bus].append(i)
    for bus in sorted(parts, key=lambda b: (b == "best", buses.get(b, 9), len(b), b)):
        yield _section(job, names, bus, parts[bus])
    yield _results(design, names)


def _title(job: Job, bus: str) -> str:
    fixed = {
        "t": "tables",
        "k": "constants",
        "c": "numbers of the row; _order: as unsigned numbers of the same order",
        "x": "tests of the row",
        "best": "the class",
    }
    if bus in fixed:
        return fixed[bus]
    return f"value {bus[1:]}: {type(job.program.ops[int(bus[1:]) - 1]).__name__}"


def _section(job: Job, names: _Names, bus: str, members: list[int]) -> str:
    """Return the part of one bus: what it declares, its logic, its registers."""
    lines = [f"\n    // {_title(job, bus)}"]
    lines += [
        f"    reg [{len(bits) - 1}:0] {vector};"
        for (o, vector), bits in names.vectors.items()
        if o == bus
    ]
    logic: list[str] = []
    edges = [_stepped(names, v, bits) for (o, v), bits in names.vectors.items() if o == bus]
    for i in members:
        node, name = names.nodes[i], names.of[i]
        if opposite_of(node) is not None:
            continue
        if bus in _WIRES and not node.is_register:
            lines.append(_wrapped(f"wire [{node.width - 1}:0] {name} = {names.text(node.expr)};"))
            continue
        is_word = node.width > 1 or bus in _WIRES
        lines += [f"    reg [{node.width - 1}:0] {name};"] if is_word else []
        if not node.is_register:
            note = f"  // {node.note}" if node.note else ""
            logic.append(_wrapped(f"{name} = {names.text(node.expr)};") + note)
        elif is_word:
            edges.append(f"{name} <= {names.of[node.reads[0]]};")
    lines += _block("*", logic) + _block("(posedge clk)", [_wrapped(e) for e in edges if e])
    return "\n".join(lines)


def _block(when: str, statements: list[str]) -> list[str]:
    if not statements:
        return []
    return [f"    always @{when} begin", *(f"    {s}" for s in statements), "    end"]


def _stepped(names: _Names, vector: str, bits: list[int]) -> str:
    """Return the statement that fills a vector of registers; "" for wires."""
    if not names.nodes[bits[0]].is_register:
        return ""
    sources = [names.nodes[i].reads[0] for i in bits]
    first = names.nodes[sources[0]]
    whole = names.vectors.get((first.bus, names.of[sources[0]].partition("[")[0]))
    if whole == sources:
        return f"{vector} <= {names.of[sources[0]].partition('[')[0]};"
    return f"{vector} <= {{{', '.join(names.of[s] for s in reversed(sources))}}};"


def _wrapped(statement: str) -> str:
    if len(statement) <= LINE:
        return f"    {statement}"
    indent = " " * 8
    wide = LINE + len(indent)
    return "    " + textwrap.fill(
        statement, wide, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _valid(job: Job, design: Design) -> str:
    n = design.latency
    shifted = "valid_in" if n == 1 else f"{{valid[{n - 2}:0], valid_in}}"
    start = "" if job.options.reset else f" = {n}'d0"
    step = f"valid <= {shifted};"
    if job.options.reset:
        step = f"if (rst) valid <= {n}'d0;\n        else {step}"
    return (
        f"    // which stages hold a row\n    reg [{n - 1}:0] valid{start};\n"
        f"    always @(posedge clk) begin\n        {step}\n    end\n"
        f"    assign valid_out = valid[{n - 1}];"
    )


def _results(design: Design, names: _Names) -> str:
    parts = [
        names.text(extended(design.net, p, design.point_bits)) for p in reversed(design.points)
    ]
    lines = ["", _wrapped(f"assign points = {{{', '.join(parts)}}};")]
    if design.class_index is not None:
        lines.append(f"    assign class_index = {names.of[design.class_index]};")
    return "\n".join(lines)
