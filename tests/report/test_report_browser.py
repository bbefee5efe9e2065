"""Pages in a browser: what a user clicks and types, hostile texts, and that nothing is asked of a network."""

from __future__ import annotations

import json
import re

import pytest
from ase.io import read, write
from report_pages import Page
from report_runs import HOSTILE, made_up

from benchmarks.report.browser import opened as opened_page
from relax.analysis.report.api import report

pytestmark = pytest.mark.slow

MANY = 3000


@pytest.fixture(scope="module")
def pages(tmp_path_factory, path_file, hostile_file):
    """Return the pages: of a path, of many results and of hostile ones."""
    folder = tmp_path_factory.mktemp("pages")
    write(folder / "many.extxyz", [made_up(place) for place in range(MANY)])
    mode = made_up(0)
    mode.set_array("relax_mode", [[1.0, 0, 0], *([0.0, 0, 0] for _ in mode[1:])], float, (3,))
    write(folder / "mode.extxyz", [mode, made_up(1)])
    found = {"path": path_file, "hostile": hostile_file}
    found |= {name: folder / f"{name}.extxyz" for name in ("many", "mode")}
    for name, source in found.items():
        title = HOSTILE[0] if name == "hostile" else ""
        report(source, folder / f"{name}.html", title=title)
    return {name: folder / f"{name}.html" for name in found}


def opened(driver, path):
    """Open a page, and return the browser when all is drawn; what was logged before is forgotten."""
    driver.get_log("browser")
    driver.get_log("performance")
    opened_page(driver, path)
    return driver


@pytest.fixture
def show(chromium, pages):
    """Return a function that opens a page; at the end, nothing may have gone wrong or been asked for."""

    def shown(name):
        return opened(chromium, pages[name])

    yield shown
    told = [entry["message"] for entry in chromium.get_log("browser")]
    assert not [message for message in told if "GL Driver Message" not in message]
    assert not outside(chromium)


