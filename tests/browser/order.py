"""Requests held back, so that a person does something before they are answered, or answers come in another order."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Route

from animateanywhere.cancel import CancelToken
from tests.browser.visitors import LONGEST_WAIT_MS

_REQUESTS = "**/queue/join*"
_FUNCTIONS_OF = """([widget, event]) => {
    const own = window.gradio_config.components.filter(c => c.props?.elem_id === widget).map(c => c.id);
    const isMeant = ([id, name]) => name === event && (widget === "" || own.includes(id));
    return window.gradio_config.dependencies.filter(d => d.targets.some(isMeant)).map(d => d.id);
}"""


@contextmanager
def held_back(page: Page, widget: str, event: str) -> Iterator[list[Route]]:
    """What this event of a widget asks waits until the block ends, and is then asked in the order in which it came."""
    with held_functions(page, functions_of(page, widget, event)) as held:
        yield held


@contextmanager
def held_functions(page: Page, functions: set[int]) -> Iterator[list[Route]]:
    """The same for what asks these functions; the block may change the order."""
    held: list[Route] = []
    is_over = False

    def take(route: Route) -> None:
        if function_of(route) in functions and not is_over:
            held.append(route)
        else:
            route.continue_()

    page.route(_REQUESTS, take)
    yield held
    while held:  # what comes meanwhile waits for its turn
        route = held[0]
        with page.expect_response(lambda response, asked=route.request: response.request == asked):
            route.continue_()
        held.pop(0)
    is_over = True
    page.unroute(_REQUESTS)


def reload_with_last_question_first(page: Page) -> None:
    """Reload; what the page asks on opening is asked in the opposite order."""
    with held_functions(page, functions_of(page, "", "load")) as held:
        page.reload()
        wait_until(page, lambda: functions_of(page, "", "load") <= {function_of(route) for route in held})
        held.reverse()


def functions_of(page: Page, widget: str, event: str) -> set[int]:
    """Numbers of what an event of this widget, of any with '', asks the server for."""
    found = set(page.evaluate(_FUNCTIONS_OF, [widget, event]))
    assert found, f"nothing listens to {event} of {widget}"
    return found


def function_of(route: Route) -> int:
    return json.loads(route.request.post_data)["fn_index"]


def wait_until(page: Page, condition: Callable[[], object]) -> None:
    """Let the page go on until a condition of this process holds."""
    for _ in range(LONGEST_WAIT_MS // 50):
        if condition():
            return
        page.wait_for_timeout(50)
    pytest.fail("waited in vain")


def wait_to_be_stopped(cancel: CancelToken) -> None:
    """For a job that goes on until somebody ends it."""
    while not cancel.is_set:
        time.sleep(0.02)
