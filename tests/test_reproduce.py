"""The benchmark that reproduces the literature, in a shortened form: it trains, packs, and tells the truth."""

import json
import sys
from pathlib import Path

import pytest

from bimetal.datasets import load_pictures
from bimetal.errors import DataError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from _recipes import RECIPES  # noqa: E402
from _reproduced import packed  # noqa: E402
from reproduce import slug, train_once  # noqa: E402

SHORT = [r for r in RECIPES if r.data == "mnist" and "2048" not in r.name]
PUBLISHED = [r for r in RECIPES if r.published is not None]


@pytest.mark.parametrize("recipe", SHORT, ids=slug)
def test_a_recipe_trains_and_its_packed_twin_names_the_same_classes(recipe, tmp_path: Path) -> None:
    try:
        load_pictures(recipe.data)
    except DataError as error:
        pytest.skip(f"{recipe.data} is not at hand: {error}")
    train_once(recipe, 0, tmp_path, quick=True, tune=False)
    (path,) = tmp_path.glob("*-quick.json")
    run = json.loads(path.read_text())
    found = packed(recipe, 0, path, quick=True)
    assert found["n_rows"] == found["n_equal_classes"] == run["n_test"] == 200
    assert found["accuracy"] == pytest.approx(found["torch_accuracy"])
    assert not list(tmp_path.glob("*.checkpoint"))
    before = path.read_bytes()
    train_once(recipe, 0, tmp_path, quick=True, tune=False)
    assert path.read_bytes() == before, "what is there is not trained again"


def test_every_recipe_has_a_name_of_its_own() -> None:
    assert len({slug(recipe) for recipe in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize("recipe", PUBLISHED, ids=slug)
def test_no_recipe_takes_more_than_a_tenth_of_the_published_epochs(recipe) -> None:
    assert recipe.config.max_epochs <= recipe.published_epochs / 10
    assert recipe.source
