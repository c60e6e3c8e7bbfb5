"""The same command line where nothing that trains can be imported: what a scoring server looks like.

``python -m bimetal.cli.without_torch score model.bimetal data.parquet --out scores.parquet``
"""

import sys

from bimetal.cli import main

__all__ = ["BLOCKED"]

BLOCKED = ("torch", "sklearn", "lightgbm", "scipy")

if __name__ == "__main__":
    for name in BLOCKED:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it now fails
    main()
