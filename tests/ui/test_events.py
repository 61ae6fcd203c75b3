"""How the page's events take turns, read off the wired page."""

import inspect

import gradio as gr
import pytest

from ui import build_app
from ui.events import chosen
from ui.services import AppSettings, Services


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> gr.Blocks:
    folder = tmp_path_factory.mktemp("wired")
    (folder / "out").mkdir()
    return build_app(Services.create(AppSettings("mini", folder / "out"), folder))


def is_plain_list(component: object) -> bool:
    return isinstance(component, gr.Dropdown) and not component.multiselect and not component.allow_custom_value


def test_nothing_is_asked_when_a_list_is_only_opened_and_left(page):
    targets = [(page.blocks.get(number), event) for fn in page.fns.values() for number, event in fn.targets]
    listened = [event for component, event in targets if is_plain_list(component)]
    assert "select" in listened and not {"input", "blur"} & set(listened)


def test_no_event_with_data_of_its_own_is_asked_again_with_another_ones(page):
    for fn in page.fns.values():
        if fn.fn is not None and fn.trigger_mode == "always_last":
            kinds = [p.annotation for p in inspect.signature(fn.fn).parameters.values()]
            assert not any(isinstance(kind, type) and issubclass(kind, gr.EventData) for kind in kinds), fn.name


def test_the_event_of_a_choice():
    with gr.Blocks():
        one, several = gr.Dropdown(["a"]), gr.Dropdown(["a"], multiselect=True)
        switch, number = gr.Checkbox(), gr.Number()
        assert chosen(one) == one.select and chosen(several) == several.input
        assert chosen(switch) == switch.input and chosen(number) == number.input
