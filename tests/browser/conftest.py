"""A real browser with a pretended camera, on the page with the tiny model."""

import shutil
from collections.abc import Iterator
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.visitors import new_visitor
from tests.ui.stage import Served, serve_page

LEFT_BEHIND = "signal is aborted without reason"
"""What the browser says of an answer that a reloaded page no longer waits for."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: of two processes one is busy with it while the other does the rest."""
    items.sort(key=lambda item: item.path.name != "test_train_browser.py")


@pytest.fixture(scope="package")
def served(tmp_path_factory) -> Iterator[Served]:
    with serve_page(tmp_path_factory.mktemp("browser")) as page:
        assert page.services.shelf.wait(120)
        yield page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        # no sandbox: continuous integration runs as root
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served) -> Iterator[Page]:
    """The first page, open. Fails if the browser asked anybody but this machine, or a script broke."""
    asked, broken = [], []
    with new_visitor(browser, permissions=["camera"]) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: broken.append(str(error)) if str(error) != LEFT_BEHIND else None)
        page.goto(served.url)
        page.get_by_text("What it cannot do").wait_for()
        yield page
    strangers = [url for url in asked if urlparse(url).hostname not in ("127.0.0.1", None)]
    assert asked and strangers == [] and broken == []
