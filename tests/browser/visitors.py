"""Browsers of their own: nothing is shared between two visitors but the app."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect

LONGEST_WAIT_MS = 90_000
WIDE = (1280, 900)


@contextmanager
def new_visitor(
    browser: Browser, script: str = "", longest_wait_ms: int = LONGEST_WAIT_MS, **options
) -> Iterator[Page]:
    """An empty page that waits as long as a busy machine needs, and runs `script` before anything that it opens.

    `options`: of Playwright's `new_context`.
    """
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]}, **options)
    context.set_default_timeout(longest_wait_ms)
    expect.set_options(timeout=longest_wait_ms)
    if script:
        context.add_init_script(script)
    yield context.new_page()
    context.close()
