"""First page: the person, the place, and both as the model will see them. One click makes the example video."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere import examples
from ui.events import CHOICE, LATEST, QUIET, RAW
from ui.fragments import message
from ui.outcomes import attempt
from ui.picture_editors import BackgroundEditor, PersonEditor, create_background_editor, create_person_editor
from ui.picture_files import picture_file
from ui.picture_work import Prepared, compose_scene, prepare_background, prepare_person
from ui.pose_work import PoseFound, PoseTask
from ui.services import Services
from ui.uploads import uploaded_path

_PERSON_HELP = "One person, whole body in view. Transparent pictures are used as they are cut."
_BACKGROUND_HELP = "A place without people. The video starts here; the edges are cropped to its shape."
_PICTURE_EVENT = {**QUIET, **LATEST, "show_progress": "minimal", "concurrency_id": "pictures", "concurrency_limit": 1}
"""Cutting out is a small network: one picture at a time, beside the worker, so that it never waits for a video."""


@dataclass(frozen=True, eq=False)
class _Card:
    source: gr.State  # Path | None: what was uploaded
    used: gr.State  # Path | None: what a run uses of it, perhaps changed on this page
    upload: gr.Image
    note: gr.HTML
    prepared: gr.Image
    editor: PersonEditor | BackgroundEditor

    @property
    def shown(self) -> list:
        """What another picture changes."""
        return [self.prepared, self.note, *self.editor.shown]


@dataclass(frozen=True, eq=False)
class PeopleTab:
    """The first page's widgets that others read or press, and its handlers."""

    services: Services
    pose: gr.State
    person: _Card
    place: _Card
    scene_box: gr.Accordion
    scene: gr.Image
    scene_note: gr.HTML
    example_button: gr.Button
    next_button: gr.Button

    @property
    def pictures(self) -> list[gr.State]:
        """What a run uses: person, background."""
        return [self.person.used, self.place.used]

    def show_person(self, used: Path | None, source: Path | None, task: PoseTask | None) -> dict:
        return self._show(self.person, prepare_person, used, source, task)

    def show_place(self, used: Path | None, source: Path | None, task: PoseTask | None) -> dict:
        return self._show(self.place, prepare_background, used, source, task)

    def _show(
        self,
        card: _Card,
        prepare: Callable[..., Prepared],
        used: Path | None,
        source: Path | None,
        task: PoseTask | None,
    ) -> dict:
        if used is None:
            return {card.prepared: None, card.note: ""} | card.editor.hide()
        outcome = attempt(lambda: prepare(used, task, self.services), self.services.settings.log_file)
        if outcome.state != "done":
            return {card.prepared: None, card.note: message("error", outcome.message)} | card.editor.hide()
        made: Prepared = outcome.result
        told = {card.prepared: picture_file(made.picture), card.note: message(made.kind, made.note)}
        return told | card.editor.show(made, changed=used != source)

    def show_scene(
        self,
        is_open: bool,
        human: Path | None,
        place: Path | None,
        task: PoseTask | None,
        found: PoseFound | None,
        person: int,
        strength: float,
    ) -> dict:
        """The person in the place, or why that cannot be shown; nothing as long as nobody looks."""
        model = self.services.shelf.view().model
        if not is_open:
            return gr.skip()
        if human is None or place is None or task is None or model is None:
            return {self.scene: gr.update(visible=False), self.scene_note: ""}
        outcome = attempt(
            lambda: compose_scene(human, place, task, found, person, strength, model), self.services.settings.log_file
        )
        if outcome.state != "done":
            return {self.scene: gr.update(visible=False), self.scene_note: message("info", outcome.message)}
        return {self.scene: gr.update(value=picture_file(outcome.result), visible=True), self.scene_note: ""}


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
        with gr.Column(min_width=300):
            person = _lay_out_card("Person", _PERSON_HELP, examples.HUMAN, create_person_editor, "webcam")
        with gr.Column(min_width=300):
            place = _lay_out_card("Background", _BACKGROUND_HELP, examples.BACKGROUND, create_background_editor)
    with gr.Accordion("The person in the place", open=False, elem_id="scene-box") as scene_box:
        gr.HTML(
            "<p class='aa-hint'>The preview's first picture: where, how large and in which pose the clip begins. The model "
            "draws the person anew, and the background moves.</p>"
        )
        scene_note = gr.HTML(elem_id="scene-note")
        scene = gr.Image(label="In the scene", interactive=False, height=300, buttons=["fullscreen"], elem_id="scene")
    next_button = gr.Button("Next: choose a pose", elem_id="to-pose")
    tab = PeopleTab(services, pose, person, place, scene_box, scene, scene_note, example_button, next_button)
    for card, handler in ((person, tab.show_person), (place, tab.show_place)):
        gr.on(
            [card.upload.upload, card.upload.clear],
            _take_upload,
            card.upload,
            [card.source, card.used],
            **CHOICE,
            **RAW,
        )
        reasons = [card.used.change, pose.change, ready.change]
        gr.on(reasons, handler, [card.used, card.source, pose], card.shown, **_PICTURE_EVENT)
        card.editor.wire(services, card.source, card.used)
    return tab


def wire_scene(tab: PeopleTab, found: gr.State, following: gr.State, strength: gr.Slider, ready: gr.State) -> None:
    """Show the scene when anything in it changes. `found`: the pose's joints; `following`: the person in it; `strength`:
    how far it takes over the picture's proportions."""
    is_open = gr.State(False)
    tab.scene_box.expand(lambda: True, None, is_open, **QUIET)
    tab.scene_box.collapse(lambda: False, None, is_open, **QUIET)
    inputs = [is_open, *tab.pictures, tab.pose, found, following, strength]
    changes = [state.change for state in (*inputs, ready)]
    gr.on(changes, tab.show_scene, inputs, [tab.scene, tab.scene_note], **_PICTURE_EVENT)


def _take_upload(payload: dict | None) -> tuple[Path | None, Path | None]:
    path = uploaded_path(payload)
    return path, path


def _lay_out_card(title: str, help_text: str, example: Path, create_editor: Callable, *sources: str) -> _Card:
    name, example = title.lower(), example if example.is_file() else None
    gr.HTML(f"<h2>{title}</h2><p class='aa-hint'>{help_text}</p>", elem_classes="aa-column-title")
    upload = gr.Image(
        example,
        label=f"{title} picture",
        type="filepath",
        image_mode=None,
        sources=["upload", *sources, "clipboard"],
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
    return _Card(gr.State(example), gr.State(example), upload, note, prepared, create_editor())
