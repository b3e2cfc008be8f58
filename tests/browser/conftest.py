"""A real browser, if there is one, and a whole `dossier up` for it to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.installation import Installation

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser_path() -> str:
    found = os.environ.get("DOSSIER_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} on the path, and DOSSIER_BROWSER is not set")
    return found


@pytest.fixture(scope="session")
def watched(browser_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running installation with nothing in it; it is not started where there is no browser."""
    assert browser_path
    installation = Installation(Path(tmp_path_factory.mktemp("watched")))
    installation.up()
    yield installation
    installation.down()


@pytest.fixture
def context(browser_path: str, tmp_path: Path) -> Iterator[BrowserContext]:
    """A fresh browser, as wide as a small laptop."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=browser_path, args=ARGUMENTS, viewport={"width": 1280, "height": 900}
        )
        yield context
        context.close()


@pytest.fixture
def board(context: BrowserContext, watched: Installation) -> Iterator[Page]:
    """The board; the test fails if the page writes an error to the console."""
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(watched.status()["addresses"]["gateway"] + "/")
    yield page
    assert errors == []
