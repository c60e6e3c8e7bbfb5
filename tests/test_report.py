"""The report: true to the facts, safe whatever columns are called, and sufficient to itself."""

import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import bimetal
from bimetal import metrics, speed
from bimetal.errors import DataError, MissingExtraError
from bimetal.format import dumps
from bimetal.points import bit_points
from bimetal.program import Encode
from bimetal.report import Judged, Portfolio, Study, judge, theme, write_report
from bimetal.report import page as page_module
from bimetal.report import study as study_module
from bimetal.report.plots import PLOTS, draw
from bimetal.report.study import CEILING, CONTROL
from bimetal.report.theme import DARK, LIGHT
from bimetal.report.words import headline, remarks, versus
from bimetal.wording import bit_names

HOSTILE = '<script>alert("x")</script>'
FORMULA = "$\\frac{$ & 'q' {{ 7*7 }}"


@pytest.fixture(autouse=True, scope="module")
def coarse() -> Iterator[None]:
    """Draw with few pixels: twelve pictures a page add up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "DPI", 60)
        yield


@pytest.fixture(scope="module")
def judged() -> Iterator[Study]:
    """A study of a tiny model whose columns, classes and data have hostile names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "N_CALLS", {"model": 50, "challenger": 10})
        patch.setattr(study_module, "N_BATCH", 500)
        patch.setattr(study_module, "N_RESAMPLES", 100)
        patch.setattr(study_module, "measure_batch", lambda score, n: float(n))
        portfolio = loans()
        model = bimetal.BinaryClassifier(
            n_members=1, max_rules=50, max_epochs=2, n_folds=2, random_state=0
        ).fit(*portfolio.train)
        yield judge(model, portfolio)


