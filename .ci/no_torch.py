"""Score a small golden model with the installed wheel, where neither torch nor any trainer is.

Usage: no_torch.py MODEL.bimetal
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np

from bimetal import export, reference
from bimetal.format import load
from bimetal.runtime import Engine, isas

ABSENT = ("torch", "sklearn", "lightgbm", "pandas", "matplotlib")


def main() -> None:
    for package in ABSENT:
        assert importlib.util.find_spec(package) is None, f"{package} is installed here"
    model = Path(sys.argv[1])
    program = load(model)
    for isa in isas():
        engine = Engine(program, isa=isa)
        engine.self_test()
        np.testing.assert_array_equal(engine.run(program.golden_x), program.golden_y)
    np.testing.assert_array_equal(reference.run(program, program.golden_x), program.golden_y)
    cli = Path(sys.executable).with_name("bimetal")
    done = subprocess.run([cli, "inspect", model, "--json"], capture_output=True, check=True)
    assert program.id.encode() in done.stdout, "the command line does not show the id"
    size = export.size(program, "cortex-m0")
    assert size.flash and export.verify(program, "sqlite", vectors=50).is_exact
    print(f"{len(program.golden_x)} golden rows, equal bit for bit on {', '.join(isas())}")


if __name__ == "__main__":
    main()
