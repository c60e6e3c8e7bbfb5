"""Python: python run_ctypes.py LIBRARY NAME; rows.f32 in, points.i32 and answers.f32 out."""

import ctypes
import sys
from pathlib import Path


def main() -> None:
    """Run all rows in two calls."""
    library, name = ctypes.CDLL(str(Path(sys.argv[1]).resolve())), sys.argv[2]
    n_columns, n_points, n_answers = (
        getattr(library, f"{name}_n_{what}")() for what in ("columns", "points", "answers")
    )
    data = Path("rows.f32").read_bytes()
    rows = (ctypes.c_float * (len(data) // 4)).from_buffer_copy(data)
    n = len(rows) // n_columns
    points, answers = (ctypes.c_int32 * (n * n_points))(), (ctypes.c_float * (n * n_answers))()
    getattr(library, f"{name}_points_many")(rows, ctypes.c_size_t(n), points)
    getattr(library, f"{name}_answers_many")(rows, ctypes.c_size_t(n), answers)
    Path("points.i32").write_bytes(bytes(points))
    Path("answers.f32").write_bytes(bytes(answers))
    text = getattr(library, f"{name}_id")
    text.restype = ctypes.c_char_p
    Path("said.txt").write_text(f"{text().decode()} {getattr(library, f'{name}_selftest')()}")


if __name__ == "__main__":
    main()
