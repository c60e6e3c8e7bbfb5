"""The page of a continual comparison: true to the runs, safe whatever names say, sufficient to itself."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bimetal.continual.harness.asking import Lowered
from bimetal.continual.harness.record import Run
from bimetal.continual.harness.study import Skipped, Study
from bimetal.continual.harness.tuning import Trial, Tuning
from bimetal.continual.learners.learner import Setting
from bimetal.errors import DataError, MissingExtraError
from bimetal.report import theme
from bimetal.report.continual import write_continual
from bimetal.report.continual_words import continual_headline, continual_remarks

HOSTILE = '<script>alert("x")</script> $\\frac{$ {{ 7*7 }}'
NAN = float("nan")


@pytest.fixture(autouse=True, scope="module")
def coarse() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "DPI", 40)
        yield


def a_run(method: str = "ours", seed: int = 0, last: float = 0.8, **changes: Any) -> Run:
    """Return a run of two tasks that ends with this accuracy on both."""
    scores = np.array([[0.9, NAN], [last, last]])
    sequence = {"name": "s", "title": HOSTILE, "n_tasks": 2, "n_in": 4, "n_classes": 2,
                "scenario": "domain", "note": HOSTILE, "metric": "accuracy"}  # fmt: skip
    setting = Setting(4, 2, seed=seed, n_tasks=2)
    facts: dict[str, Any] = {
        "baseline": np.full(2, NAN), "task_names": ("one", HOSTILE), "task_seconds": (1.0, 2.0),
        "n_steps": 10, "state_bytes": 1234, "insights": ({"frozen": 0.25}, {"frozen": 0.5}),
        "lowered": (Lowered("id", 99, 60, 0),),
    }  # fmt: skip
    return Run(sequence, method, 2.0, setting, scores, **{**facts, **changes})


def told(uses: str, **changes: Any) -> dict[str, Any]:
    facts = {"title": f"title of {uses}", "source": HOSTILE, "uses": uses, "strength_name": "m",
             "strengths": [1.0, 2.0], "boundaries": uses != "nothing", "task_ids": False,
             "stored_data": False}  # fmt: skip
    return {**facts, **changes}


def a_study(*runs: Run, **changes: Any) -> Study:
    runs = runs or (a_run(), a_run(seed=1, last=0.7), a_run("ewc", last=0.6), a_run("ewc", 1, 0.5))
    facts = {
        "sequence": runs[0].sequence, "n_rows": 100, "seeds": [0, 1], "strengths": {},
        "methods": {"ours": told("nothing"), "ewc": told("boundaries", title=HOSTILE)},
        "evaluates": "seen", "tuning": None, "machine": HOSTILE, "seconds": 3.0, "workers": 1,
        "setting": {"hidden": [8, 8], "n_epochs": 3, "batch_size": 100, "learning_rate": 0.005},
    }  # fmt: skip
    return Study(runs, facts={**facts, **changes.pop("facts", {})}, **changes)


TRIALS = (Trial(1.0, 0, 0.5, 0.6), Trial(2.0, 0, 0.7, 0.9), Trial(3.0, 0, None, None, "nan"))
TUNED = {
    "tunings": (Tuning("ours", 2.0, TRIALS),),
    "facts": {"tuning": {"seeds": [0], "n_tasks": 2}},
}


class Tags(HTMLParser):
    """All tags of a page with their attributes, and the text between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(coarse: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "new" / "folder"
    study = a_study(**TUNED, skipped=(Skipped("si", HOSTILE),))
    assert write_continual(study, folder) == folder / "continual.html"
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "continual.html").read_text()


def test_the_page_needs_no_network_and_no_other_file(page: str) -> None:
    without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", without_pictures)
    sources = [a[key] for _, a in Tags(page).found for key in ("src", "href", "srcset") if key in a]
    assert len(sources) == 2 * 3  # curves and two matrices, each for paper and for slate
    assert all(s and s.startswith("data:image/png;base64,") for s in sources)


def test_hostile_names_are_text_and_never_tags(page: str) -> None:
    tags = Tags(page)
    assert "script" not in {tag for tag, _ in tags.found}
    assert HOSTILE not in page and tags.text.count(HOSTILE) >= 5


def test_the_pictures_are_files_beside_it(folder: Path) -> None:
    found = {path.name: path.read_bytes()[:4] for path in (folder / "plots").iterdir()}
    assert found == dict.fromkeys(("curves.png", "matrix_ours.png", "matrix_ewc.png"), b"\x89PNG")


def test_the_table_says_what_each_was_told_and_what_it_cost(page: str) -> None:
    text = " ".join(Tags(page).text.split())
    for said in ("75.0 ± 7.1", "told or kept: nothing", "told or kept: boundaries", "1,234", "m 2, tuned",
                 "3.0 s", "−15.0 ± 7.1", "99 packed"):  # fmt: skip
        assert said in text


