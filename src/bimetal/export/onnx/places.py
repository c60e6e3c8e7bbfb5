"""Where an ONNX file is run here: onnxruntime, and onnxruntime-web in Node.

The checker of the package `onnx` sees every file first, with full inference of shapes.
"""

import json
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import call, command, node_module, package

__all__ = ["PLACES", "session"]

BATCH = 4096
NODE = command("node", "apt-get install nodejs")
ORT_WEB = node_module("onnxruntime-web", "npm install onnxruntime-web")
ONNX = package("onnx", "pip install onnx")
ORT = package("onnxruntime", "pip install onnxruntime")


def session(model: bytes, optimised: bool = True) -> Any:
    """Return a session of onnxruntime on one thread, with all its optimisations or with none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_onnxruntime(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    """Check the model, then run rows in batches."""
    import onnx

    model = files[".onnx"]
    onnx.checker.check_model(model, full_check=True)
    made = session(model)
    parts = [
        made.run(["points", "answers"], {"row": rows[i : i + BATCH]})
        for i in range(0, len(rows), BATCH)
    ]
    points, answers = (np.concatenate(side) for side in zip(*parts, strict=True))
    return Outcome(points, answers, notes={"bytes": len(model)})


def run_onnxruntime_web(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
    """Run rows in Node, on the WebAssembly of onnxruntime-web."""
    script = resources("bimetal.export.onnx").joinpath("templates/run.mjs").read_bytes()
    little = rows.astype("<f4").tobytes()
    for name, data in (("run.mjs", script), ("net.onnx", files[".onnx"]), ("rows", little)):
        (folder / name).write_bytes(data)
    words = [str(NODE.find()), "run.mjs", str(ORT_WEB.find()), "net.onnx", "rows"]
    sizes = [str(job.program.n_columns), str(BATCH)]
    said = call([*words, *sizes, "points", "answers"], folder)
    points, answers = (
        np.frombuffer((folder / name).read_bytes(), kind).reshape(len(rows), -1)
        for name, kind in (("points", "<i4"), ("answers", "<f4"))
    )
    notes = json.loads(said.decode().splitlines()[-1])
    return Outcome(points.astype(np.int32), answers.astype(np.float32), notes=notes)


PLACES = (
    Place("onnxruntime", "onnxruntime on this machine's CPU", (ONNX, ORT), run_onnxruntime),
    Place(
        "onnxruntime-web",
        "onnxruntime-web (WebAssembly) in Node",
        (ONNX, NODE, ORT_WEB),
        run_onnxruntime_web,
    ),
)