def outside(driver) -> list[str]:
    """Return the addresses that were asked for and are neither files nor in the page itself."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [each["params"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert sent
    urls = [each["request"]["url"] for each in sent]
    return [url for url in urls if not url.startswith(("file:///", "blob:", "data:"))]


def texts(driver, selector: str) -> list[str]:
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", selector
    )


def column(driver, name: str) -> list[str]:
    """Return the cells in sight of a column, by its title."""
    place = next(k for k, title in enumerate(texts(driver, ".grid thead th"), 1) if title.startswith(name))
    return texts(driver, f".grid tbody tr[role=row] td:nth-child({place})")


def readout(driver) -> dict[str, str]:
    return dict(zip(texts(driver, ".readout dt"), texts(driver, ".readout dd"), strict=True))


def picture(driver) -> bytes:
    """Return the structure as it is drawn."""
    return driver.find_element("css selector", ".viewer").screenshot_as_png


def click(driver, selector: str, place: int = 0) -> None:
    driver.execute_script("document.querySelectorAll(arguments[0])[arguments[1]].click()", selector, place)


def press(driver, selector: str, *keys: str) -> None:
    from selenium.webdriver.common.keys import Keys

    element = driver.find_element("css selector", selector)
    driver.execute_script("arguments[0].focus()", element)
    for key in keys:
        driver.switch_to.active_element.send_keys(getattr(Keys, key, key))


def test_the_slider_goes_along_the_path(show, path_file):
    driver, frames = show("path"), read(path_file, ":")
    last = len(frames) - 1
    assert readout(driver)["frame"] == str(last)
    press(driver, "#frame", "ARROW_LEFT", "ARROW_LEFT")
    assert readout(driver)["frame"] == str(last - 2)
    energy = f"{frames[last - 2].get_potential_energy():.4f}".replace("-", "\u2212")
    assert readout(driver)["energy, eV"] == energy
    assert energy in driver.find_element("id", "frame").get_attribute("aria-valuetext")
    end = picture(driver)
    click(driver, ".player button", 0)
    assert readout(driver)["frame"] == "0"
    assert picture(driver) != end
    press(driver, "#frame", "END")
    assert readout(driver)["frame"] == str(last)


def test_a_click_on_a_curve_shows_that_frame(show):
    from selenium.webdriver.common.action_chains import ActionChains

    driver = show("path")
    curve = driver.find_element("css selector", ".u-over")
    driver.execute_script("arguments[0].scrollIntoView()", curve)
    left = -curve.size["width"] // 2 + 2
    ActionChains(driver).move_to_element_with_offset(curve, left, 0).click().perform()
    assert readout(driver)["frame"] == "0"


def test_forces_and_numbers_are_drawn_when_asked_for(show):
    driver = show("path")
    click(driver, ".player button", 0)
    plain = picture(driver)
    click(driver, ".toggle input", 0)
    forces = picture(driver)
    click(driver, ".toggle input", 1)
    numbers = picture(driver)
    assert len({plain, forces, numbers}) == 3
    click(driver, ".toggle input", 1)
    click(driver, ".toggle input", 0)
    assert picture(driver) == plain


def test_the_structure_turns_by_keys(show):
    driver = show("path")
    press(driver, ".viewer", "0")
    before = picture(driver)
    press(driver, ".viewer", "ARROW_RIGHT", "+")
    assert picture(driver) != before
    press(driver, ".viewer", "0")
    assert picture(driver) == before


def test_the_table_sorts(show, pages):
    driver = show("many")
    rows = Page(pages["many"]).rows()
    assert len(texts(driver, ".grid tbody tr")) < 60  # of 3000
    head = next(k for k, title in enumerate(texts(driver, ".grid thead th")) if title == "calls")
    click(driver, ".grid thead button", head)
    calls = sorted(row["calls"] for row in rows)
    shown = [int(text) for text in column(driver, "calls")]
    assert shown == calls[: len(shown)]
    click(driver, ".grid thead button", head)
    assert [int(text) for text in column(driver, "calls")] == calls[::-1][: len(shown)]
    (sort,) = driver.find_elements("css selector", "[aria-sort=descending]")
    assert sort.text.startswith("calls")
    press(driver, ".pane", "END")
    assert [int(text) for text in column(driver, "calls")][-1] == calls[0]
    click(
        driver,
        ".grid thead button",
        next(k for k, t in enumerate(texts(driver, ".grid th")) if "before" in t),
    )
    assert column(driver, "space group before")[0] == "Pm-3m (221)"


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        ("H2O", lambda row: row["formula"] == "H2O"),
        ("calls>40", lambda row: row["calls"] > 40),
        ("max_steps calls<=9", lambda row: row["status"] == "max_steps" and row["calls"] <= 9),
        ("volume<-1.5", lambda row: row["volume"] is not None and row["volume"] < -1.5),
        ("#2999", lambda row: row["name"] == "in.extxyz#2999"),
        ("nothing of this", lambda row: False),
    ],
)  # fmt: skip
def test_the_table_filters(show, pages, words, fits):
    driver = show("many")
    driver.find_element("id", "search").send_keys(words)
    found = [row["name"] for row in Page(pages["many"]).rows() if fits(row)]
    assert texts(driver, "[role=status]") == [f"{len(found):,} of 3,000 rows"]
    shown = column(driver, "structure")
    assert shown == found[: len(shown)]


def test_statuses_filter_too(show, pages):
    driver = show("many")
    assert texts(driver, ".chip") == ["converged2,70090 %", "max_steps30010 %"]
    click(driver, ".chip", 1)
    assert set(column(driver, "status")) == {"max_steps"}
    assert texts(driver, "[role=status]") == ["300 of 3,000 rows"]
    assert driver.find_elements("css selector", ".chip")[1].get_attribute("aria-pressed") == "true"
    click(driver, ".chip", 1)
    assert texts(driver, "[role=status]") == ["3,000 of 3,000 rows"]


def test_arrow_keys_select_a_structure(show):
    driver = show("many")
    press(driver, ".pane", "ARROW_DOWN", "ARROW_DOWN", "ARROW_DOWN")
    assert texts(driver, ".detail h2") == ["in.extxyz#3"]
    (chosen,) = driver.find_elements("css selector", "[aria-selected=true]")
    assert chosen.text.startswith("in.extxyz#3")
    pane = driver.find_element("css selector", ".pane")
    assert pane.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    press(driver, ".pane", "END")
    assert texts(driver, ".detail h2") == ["in.extxyz#2999"]
    assert "fmax is 0.2 eV/A after 500 steps" in texts(driver, ".detail p")[0]


def test_the_soft_mode_moves(show):
    driver = show("mode")
    button = driver.find_element("css selector", ".detail .controls button")
    after = driver.find_elements("css selector", ".viewer")[1]
    still = after.screenshot_as_png
    driver.execute_script("arguments[0].click()", button)
    assert any(after.screenshot_as_png != still for _ in range(8))
    driver.execute_script("arguments[0].click()", button)
    assert after.screenshot_as_png == still
    press(driver, ".pane", "ARROW_DOWN")
    assert not button.is_displayed()


def test_dark_by_the_button_and_by_the_system(show):
    driver = show("path")

    def lightness():
        colour = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    light, drawn = lightness(), picture(driver)
    assert light > 200
    click(driver, "#theme")
    assert lightness() < 50
    assert picture(driver) != drawn
    assert texts(driver, "#theme") == ["Light"]
    click(driver, "#theme")
    assert lightness() == light
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        show("path")
        assert lightness() < 50
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_hostile_texts_are_shown_and_do_not_run(show, pages):
    driver = show("hostile")
    names = [row["name"] for row in Page(pages["hostile"]).rows()]
    assert texts(driver, "h1") == [HOSTILE[0]]
    assert column(driver, "structure") == names
    for _ in names:
        press(driver, ".pane", "ARROW_DOWN")
    assert texts(driver, ".detail h2") == names[-1:]
    driver.find_element("id", "search").send_keys("<img src=x onerror")
    assert column(driver, "structure") == [names[1]]
    assert driver.execute_script("return window.hostile === undefined")
    elements = "return document.querySelectorAll('img, svg, iframe, i, script[src]').length"
    assert driver.execute_script(elements) == 0


def test_everything_can_be_reached_by_tab(show):
    from selenium.webdriver.common.keys import Keys

    driver = show("path")
    names = set()
    for _ in range(25):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        active = driver.switch_to.active_element
        names.add(active.get_attribute("aria-label") or active.text or active.get_attribute("type"))
        outline = driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        assert active.tag_name == "body" or outline != "none"
    assert {"Play", "First frame", "Last frame", "Frame of the path", "Reset view", "checkbox"} <= names


def test_the_policy_holds(chromium, pages):
    driver = opened(chromium, pages["path"])
    driver.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.hostile = 1';"
        "document.body.append(script);"
        "const image = new Image(); image.src = 'http://127.0.0.1:9/a.png'; document.body.append(image);"
    )
    fetched = driver.execute_async_script(
        "fetch('http://127.0.0.1:9/').then(() => arguments[0]('sent'), (error) => arguments[0](error.name))"
    )
    assert fetched == "TypeError"
    assert driver.execute_script("return window.hostile === undefined")
    told = " ".join(entry["message"] for entry in driver.get_log("browser"))
    assert "script-src" in told
    assert "img-src" in told
    assert "connect-src" in told


WITHOUT_WEBGL = """
for (const kind of [HTMLCanvasElement, OffscreenCanvas]) {
  const before = kind.prototype.getContext;
  kind.prototype.getContext = function (name, ...more) {
    return name.startsWith("webgl") ? null : before.call(this, name, ...more);
  };
}
"""


def test_without_webgl_the_rest_is_there(show, chromium):
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WITHOUT_WEBGL})
    try:
        driver = show("many")
        assert all("No WebGL" in text for text in texts(driver, ".viewer"))
        press(driver, ".pane", "ARROW_DOWN")
        assert texts(driver, ".detail h2") == ["in.extxyz#1"]
        show("path")
        click(driver, ".player button", 0)
        assert readout(driver)["frame"] == "0"
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_one_frame_is_a_path_too(chromium, tmp_path):
    atoms = made_up(1)
    atoms.info = {}
    write(tmp_path / "one.traj", atoms)
    report(tmp_path / "one.traj", tmp_path / "one.html")
    driver = opened(chromium, tmp_path / "one.html")
    assert readout(driver)["frame"] == "0"
    assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
