"""Pages in a browser: Debian's chromium, driven by Playwright; axe-core looks at them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE = 60_000  # milliseconds: a busy machine is slow
LOOKS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]


@contextmanager
def started() -> Iterator[Any]:
    """Start a browser; without one, a test is skipped and says how to get it."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: uv sync"
    )
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visited(
    browser: Any, address: str, width: int = 1280, scheme: str = "light", height: int = 900
) -> Iterator[Any]:
    """Open a page of which nothing may complain, and which may ask for nothing from elsewhere."""
    view = {"width": width, "height": height}
    context = browser.new_context(viewport=view, color_scheme=scheme)
    page, said = context.new_page(), list[str]()
    page.set_default_timeout(PATIENCE)
    home = address.rpartition("/")[0]
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda r: r.url.startswith((home, "data:")) or said.append(r.url))
    page.goto(address)
    yield page
    context.close()
    assert said == []


def check_look(page: Any) -> None:
    """Labels, contrast and order of headings are as axe-core wants them; nothing sticks out."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="axe-playwright-python is not installed: uv sync",
    )
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


def until(page: Any, expression: str) -> None:
    """Wait for what a page's own policy lets nobody wait for within it."""
    for _ in range(PATIENCE // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {expression}")
