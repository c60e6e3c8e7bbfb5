"""A credit net of at most 4 KB beside trees as C: AUC, flash, and instructions a row on two Cortex-M.

Taiwan's card data, split as in credit_accuracy.py. AUC is that of the scores that the emulated Cortex-M4
gave for all test rows. LightGBM is tuned as there (same space, draws and early stopping), and stands
beside its own default of 100 trees of 31 leaves; m2cgen writes both as C, emlearn the forest. Bytes and
instructions are those of the scoring function and what it calls, for seed 0. The columns lie ready as
int32 for us and int16 for emlearn; for m2cgen as float, and their 23 conversions to float64 are counted.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from _cmsis import ROOMY
from _frame import Row
from _rivals import TunedLightGBM
from _small import mlp
from _trees_in_c import emlearn_folder, from_emlearn, from_m2cgen, has, header, scores_of, whole
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from bimetal import datasets
from bimetal.encoders import TreeEncoder
from bimetal.errors import BimetalError
from bimetal.estimators import BinaryClassifier
from bimetal.export import TARGETS, Job, job_for
from bimetal.export.c.options import COptions
from bimetal.format import dumps

__all__ = ["credit"]

CORES = ("cortex-m4", "cortex-m0")
NET, TUNED, USUAL = "net", "LightGBM tuned", "LightGBM 100x31"
MOST_BYTES, POINTS_BEHIND = 4096, 0.01
N_COUNTED = 500
FORESTS = {
    "forest inline": ("inline", 8),
    "forest loadable": ("loadable", 8),
    "forest inline, votes": ("inline", 0),
}
"""Of 30 trees of depth 8: shares of eight bits in the leaves, or the vote of each tree."""


@dataclass(frozen=True)
class Split:
    """The table, parted once for all."""

    data: datasets.Dataset
    train: pd.DataFrame
    test: pd.DataFrame
    y_train: np.ndarray
    y_test: np.ndarray


@dataclass(frozen=True)
class Model:
    """A fitted model as C: what builds it, the rows that it takes, what it should answer."""

    job: Job
    files: dict[str, bytes]
    rows: np.ndarray
    expected: np.ndarray  # its scores in Python
    is_ours: bool = False
    is_float: bool = True

    def scores(self, points: np.ndarray) -> np.ndarray:
        """Return the scores in a chip's points."""
        return points[:, 0].astype(np.float64) if self.is_ours else scores_of(points, self.is_float)


def credit(quick: bool) -> list[Row]:
    """Fit, build, run and compare; the losses are rows like the others."""
    try:
        data = datasets.load("taiwan_default")
    except BimetalError as error:
        print(f"credit: skipped ({error})")
        return []
    if any(tool.find() is None for core in CORES for tool in ROOMY[core].tools):
        print("credit: skipped, needs arm-none-eabi-gcc, qemu-system-arm and gcc")
        return []
    split = _split(data, 3000 if quick else None)
    tuned = TunedLightGBM(0 if quick else 6, 0).tune(split.train, split.y_train)
    print("LightGBM, tuned:", tuned, flush=True)
    aucs: dict[str, list[float]] = {}
    costs: dict[str, dict[str, float]] = {}
    for seed in range(1 if quick else 3):
        for name, model in _models(split, tuned, seed):
            aucs.setdefault(name, []).append(_auc(name, model, split.y_test))
            if seed == 0:
                costs[name] = _costs(model)
                print(f"{name}: {costs[name]}", flush=True)
    return [*_accuracy(aucs), *_weights(costs)]


def _split(data: datasets.Dataset, n: int | None) -> Split:
    X, y = data.X[:n], data.y[:n]
    return Split(data, *train_test_split(X, y, test_size=0.25, stratify=y, random_state=0))


def _models(split: Split, tuned: Any, seed: int) -> Iterator[tuple[str, Model]]:
    yield NET, _net(split, seed)
    if has("m2cgen"):
        settings, n_trees = tuned
        params = TunedLightGBM(0, seed)._params(settings)
        yield TUNED, _boosted(split, lightgbm.LGBMClassifier(**params, n_estimators=n_trees))
        usual = lightgbm.LGBMClassifier(n_jobs=1, verbosity=-1, random_state=seed)
        yield USUAL, _boosted(split, usual)
    if has("emlearn"):
        forest = RandomForestClassifier(30, max_depth=8, random_state=seed)
        forest.fit(whole(split.train), split.y_train)
        for name, how in FORESTS.items():
            yield name, _forest(split, forest, *how)


