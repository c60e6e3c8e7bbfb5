"""The small frame that all benchmarks share: options, machine, versions, rows with goals, one JSON.

A figure that misses its goal is printed and written like any other.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from bimetal.files import atomic_write
from bimetal.runtime import isas

PACKAGES = (
    "bimetal",
    "numpy",
    "torch",
    "torchao",
    "scikit-learn",
    "lightgbm",
    "onnx",
    "onnxruntime",
)


@dataclass(frozen=True)
class Row:
    """One figure: what, how much, in what unit, which way is better, and what was asked for."""

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower"] = "higher"
    goal: float | None = None

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        met = self.value >= self.goal if self.better == "higher" else self.value <= self.goal
        return "met" if met else "MISSED"


def options(description: str, **extra: dict) -> argparse.Namespace:
    """Parse --quick, --seeds, --json and what a benchmark adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a small run that shows it works")
    parser.add_argument("--seeds", type=int, default=5, help="repetitions (default 5)")
    parser.add_argument("--json", type=Path, help="write machine, versions and rows to this file")
    for name, settings in extra.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **settings)
    return parser.parse_args()


def machine() -> dict[str, object]:
    """Describe the machine: processor, cores, memory, instruction sets of the engine."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "isas": list(isas()),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def report(rows: Sequence[Row], path: Path | None, **extra: object) -> None:
    """Print the rows as a table, and write them where asked."""
    print("\nmachine:", machine())
    print("versions:", versions(), "\n")
    for row in rows:
        goal = (
            "" if row.goal is None else f"{'>=' if row.better == 'higher' else '<='} {row.goal:g}"
        )
        print(f"{row.name:<58} {row.value:>12.4f} {row.unit:<12} {goal:<10} {row.verdict}")
    if path:
        document = {
            "script": Path(sys.argv[0]).name,
            "machine": machine(),
            "versions": versions(),
            **extra,
            "rows": [asdict(row) for row in rows],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(json.dumps(document, indent=1).encode())
