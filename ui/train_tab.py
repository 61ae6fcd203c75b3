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


@dataclass(frozen=True, eq=False)
class TrainTab:
    """The fifth page's parts."""

    pages: gr.Tabs
    dataset: DatasetPart
    start: StartPart
    watch: WatchPart
    use: UsePart


def create_train_tab(services: Services, visitor: gr.Textbox, inputs: list) -> TrainTab:
    """Lay out and wire the fifth page. `inputs`: the uploads of person and background, and the pose, to compare models on."""
    services.shelf.ask_first(lambda: who_has_the_gpu(services))
    histories, started, timer = Histories(), gr.State(None), gr.Timer(EVERY_S)
    with gr.Tabs(elem_id="train-pages", overflow_behavior="wrap") as pages:
        with gr.Tab("Dataset", id="dataset"):
            dataset = create_dataset_part(services, timer)
        with gr.Tab("Start", id="start") as start_page:
            start = create_start_part(services, visitor, histories, started)
        with gr.Tab("Runs", id="runs"):
            watch = create_watch_part(services, visitor, histories, timer)
        with gr.Tab("Models", id="models"):
            use = create_use_part(services, visitor, histories, timer, inputs)
    tab = TrainTab(pages, dataset, start, watch, use)
    _wire(tab, start_page)
    return tab


def _wire(tab: TrainTab, start_page: gr.Tab) -> None:
    start, watch = tab.start, tab.watch

    def open_page(name: str):
        return lambda: gr.Tabs(selected=name)

    start_page.select(start.offer, None, [start.start_from, start.dataset], **QUIET).then(
        start.show_plan, start.asked, [start.plan, start.command], **QUIET
    )
    shown = start.started.change(watch.show_started, start.started, [watch.runs, watch.note], **CHOICE)
    shown.then(open_page("runs"), None, tab.pages, **QUIET)
    cloned = watch.clone_button.click(start.clone, watch.runs, [*start.form, start.dataset, start.note], **CHOICE)
    cloned.then(open_page("start"), None, tab.pages, **QUIET)
