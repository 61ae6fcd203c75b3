"""How the page's events take turns, and how they say whose they are.

Three rules keep a slow answer from undoing what a person did meanwhile:
- what decides (a file came, a button was pressed) is quick, and takes turns with all that decides: `CHOICE`;
- what is slow shows, but decides nothing; it is asked again when what it reads has changed: `LATEST`;
- what is slow and finds something says what it was asked for, and a quick event takes it only if that is still wanted.

Gradio asks again with the first event's own data: a handler that takes `gr.SelectData` must not be `LATEST`.
"""

import functools
from collections.abc import Callable, Iterator

import gradio as gr

QUIET = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
"""Not for programs, without a spinner over the page, beside all others."""
CHOICE = {**QUIET, "concurrency_id": "choices", "concurrency_limit": 1, "trigger_mode": "multiple"}
"""One after the other, in the order in which they came; none is left out."""
LATEST = {"trigger_mode": "always_last"}
"""Of all that came while one was being answered, the last one counts."""
RAW = {"preprocess": False}
"""Files come as the browser sent them: see `ui.uploads`."""

_STORAGE_KEY = "animateanywhere-visitor"
_ASK_BROWSER = """(...values) => {
    const known = (id) => /^[0-9a-f]{32}$/.test(id ?? "");
    const hex = (byte) => byte.toString(16).padStart(2, "0");
    let id = window.animateAnywhereVisitor;
    try { id = localStorage.getItem("%(key)s") ?? id; } catch { /* it keeps nothing: known until the page is closed */ }
    if (!known(id)) id = Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");
    window.animateAnywhereVisitor = id;
    try { localStorage.setItem("%(key)s", id); } catch { /* as above */ }
    values[%(index)d] = id;
    return values;
}"""


def create_visitor() -> gr.Textbox:
    """What an event takes as an input to learn who asks; hidden and without a value of its own, see `ask_browser`."""
    return gr.Textbox(visible=False)


def ask_browser(app: gr.Blocks, visitor: gr.Textbox) -> None:
    """Let each event that takes `visitor` ask the browser for its id at the moment it is sent.

    The browser makes the id at the first event, 32 hex digits that nobody can guess, and keeps it: it is what lets a
    reloaded page find its own jobs. As no answer carries it and no component holds it, no order of events can lose it.
    """
    for event in app.fns.values():
        if visitor in event.inputs:
            event.js = _ASK_BROWSER % {"key": _STORAGE_KEY, "index": event.inputs.index(visitor)}


def chosen(widget: gr.components.Component):
    """The event of a person's choice in `widget`.

    A list fires `input` also when it is opened and left with nothing chosen, and twice when something is; `select` comes
    once, and only for a choice.
    """
    return widget.select if isinstance(widget, gr.Dropdown) and not widget.multiselect else widget.input


def never_empty(handler: Callable[..., Iterator[dict]]) -> Callable[..., Iterator[dict]]:
    """A handler that yields updates, perhaps none: it begins with one that changes nothing.

    Gradio empties every output of a generator that ends without having yielded.
    """

    @functools.wraps(handler)
    def updates(*values) -> Iterator[dict]:
        yield gr.skip()
        yield from handler(*values)

    return updates
