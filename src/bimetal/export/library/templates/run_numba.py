"""Numba: the C functions inside compiled Python. python run_numba.py LIBRARY NAME, as run_ctypes.py."""

import ctypes
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


def scoring(points_of: Any, answers_of: Any) -> Any:
    """Return compiled Python that calls C once a row, with no interpreter between the two."""
    for function in (points_of, answers_of):
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p], None

    def score(rows: Any, points: Any, answers: Any) -> None:
        for i in range(len(rows)):
            points_of(rows[i].ctypes, points[i].ctypes)
            answers_of(rows[i].ctypes, answers[i].ctypes)

    return import_module("numba").njit(score)


def main() -> None:
    """Run all rows."""
    library, name = ctypes.CDLL(str(Path(sys.argv[1]).resolve())), sys.argv[2]
    n_columns, n_points, n_answers = (
        getattr(library, f"{name}_n_{what}")() for what in ("columns", "points", "answers")
    )
    rows = np.fromfile("rows.f32", np.float32).reshape(-1, n_columns)
    points = np.empty((len(rows), n_points), np.int32)
    answers = np.empty((len(rows), n_answers), np.float32)
    scoring(getattr(library, f"{name}_points"), getattr(library, f"{name}_answers"))(
        rows, points, answers
    )
    points.tofile("points.i32")
    answers.tofile("answers.f32")
    text = getattr(library, f"{name}_id")
    text.restype = ctypes.c_char_p
    Path("said.txt").write_text(f"{text().decode()} {getattr(library, f'{name}_selftest')()}")


if __name__ == "__main__":
    main()
