"""How long a page takes to open, in a browser without a window and without a graphics card."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from relax.analysis.comparison.files.results_file import Json

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-unsafe-swiftshader",
)  # fmt: skip

WATCH = """
window.times = {};
new MutationObserver(() => {
  const main = document.getElementById("main");
  if (!main) return;
  if (main.getAttribute("aria-busy") === "false") window.times.shown ??= performance.now();
  if (main.dataset.drawn !== undefined) window.times.drawn ??= performance.now();
}).observe(document, { subtree: true, childList: true, attributes: true });
"""
"""Notes when the page shows its table, and when the structures are drawn too, ms after it was asked for."""

LONGEST = 300.0
"""Seconds until a page that does not open is given up."""


def started(size: tuple[int, int] = (1440, 900), logged: bool = False) -> Any:
    """Return the browser, with a window of so many pixels; close it with ``quit``.

    Parameters
    ----------
    size
        Width and height of the window, px.
    logged
        Whether its console and its requests can be asked for, as the logs ``browser`` and ``performance``.

    Raises
    ------
    ValueError
        It is not installed.
    """
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        raise ValueError("chromium and chromedriver are not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    os.environ["SE_OFFLINE"] = "true"
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    more = (f"--user-data-dir={tempfile.mkdtemp()}", f"--window-size={size[0]},{size[1]}")
    for option in (*OPTIONS, *more):
        options.add_argument(option)
    if logged:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    driver.set_page_load_timeout(LONGEST)
    driver.set_script_timeout(LONGEST)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    return driver


def opened(driver: Any, path: Path) -> Json:
    """Open a page; return after how many seconds its table is shown, and the structures are drawn.

    Raises
    ------
    ValueError
        It takes too long.
    """
    driver.get(path.resolve().as_uri())
    until = time.monotonic() + LONGEST
    while "drawn" not in (times := driver.execute_script("return window.times")):
        if time.monotonic() > until:
            raise ValueError(f"{path} does not open in {LONGEST:g} s")
        time.sleep(0.05)
    return {name: value / 1e3 for name, value in times.items()}
