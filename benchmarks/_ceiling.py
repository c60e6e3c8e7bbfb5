"""What one core can do at best: compiles and runs _ceiling.cpp with the system's compiler."""

import json
import os
import shutil
import subprocess
from pathlib import Path

TRIPLE = "xor + popcount + add, 512 bits"
LOOKUP = "xor + popcount + add by look-up, 256 bits"
LOGIC = "three-input logic, 512 bits"
FMA, FMA_256 = "float32 FMA, 512 bits", "float32 FMA, 256 bits"
VNNI, AMX = "int8 VNNI, 512 bits", "int8 AMX with loads from L1"
L2, L3, DRAM = "read, 1 MiB", "read, 16 MiB", "read, 1 GiB"


def ceilings(folder: Path) -> dict[str, list[float]]:
    """Return {name: [units a second, units a cycle]}; empty, aloud, where there is no compiler."""
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++"))), None)
    if compiler is None:
        print("ceilings: skipped: no C++ compiler found; set CXX")
        return {}
    source = Path(__file__).with_name("_ceiling.cpp")
    program = _program(folder)
    subprocess.run([compiler, "-O2", "-std=c++17", source, "-o", program], check=True)
    return _run(program)


def again(folder: Path, name: str) -> float:
    """Measure one ceiling anew, units a second; NaN where the machine does not have it.

    The clock of a processor moves by some percent within a minute: what is compared with a ceiling
    as closely as that is compared with one measured beside it.
    """
    program = _program(folder)
    found = _run(program, "instructions") if program.exists() else {}
    return found.get(name, [float("nan")])[0]


def _program(folder: Path) -> Path:
    return folder / "ceiling"


def _run(*command: str | Path) -> dict[str, list[float]]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))
