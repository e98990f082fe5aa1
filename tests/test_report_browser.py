"""The report in a real browser: pointer, buttons, narrow screens, and no script at all."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from run_records import page_of


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (apt install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    session = webdriver.Chrome(options=options, service=Service(driver))
    yield session
    session.quit()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page at a width, with or without scripts; returns the browser."""

    def go(name: str, width: int = 1200, scripts: bool = True):
        path = tmp_path / "report.html"
        path.write_text(page_of(name), encoding="utf-8")
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        browser.get(path.as_uri())
        return browser

    yield go
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def in_figure(browser, name, selector):
    return browser.find_elements("css selector", f"#{name} {selector}")


def shown_panels(browser, name):
    panels = in_figure(browser, name, ".panel")
    return [panel.get_attribute("data-scale") for panel in panels if panel.is_displayed()]


@pytest.mark.parametrize("name", ["regression", "classification", "hostile"])
def test_browser_opens_the_page_without_complaint_or_request(visit, name):
    browser = visit(name)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource')") == []
    assert browser.execute_script("return window.hacked") is None
    assert all(svg.size["height"] > 50 for svg in in_figure(browser, "spectrum", "svg")[:1])


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("regression", "spectrum"),
        ("regression", "ridge-flow"),
        ("regression", "predictions"),
        ("regression", "calibration"),
        ("classification", "predictions"),
        ("classification", "calibration"),
    ],
)
def test_pointer_on_a_data_point_shows_its_values(visit, name, figure):
    from selenium.webdriver import ActionChains

    browser = visit(name)
    panel = in_figure(browser, figure, ".panel")[0]
    svg = panel.find_element("css selector", "svg")
    data = panel.find_element("css selector", "script").get_attribute("textContent")
    points = json.loads(data)
    x, y, text = points[len(points) // 3]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    width, height = (float(part) for part in svg.get_dom_attribute("viewBox").split()[2:])
    box = svg.rect
    assert box["height"] / box["width"] == pytest.approx(height / width, rel=0.01)
    tip = browser.find_element("css selector", ".tip")
    assert not tip.is_displayed()
    # Selenium measures from the centre of the element.
    right, down = (x / width - 0.5) * box["width"], (y / height - 0.5) * box["height"]
    ActionChains(browser).move_to_element_with_offset(svg, round(right), round(down)).perform()
    assert tip.is_displayed()
    near = [p[2] for p in points if np.hypot(p[0] - x, p[1] - y) < 2]
    assert text in near
    assert tip.get_attribute("textContent") in near
    ActionChains(browser).move_to_element(browser.find_element("css selector", "h1")).perform()
    assert not tip.is_displayed()


def test_buttons_change_between_logarithmic_and_linear_axes(visit):
    browser = visit("regression")
    for figure in ("spectrum", "ridge-flow", "evidence-flow", "test-error-flow"):
        log, linear = in_figure(browser, figure, ".scales button")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", linear)
        assert shown_panels(browser, figure) == ["log"]
        linear.click()
        assert shown_panels(browser, figure) == ["linear"]
        assert linear.get_attribute("aria-pressed") == "true"
        assert log.get_attribute("aria-pressed") == "false"
        log.click()
        assert shown_panels(browser, figure) == ["log"]
    assert in_figure(browser, "predictions", ".scales") == []


def test_without_scripts_every_figure_is_there_and_no_dead_button(visit):
    browser = visit("regression", scripts=False)
    for figure in ("predictions", "calibration", "spectrum", "ridge-flow", "evidence-flow"):
        assert len(shown_panels(browser, figure)) == 1
    assert not any(b.is_displayed() for b in browser.find_elements("css selector", "button"))


@pytest.mark.parametrize("name", ["regression", "colour images", "hostile"])
def test_page_fits_a_phone(visit, name):
    browser = visit(name, width=400)
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= 400
    cards = browser.find_elements("css selector", ".numbers > div, figure, table")
    assert all(card.rect["x"] + card.rect["width"] <= 400 for card in cards)


def test_figures_do_not_share_ids_so_each_keeps_its_own_markers(visit):
    browser = visit("classification")
    clashes = browser.execute_script(
        "const ids = [...document.querySelectorAll('[id]')].map(e => e.id);"
        "return ids.length - new Set(ids).size"
    )
    assert clashes == 0
