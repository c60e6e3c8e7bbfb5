"""The engine beside its peers on AlexNet and VGG-16: the 32x and the 58x, measured.

Every stage runs in a process of its own, pinned to one core or to two, with all peers set to as many
threads; within a stage the contestants take turns in every round, and figures are medians. Peers that
cannot be had are skipped aloud. Nets have random weights: no accuracy is claimed. docs/performance.md
says what is measured how; `--page` writes its tables and its picture from the results.
"""

import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from _frame import options, report

RESULTS = Path(__file__).parent / "results" / "engine.json"
PEERS = ("onnxruntime", "openvino", "torch", "numkong", "faiss-cpu")
AVX2 = {
    "BIMETAL_ISA": "avx2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
Stage = Callable[[Path, int, bool], Any]


def _ceiling(folder: Path, _threads: int, _quick: bool) -> Any:
    from _ceiling import ceilings

    return ceilings(folder)


def _files(folder: Path, _threads: int, _quick: bool) -> Any:
    from _cnn import NETS, prepare

    return {name: prepare(folder, name) for name in NETS}


def _nets(folder: Path, threads: int, quick: bool) -> Any:
    from _cnn import end_to_end

    return end_to_end(folder, threads, quick)


def _layers(folder: Path, _threads: int, quick: bool) -> Any:
    from _cnn import layers

    return layers(folder, quick)


def _tiny(folder: Path, _threads: int, quick: bool) -> Any:
    from _small import tiny

    return tiny(folder, quick)


def _product(_folder: Path, _threads: int, quick: bool) -> Any:
    from _small import product

    return product(quick)


def _avx2(folder: Path, _threads: int, quick: bool) -> Any:
    from _cnn import avx2
    from _small import product

    return {"product": product(quick, is_avx2=True), **avx2(folder, quick)}


def _memory(folder: Path, _threads: int, _quick: bool) -> Any:
    from _memory import in_process

    return {
        net: {
            "bimetal": in_process("bimetal", folder / f"{net}.bimetal"),
            "onnxruntime": in_process("onnxruntime", folder / f"{net}.onnx"),
        }
        for net in ("AlexNet", "VGG-16")
    }


STAGES: dict[str, tuple[Stage, int, dict[str, str]]] = {
    "ceilings": (_ceiling, 1, {}),
    "files": (_files, 2, {}),
    "one core": (_nets, 1, {}),
    "two cores": (_nets, 2, {}),
    "layers": (_layers, 1, {}),
    "tiny": (_tiny, 1, {}),
    "product": (_product, 1, {}),
    "avx2": (_avx2, 1, AVX2),
    "memory": (_memory, 1, {}),
}


def in_process(stage: str, folder: Path, quick: bool) -> Any:
    """Run one stage in a fresh process, with the threads of every peer set before it starts."""
    _, n_threads, extra = STAGES[stage]
    threads = {f"{k}_NUM_THREADS": str(n_threads) for k in ("OMP", "MKL", "OPENBLAS")}
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    environment = {**os.environ, **threads, **extra}
    print(f"-- {stage}", flush=True)
    subprocess.run(command + ["--quick"] * quick, check=True, env=environment)
    return json.loads((folder / f"{stage}.json").read_text())


def run_stage(stage: str, folder: Path, quick: bool) -> None:
    """Do the work of a stage in this process, pinned, and leave its results in the folder."""
    from _turns import pin

    work, n_threads, _ = STAGES[stage]
    pin(n_threads)
    (folder / f"{stage}.json").write_text(json.dumps(work(folder, n_threads, quick)))


def peer_versions() -> dict[str, str]:
    """Return the versions of the peers."""
    found = {}
    for package in PEERS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def main() -> None:
    """Run all stages, or one; report."""
    args = options(
        __doc__.splitlines()[0],
        stage={"choices": list(STAGES), "help": "only this stage, in this process"},
        folder={"type": Path, "help": "folder of the files of a run"},
        page={"action": "store_true", "help": "write tables and picture of docs/performance.md"},
    )
    if args.stage:
        run_stage(args.stage, args.folder, args.quick)
        return
    from _figures import rows
    from _peers import scratch

    folder = args.folder or scratch()
    try:
        found = {stage: in_process(stage, folder, args.quick) for stage in STAGES}
    finally:
        if not args.folder:
            shutil.rmtree(folder)
    for peer, why in {**found["one core"]["skipped"], **found["product"]["skipped"]}.items():
        print(f"{peer}: skipped: {why}")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    path = args.json or (RESULTS if args.page else None)
    report(rows(found), path, date=today, peers=peer_versions(), found=found)
    if args.page:
        from _page import write

        write(json.loads(path.read_text()))


if __name__ == "__main__":
    main()
