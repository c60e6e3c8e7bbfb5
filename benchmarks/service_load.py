"""`bimetal serve` under load, beside the same service with LightGBM and shap inside.

Two rivals: `shap.TreeExplainer` as it comes (reasons against everybody, along the paths of the trees), and
with the very reference applicants that our reasons compare with (interventional): the same question.

Closed loop by wrk on this machine, one application a request, reasons for whatever is not approved, every
decision in a durable SQLite log before it is answered. Contestants take turns, and figures are medians over the
rounds, for such a machine is noisy. Full load: as fast as `--connections` clients can
ask. Half load: the same clients with exponential think times, so that half of that throughput comes.
The generator has no core of its own: it takes its share of those that the service has. Nor has the process
that writes the log.
"""

import contextlib
import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import httpx
import lightgbm
import numpy as np
from _frame import Row, options, report

from bimetal import datasets
from bimetal.finance.credit.scorecard import BinaryScorecard
from bimetal.service.applications import Form
from bimetal.service.keys import KeyFile
from bimetal.service.limits import Limits
from bimetal.service.log import open_log
from bimetal.service.log.verifying import verify
from bimetal.service.service import Settings

HERE = Path(__file__).parent
KINDS = ("bimetal", "lightgbm + shap", "lightgbm + shap, same references")
LIMITS = Limits(requests_per_second=0)


@dataclass(frozen=True)
class Measured:
    """What wrk saw: answers a second, milliseconds of the median and of the slowest hundredth."""

    rate: float
    p50: float
    p99: float
    n_errors: int
    cpu_us: float


class Bench:
    """Models, applications and a key in a folder."""

    def __init__(self, folder: Path, name: str, n_trees: int, seed: int) -> None:
        self.folder = folder
        data = datasets.load(name)
        ours = BinaryScorecard(random_state=seed).fit(data.X, data.y).model_
        rows = ours.rows(data.X)
        trees = lightgbm.LGBMClassifier(
            n_estimators=n_trees, learning_rate=0.05, n_jobs=1, random_state=seed, verbose=-1
        )
        trees.fit(rows, data.y)  # categories as codes: shap takes no splits by category here
        self.refused = float((ours.assess(rows).decision != "approve").mean())
        bad = trees.booster_.predict(rows)
        given = {"ours": ours.dumps(), "model": trees,
                 "threshold": float(np.quantile(bad, 1 - self.refused))}  # fmt: skip
        references = np.array(ours.policy.references, np.float64)  # None becomes NaN
        self._put(KINDS[0], ours.dumps())
        self._put(KINDS[1], pickle.dumps(given | {"references": None}))
        self._put(KINDS[2], pickle.dumps(given | {"references": references}))
        form = Form(ours.program, ours.policy.limits)
        self._write_bodies(form, rows)
        _, self.token = KeyFile(folder / "keys.db").create("wrk", ["score", "admin"])
        self.facts = {"data": name, "rules": len(ours.form.weights), "columns": len(form),
                      "trees": n_trees, "not approved": round(self.refused, 3)}  # fmt: skip

    def _put(self, kind: str, data: bytes) -> None:
        (self.folder / kind).mkdir()
        (self.folder / kind / "credit.bimetal").write_bytes(data)

    def _write_bodies(self, form: Form, rows: np.ndarray) -> None:
        rng = np.random.default_rng(0)
        with (self.folder / "bodies").open("w") as file:
            for row in rows[rng.choice(len(rows), min(500, len(rows)), replace=False)].tolist():
                values = {
                    f.column.name: _value(f.column, v)
                    for f, v in zip(form.fields, row, strict=True)
                }
                if not form.row(values)[2]:
                    file.write(json.dumps({"application": values}) + "\n")

    @contextlib.contextmanager
    def serving(self, kind: str, workers: int) -> Iterator["Served"]:
        """Start the service with a fresh log, in a process of its own."""
        log = Path(tempfile.mkdtemp(dir=self.folder)) / "decisions.db"
        settings = Settings(str(self.folder / kind), str(self.folder / "keys.db"), f"sqlite:///{log}",
                            limits=LIMITS)  # fmt: skip
        command = [
            sys.executable,
            str(HERE / "_service_server.py"),
            json.dumps(settings.spec()),
            kind,
            str(workers),
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            served = Served(self, process.pid, int(process.stdout.readline()))
            served.wait()
            try:
                yield served
            finally:
                process.terminate()
        _require_whole(log)


class Served:
    """A service that runs, and wrk against it."""

    def __init__(self, bench: Bench, pid: int, port: int) -> None:
        self._bench, self._pid, self.url = bench, pid, f"http://127.0.0.1:{port}"

    def wait(self) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return
            time.sleep(0.05)

    def asked(self, connections: int, seconds: float, think_ms: float = 0) -> Measured:
        """Ask for some seconds; return what wrk saw."""
        arguments = [str(self._bench.folder / "bodies"), self._bench.token, f"{think_ms:.3f}"]
        command = ["wrk", "--timeout", "30s", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "-s", str(HERE / "_service_load.lua"),
                   f"{self.url}/v1/models/credit/score", "--", *arguments]  # fmt: skip
        before = _cpu_seconds(self._pid)
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        used = _cpu_seconds(self._pid) - before
        found = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)", told)
        assert found, told
        n, micros, n_errors = (int(x) for x in found.groups()[:3])
        p50, p99 = (float(x) / 1e3 for x in found.groups()[3:])
        return Measured(n / (micros / 1e6), p50, p99, n_errors, used / max(n, 1) * 1e6)

    def at_half_load(self, connections: int, seconds: float, full: Measured) -> Measured:
        """Find the think time at which half of the full throughput comes, then measure there."""
        think = 1e3 * connections / (full.rate / 2)
        for _ in range(2):
            tried = self.asked(connections, min(seconds, 3), think)
            think *= tried.rate / (full.rate / 2)
        return self.asked(connections, seconds, think)


