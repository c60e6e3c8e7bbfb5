"""Memory and load time of one net in a process of its own: python _memory.py KIND FILE prints JSON.

KIND is bimetal, or onnxruntime for the float net. Memory is the peak of resident pages (VmHWM): all
of it, and what loading and running one image added to the imports.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

N_VALUES = 3 * 224 * 224


def in_process(kind: str, path: Path) -> dict[str, float]:
    """Run this file on a net in a fresh process."""
    command = [sys.executable, __file__, kind, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Load, run one image, print."""
    kind, path = sys.argv[1], Path(sys.argv[2])
    run = _bimetal if kind == "bimetal" else _onnxruntime
    print(json.dumps(run(path)))


def _bimetal(path: Path) -> dict[str, float]:
    from bimetal import format
    from bimetal.runtime import Engine

    x = np.zeros((1, N_VALUES), np.float32)
    before = _pages("VmRSS")
    start = time.perf_counter()
    program = format.load(path)
    loaded = time.perf_counter()
    engine = Engine(program)
    built = time.perf_counter()
    engine.predict_into(x, np.empty((1, engine.n_outputs), np.float32))
    return _found(before, start, loaded, built)


def _onnxruntime(path: Path) -> dict[str, float]:
    import onnxruntime as ort

    x = np.zeros((1, 3, 224, 224), np.float32)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    before = _pages("VmRSS")
    start = loaded = time.perf_counter()
    session = ort.InferenceSession(str(path), settings, ["CPUExecutionProvider"])
    built = time.perf_counter()
    session.run(None, {"x": x})
    return _found(before, start, loaded, built)


def _found(before: float, start: float, loaded: float, built: float) -> dict[str, Any]:
    return {
        "load": loaded - start,
        "ready": built - start,
        "answer": time.perf_counter() - start,
        "peak": _pages("VmHWM"),
        "added": _pages("VmHWM") - before,
    }


def _pages(name: str) -> float:
    """Return a field of /proc/self/status in bytes; NaN where there is none."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(name)]
    return 1024.0 * int(found[0]) if found else float("nan")


if __name__ == "__main__":
    main()
