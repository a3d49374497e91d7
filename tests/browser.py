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


def watched(page, *own: str) -> list[str]:
    """What a page does that it should not: a growing list of dialogs, errors, and requests of other addresses than its
    own, which are told by how they begin."""
    told: list[str] = []
    page.on("dialog", lambda dialog: (told.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda message: message.type == "error" and told.append(f"console {message.text}"))
    page.on("pageerror", lambda error: told.append(f"error {error}"))
    page.on("request", lambda request: request.url.startswith(own) or told.append(f"request {request.url[:80]}"))
    return told
