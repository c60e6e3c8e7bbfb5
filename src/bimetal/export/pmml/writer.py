"""The target `pmml`: a NeuralNetwork of PMML 4.4 whose neurons are thresholds.

Banks run scoring engines that take PMML and nothing else. A binary net is one in it without loss: bits
are neural inputs, layers are threshold neurons, points are identity neurons, answers are output fields.
"""

import re
from dataclasses import dataclass

import numpy as np

from bimetal.columns.column import places
from bimetal.errors import ExportError
from bimetal.export.form import link_of, live
from bimetal.export.pmml import layers, outputs
from bimetal.export.pmml.inputs import check_column, codes_of, data_type, neural_inputs
from bimetal.export.pmml.xml import element, indented, ref, text
from bimetal.export.target import Job
from bimetal.ops import Dense, Encode, Lut, Readout, Rules
from bimetal.program import Program

__all__ = ["Names", "check", "names_of", "write"]

MAX_SYNAPSES = 50_000
MAX_CATEGORIES = 10_000
MAX_ANSWERS = 100
MAX_KNOTS = 200
OURS = r"((target|points|answer|code|z|q|unit|x|k|r|e|p|total)_[0-9]+|top|best|class|class_label)"
TOP = 2.0**128 - 2.0**103


@dataclass(frozen=True)
class Names:
    """What the document calls its results.

    Attributes
    ----------
    points, answers : list of str
        Output fields, in order.
    label : str
        Of the class.
    tag : str
        What ends every name of ours, so that it is none of the user's.
    """

    points: list[str]
    answers: list[str]
    label: str
    tag: str


def names_of(program: Program) -> Names:
    """Return the names of the output fields; underscores keep them off the user's columns."""
    n_points = program.values[link_of(program).input].n
    tag = ""
    while any(re.fullmatch(OURS + tag, column.name) for column in program.columns):
        tag += "_"
    return Names(
        [f"points_{c}{tag}" for c in range(n_points)],
        [f"answer_{c}{tag}" for c in range(program.n_outputs)],
        f"class_label{tag}",
        tag,
    )


def check(job: Job) -> None:
    """Raise `ExportError` for columns, sizes and answers that PMML cannot express."""
    program = job.program
    for column in program.columns:
        check_column(column)
    for label in program.classes:
        text(str(label))
    _check_labels(program)
    _check_size(program)
    _check_range(program)


def _check_labels(program: Program) -> None:
    if len({str(label) for label in program.classes}) < len(program.classes):
        raise ExportError(
            "two class labels are written alike as text, and PMML labels are text; rename one"
        )


def _check_size(program: Program) -> None:
    ops = [program.ops[i] for i in live(program)]
    synapses = sum(
        layers.n_synapses(op) for op in ops if isinstance(op, Dense | Rules | Lut | Readout)
    )
    for n, most, what in (
        (synapses, MAX_SYNAPSES, "connections, about 35 bytes each"),
        (sum(len(c.categories) for c in program.columns), MAX_CATEGORIES, "categories"),
        (program.n_outputs, MAX_ANSWERS, "answers"),
        (len(link_of(program).knots), MAX_KNOTS, "knots of its table"),
    ):
        if n > most:
            raise ExportError(
                f"the Program has {n:,} {what}, and a PMML document takes up to {most:,} here; use a "
                "smaller net, or target=java or target=sql"
            )


def _check_range(program: Program) -> None:
    """Refuse values that float32 cannot hold: PMML has no way to round them to infinity."""
    link = link_of(program)
    readout = program.ops[link.input - 1]
    assert isinstance(readout, Readout)
    if link.kind == "identity":
        most = np.abs(readout.weights.astype(float)).sum(axis=1) + np.abs(
            readout.bias.astype(float)
        )
        if bool((np.abs(link.offset) + np.abs(link.scale) * most >= TOP).any()):
            raise ExportError(
                "the values of this Program can lie beyond float32, which PMML cannot round; scale "
                "the target of the regression, or use target=java"
            )