def _value(column: Any, raw: float) -> Any:
    if math.isnan(raw):
        return None
    if column.kind == "category":
        return column.categories[int(raw)] if raw >= 0 else "?"
    return raw


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children."""
    found = 0.0
    tick = os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parts = path.read_text().rpartition(")")[2].split()
            if int(path.parent.name) == pid or int(parts[1]) == pid:
                found += (int(parts[11]) + int(parts[12])) / tick
    return found


def _require_whole(path: Path) -> None:
    log = open_log(f"sqlite:///{path}", is_read_only=True)
    try:
        assert verify(log).is_sound
    finally:
        log.close()


def measure(bench: Bench, kind: str, workers: int, connections: int, seconds: float) -> list[Row]:
    with bench.serving(kind, workers) as served:
        served.asked(connections, 1)
        alone = served.asked(1, min(seconds, 3))
        full = served.asked(connections, seconds)
        half = served.at_half_load(connections, seconds, full)
    what = f"{kind}, {workers} process{'es' * (workers > 1)}"
    assert alone.n_errors + full.n_errors + half.n_errors == 0
    ours = kind == KINDS[0]
    return [
        Row(f"{what}: decisions", full.rate, "a second"),
        Row(f"{what}: processor time", full.cpu_us, "us/decision", "lower"),
        Row(f"{what}: one client, p50", alone.p50, "ms", "lower"),
        Row(f"{what}: full load, p50", full.p50, "ms", "lower"),
        Row(f"{what}: full load, p99", full.p99, "ms", "lower"),
        Row(f"{what}: half load, decisions", half.rate, "a second"),
        Row(f"{what}: half load, p50", half.p50, "ms", "lower"),
        Row(f"{what}: half load, p99", half.p99, "ms", "lower", 10.0 if ours else None),
    ]


def syncs(folder: Path, n: int = 2000) -> list[Row]:
    """How long this disk takes to make 8 kB durable: no decision is answered sooner."""
    taken = []
    with (folder / "syncs").open("wb+", buffering=0) as file:
        file.write(bytes(8192 * n))
        os.fsync(file.fileno())
        for k in range(n):
            file.seek(8192 * k)
            file.write(b"x" * 8192)
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(1e3 * (time.perf_counter() - begun))
    p50, p99 = np.percentile(taken, (50, 99)).tolist()
    return [
        Row("this disk: sync of 8 kB, p50", p50, "ms", "lower"),
        Row("this disk: sync of 8 kB, p99", p99, "ms", "lower"),
    ]


def medians(rounds: list[list[Row]]) -> list[Row]:
    """The median of each figure; all of them are printed."""
    found = []
    for rows in zip(*rounds, strict=True):
        values = [row.value for row in rows]
        print(f"{rows[0].name:72}", *(f"{value:.1f}" for value in values), rows[0].unit)
        found.append(replace(rows[0], value=float(np.median(values))))
    return found


def main() -> None:
    asked = options(
        __doc__ or "",
        data={"default": "german_credit", "help": "a data set of bimetal.datasets"},
        trees={"type": int, "default": 200, "help": "trees of LightGBM"},
        connections={"type": int, "default": 64},
        workers={"type": int, "nargs": "+", "default": [1, 2]},
        seconds={"type": float, "default": 20},
        rounds={"type": int, "default": 3, "help": "of all contestants in turn; medians are told"},
    )
    if shutil.which("wrk") is None:
        print("service_load: wrk is not here; install it with: apt-get install wrk")
        return
    seconds = 2 if asked.quick else asked.seconds
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), asked.data, asked.trees, 0)
        print(bench.facts)
        rows = syncs(Path(folder))
        for workers in asked.workers[:1] if asked.quick else asked.workers:
            rounds = [
                [measure(bench, kind, workers, asked.connections, seconds) for kind in KINDS]
                for _ in range(1 if asked.quick else asked.rounds)
            ]
            rows += medians([[row for of_kind in found for row in of_kind] for found in rounds])
            for k, kind in enumerate(KINDS[1:], 1):
                what = f"decisions, bimetal over {kind}, {workers} process{'es' * (workers > 1)}"
                ratios = [found[0][0].value / found[k][0].value for found in rounds]
                print(what, *(f"{ratio:.1f}" for ratio in ratios))
                rows.append(Row(what, float(np.median(ratios)), "times", goal=10))
    report(rows, asked.json, facts=bench.facts)


if __name__ == "__main__":
    main()