def loans() -> Portfolio:
    rng = np.random.default_rng(0)
    age, job = rng.integers(18, 80, 450), rng.choice(["a", "</td><b>"], 450)
    truth = 1 / (1 + np.exp((age - 45) / 8 + (job == "a")))
    y = np.where(rng.random(450) < truth, FORMULA, HOSTILE)
    order = np.argsort([HOSTILE, FORMULA])  # classes are sorted: whichever is second is the event
    truth = truth if order[0] == 0 else 1 - truth
    X = pa.table({HOSTILE: job, FORMULA: age, "plain": rng.normal(size=450)})
    return Portfolio(
        HOSTILE, FORMULA, (X.slice(0, 300), y[:300]), (X.slice(300), y[300:]), truth[300:],
        caveats=HOSTILE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(judged: Study, coarse: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "new" / "folder"
    assert write_report(judged, folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text()


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


def test_hostile_names_are_text_and_never_tags(page: str) -> None:
    tags = Tags(page)
    assert "script" not in {tag for tag, _ in tags.found}
    assert HOSTILE not in page
    assert HOSTILE in tags.text and FORMULA in tags.text
    assert not any(key.startswith("on") for _, attributes in tags.found for key in attributes)


def test_the_page_needs_no_network_and_no_other_file(page: str) -> None:
    without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", without_pictures)
    sources = [a[key] for _, a in Tags(page).found for key in ("src", "href", "srcset") if key in a]
    assert len(sources) == 2 * len(PLOTS)
    assert all(source and source.startswith("data:image/png;base64,") for source in sources)
    assert "default-src 'none'" in page


def test_the_page_says_which_model_it_is_and_how_good(page: str, judged: Study) -> None:
    assert judged.program.id in page
    for model in judged.models:
        assert model.name in page and f"{model.measures['auc']:.4f}" in page
    assert all(column.name in Tags(page).text for column in judged.program.columns)


def test_simulated_data_is_said_aloud(judged: Study, page: str, tmp_path: Path) -> None:
    assert "Simulated data" in page
    real = replace(
        judged, portfolio=replace(judged.portfolio, truth=None), models=judged.models[:-1]
    )
    assert "Simulated data" not in write_report(real, tmp_path).read_text()


def test_every_plot_is_a_file_too_and_no_other_is_left(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["plots", "report.html"]
    assert sorted(p.stem for p in (folder / "plots").iterdir()) == sorted(p.__name__ for p in PLOTS)
    for path in (folder / "plots").iterdir():
        head = path.read_bytes()[:24]
        assert head.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", head[16:])) > 150


@pytest.mark.parametrize("plot", PLOTS, ids=lambda p: p.__name__)
def test_a_plot_on_paper_differs_from_one_on_slate_and_is_titled(judged: Study, plot: Any) -> None:
    assert draw(plot, judged, LIGHT) != draw(plot, judged, DARK)
    assert plot.__name__ in page_module.TITLES and plot.__name__ in page_module.CAPTIONS


def test_the_study_judges_all_on_the_same_rows(judged: Study) -> None:
    names = [model.name for model in judged.models]
    assert names == ["bimetal", "logistic regression", CONTROL, "LightGBM", CEILING]
    for model in judged.models:
        assert len(model.p) == len(judged.y) == 150
        assert model.measures["auc"] == metrics.auc(judged.y, model.p)
        assert model.auc_interval[0] <= model.measures["auc"] <= model.auc_interval[1]
        assert model.lead == pytest.approx(judged.model.measures["auc"] - model.measures["auc"])
    assert judged.model.lead_interval == (0.0, 0.0)
    assert judged.model.n_bytes == len(dumps(judged.program))


def test_probabilities_of_the_study_are_those_of_the_engine(judged: Study) -> None:
    expected = bimetal.Engine(judged.program).predict_proba(judged.portfolio.test[0])[:, 1]
    np.testing.assert_array_equal(judged.model.p, expected.astype(np.float64))


def test_three_classes_are_refused(judged: Study) -> None:
    class Three:
        classes_ = np.array([0, 1, 2])

    with pytest.raises(DataError, match="two classes"):
        judge(Three(), judged.portfolio)


def test_without_matplotlib_the_extra_is_named(
    judged: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"bimetal\[report\]"):
        write_report(judged, tmp_path)
    assert list(tmp_path.iterdir()) == []


def with_leads(judged: Study, *leads: tuple[float, float, float]) -> Study:
    """The study with other leads over the challengers: low, middle, high."""
    changed = [
        replace(model, lead=middle, lead_interval=(low, high))
        for model, (low, middle, high) in zip(judged.models[1:], leads, strict=False)
    ]
    return replace(judged, models=(judged.models[0], *changed))


BETTER, EVEN, WORSE = (0.01, 0.02, 0.03), (-0.01, 0.0, 0.01), (-0.03, -0.02, -0.01)


def test_words_go_by_the_interval(judged: Study) -> None:
    changed = with_leads(judged, BETTER, EVEN, WORSE)
    assert [versus(m) for m in changed.models[1:]] == ["better", "even", "worse"]
    assert headline(changed) == (
        "By AUC, this model ranks better than logistic regression; it cannot be told apart on these "
        f"rows from {CONTROL}; it ranks worse than LightGBM."
    )


def test_a_challenger_that_wins_is_named_first(judged: Study) -> None:
    said = remarks(with_leads(judged, BETTER, BETTER, WORSE))
    assert said[0].startswith("LightGBM wins: its AUC is 0.0200 higher")


@pytest.mark.parametrize(
    ("lead", "word"), [(BETTER, "earns"), (EVEN, "not shown to earn"), (WORSE, "harm")]
)
def test_the_control_says_whether_the_binary_part_earns_its_keep(
    judged: Study, lead: tuple[float, float, float], word: str
) -> None:
    assert any(word in said for said in remarks(with_leads(judged, BETTER, lead, BETTER)))


def test_a_part_without_weight_is_reported(judged: Study) -> None:
    changed = replace(judged, fit={**judged.fit, "weights": {"linear": 0.0, "rules": 1.0}})
    assert any("no weight to the part linear" in said for said in remarks(changed))


def test_a_study_without_challengers_is_still_a_page(judged: Study, tmp_path: Path) -> None:
    alone = replace(judged, models=judged.models[:1], fit={}, points=())
    assert judged.program.id in write_report(alone, tmp_path).read_text()


def test_bits_are_named_as_the_encoder_names_them() -> None:
    X = pa.table(
        {"age": [20.0, 30, 40, None, -9, 25] * 9, "job": ["a", "b", "c", "a", None, "b"] * 9}
    )
    encoder = bimetal.QuantileEncoder(
        special_codes={"age": [-9]}, ordinal={"job": ["a", "b", "c"]}
    ).fit(X)
    y = np.arange(54) % 2
    model = bimetal.BinaryClassifier(encoder=encoder, n_members=0, max_rules=0, n_folds=2).fit(X, y)
    op = next(op for op in model.program_.ops if isinstance(op, Encode))
    assert bit_names(model.program_.columns, op) == model.encoder_.bit_names_


def test_points_of_the_bits_are_those_of_the_readout(judged: Study) -> None:
    encode = next(op for op in judged.program.ops if isinstance(op, Encode))
    points = bit_points(judged.program)
    assert [bit.name for bit in points] == list(bit_names(judged.program.columns, encode))
    assert {bit.column for bit in points} <= {column.name for column in judged.program.columns}


def test_speed_is_measured_on_every_row_given() -> None:
    seen: list[float] = []
    rows = np.arange(6, dtype=np.float32).reshape(6, 1)
    median, p99 = speed.measure_one_row(lambda row: seen.append(float(row[0])), rows, 12)
    assert set(seen) == set(range(6)) and 0 < median <= p99
    assert speed.measure_batch(lambda: None, 10, seconds=0.0) > 0


def test_likely_rows_vary_and_are_missing_only_where_the_program_knows_missing(
    judged: Study,
) -> None:
    rows = speed.likely_rows(judged.program, 500)
    assert rows.shape == (500, judged.program.n_columns) and rows.dtype == np.float32
    assert not np.isnan(rows).any()
    answers = bimetal.Engine(judged.program).run(rows)[:, 1]
    assert len(np.unique(answers)) > 5


def test_a_judged_model_is_found_by_its_name(judged: Study) -> None:
    found = judged.named("LightGBM")
    assert isinstance(found, Judged) and judged.named("nobody") is None
