"""Where a QONNX file is run here: qonnx's own executor, and hls4ml's C++ (no FPGA tool is needed).

Both take the bits after the encoder, which the reference makes. They run in a process of their own:
they print, warn and take long to import.
"""

import sys
from collections.abc import Callable
from importlib.resources import files as resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bimetal.errors import ExportError
from bimetal.export.qonnx.writer import chain
from bimetal.export.target import Files, Job, Outcome, Place
from bimetal.export.tools import call, command, package
from bimetal.reference.tables import encode

__all__ = ["PLACES"]

QONNX = package("qonnx", "pip install qonnx")
HLS4ML = package("hls4ml", "pip install hls4ml")
GXX = command("g++", "apt-get install g++")
Run = Callable[[Job, Files, Path, NDArray[np.float32]], Outcome]


def signs_of(job: Job, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the bits that the net reads, as ±1."""
    bits = encode(chain(job.program)[0], rows)
    return np.where(bits, np.float32(1), np.float32(-1))


def runner(script: str, flavor: str) -> Run:
    """Return a function that runs rows through one of the scripts."""

    def run(job: Job, files: Files, folder: Path, rows: NDArray[np.float32]) -> Outcome:
        source = resources("bimetal.export.qonnx").joinpath(f"templates/{script}").read_bytes()
        (folder / script).write_bytes(source)
        (folder / "net.onnx").write_bytes(files[".qonnx"])
        np.save(folder / "bits.npy", signs_of(job, rows))
        call([sys.executable, script, "net.onnx", "bits.npy", "points.npy"], folder, timeout=600)
        return Outcome(points=whole(np.load(folder / "points.npy")).reshape(len(rows), -1))

    return run


def whole(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return points as whole numbers, or raise `ExportError` if they are none."""
    exact = points.astype(np.int32)
    if not (exact == points).all():
        raise ExportError("the points that came back are no whole numbers; please report this")
    return exact


PLACES = (
    Place(
        "qonnx", "qonnx's executor", (QONNX,), runner("run_qonnx.py", "finn"), {"flavor": "finn"}
    ),
    Place(
        "hls4ml",
        "hls4ml's C++, compiled by g++",
        (HLS4ML, QONNX, GXX),
        runner("run_hls4ml.py", "hls4ml"),
        {"flavor": "hls4ml"},
    ),
)
