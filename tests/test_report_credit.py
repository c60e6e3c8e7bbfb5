"""The pages of validation and monitoring: whole in themselves, safe whatever names say, blank where people write."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from credit_samples import a_frame, a_model, a_sample

from bimetal.columns import Column
from bimetal.errors import MissingExtraError
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.monitoring import monitor
from bimetal.finance.credit.validation import HEADINGS, ValidationPack, validate
from bimetal.report import credit_plots, theme
from bimetal.report.monitoring import write_monitoring
from bimetal.report.validation import CAPTIONS, write_validation

HOSTILE = '<script>alert("x")</script> $\\frac{$ {{ 7*7 }}'


@pytest.fixture(autouse=True, scope="module")
def coarse() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theme, "DPI", 40)
        yield


def hostile_model() -> CreditModel:
    """A toy model whose first column, category and texts are made to break out of a page."""
    model = a_model(jurisdiction="eu")
    columns = [Column(HOSTILE) if c.name == "income" else c for c in model.program.columns]
    columns[-1] = Column("housing", "category", (HOSTILE, "rent", "other's"))
    policy = replace(
        model.policy, name=HOSTILE, texts={}, codes={}, limits={}, immutable=(), trends={HOSTILE: 1}
    )
    return CreditModel(replace(model.program, columns=tuple(columns)), policy)


@pytest.fixture(scope="module")
def packs() -> tuple[ValidationPack, Any]:
    model, plain = hostile_model(), a_model()

    def sample(seed: int) -> Any:
        frame, y = a_sample(plain, 700, seed)
        frame = frame.rename(columns={"income": HOSTILE})
        return frame.assign(housing=frame["housing"].replace("own", HOSTILE)), y

    frame, y = sample(0)
    frame["sex"] = np.where(frame["sex"] == "f", HOSTILE, "m")

    class Rival:
        def predict_proba(self, table: Any) -> Any:
            return np.full((len(table), 2), 0.5) + np.random.default_rng(0).random(
                (len(table), 1)
            ) * [[-0.1, 0.1]]

    pack = validate(
        model, frame, y, development=sample(1), dates=frame["date"], ids=frame["id"], groups=["sex"],
        challengers={HOSTILE: Rival()}, stresses=[f"{HOSTILE}=-20%"], statements={"conclusion": HOSTILE},
        n_resamples=20,
    )  # fmt: skip
    return pack, monitor(model, sample(1), frame, y)


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
def pages(packs: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        "validation": write_validation(packs[0], folder / "v"),
        "monitoring": write_monitoring(packs[1], folder / "m"),
    }


@pytest.mark.parametrize("name", ["validation", "monitoring"])
def test_a_page_needs_nothing_but_itself(pages: dict[str, Path], name: str) -> None:
    page = pages[name].read_text()
    tags = Tags(page)
    addresses = [v for _, a in tags.found for k, v in a.items() if k in ("src", "href", "srcset")]
    assert addresses and all(v.startswith(("data:image/png;base64,", "#")) for v in addresses if v)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags.found}
    assert "default-src 'none'" in page and not re.search(r"url\(|@import", page)


@pytest.mark.parametrize("name", ["validation", "monitoring"])
def test_hostile_names_are_shown_as_they_are(pages: dict[str, Path], name: str) -> None:
    page = pages[name].read_text()
    assert (
        "<script" not in page and HOSTILE in Tags(page).text and "49" not in Tags(page).text[:400]
    )


@pytest.mark.parametrize("name", ["validation", "monitoring"])
def test_pictures_come_for_paper_and_for_slate(pages: dict[str, Path], name: str) -> None:
    tags = Tags(pages[name].read_text()).found
    dark = [a["srcset"] for tag, a in tags if tag == "source"]
    light = [a["src"] for tag, a in tags if tag == "img"]
    plots = {
        "validation": credit_plots.VALIDATION_PLOTS,
        "monitoring": credit_plots.MONITORING_PLOTS,
    }[name]
    assert len(dark) == len(light) == len(plots) and not set(dark) & set(light)
    assert all(a["alt"] for tag, a in tags if tag == "img")


def test_every_plot_has_a_caption() -> None:
    plots = (*credit_plots.VALIDATION_PLOTS, *credit_plots.MONITORING_PLOTS)
    assert {p.__name__ for p in plots} == set(CAPTIONS)


def test_every_heading_is_there_in_order_and_every_link_leads_somewhere(
    pages: dict[str, Path],
) -> None:
    tags = Tags(pages["validation"].read_text()).found
    assert [a["id"] for tag, a in tags if tag == "h2" and "id" in a] == list(HEADINGS)
    assert {a["href"] for tag, a in tags if tag == "a"} <= {f"#{key}" for key in HEADINGS}


def test_blank_fields_stay_blank_and_are_seen(pages: dict[str, Path], packs: Any) -> None:
    page = pages["validation"].read_text()
    n_blank = sum(not f["text"] for f in packs[0].facts["statements"])
    assert page.count("to be filled in by people") == n_blank == 16
    assert page.count('class="said"') == 1


def test_the_json_beside_the_page_is_the_pack(pages: dict[str, Path], packs: Any) -> None:
    read = json.loads((pages["validation"].parent / "report.json").read_text())
    assert read == packs[0].facts
    seen = json.loads((pages["monitoring"].parent / "monitoring.json").read_text())
    assert seen == packs[1].facts


def test_shown_figures_are_those_of_the_pack(pages: dict[str, Path], packs: Any) -> None:
    text = Tags(pages["validation"].read_text()).text
    measures = packs[0].facts["outcomes"]["discrimination"]["measures"]
    for key in ("auc", "ks", "h"):
        assert f"{measures[key]['value']:.4f}" in text
    assert packs[0].facts["lineage"]["model_id"] in text
    assert all(f["text"] in text for f in packs[0].findings)


def test_a_bare_pack_and_bare_monitoring_say_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        credit_plots, "VALIDATION_PLOTS", (credit_plots.stability, credit_plots.rivals)
    )
    monkeypatch.setattr(credit_plots, "MONITORING_PLOTS", (credit_plots.held,))
    model = a_model()
    frame, y = a_sample(model, 400)
    page = write_validation(validate(model, frame, y, n_resamples=20), tmp_path).read_text()
    assert page.count("Not computed:") >= 4 and "No shocks were stated" in page
    assert "The policy promises no trends" in page
    seen = write_monitoring(monitor(model, frame, a_frame(model, 300, 1)), tmp_path).read_text()
    assert "no outcomes were given" in seen


def test_without_matplotlib_the_extra_is_named(
    packs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*args: Any) -> None:
        raise ModuleNotFoundError("no matplotlib", name="matplotlib")

    monkeypatch.setattr(credit_plots, "drawn_png", absent)
    with pytest.raises(MissingExtraError, match=r"bimetal\[report\]"):
        write_validation(packs[0], tmp_path)
    assert not list(tmp_path.iterdir())
