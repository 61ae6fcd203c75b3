"""Changes to the two pictures: strokes that correct the cut-out, and a place cleared of people. Layout and handlers."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np

from ui.events import CHOICE, QUIET
from ui.fragments import message
from ui.outcomes import Outcome, attempt
from ui.picture_files import picture_file
from ui.picture_work import KEEP_RGB, REMOVE_RGB, Prepared, clear_background, refine_cut_out, strokes_of
from ui.services import Services

_EVENT = {**QUIET, "show_progress": "minimal", "concurrency_id": "pictures", "concurrency_limit": 1}
_HEIGHT = 420


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#" + bytes(rgb).hex()


def _lay_out_canvas(label: str, colours: list[tuple[int, int, int]], elem_id: str) -> gr.ImageEditor:
    return gr.ImageEditor(
        label=label,
        type="numpy",
        image_mode="RGBA",
        sources=[],
        transforms=[],
        layers=False,
        brush=gr.Brush(
            default_size=18, colors=[_hex(c) for c in colours], default_color=_hex(colours[0]), color_mode="fixed"
        ),
        height=_HEIGHT,
        buttons=["fullscreen"],
        elem_id=elem_id,
    )


def _take(used: Path | None, source: Path | None, made: tuple[Path, Path] | None) -> Path | dict:
    """What slow work made of a picture counts if that picture is still the one."""
    return made[1] if made is not None and made[0] == source else gr.skip()


@dataclass(frozen=True, eq=False)
class PersonEditor:
    """Strokes that add to the person's cut-out or take away from it."""

    made: gr.State  # (Path, Path) | None: the upload, and what became of it
    box: gr.Accordion
    canvas: gr.ImageEditor
    apply_button: gr.Button
    restore_button: gr.Button
    note: gr.HTML

    @property
    def shown(self) -> list:
        return [self.box, self.canvas, self.restore_button]

    def show(self, made: Prepared, changed: bool) -> dict:
        """Another cut-out to paint on; `changed`: it is not the uploaded picture's own any more."""
        if made.editable is None:
            return self.hide()
        value = {"background": picture_file(made.editable), "layers": [], "composite": None}
        button = gr.update(value=self.restore_button.value, interactive=changed)
        return {self.box: gr.update(visible=True), self.canvas: value, self.restore_button: button}

    def hide(self) -> dict:
        return {self.box: gr.update(visible=False), self.canvas: None}

    def wire(self, services: Services, source: gr.State, used: gr.State) -> None:
        """`source`: the upload; `used`: what a run uses."""

        def refine(value: dict | None, source: Path | None, used: Path | None) -> dict:
            keep, remove = strokes_of(value, KEEP_RGB), strokes_of(value, REMOVE_RGB)
            if used is None or (keep is None and remove is None):
                return {self.note: message("info", "paint on the picture first: green adds, orange removes")}
            nothing = np.zeros((keep if keep is not None else remove).shape, bool)
            outcome = attempt(
                lambda: refine_cut_out(
                    used, nothing if keep is None else keep, nothing if remove is None else remove,
                    services.new_temp_folder(),
                ),
                services.settings.log_file,
            )  # fmt: skip
            return _told(outcome, self.note) or {self.made: (source, outcome.result), self.note: ""}

        done = self.apply_button.click(refine, [self.canvas, source, used], [self.made, self.note], **_EVENT)
        done.then(_take, [used, source, self.made], used, **CHOICE)
        self.restore_button.click(lambda source: source, source, used, **CHOICE)


@dataclass(frozen=True, eq=False)
class BackgroundEditor:
    """A place without the people in it."""

    made: gr.State  # (Path, Path) | None: the upload, and what became of it
    box: gr.Accordion
    canvas: gr.ImageEditor
    clear_button: gr.Button
    restore_button: gr.Button
    compared: gr.ImageSlider
    note: gr.HTML

    @property
    def shown(self) -> list:
        return [self.box, self.canvas, self.restore_button, self.compared]

    def show(self, made: Prepared, changed: bool) -> dict:
        """Another place to paint on; people in it open the box."""
        if made.editable is None:
            return self.hide()
        shown = {
            self.box: gr.update(visible=True, open=made.has_people or changed),
            self.canvas: {"background": picture_file(made.editable), "layers": [], "composite": None},
            self.restore_button: gr.update(value=self.restore_button.value, interactive=changed),
        }
        return shown if changed else shown | {self.compared: gr.update(value=None, visible=False)}

    def hide(self) -> dict:
        return {
            self.box: gr.update(visible=False),
            self.canvas: None,
            self.compared: gr.update(value=None, visible=False),
        }

    def wire(self, services: Services, source: gr.State, used: gr.State) -> None:
        """`source`: the upload; `used`: what a run uses."""

        def clear(value: dict | None, source: Path | None, used: Path | None) -> dict:
            if used is None:
                return gr.skip()
            folder = services.new_temp_folder()
            outcome = attempt(lambda: clear_background(used, strokes_of(value), folder), services.settings.log_file)
            if told := _told(outcome, self.note):
                return told
            before, after = outcome.result
            compared = gr.update(value=(str(before), str(after)), visible=True)
            return {self.made: (source, after), self.compared: compared, self.note: ""}

        outputs = [self.made, self.compared, self.note]
        done = self.clear_button.click(clear, [self.canvas, source, used], outputs, **_EVENT)
        done.then(_take, [used, source, self.made], used, **CHOICE)
        self.restore_button.click(lambda source: source, source, used, **CHOICE)


def _told(outcome: Outcome, note: gr.HTML) -> dict:
    return {} if outcome.state == "done" else {note: message("error", outcome.message)}


def create_person_editor() -> PersonEditor:
    """Lay out the correction of the cut-out."""
    with gr.Accordion("Refine the cut-out", open=False, visible=False, elem_id="person-refine") as box:
        gr.HTML(
            "<p class='aa-hint'>Dark parts are left out. Paint green over what belongs to the person, orange over what does "
            "not, then press the button.</p>"
        )
        canvas = _lay_out_canvas("Cut-out", [KEEP_RGB, REMOVE_RGB], "person-canvas")
        with gr.Row():
            apply = gr.Button("Use these strokes", size="sm", min_width=140, elem_id="person-apply")
            restore = gr.Button("Back to the found cut-out", size="sm", min_width=140, interactive=False)
        note = gr.HTML(elem_id="person-refine-note")
    return PersonEditor(gr.State(None), box, canvas, apply, restore, note)


def create_background_editor() -> BackgroundEditor:
    """Lay out the clearing of the place."""
    with gr.Accordion("Clear people away", open=False, visible=False, elem_id="background-clear") as box:
        gr.HTML(
            "<p class='aa-hint'>People are found by themselves; paint over whatever else should go. Small things vanish well; "
            "what large ones hid is made up.</p>"
        )
        canvas = _lay_out_canvas("Paint over what should go", [REMOVE_RGB], "background-canvas")
        with gr.Row():
            clear = gr.Button("Clear people and strokes", size="sm", min_width=140, elem_id="background-clear-button")
            restore = gr.Button("Back to the uploaded picture", size="sm", min_width=140, interactive=False)
        note = gr.HTML(elem_id="background-clear-note")
        compared = gr.ImageSlider(
            label="Before and after",
            visible=False,
            interactive=False,
            height=260,
            buttons=[],
            elem_id="background-compared",
        )
    return BackgroundEditor(gr.State(None), box, canvas, clear, restore, compared, note)
