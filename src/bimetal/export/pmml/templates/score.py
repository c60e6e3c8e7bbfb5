"""Score rows with a PMML engine in a process of its own: ``score.py pypmml|jpmml one.pmml two.pmml ...``.

Reads lines of JSON from standard input, each [number of a model, {field: value, ...}], and prints
{output: value, ...} for each.
"""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def _pypmml(path: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    model = import_module("pypmml").Model.load(path)
    return lambda row: dict(model.predict(row))


def _jpmml(path: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    jpmml = import_module("jpmml_evaluator")
    builder = jpmml.LoadingModelEvaluatorBuilder(jpmml.make_backend("jpype"))
    evaluator = builder.loadFile(path).build().verify()
    return lambda row: dict(evaluator.evaluate(row))


def main() -> None:
    """Score standard input."""
    engine, *paths = sys.argv[1:]
    scores = [{"pypmml": _pypmml, "jpmml": _jpmml}[engine](path) for path in paths]
    for line in sys.stdin:
        model, row = json.loads(line)
        sys.stdout.write(json.dumps(scores[model](row)) + "\n")


if __name__ == "__main__":
    main()
