"""Train the nets of the literature and hold them against their published accuracies.

Each run (one net, one seed) leaves a JSON file and the trained weights in ``--runs``, and what is there
is not trained again, so that a long table may be made in several sittings. ``--table`` packs every
trained net, checks that its packed accuracy equals torch's, and writes the table.
"""

import argparse
import json
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from _recipes import RECIPES, Recipe

from bimetal import datasets
from bimetal.files import atomic_write
from bimetal.nn import accuracy, calibrate, fit_classifier, real_weights
from bimetal.nn.config import Epoch


def main() -> None:
    """Train what is missing, then make the table if asked."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    recipes = [r for r in RECIPES if all(word in slug(r) for word in args.only)]
    if not args.table_only:
        for recipe in recipes:
            for seed in range(args.seeds or recipe.n_seeds):
                train_once(recipe, seed, args.runs, args.quick, args.tune)
    if args.table or args.table_only:
        from _reproduced import write_table

        write_table(recipes, args.runs, args.json, args.page)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="words that the run's name contains")
    parser.add_argument("--seeds", type=int, help="seeds for each, in place of the recipe's number")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few steps of each, to see it work")
    parser.add_argument(
        "--tune", action="store_true", help="hold out training, see no test pictures"
    )
    parser.add_argument("--table", action="store_true", help="then write the table")
    parser.add_argument("--table-only", action="store_true", help="of what is in --runs")
    parser.add_argument("--runs", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--json", type=Path, help="write machine, versions and rows to this file")
    parser.add_argument("--page", type=Path, help="write the table in Markdown to this file")
    return parser.parse_args()


def slug(recipe: Recipe) -> str:
    """Return the name of a recipe as part of a file's."""
    text = f"{recipe.name} {recipe.data}".lower()
    return "-".join("".join(c if c.isalnum() else " " for c in text).split())


def pictures(recipe: Recipe, quick: bool, tune: bool) -> tuple[torch.Tensor, ...]:
    """Return training and test pictures and classes."""
    d = datasets.load_pictures(recipe.data)
    x, y, x_test, y_test = map(torch.from_numpy, (d.x_train, d.y_train, d.x_test, d.y_test))
    if tune:
        held = len(x) // 6
        x, y, x_test, y_test = x[:-held], y[:-held], x[-held:], y[-held:]
    n = 512 if quick else recipe.n_train
    return x[:n], y[:n], x_test[: 200 if quick else None], y_test[: 200 if quick else None]


def train_once(recipe: Recipe, seed: int, runs: Path, quick: bool, tune: bool) -> None:
    """Train one net with one seed, unless that was done before."""
    path = runs / f"{slug(recipe)}-{seed}{'-tune' * tune}{'-quick' * quick}.json"
    if path.exists():
        return
    runs.mkdir(parents=True, exist_ok=True)
    x, y, x_test, y_test = pictures(recipe, quick, tune)
    config = replace(recipe.config, seed=seed, **({"max_epochs": 2} if quick else {}))
    model = recipe.make(seed)
    begin, used = time.time(), time.process_time()

    def progress(epoch: Epoch) -> None:
        seconds = time.time() - begin
        print(
            f"\r{path.stem}: epoch {epoch.number} of {config.max_epochs}, loss "
            f"{epoch.train_loss:.4f}, flips {epoch.flip_ratio:.2%}, {seconds:.0f} s ",
            end="", flush=True,
        )  # fmt: skip

    fit_classifier(
        model, x, y, config, loss=recipe.loss, augment=_augment(recipe), progress=progress,
        checkpoint=path.with_suffix(".checkpoint"), resume=True,
    )  # fmt: skip
    with real_weights(model) if recipe.answers_with_real_weights else nullcontext():
        if recipe.answers_with_real_weights:
            calibrate(model, x[:10_000])
        measured = accuracy(model, x_test, y_test), accuracy(model, x, y)
    found = {
        "recipe": slug(recipe), "seed": seed, "config": asdict(config),
        "accuracy": measured[0], "train_accuracy": measured[1],
        "n_train": len(y), "n_test": len(y_test),
        "minutes": (time.time() - begin) / 60, "cpu_minutes": (time.process_time() - used) / 60,
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    print(f"→ {found['accuracy']:.4f} in {found['minutes']:.1f} min")
    torch.save(model.state_dict(), path.with_suffix(".pt"))
    with atomic_write(path) as file:
        file.write(json.dumps(found, indent=1).encode())
    path.with_suffix(".checkpoint").unlink(missing_ok=True)


def _augment(recipe: Recipe):
    """Return random shifts, and flips where asked for, of a whole batch; None where there are none."""
    if not recipe.shifts and not recipe.flips:
        return None

    def moved(batch: torch.Tensor) -> torch.Tensor:
        s, (height, width) = recipe.shifts, batch.shape[2:]
        padded = torch.nn.functional.pad(batch, (s, s, s, s))
        down, right = torch.randint(0, 2 * s + 1, (2, len(batch)))
        rows = (down[:, None] + torch.arange(height))[:, :, None]
        columns = (right[:, None] + torch.arange(width))[:, None, :]
        if recipe.flips:
            turned = torch.rand(len(batch)) < 0.5
            columns = torch.where(turned[:, None, None], columns.flip(2), columns)
        which = torch.arange(len(batch))[:, None, None]
        return padded.permute(0, 2, 3, 1)[which, rows, columns].permute(0, 3, 1, 2).contiguous()

    return moved


if __name__ == "__main__":
    np.set_printoptions(precision=4)
    main()