def write(job: Job) -> dict[str, bytes]:
    """Return the document."""
    check(job)
    program, names = job.program, names_of(job.program)
    targets = [f"target_{c}{names.tag}" for c in range(len(names.points))]
    header = element(
        "Header",
        {"description": f"Program {program.id}"},
        element("Application", {"name": "bimetal"}),
    )
    document = indented(
        "PMML",
        {"xmlns": "http://www.dmg.org/PMML-4_4", "version": "4.4"},
        [header, _dictionary(program, targets), _network(job, names, targets)],
    )
    return {".pmml": f'<?xml version="1.0" encoding="UTF-8"?>\n{document}\n'.encode()}


def _dictionary(program: Program, targets: list[str]) -> str:
    fields = [
        element(
            "DataField",
            {
                "name": column.name,
                "optype": "categorical" if column.kind == "category" else "continuous",
                "dataType": data_type(column),
            },
        )
        for column in program.columns
    ]
    fields += [
        element("DataField", {"name": name, "optype": "continuous", "dataType": "double"})
        for name in targets
    ]
    return indented("DataDictionary", {"numberOfFields": len(fields)}, fields)


def _network(job: Job, names: Names, targets: list[str]) -> str:
    program, ops = job.program, live(job.program)
    codes = {
        j: f"code_{j}{names.tag}"
        for j, column in enumerate(program.columns)
        if column.kind == "category"
    }
    derived = [codes_of(program.columns[j], name) for j, name in codes.items()]
    inputs = [
        line
        for i in ops
        if isinstance(op := program.ops[i], Encode)
        for line in neural_inputs(program, op, i + 1, codes)
    ]
    attributes: dict[str, object] = {
        "modelName": job.name,
        "functionName": "regression",
        "activationFunction": "threshold",
        "threshold": 0,
    }
    parts = [
        _schema(program, targets),
        indented("Output", {}, list(_output(program, names, targets))),
        *([indented("LocalTransformations", {}, derived)] if derived else []),
        indented("NeuralInputs", {"numberOfInputs": len(inputs)}, inputs),
        *_layers(program, ops),
        _outputs(link_of(program).input, targets),
    ]
    return indented("NeuralNetwork", attributes, parts)


def _schema(program: Program, targets: list[str]) -> str:
    used = {
        places(program.columns, [int(j)])[0][0]
        for i in live(program)
        if isinstance(op := program.ops[i], Encode)
        for j in np.unique(op.column)
    }
    fields = [
        element("MiningField", {"name": program.columns[j].name, "invalidValueTreatment": "asIs"})
        for j in sorted(used)
    ]
    fields += [element("MiningField", {"name": name, "usageType": "target"}) for name in targets]
    return indented("MiningSchema", {}, fields)


def _output(program: Program, names: Names, targets: list[str]) -> list[str]:
    fields = [
        element(
            "OutputField",
            {
                "name": name,
                "feature": "predictedValue",
                "targetField": target,
                "optype": "continuous",
                "dataType": "double",
            },
        )
        for name, target in zip(names.points, targets, strict=True)
    ]
    steps = list(outputs.answer_fields(link_of(program), names.points, names.tag))
    steps += list(outputs.label_fields(program, names.tag)) if program.classes else []
    final = {*names.answers, names.label}
    return fields + [
        outputs.output_field(name, expression, targets[0], name in final)
        for name, expression in steps
    ]


def _layers(program: Program, ops: list[int]) -> list[str]:
    made = []
    for i in ops:
        match op := program.ops[i]:
            case Dense():
                made.append(layers.dense(op, i + 1))
            case Rules():
                made.append(layers.rules(op, i + 1))
            case Lut():
                made += layers.lut(op, i + 1)
            case Readout():
                made.append(layers.readout(op, i + 1, [program.values[v].n for v in op.inputs]))
            case _:
                pass  # bits are neural inputs, answers are output fields
    return made


def _outputs(value: int, targets: list[str]) -> str:
    derived = [
        element("DerivedField", {"optype": "continuous", "dataType": "double"}, ref(name))
        for name in targets
    ]
    neurons = [
        element("NeuralOutput", {"outputNeuron": f"v{value}_{c}"}, inside)
        for c, inside in enumerate(derived)
    ]
    return indented("NeuralOutputs", {"numberOfOutputs": len(neurons)}, neurons)
