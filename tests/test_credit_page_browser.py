"""The page in a headless Chromium, at the sizes of a phone and a tablet, in light and in dark."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from credit_models import toy_model, toy_program, toy_rows
from devtools import Browser, browser, served

from bimetal.columns import Column
from bimetal.export.clang import CLANG
from bimetal.export.js.browser import CHROMIUM
from bimetal.export.wasm.build import LINKER
from bimetal.finance.credit.model import CreditModel
from bimetal.finance.credit.page.settings import PageSettings
from bimetal.finance.credit.page.verify import verify_result
from bimetal.finance.credit.page.writer import page_files, single_page, write_page
from bimetal.finance.credit.policy import Policy

pytestmark = pytest.mark.skipif(CHROMIUM.find() is None, reason="chromium is not here")
MODEL = toy_model(0)
ENGINE = "WebAssembly" if CLANG.find() and LINKER.find() else "JavaScript"
SETTINGS = PageSettings(title="Car loan", lender="Example Bank", verify_url="/results")
TITLES = {"approve": "Approved", "refer": "A person will decide", "decline": "Not approved"}


def applicants(decision: str) -> list[Any]:
    """Rows of people whom the model decides on so."""
    rows = toy_rows(MODEL.program, 400, 7)
    is_plain = (
        ~np.isnan(rows).any(axis=1) & (rows[:, 1] >= 18) & (rows[:, 1] <= 110) & (rows[:, 0] > 0)
    )
    rows = rows[is_plain & (rows[:, -1] >= 0) & (rows[:, -2] > 0)]
    return list(rows[MODEL.assess(rows).decision == decision])


def texts(row: Any) -> list[str]:
    """What is typed or chosen for each column."""
    numbers = [f"{value:.1f}" for value in row[:-1].tolist()]
    return [*numbers, str(MODEL.program.columns[-1].categories[int(row[-1])])]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: Any) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as held:
        yield held


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    where = tmp_path_factory.mktemp("page")
    write_page(MODEL, where, SETTINGS)
    return where


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    with served(folder) as found:
        yield found


def answer(page: Browser, row: Any) -> None:
    """Fill in the form by keyboard alone, and send it off with Enter."""
    page.run("document.querySelector('#form input').focus()")
    for j, text in enumerate(texts(row)):
        page.wait(f"document.activeElement.id === 'field-{j}'")
        if j == len(row) - 1:
            for _ in range(int(row[-1]) + 1):  # behind "Choose"
                page.press("ArrowDown")
            assert page.run("document.activeElement.selectedOptions[0].text") == text
        else:
            page.run("document.activeElement.select()")
            page.write(text)
            page.press("Tab")
            if page.run("document.activeElement.id").endswith("-instead"):
                page.press("Tab")
    page.press("Tab")
    assert page.run("document.activeElement.type") == "submit"
    page.press("Enter")
    page.wait("document.activeElement.id === 'result-title'")


def shown(page: Browser, selector: str) -> list[str]:
    """The visible text of all elements of a selector."""
    code = f"[...document.querySelectorAll('{selector}')].filter((e) => e.checkVisibility()).map((e) => (e.innerText ?? e.textContent).trim())"
    found: list[str] = page.run(code)
    return found


@pytest.mark.parametrize(
    ("size", "scheme"), list(itertools.product(("phone", "tablet"), ("light", "dark")))
)
@pytest.mark.parametrize("decision", ["approve", "decline"])
def test_an_application_is_filled_in_scored_and_read(
    chromium: Browser, site: Any, size: str, scheme: str, decision: str
) -> None:
    chromium.new_page()
    chromium.look(size, scheme)
    chromium.open(site[0] + "/")
    assert chromium.run("document.documentElement.dataset.ready") == ENGINE
    row = applicants(decision)[0]
    answer(chromium, row)
    ours, said = MODEL.assess(row[None]), shown(chromium, "#outcome")[0]
    assert shown(chromium, "#result-title") == [TITLES[decision]]
    score = f"{ours.score[0]:,.2f}".rstrip("0").rstrip(".")
    assert shown(chromium, ".dial .score") == [score]
    assert TITLES[decision] in chromium.run("document.querySelector('#live').textContent")
    reasons = [reason.text for reason in MODEL.reasons(row[None])[0]]
    assert shown(chromium, ".reasons .text") == reasons and len(reasons) <= 4
    found = MODEL.counterfactuals(row, max_changes=2).counterfactuals
    assert len(shown(chromium, ".option")) == len(found)
    assert f"{100 * float(ours.probability[0]):.1f} %" in said
    is_phone = size == "phone"
    assert chromium.run("document.querySelector('#answers').checkVisibility()") is not is_phone
    assert chromium.complaints() == []


def test_the_way_back_on_a_phone_is_the_browsers_own(chromium: Browser, site: Any) -> None:
    chromium.look("phone")
    chromium.open(site[0] + "/")
    answer(chromium, applicants("decline")[0])
    chromium.run("history.back()")
    chromium.wait("document.documentElement.dataset.view === 'form'")
    assert (
        chromium.run("document.querySelector('#field-0').value")
        == texts(applicants("decline")[0])[0]
    )


def test_what_is_wrong_is_said_in_words_and_reached_by_keyboard(
    chromium: Browser, site: Any
) -> None:
    chromium.look("phone")
    chromium.open(site[0] + "/")
    chromium.run("document.querySelector('#form').requestSubmit()")
    assert chromium.run("document.activeElement.id") == "summary"
    n = len(MODEL.program.columns)
    assert shown(chromium, "#summary h3") == [f"{n} answers need another look"]
    chromium.press("Tab")
    chromium.press("Enter")
    assert chromium.run("document.activeElement.id") == "field-0"
    wrong = {
        "seventeen": "Enter a number in digits",
        "1,500": "could mean two numbers",
        "17": "Must be between 18 and 110",
    }
    for text, words in wrong.items():
        chromium.run("document.querySelector('#field-1').focus()")
        chromium.run("document.activeElement.select()")
        chromium.write(text)
        chromium.press("Tab")
        [said] = chromium.run("[document.querySelector('#error-1').textContent]")
        assert words in said
        assert (
            chromium.run("document.querySelector('#field-1').getAttribute('aria-invalid')")
            == "true"
        )
    assert not shown(chromium, "#outcome")


def test_an_answer_changed_afterwards_makes_the_result_old(chromium: Browser, site: Any) -> None:
    chromium.look("tablet")
    chromium.open(site[0] + "/")
    answer(chromium, applicants("approve")[0])
    chromium.run("document.querySelector('#field-0').focus()")
    chromium.write("1")
    assert chromium.run("document.querySelector('#outcome').classList.contains('old')")


def test_missing_values_and_special_codes_can_be_chosen_where_the_model_knows_them(
    chromium: Browser, site: Any
) -> None:
    chromium.look("phone")
    chromium.open(site[0] + "/")
    options = "[...document.querySelectorAll('#field-4-instead option')].map((o) => o.textContent)"
    assert chromium.run(options) == ["Number", "code -9", "Unknown"]
    assert chromium.run("document.querySelectorAll('.instead').length") == 1
    row = applicants("decline")[0].copy()
    answer(chromium, row)
    for value, choice in ((np.nan, "missing"), (-9.0, "5")):
        row[4] = value
        k = next(i for i, b in enumerate(MODEL.form.columns[4].bins) if b.kind == "special")
        chosen = choice if choice == "missing" else str(k)
        chromium.run(
            f"(() => {{ const s = document.querySelector('#field-4-instead'); s.value = '{chosen}'; s.dispatchEvent(new Event('change')); }})()"
        )
        assert chromium.run("document.querySelector('#field-4').disabled")
        chromium.run("document.querySelector('#form').requestSubmit()")
        score = f"{MODEL.assess(row[None]).score[0]:,.2f}".rstrip("0").rstrip(".")
        assert shown(chromium, ".dial .score") == [score]


def test_a_signed_result_is_sent_only_when_asked_and_verifies(chromium: Browser, site: Any) -> None:
    address, said = site
    chromium.look("phone")
    chromium.open(address + "/")
    row = applicants("decline")[1]
    answer(chromium, row)
    chromium.run("(document.querySelector('.receipt').open = true)")
    chromium.run("document.querySelector('.receipt').ready")
    assert said == []
    chromium.run(
        "[...document.querySelectorAll('.receipt button')].find((b) => b.textContent.startsWith('Send')).click()"
    )
    chromium.wait("document.querySelector('.said').textContent.startsWith('Sent')")
    found = verify_result(MODEL, said[-1])
    assert found.points == MODEL.points(row[None])[0] and found.values is None
    chromium.run("document.querySelector('#with-values').click()")
    chromium.wait("JSON.parse(document.querySelector('.receipt pre').textContent).values !== ''")
    with_values = verify_result(
        MODEL, chromium.run("document.querySelector('.receipt pre').textContent")
    )
    assert with_values.values is not None
    assert [str(v) for v in with_values.values.values()][-1] == texts(row)[-1]
    assert with_values.device_key_thumbprint == found.device_key_thumbprint
    assert with_values.nonce != found.nonce


def test_the_key_of_the_device_stays_and_cannot_be_read_out(chromium: Browser, site: Any) -> None:
    chromium.look("phone")
    code = """(async () => {
      const { deviceKeys, thumbprint } = await import("./signing.js");
      const { keys, isKept } = await deviceKeys();
      const told = await crypto.subtle.exportKey("pkcs8", keys.privateKey).then(() => "read out", (e) => e.name);
      return [isKept, told, await thumbprint(await crypto.subtle.exportKey("jwk", keys.publicKey))];
    })()"""
    first = []
    for _ in range(2):
        chromium.open(site[0] + "/")
        first.append(chromium.run(code))
    assert first[0] == first[1] and first[0][:2] == [True, "InvalidAccessError"]


def ready_offline(page: Browser) -> None:
    page.wait("navigator.serviceWorker.controller")


def test_without_a_network_it_loads_and_scores(chromium: Browser, folder: Path) -> None:
    chromium.look("phone")
    with served(folder) as (address, _):
        chromium.open(address + "/")
        ready_offline(chromium)
        names = chromium.run("caches.keys()")
        assert any(MODEL.file_hash in name for name in names)
    chromium.tell("Page.reload")  # nobody serves this address any more
    chromium.wait("document.documentElement.dataset.ready")
    row = applicants("decline")[0]
    answer(chromium, row)
    assert shown(chromium, "#result-title") == ["Not approved"]


def test_a_new_version_waits_until_it_is_asked_for_and_a_broken_one_is_never_taken(
    chromium: Browser, tmp_path: Path
) -> None:
    chromium.look("phone")
    write_page(MODEL, tmp_path, SETTINGS, "js")
    with served(tmp_path) as (address, _):
        chromium.open(address + "/")
        ready_offline(chromium)
        other = toy_model(1)
        new = page_files(other, SETTINGS, "js")
        (tmp_path / "sw.js").write_bytes(new["sw.js"])  # the upload stops half way
        update = "navigator.serviceWorker.getRegistration().then((r) => r.update()).then(() => 'taken', () => 'refused')"
        chromium.run(update)
        chromium.run("new Promise((done) => setTimeout(done, 300))")
        assert not chromium.run("document.querySelector('#renewed').checkVisibility()")
        chromium.open(address + "/")
        assert MODEL.id in chromium.run("document.querySelector('#about').textContent")
        for name, content in new.items():
            (tmp_path / name).write_bytes(content)
        chromium.run(update)
        chromium.wait("document.querySelector('#renewed').checkVisibility()")
        assert MODEL.id in chromium.run("document.querySelector('#about').textContent")
        chromium.run("document.querySelector('#renew').click()")
        chromium.wait(f"document.querySelector('#about')?.textContent.includes('{other.id}')")
        assert (
            len(
                chromium.run("caches.keys().then((names) => names.filter((n) => n.includes('/-')))")
            )
            == 1
        )


def test_a_page_whose_arithmetic_fails_its_proofs_gives_no_score(
    chromium: Browser, tmp_path: Path
) -> None:
    chromium.look("phone")
    files = page_files(MODEL, SETTINGS, "js")
    good = files["explain.js"]
    for spoilt in (
        {"explain.js": good.replace(b"let points = form.bias;", b"let points = form.bias + 1;")},
        {
            "explain.js": good.replace(
                b"return denominator / times;", b"return 2 * denominator / times;"
            )
        },
        {"scorer.js": files["scorer.js"].replace(b'GOLDEN_Y = "', b'GOLDEN_Y = "AAAA')},
    ):
        for name, content in (files | spoilt).items():
            (tmp_path / name).write_bytes(content)
        with served(tmp_path) as (address, _):
            chromium.open(address + "/")
            assert shown(chromium, "#trouble h2") == ["This page does not calculate on this device"]
            assert not shown(chromium, "#answers") and not shown(chromium, "#outcome")


@pytest.mark.skipif(ENGINE == "JavaScript", reason="clang and wasm-ld are not here")
def test_where_webassembly_is_forbidden_javascript_scores(
    chromium: Browser, tmp_path: Path
) -> None:
    chromium.look("phone")
    files = page_files(MODEL, SETTINGS)
    files["index.html"] = files["index.html"].replace(b" &#x27;wasm-unsafe-eval&#x27;", b"")
    files["headers.json"] = b"{}"
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with served(tmp_path) as (address, _):
        chromium.open(address + "/")
        assert chromium.run("document.documentElement.dataset.ready") == "JavaScript"
        assert "JavaScript, on this device" in chromium.run(
            "document.querySelector('#about').textContent"
        )


def test_one_file_scores_from_a_folder(chromium: Browser, tmp_path: Path) -> None:
    chromium.new_page()
    chromium.look("phone")
    path = tmp_path / "credit.html"
    path.write_bytes(single_page(MODEL, PageSettings(title="Car loan")))
    chromium.open(path.as_uri())
    assert chromium.run("document.documentElement.dataset.ready") == ENGINE
    answer(chromium, applicants("decline")[0])
    assert shown(chromium, "#result-title") == ["Not approved"]
    chromium.run("document.querySelector('.receipt').ready")
    verify_result(MODEL, chromium.run("document.querySelector('.receipt pre').textContent"))
    assert chromium.complaints() == []


HOSTILE = (
    "</script><script>globalThis.broken = 1</script>",
    "<img src=x onerror='globalThis.broken = 1'>",
    '"><b>',
    "__proto__",
    "{{scripts}} \u2028 \\u003c/script>",
    "‮right to left \U0001f4b0 ${broken}",
)


def hostile_model() -> Any:
    """A model every name and text of which means harm."""
    program = toy_program(0)
    columns = [
        Column(name, c.kind, c.categories) for name, c in zip(HOSTILE, program.columns, strict=True)
    ]
    columns[-1] = Column(HOSTILE[5], "category", HOSTILE[:3])
    made = replace(program, columns=tuple(columns))
    policy = MODEL.policy
    texts_of = dict(zip(HOSTILE, HOSTILE[::-1], strict=True))
    given = Policy(
        name=HOSTILE[0],
        cutoff=policy.cutoff,
        references=policy.references,
        texts=texts_of,
        codes=texts_of,
    )
    return CreditModel(made, given)


@pytest.mark.parametrize("is_single", [False, True], ids=["folder", "one file"])
def test_hostile_names_and_texts_are_only_text(
    chromium: Browser, tmp_path: Path, is_single: bool
) -> None:
    model = hostile_model()
    settings = PageSettings(
        title=HOSTILE[0], lender=HOSTILE[1], notice=HOSTILE[4],
        labels=dict(zip(HOSTILE, HOSTILE, strict=True)), hints=dict(zip(HOSTILE, HOSTILE[::-1], strict=True)),
        units={HOSTILE[0]: HOSTILE[2]}, sections={HOSTILE[2]: HOSTILE[:2]},
        categories={HOSTILE[5]: dict(zip(HOSTILE[:3], HOSTILE[3:], strict=True))},
        example=dict(zip(HOSTILE[:5], [10.0] * 5, strict=True)) | {HOSTILE[5]: HOSTILE[0]},
    )  # fmt: skip
    chromium.new_page()
    chromium.look("phone")
    write_page(model, tmp_path, settings)
    (tmp_path / "one.html").write_bytes(single_page(model, settings))
    with served(tmp_path) as (address, _):
        chromium.open((tmp_path / "one.html").as_uri() if is_single else address + "/")
        assert chromium.run("document.documentElement.dataset.ready") == ENGINE
        assert (
            chromium.run("[document.querySelector('h1').textContent, document.title]")[0]
            == HOSTILE[0]
        )
        chromium.run("document.querySelector('#example').click()")
        chromium.run("document.querySelector('#form').requestSubmit()")
        row = np.array([10, 10, 10, 10, 10, 0], np.float32)
        assert shown(chromium, "#result-title") == [
            TITLES[str(model.assess(row[None]).decision[0])]
        ]
        reasons = chromium.run(
            "[...document.querySelectorAll('.reasons .text')].map((e) => e.textContent)"
        )
        assert reasons == [r.text for r in model.reasons(row[None])[0]]
        chromium.run("document.querySelector('#with-values').click()")
        chromium.wait(
            "JSON.parse(document.querySelector('.receipt pre').textContent).values !== ''"
        )
        said = verify_result(
            model, chromium.run("document.querySelector('.receipt pre').textContent")
        )
        assert set(said.values or ()) == set(HOSTILE)
        assert (
            chromium.run("globalThis.broken") is None
            and chromium.run("document.images.length") == 0
        )
        assert chromium.complaints() == []


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(folder: Path) -> None:
    for path in folder.iterdir():
        text = path.read_bytes()
        links = [part for part in text.split(b"http")[1:] if part[:3] in (b"://", b"s:/")]
        others = [
            p for p in links if not p.startswith((b"://www.w3.org/2000/svg", b"://www.w3.org/1999"))
        ]
        assert not others, path.name
    index = (folder / "index.html").read_text()
    policy = json.loads((folder / "headers.json").read_text())["Content-Security-Policy"]
    assert "unsafe-inline" not in policy and "'unsafe-eval'" not in policy
    assert " style=" not in index and " onclick=" not in index and "<style" not in index
