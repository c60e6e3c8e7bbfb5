"""The page for people who see little, use a thumb, a keyboard or a screen reader; and narrow screens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from credit_models import toy_model
from devtools import Browser, browser, served
from test_credit_page_browser import SETTINGS, answer, applicants

from bimetal.export.js.browser import CHROMIUM
from bimetal.finance.credit.page.writer import write_page

pytestmark = pytest.mark.skipif(CHROMIUM.find() is None, reason="chromium is not here")
LOOKS = (Path(__file__).parent / "credit_page_looks.mjs").read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory: Any) -> Iterator[tuple[Browser, str]]:
    folder = tmp_path_factory.mktemp("page")
    write_page(toy_model(0), folder, SETTINGS, "js")
    with served(folder) as (address, _), browser(tmp_path_factory.mktemp("profile")) as held:
        yield held, address + "/"


def states(held: Browser, address: str) -> Iterator[str]:
    """The page as it is opened, with all fields wrong, and with each decision, everything unfolded."""
    held.open(address)
    yield "opened"
    held.run("document.querySelector('#form').requestSubmit()")
    yield "wrong"
    for decision in ("approve", "decline"):
        held.open(address)
        answer(held, applicants(decision)[0])
        held.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        held.run("document.querySelector('.receipt').ready")
        yield decision
    held.run("document.querySelector('#outcome').classList.add('old')")
    yield "old"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "tablet"])
def test_contrast_is_aa_targets_have_44_pixels_and_nothing_is_cut_off(
    page: tuple[Browser, str], size: str, scheme: str
) -> None:
    held, address = page
    held.look(size, scheme)
    for state in states(held, address):
        looks = held.run(LOOKS)
        assert looks["pale"] == [], state
        assert looks["small"] == [], state
        assert not looks["isWide"] and looks["repeated"] == [], state
        steps = zip(looks["headings"], looks["headings"][1:], strict=False)
        assert looks["headings"][0] == 1 and all(b - a <= 1 for a, b in steps), state


def test_what_looks_for_pale_text_and_small_targets_finds_them(page: tuple[Browser, str]) -> None:
    held, address = page
    held.look("phone")
    held.open(address)
    held.run("document.documentElement.style.setProperty('--soft', '#b0b0b0')")
    held.run("document.querySelector('#field-0').style.setProperty('min-height', '20px')")
    held.run("document.querySelector('#field-0').style.setProperty('padding', '0')")
    held.run("document.body.style.setProperty('width', '900px')")
    looks = held.run(LOOKS)
    assert looks["pale"] and looks["small"] and looks["isWide"]


def test_the_narrowest_phone_needs_no_sideways_scrolling(page: tuple[Browser, str]) -> None:
    held, address = page
    held.look("phone")
    held.tell(
        "Emulation.setDeviceMetricsOverride",
        width=320,
        height=568,
        deviceScaleFactor=2,
        mobile=True,
    )
    for state in states(held, address):
        assert not held.run(LOOKS)["isWide"], state


def test_all_that_can_be_reached_has_a_name_and_wrong_fields_say_why(
    page: tuple[Browser, str],
) -> None:
    held, address = page
    held.look("phone")
    for state in states(held, address):
        nodes = held.tell("Accessibility.getFullAXTree")["nodes"]
        for node in nodes:
            given = {p["name"]: p["value"].get("value") for p in node.get("properties", ())}
            role = node.get("role", {}).get("value")
            if (
                given.get("focusable")
                and not node.get("ignored")
                and role not in ("RootWebArea", "main")
            ):
                assert node.get("name", {}).get("value"), (state, node)
        if state == "wrong":
            fields = [n for n in nodes if n.get("role", {}).get("value") == "textbox"]
            told = [n.get("description", {}).get("value", "") for n in fields]
            assert fields and all("Enter a number" in words for words in told)


def test_the_result_and_its_dial_are_told_to_a_screen_reader(page: tuple[Browser, str]) -> None:
    held, address = page
    held.look("phone")
    held.open(address)
    answer(held, applicants("decline")[0])
    dial = held.run("document.querySelector('.dial').getAttribute('aria-label')")
    assert dial.startswith("Score ") and "Approved from" in dial
    live = held.run(
        "[document.querySelector('#live').getAttribute('aria-live'), document.querySelector('#live').textContent]"
    )
    assert live[0] == "polite" and "Principal reason" in live[1]


def test_motion_stops_where_it_is_not_wanted(page: tuple[Browser, str]) -> None:
    held, address = page
    held.look("phone")
    held.open(address)
    answer(held, applicants("approve")[0])
    assert held.run("getComputedStyle(document.querySelector('.needle')).transitionDuration") in (
        "0s",
        "",
    )
