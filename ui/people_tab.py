"""First page: the person, the place, and both as the model will see them. One click makes the example video."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere import examples
from ui.events import CHOICE, LATEST, RAW
from ui.fragments import message
from ui.outcomes import attempt
from ui.picture_work import Prepared, prepare_background, prepare_person
from ui.pose_work import PoseTask
from ui.services import Services
from ui.uploads import uploaded_path

_PERSON_HELP = "One person, whole body in view. Transparent pictures are used as they are cut."
_BACKGROUND_HELP = "A place without people. The video starts here; the edges are cropped to its shape."


@dataclass(frozen=True, eq=False)
class _Card:
    upload: gr.Image
    note: gr.HTML
    prepared: gr.Image


@dataclass(frozen=True, eq=False)
class PeopleTab:
    """The first page's widgets that others read or press, and its handlers."""

    services: Services
    pose: gr.State
    person: _Card
    place: _Card
    human: gr.State  # Path | None: the person's picture that a run uses
    background: gr.State  # Path | None: the place that a run uses
    example_button: gr.Button
    next_button: gr.Button

    @property
    def pictures(self) -> list[gr.State]:
        """What a run uses: person, background."""
        return [self.human, self.background]

    def show_person(self, human: Path | None, task: PoseTask | None) -> dict:
        return self._show(self.person, prepare_person, human, task)

    def show_place(self, background: Path | None, task: PoseTask | None) -> dict:
        return self._show(self.place, prepare_background, background, task)

    def _show(self, card: _Card, prepare: Callable[..., Prepared], path: Path | None, task: PoseTask | None) -> dict:
        if path is None:
            return {card.prepared: None, card.note: ""}
        outcome = attempt(lambda: prepare(path, task, self.services), self.services.settings.log_file)
        if outcome.state != "done":
            return {card.prepared: None, card.note: message("error", outcome.message)}
        return {card.prepared: outcome.result.picture, card.note: message(outcome.result.kind, outcome.result.note)}


def create_people_tab(services: Services, pose: gr.State, ready: gr.State) -> PeopleTab:
    """Lay out and wire the first page.

    `pose` holds the PoseTask whose shape decides between landscape and portrait, `ready` whether the model's is known.
    """
    with gr.Row(elem_classes="aa-strip", equal_height=True):
        gr.HTML(
            "<h2>New here?</h2><p class='aa-hint'>One click makes a video of the bundled person, place and pose.</p>",
            min_width=260,
        )
        example_button = gr.Button(
            "Make the example video", variant="primary", elem_id="make-example", scale=0, min_width=270
        )
    with gr.Row():
        person = _card("Person", _PERSON_HELP, examples.HUMAN, ["upload", "webcam", "clipboard"])
        place = _card("Background", _BACKGROUND_HELP, examples.BACKGROUND, ["upload", "clipboard"])
    next_button = gr.Button("Next: choose a pose", elem_id="to-pose")
    human, background = gr.State(_existing(examples.HUMAN)), gr.State(_existing(examples.BACKGROUND))
    tab = PeopleTab(services, pose, person, place, human, background, example_button, next_button)
    for card, used, handler in ((person, human, tab.show_person), (place, background, tab.show_place)):
        gr.on([card.upload.upload, card.upload.clear], uploaded_path, card.upload, used, **CHOICE, **RAW)
        gr.on(
            [used.change, pose.change, ready.change],
            handler,
            [used, pose],
            [card.prepared, card.note],
            **_PICTURE_EVENT,
        )
    return tab


def _existing(example: Path) -> Path | None:
    return example if example.is_file() else None


_PICTURE_EVENT = {
    **LATEST,
    "api_visibility": "private",
    "show_progress": "minimal",
    "concurrency_id": "pictures",
    "concurrency_limit": 1,
}
"""Cutting out is a small network: one picture at a time, beside the worker, so that it never waits for a video."""


def _card(title: str, help_text: str, example: Path, sources: list[str]) -> _Card:
    name = title.lower()
    with gr.Column(min_width=300):
        gr.HTML(f"<h2>{title}</h2><p class='aa-hint'>{help_text}</p>", elem_classes="aa-column-title")
        upload = gr.Image(
            _existing(example),
            label=f"{title} picture",
            type="filepath",
            image_mode=None,
            sources=sources,
            height=260,
            buttons=[],
            elem_id=f"{name}-upload",
        )
        note = gr.HTML(elem_id=f"{name}-note")
        prepared = gr.Image(
            label="As the model sees it",
            type="numpy",
            format="png",
            interactive=False,
            height=220,
            buttons=["fullscreen"],
            elem_id=f"{name}-prepared",
        )
    return _Card(upload, note, prepared)