def _net(split: Split, seed: int) -> Model:
    model = BinaryClassifier(
        encoder=TreeEncoder(max_bits=96, special_codes=split.data.special_codes),
        max_bytes=MOST_BYTES,
        n_members=3,
        hidden=(32,),
        random_state=seed,
    ).fit(split.train, split.y_train)
    program = model.program_
    file, arrays = len(dumps(program)), program.cost().bytes
    print(f"seed {seed}: arrays {arrays:,} bytes, the file with names and provenance {file:,}")
    job = job_for(program, TARGETS["c"], "net", "net", {"core": CORES[0], "input": "int32"})
    expected = model.predict_proba(split.test)[:, 1]
    return Model(job, TARGETS["c"].write(job), _raw(split.test), expected, is_ours=True)


def _boosted(split: Split, model: lightgbm.LGBMClassifier) -> Model:
    model.fit(split.train, split.y_train)
    expected = model.predict(split.test, raw_score=True)
    return _theirs(from_m2cgen(model), _raw(split.test), np.asarray(expected), is_float=True)


def _forest(split: Split, forest: RandomForestClassifier, method: str, leaf_bits: int) -> Model:
    rows = whole(split.test)
    source = from_emlearn(forest, method, leaf_bits)
    return _theirs(source, rows, forest.predict_proba(rows)[:, 1], is_float=False)


def _raw(X: pd.DataFrame) -> np.ndarray:
    return X.to_numpy(np.float32)


def _theirs(source: str, rows: np.ndarray, expected: np.ndarray, is_float: bool) -> Model:
    program = mlp((rows.shape[1], 8, 2))  # states how many columns and points there are, no more
    job = Job(program, "net", "net", COptions(input="float" if is_float else "int16"))
    files = {".h": header(source, program, is_float)}
    return Model(job, files, rows, expected, is_float=is_float)


def _run(model: Model, core: str, rows: np.ndarray, optimize: str) -> tuple[Any, int]:
    """Return what a chip gave for the rows, and the bytes of flash of the scoring function."""
    board, job, files = ROOMY[core], model.job, model.files
    if model.is_ours:
        job = replace(job, options=replace(job.options, core=core))
        files = TARGETS["c"].write(job)
    elif not model.is_float:
        board = replace(board, flags=(*board.flags, f"-I{emlearn_folder()}"))
    with tempfile.TemporaryDirectory() as folder:
        run = board.execute(job, files, Path(folder), rows, optimize)
        code, tables, _ = board.sizes(Path(folder))
    return run, code + tables


def _auc(name: str, model: Model, y: np.ndarray) -> float:
    """Return the AUC of the chip's scores, and say how far they lie from Python's."""
    run, _ = _run(model, CORES[0], model.rows, "-Os")
    if model.is_ours:
        differ = int((run.answers[:, -1] != model.expected).sum())
        print(f"{name}: {differ} of {len(y):,} rows differ from Python", flush=True)
    scores = model.scores(run.points)
    theirs, here = float(roc_auc_score(y, scores)), float(roc_auc_score(y, model.expected))
    far = "" if model.is_ours else f"; |score − Python's| <= {abs(scores - model.expected).max():g}"
    print(f"{name}: AUC {theirs:.4f} on the chip, {here:.4f} in Python{far}", flush=True)
    return theirs


def _costs(model: Model) -> dict[str, float]:
    rows, costs = model.rows[:N_COUNTED], {}
    for core in CORES:
        for optimize in ("-Os", "-O3"):
            run, flash = _run(model, core, rows, optimize)
            costs[f"{core} {optimize}: instructions a row"] = float(np.mean(run.steps))
            if optimize == "-Os":
                costs[f"{core} {optimize}: flash"] = float(flash)
    return costs


def _accuracy(aucs: dict[str, Sequence[float]]) -> list[Row]:
    rows = []
    for name, values in aucs.items():
        rows.append(Row(f"AUC: {name}", float(np.mean(values)), "AUC"))
        rows.append(Row(f"AUC, deviation of seeds: {name}", float(np.std(values)), "AUC", "lower"))
    for name in list(aucs)[1:]:
        behind = float(np.mean(aucs[NET]) - np.mean(aucs[name]))
        goal = -POINTS_BEHIND if name == TUNED else None
        rows.append(Row(f"AUC, net − {name}", behind, "AUC", goal=goal))
    return rows


def _weights(costs: dict[str, dict[str, float]]) -> list[Row]:
    rows, ours = [], costs[NET]
    for what, value in ours.items():
        is_flash = what.endswith("flash")
        unit = "bytes" if is_flash else "insn"
        goal = MOST_BYTES if is_flash else None
        rows.append(Row(f"{what}: {NET}", value, unit, "lower", goal))
        for name, others in list(costs.items())[1:]:
            rows.append(Row(f"{what}: {name}", others[what], unit, "lower"))
            rows.append(Row(f"{what}: {name} over ours", others[what] / value, "times"))
            if others[what] < value:
                print(f"lost to {name}: {what}, {value:,.0f} against {others[what]:,.0f} {unit}")
    return rows
