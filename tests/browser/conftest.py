"""A headless Chromium of this machine, and pages opened in it that may ask for nothing from outside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fsbench.report import pdf

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the group dev")

COPIED = "window.copied = ''; navigator.clipboard.writeText = async (text) => { window.copied = text; };"


@dataclass
class Opened:
    """A page, and what it did that it should not."""

    page: playwright.Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def refuse(self, box: playwright.Dialog) -> None:
        """Close a box that the page puts up."""
        self.errors.append(f"a box says {box.message}")
        box.dismiss()

    @property
    def copied(self) -> str:
        """What was copied last."""
        return str(self.page.evaluate("window.copied"))


OpenPage = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[playwright.Browser]:
    """The browser of all tests."""
    program = pdf.chromium()
    if program is None:
        pytest.skip("needs Chromium or Chrome: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield started
        started.close()


@pytest.fixture
def opened(browser: playwright.Browser) -> Iterator[OpenPage]:
    """Open a file: opened(path, width=1280, dark=False, script=True)."""
    contexts = []

    def open_page(path: Path, width: int = 1280, dark: bool = False, script: bool = True) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
        )
        contexts.append(context)
        context.add_init_script(COPIED)
        shown = Opened(context.new_page())
        shown.page.set_default_timeout(5000)
        shown.page.on("pageerror", lambda error: shown.errors.append(str(error)))
        shown.page.on("console", lambda said: shown.errors.append(said.text) if said.type != "log" else None)
        shown.page.on("request", lambda request: shown.requests.append(request.url))
        shown.page.on("dialog", shown.refuse)
        shown.page.goto(path.resolve().as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()
