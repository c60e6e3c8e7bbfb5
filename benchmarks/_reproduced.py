"""The second half of `reproduce.py`: pack every trained net, hold it against torch, write the table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from _frame import Row, machine, report, versions
from _recipes import Recipe
from reproduce import pictures, slug

from bimetal.files import atomic_write
from bimetal.nn import accuracy, calibrate, with_byte_activations
from bimetal.packed import Packed, verify
from bimetal.sizes import packed_summary

HEAD = """# Reproductions

What the methods of the literature reach here, next to what was published, in at most a tenth of the
published epochs. Made by

    python benchmarks/reproduce.py --table --page docs/reproductions.md --json benchmarks/results/reproduce.json

on a CPU, one thread a run, several runs at a time (so the minutes are no measure of speed). No epoch was chosen: each
training runs to its last epoch, and its test accuracy is taken once. The settings are the papers' or first guesses (LeNet-5's
was looked at on held-out training pictures); where one was changed after a test accuracy had been seen, the remark says
so. Accuracies are in per cent, mean ± standard deviation over seeds.
"""
NOTES = """
10,000 test pictures bring a standard error of their own: 0.25 at 93 %, 0.15 at 97.8 %, 0.11 at 98.8 %. What is missed by less than that
is no finding either way, and most rows are one seed. The longest trainings stopped far short of the tenth of the published
epochs that they were allowed (the whole table was made in one sitting on two shared cores); draws of stochastic BinaryConnect
in particular want many epochs.

The published figures of BinaryConnect and of BinaryNet's Torch7 version are quoted from memory of their papers, whose tables could not
be opened while this was made; those of the FINN family and of LeNet-5 were read in the READMEs named.

"As packed" is the accuracy of the `.bimetal` file in the engine over the same test pictures, and how many of them got
the class that the torch net gives; it has to be all of them. BinaryConnect's activations are real, so its packed form
rounds them to 8 bits (`with_byte_activations`), and "as packed" compares with the torch net so rounded. Stochastic
BinaryConnect answers with its real weights, as published; its packed form has the signs. Its norms saw weights drawn at
random in training, so for each form their statistics are found anew from 10,000 training pictures (`nn.calibrate`).

