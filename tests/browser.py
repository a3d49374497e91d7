"""A real headless browser for tests; they are skipped, with a reason, where there is none.

`pip install playwright`, and Chromium: a system's own (`apt-get install chromium`) or `playwright install chromium`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def chromium() -> Iterator:
    """Playwright's browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser: pip install playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    installed = next(filter(None, map(shutil.which, names)), None)
    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path=installed, args=ARGUMENTS)
        except playwright.Error as error:
            pytest.skip(f"needs a browser: apt-get install chromium ({str(error).splitlines()[0][:200]})")
        yield browser
        browser.close()
