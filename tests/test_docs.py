"""The pages of docs/ that hold Python are run, block by block, as a reader would."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [p for p in sorted(DOCS.glob("*.md")) if "```python" in p.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_block_of_a_page_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, str(page), "exec"), names)
    assert capsys.readouterr().out


def test_the_page_on_training_names_every_method() -> None:
    from bimetal.nn import BINARIZERS, OPTIMIZERS, SURROGATES

    text = (DOCS / "training.md").read_text()
    names = [*BINARIZERS, *OPTIMIZERS, *(f.__name__ for f in SURROGATES)]
    assert [name for name in names if name not in text] == []


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+\.(?:md|svg|png|json))", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