Each file is the whole net, from bytes of pixels to answers. Layers that read pixels or 8-bit activations take 8 bits a weight in
it, binary or not, which is why BinaryConnect's file is no smaller than that.
"""


@dataclass(frozen=True)
class Reproduced:
    """What a recipe reached: one entry a seed in each list."""

    recipe: Recipe
    runs: list[dict[str, Any]]
    packed: list[dict[str, Any]]

    @property
    def accuracies(self) -> list[float]:
        return [100 * run["accuracy"] for run in self.runs]

    @property
    def least(self) -> float | None:
        """What has to be reached: the published figure less its error bar."""
        published = self.recipe.published
        return None if published is None else round(published - self.recipe.error_bar, 4)

    @property
    def verdict(self) -> str:
        published, ours = self.recipe.published, round(mean(self.accuracies), 4)
        if published is None or self.least is None:
            return ""
        if ours >= published:
            return "passed"
        return (
            "within its error bar"
            if ours >= self.least
            else f"**missed** by {published - ours:.2f}"
        )


def write_table(
    recipes: Sequence[Recipe], runs: Path, path: Path | None, page: Path | None
) -> None:
    """Pack and check every trained net, print the table, and write it where asked."""
    done = [found for recipe in recipes if (found := _gathered(recipe, runs)).runs]
    rows = []
    for found in done:
        name = f"{found.recipe.name}, {found.recipe.data}"
        rows.append(
            Row(
                f"{name}, test accuracy",
                round(mean(found.accuracies), 4),
                "%",
                "higher",
                found.least,
            )
        )
        unequal = sum(p["n_rows"] - p["n_equal_classes"] for p in found.packed)
        rows.append(Row(f"{name}, test pictures that packed differ", unequal, "", "lower", 0))
    report(
        rows,
        path,
        runs=[r for f in done for r in f.runs],
        packed=[p for f in done for p in f.packed],
    )
    if page:
        with atomic_write(page) as file:
            file.write(_page(done).encode())


def _gathered(recipe: Recipe, folder: Path) -> Reproduced:
    runs, twins = [], []
    for seed in range(20):
        path = folder / f"{slug(recipe)}-{seed}.json"
        if path.exists():
            runs.append(json.loads(path.read_text()))
            twins.append(packed(recipe, seed, path))
            print(
                f"{path.stem}: {runs[-1]['accuracy']:.4f}, packed {twins[-1]['accuracy']:.4f}",
                flush=True,
            )
    return Reproduced(recipe, runs, twins)


def packed(recipe: Recipe, seed: int, path: Path, quick: bool = False) -> dict[str, Any]:
    """Return what the packed twin of a trained net does; kept beside the weights."""
    kept = path.with_suffix(".packed.json")
    if kept.exists():
        return json.loads(kept.read_text())
    net = recipe.make(seed)
    net.load_state_dict(torch.load(path.with_suffix(".pt"), weights_only=True))
    x, _, x_test, y_test = pictures(recipe, quick, tune=False)
    shape = net.image_shape
    n_floats = sum(p.numel() for p in net.parameters())
    if recipe.answers_with_real_weights:  # the packed twin answers with signs
        calibrate(net, x[:10_000])
    if "binaryconnect" in slug(recipe):
        net = with_byte_activations(net.eval(), x[:1000].float())
    twin = Packed(net.eval(), shape)
    agreement = verify(net, x_test, twin)
    found = {
        "recipe": slug(recipe), "seed": seed, **vars(agreement),
        "accuracy": twin.accuracy(x_test, y_test), "torch_accuracy": accuracy(net, x_test, y_test),
        "file_bytes": packed_summary(net, shape).file_bytes, "float_bytes": 4 * n_floats,
    }  # fmt: skip
    with atomic_write(kept) as file:
        file.write(json.dumps(found, indent=1).encode())
    return found


def _page(done: Sequence[Reproduced]) -> str:
    made, used = machine(), versions()
    lines = [HEAD, f"Machine: {made['cpu']}, {made['cores']} cores, {made['system']}."]
    lines.append("Versions: " + ", ".join(f"{k} {v}" for k, v in used.items()) + ".\n")
    for data in dict.fromkeys(found.recipe.data for found in done):
        lines += [f"## {data}\n", _table([f for f in done if f.recipe.data == data]), ""]
    lines += [NOTES, "## Settings\n", _settings(done)]
    return "\n".join(lines)


def _table(done: Sequence[Reproduced]) -> str:
    lines = [
        "| net | published (epochs) | here (epochs, seeds) | | as packed | file; float32 | minutes a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for found in done:
        r = found.recipe
        bar = f" ± {r.error_bar:g}" if r.error_bar else ""
        published = "–" if r.published is None else f"{r.published:g}{bar} ({r.published_epochs})"
        spread = f" ± {stdev(found.accuracies):.2f}" if len(found.runs) > 1 else ""
        epochs = found.runs[0]["config"]["max_epochs"]
        n = sum(p["n_rows"] for p in found.packed)
        equal = sum(p["n_equal_classes"] for p in found.packed)
        packed = mean(100 * p["accuracy"] for p in found.packed)
        size = found.packed[0]
        lines.append(
            f"| {r.name} | {published} | **{mean(found.accuracies):.2f}**{spread} ({epochs}, {len(found.runs)}) "
            f"| {found.verdict} | {packed:.2f}; {equal:,} of {n:,} equal "
            f"| {size['file_bytes'] / 1024:,.0f} KiB; {size['float_bytes'] / 1024:,.0f} KiB "
            f"| {mean(run['minutes'] for run in found.runs):.1f} |"
        )
    return "\n".join(lines)


def _settings(done: Sequence[Reproduced]) -> str:
    lines = ["| net, data | training pictures | optimizer, rate, schedule | batch | loss | shifted, mirrored | source; remark |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for found in done:
        r, run = found.recipe, found.runs[0]
        c = run["config"]
        moved = f"{r.shifts or '–'}, {'yes' if r.flips else '–'}"
        said = "; ".join(text for text in (r.source, r.remark) if text)
        lines.append(
            f"| {r.name}, {r.data} | {run['n_train']:,} | {c['optimizer']}, {c['learning_rate']:g}, {c['schedule']} "
            f"| {c['batch_size']} | {r.loss.replace('_', ' ')} | {moved} | {said} |"
        )
    return "\n".join(lines) + "\n"
