"""Score a small golden model with the installed wheel, where neither torch nor any trainer is, also over HTTP.

Usage: no_torch.py MODEL.bimetal
"""

import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from bimetal import export, reference
from bimetal.format import load
from bimetal.program import Program
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
    serve(cli, model)
    print(f"{len(program.golden_x)} golden rows, equal bit for bit on {', '.join(isas())}")


def serve(cli: Path, model: Path) -> None:
    """Start the service, ask it for a score, read the decision back out of its log."""
    program = load(model)
    folder = Path(tempfile.mkdtemp())
    shutil.copy(model, folder / "tiny.bimetal")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = f"{folder}/decisions.db"
    command = [cli, "serve", folder, "--no-keys", "--port", str(port), "--log", log]
    process = subprocess.Popen(command)
    try:
        row = [None if v != v else v for v in program.golden_x[0].tolist()]
        said = ask(port, named(program, row))
    finally:
        process.terminate()
        process.wait(30)
    assert np.float32(said["probability"]) == program.golden_y[0, 1], said
    for question in (["verify", log], ["replay", log, "--all"]):
        subprocess.run([cli, "audit", *question], check=True, stdout=subprocess.DEVNULL)


def named(program: Program, row: list[float | None]) -> dict[str, object]:
    """The row as an application: categories by name, what is missing left out."""
    application: dict[str, object] = {}
    for column, value in zip(program.columns, row, strict=True):
        if column.kind != "category" or value is None:
            application[column.name] = value
        else:
            is_known = 0 <= value < len(column.categories)
            application[column.name] = column.categories[int(value)] if is_known else "never seen"
    return application


def ask(port: int, application: dict[str, object]) -> dict[str, object]:
    """Post an application, waiting until the service is up."""
    body = json.dumps({"application": application}).encode()
    url = f"http://127.0.0.1:{port}/v1/models/tiny/score"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (ConnectionError, urllib.error.URLError) as error:
            if getattr(error, "code", None):
                raise RuntimeError(error.read()) from error
            time.sleep(0.2)
    raise TimeoutError("the service did not come up")


if __name__ == "__main__":
    main()
