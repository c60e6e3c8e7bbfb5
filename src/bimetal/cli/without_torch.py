"""The same command line as on a scoring server: nothing that trains or draws can be imported.

``python -m bimetal.cli.without_torch score model.bimetal data.parquet --out scores.parquet``
"""

import sys
from typing import Any

from bimetal.cli import main

__all__ = ["BLOCKED", "Absent"]

BLOCKED = ("torch", "sklearn", "lightgbm", "scipy", "pandas", "polars", "matplotlib")


class Absent:
    """A finder that is asked first and answers, for what is blocked, that it is not installed."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Raise ModuleNotFoundError for what is blocked; leave the rest to the next finder."""
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named '{name}' (blocked on purpose)", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent)
    main()
