"""Where the document can be scored: two engines that have nothing to do with us or with each other."""

import json
import sys
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.export.pmml.inputs import data_type
from bimetal.export.pmml.writer import names_of
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import call, command, package

__all__ = ["PLACES", "scored", "values_of"]

JAVA = command("java", "apt-get install openjdk-17-jdk-headless")


def values_of(job: Job, rows: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Return raw rows as an engine takes them: None is missing, a category is its value."""
    columns = job.program.columns
    return [
        {c.name: _value(c, x) for c, x in zip(columns, row, strict=True)} for row in rows.tolist()
    ]


def _value(column: Any, x: float) -> Any:
    if x != x:
        return None
    if column.kind != "category":
        return x
    n, whole = len(column.categories), data_type(column) == "integer"
    if 0 <= x < n and x == int(x):
        known = column.categories[int(x)]
        return known if whole else str(known)
    unseen = next(v for v in range(n + 1) if v not in column.categories)
    return unseen if whole else f"never seen {unseen}" + "".join(map(str, column.categories))


def scored(
    engine: str,
    documents: Sequence[bytes],
    rows: Sequence[tuple[int, dict[str, Any]]],
    folder: Path,
) -> list[dict[str, Any]]:
    """Score (number of a document, row) with an engine, in a process of its own as it starts a JVM."""
    paths = [folder / f"model_{i}.pmml" for i in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_bytes(document)
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    quick = {"JAVA_TOOL_OPTIONS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"}
    with as_file(files(__package__) / "templates" / "score.py") as script:
        words: list[str | Path] = [sys.executable, script, engine, *paths]
        printed = call(words, folder, stdin=lines, timeout=600, env=quick)
    return [json.loads(line) for line in printed.splitlines() if line.startswith(b"{")]


def _run(engine: str) -> Any:
    def run(job: Job, files_: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
        names = names_of(job.program)
        came = scored(engine, [files_[".pmml"]], [(0, row) for row in values_of(job, rows)], folder)
        points = np.array([[row[name] for name in names.points] for row in came])
        answers = np.array([[row[name] for name in names.answers] for row in came])
        return Outcome(points.astype(np.int32), answers.astype(np.float32))

    return run


PLACES = (
    Place(
        "pypmml",
        "PMML4S through pypmml",
        (package("pypmml", "pip install pypmml"), JAVA),
        _run("pypmml"),
    ),
    Place(
        "jpmml",
        "JPMML through jpmml_evaluator",
        (
            package("jpmml_evaluator", "pip install jpmml-evaluator"),
            package("jpype", "pip install jpype1"),
            JAVA,
        ),
        _run("jpmml"),
    ),
)
