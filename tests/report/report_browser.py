"""A browser without a window."""

from __future__ import annotations

import shutil
import time

import pytest


def browser(tmp_path, *options: str):
    """Return a browser without a window, which tells its console and its requests."""
    selenium = pytest.importorskip("selenium", reason="needs selenium")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("needs chromium and chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    assert selenium
    found = webdriver.ChromeOptions()
    found.binary_location = programs[0]
    for option in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--enable-unsafe-swiftshader", "--window-size=1400,1000", f"--user-data-dir={tmp_path}", *options,
    ):  # fmt: skip
        found.add_argument(option)
    found.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=found, service=Service(programs[1]))
    driver.set_page_load_timeout(240)
    driver.set_script_timeout(240)
    return driver


def opened(driver, path):
    """Open a page, and return the browser when all is drawn."""
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get(path.as_uri())
    until = time.monotonic() + 240
    while driver.execute_script("return document.getElementById('main').dataset.drawn") is None:
        assert time.monotonic() < until, driver.get_log("browser")
        time.sleep(0.05)
    return driver