def test_the_page_shows_all_that_was_tried_and_what_came_to_nothing(page: str) -> None:
    text = " ".join(Tags(page).text.split())
    assert re.search(r"<td>m 1</td><td>50.0\s%</td><td>60.0\s%</td>", page)
    assert re.search(r"<td>m 3</td><td>came to nothing</td><td></td>", page)
    assert "si was left out" in text
    assert re.search(r'class="best">m 2</td>', page) and not re.search(r'class="best">m 1<', page)


def test_what_learners_say_of_themselves_is_shown(page: str) -> None:
    assert "<td>ours</td><td>frozen</td><td>0.25</td><td>0.5</td>" in page


# ---- words ------------------------------------------------------------------------------------------


def test_the_headline_names_the_best_and_the_best_of_the_others_whoever_wins() -> None:
    ahead = continual_headline(a_study())
    assert "“title of nothing”, which was told nothing, has 75.0" in ahead
    assert f"the best of those that were told more, “{HOSTILE}”, 55.0" in ahead
    behind = continual_headline(a_study(a_run(last=0.3), a_run("ewc", last=0.6)))
    assert behind.startswith(f"After 2 tasks, “{HOSTILE}”, which was told of or kept: boundaries")
    assert "the best of those that were told nothing, “title of nothing”, 30.0" in behind


def test_one_method_is_compared_with_nothing() -> None:
    assert ";" not in continual_headline(a_study(a_run()))
    auc = replace(a_run(), sequence={**a_run().sequence, "metric": "auc"})
    assert "by AUC" in continual_headline(a_study(auc))


def test_the_ceiling_wins_nothing_and_is_said_to_be_one() -> None:
    methods = {"ours": told("nothing"), "joint": told("boundaries, stored data", title="all rows")}
    study = a_study(a_run(), a_run("joint", last=0.9), facts={"methods": methods})
    assert continual_headline(study).startswith("After 2 tasks, “title of nothing”")
    assert "all rows" not in continual_headline(study) and "“all rows” keeps all rows" in remarks(
        study
    )


def remarks(study: Study) -> str:
    return " ".join(continual_remarks(study))


def test_the_remarks_tell_seeds_tuning_and_differences() -> None:
    assert "over 2 seeds" in remarks(a_study())
    assert "One seed" in remarks(a_study(a_run(), facts={"seeds": [0]}))
    assert "Fewer seeds were finished of: ours" in remarks(a_study(a_run()))
    assert "were not tuned" in remarks(a_study())
    assert "Given by hand: ours" in remarks(a_study(facts={"strengths": {"ours": 2.0}}))
    assert "3 strengths a method, 1 seed each" in remarks(a_study(**TUNED))
    assert "answers all test rows with the class" in remarks(a_study())
    differ = a_run(lowered=(Lowered("id", 9, 60, 4),))
    assert "4 test rows are put into another class" in remarks(a_study(differ))
    assert "No Program: ours" in remarks(a_study(a_run(lowered=())))


def test_a_best_strength_at_the_end_of_its_list_is_pointed_out() -> None:
    assert "first or last that was tried" not in remarks(a_study(**TUNED))
    at_end = {**TUNED, "tunings": (Tuning("ours", 2.0, TRIALS[:2]),)}
    assert "of ours was the first or last that was tried" in remarks(a_study(**at_end))


def test_a_run_that_was_stopped_is_named_and_not_in_the_table(tmp_path: Path) -> None:
    whole, part = a_run(), a_run("ewc")
    part = replace(part, scores=part.scores[:1], task_names=("one",), was_interrupted=True)
    study = a_study(whole, part, was_interrupted=True)
    assert study.methods == ("ours",)
    page = write_continual(study, tmp_path).read_text()
    assert "“ewc” with seed 0 had learned 1 tasks" in page and "stopped before its end" in page
    assert "told or kept: boundaries" not in page


def test_without_a_finished_run_there_is_no_page(tmp_path: Path) -> None:
    part = replace(a_run(), scores=a_run().scores[:1], task_names=("one",))
    with pytest.raises(DataError, match="nothing to show"):
        write_continual(a_study(part), tmp_path)
    assert continual_headline(a_study(part)) == "Nothing was finished."


def test_without_the_matrix_below_its_diagonal_there_are_no_curves(tmp_path: Path) -> None:
    scores = np.array([[0.9, NAN, NAN], [NAN, 0.9, NAN], [0.8, 0.8, 0.8]])
    sequence = {**a_run().sequence, "n_tasks": 3}
    asked_last = replace(a_run(), scores=scores, sequence=sequence, task_names=("a", "b", "c"),
                         baseline=np.full(3, NAN))  # fmt: skip
    page = write_continual(a_study(asked_last, facts={"evaluates": "last"}), tmp_path).read_text()
    assert "What is still known" not in page and "about all at the end" in page
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"matrix_ours.png"}


def test_a_page_is_drawn_from_json_as_well(tmp_path: Path) -> None:
    study = a_study(**TUNED)
    again = Study.from_json(study.to_json())
    first, second = (
        write_continual(s, tmp_path / n).read_text() for s, n in ((study, "a"), (again, "b"))
    )
    assert first == second


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    import sys

    for name in [
        n for n in sys.modules if n.split(".")[0] == package or n.endswith("continual_plots")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package):
        write_continual(a_study(), tmp_path)
