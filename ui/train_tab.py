"""Fifth page: clips, a training from its settings to its end, and what becomes of it. Each part is a file of its own."""

from dataclasses import dataclass

import gradio as gr

from ui.events import CHOICE, QUIET
from ui.services import Services
from ui.train_dataset import DatasetPart, create_dataset_part
from ui.train_history import Histories
from ui.train_launch import who_has_the_gpu
from ui.train_start import StartPart, create_start_part
from ui.train_use import UsePart, create_use_part
from ui.train_watch import EVERY_S, WatchPart, create_watch_part

PAGE = "Train"
"""Its label among the pages."""
FIRST = "Dataset"
"""Label of the part that is shown at first."""


RARELY_S = 15.0


@dataclass(frozen=True, eq=False)
class TrainTab:
    """The fifth page's parts."""

    pages: gr.Tabs
    shown: gr.State
    """Label of the part that is shown, or was when the page was left."""
    timers: dict[str, gr.Timer]
    """By the label of the part that looks again when it ticks; a look costs the browser more than the server."""
    dataset: DatasetPart
    start: StartPart
    watch: WatchPart
    use: UsePart

    def on_part(self, event: gr.SelectData) -> dict:
        """Another part was opened: only what is shown looks again and again."""
        return {self.shown: event.value} | self._only(event.value)

    def on_page(self, event: gr.SelectData, shown: str) -> dict:
        """Another page of the app was opened, or this one again."""
        return self._only(shown if event.value == PAGE else "")

    def _only(self, part: str) -> dict:
        return {timer: gr.Timer(_pause_s(label == part)) for label, timer in self.timers.items()}


def _pause_s(is_shown: bool) -> float:
    """Between two looks. A part that is not shown looks too: the browser may not have told that it was opened."""
    return EVERY_S if is_shown else RARELY_S


def create_train_tab(services: Services, visitor: gr.Textbox, inputs: list) -> TrainTab:
    """Lay out and wire the fifth page. `inputs`: person, background and pose that models are compared on."""
    services.shelf.ask_first(lambda: who_has_the_gpu(services))
    histories, started = Histories(), gr.State(None)
    # Outside the parts: a timer inside one that is not shown is not told that it may tick again.
    timers = {label: gr.Timer(_pause_s(label == FIRST)) for label in ("Dataset", "Runs", "Models")}
    with gr.Tabs(elem_id="train-pages", overflow_behavior="wrap") as pages:
        with gr.Tab("Dataset", id="dataset"):
            dataset = create_dataset_part(services, timers["Dataset"])
        with gr.Tab("Start", id="start") as start_page:
            start = create_start_part(services, visitor, histories, started)
        with gr.Tab("Runs", id="runs"):
            watch = create_watch_part(services, visitor, histories, timers["Runs"])
        with gr.Tab("Models", id="models"):
            use = create_use_part(services, visitor, histories, timers["Models"], inputs)
    tab = TrainTab(pages, gr.State(FIRST), timers, dataset, start, watch, use)
    _wire(tab, start_page)
    return tab


def _wire(tab: TrainTab, start_page: gr.Tab) -> None:
    start, watch = tab.start, tab.watch
    tab.pages.select(tab.on_part, None, [tab.shown, *tab.timers.values()], **QUIET)

    def open_page(name: str):
        return lambda: gr.Tabs(selected=name)

    start_page.select(start.offer, None, [start.start_from, start.dataset], **QUIET).then(
        start.show_plan, start.asked, [start.plan, start.command], **QUIET
    )
    shown = start.started.change(watch.show_started, start.started, [watch.runs, watch.note], **CHOICE)
    shown.then(open_page("runs"), None, tab.pages, **QUIET)
    cloned = watch.clone_button.click(start.clone, watch.runs, [*start.form, start.dataset, start.note], **CHOICE)
    cloned.then(open_page("start"), None, tab.pages, **QUIET)
