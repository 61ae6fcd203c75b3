"""What a person does to a found pose: choose whom to follow, repair, take back, fit. What is decided here Generate uses."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from ui.check_panel import CheckPanel
from ui.events import CHOICE, LATEST, QUIET, chosen
from ui.fragments import message
from ui.outcomes import attempt
from ui.pose_edits import PoseEdit, followed, repaired
from ui.pose_pictures import FitRequest, PoseShown, draw_pictures
from ui.pose_work import PoseAnswer, PoseFound, PoseTask
from ui.services import Services

DRAW_EVENT = {**QUIET, **LATEST, "concurrency_id": "previews", "concurrency_limit": 1}


@dataclass(frozen=True, eq=False)
class PoseEditor:
    """The states that an edit changes, and the handlers. Deciding is quick; drawing what was decided follows."""

    services: Services
    panel: CheckPanel
    human: gr.State  # Path | None: the person's picture
    pose: gr.State  # PoseTask | None: what Generate uses
    found: gr.State  # PoseFound | None
    edit: gr.State  # PoseEdit | None: what was made of it
    following: gr.State  # int: the person in it
    drawn: gr.State  # PoseAnswer | None: the last picture of it
    person: gr.Dropdown

    @property
    def decided(self) -> list:
        """What an edit changes."""
        return [self.pose, self.edit, self.following, self.panel.note]

    @property
    def to_draw(self) -> list:
        """What `draw` takes."""
        return [self.found, self.edit, self.human, self.panel.strength, self.panel.pictured]

    def follow(self, found: PoseFound | None, edit: PoseEdit | None, person: int | None) -> dict:
        """Another person of the list."""
        if person is None:
            return gr.skip()
        return self._decide(found, edit, lambda: followed(edit, person))

    def repair(self, found: PoseFound | None, edit: PoseEdit | None, event: gr.EventData) -> dict:
        """A repair's button or a person's picture was pressed; one that was meant for an earlier state of the pose is too late."""
        data = event._data or {}
        step, number = data.get("step"), data.get("number")
        if not isinstance(step, str) or edit is None or number != edit.number:
            return gr.skip()
        return self._repair(found, edit, step)

    def start_here(self, found: PoseFound | None, edit: PoseEdit | None, frame: float) -> dict:
        """What comes before a frame goes."""
        return self._repair(found, edit, f"trim:first_frame={int(frame)}")

    def end_here(self, found: PoseFound | None, edit: PoseEdit | None, frame: float) -> dict:
        """What comes after a frame goes."""
        return self._repair(found, edit, f"trim:last_frame={int(frame)}")

    def undo(self, found: PoseFound | None, edit: PoseEdit | None) -> dict:
        """As it was before the last step."""
        return self._decide(found, edit, lambda: edit.before or edit)

    def restore(self, found: PoseFound | None, edit: PoseEdit | None) -> dict:
        """As it was found."""
        return self._decide(found, edit, lambda: edit.original)

    def _repair(self, found: PoseFound | None, edit: PoseEdit | None, step: str) -> dict:
        return self._decide(found, edit, lambda: repaired(found, edit, step, self.services.new_temp_folder()))

    def _decide(self, found: PoseFound | None, edit: PoseEdit | None, work: Callable[[], PoseEdit]) -> dict:
        if found is None or edit is None:
            return gr.skip()
        outcome = attempt(work, self._log_file)
        if outcome.state != "done":
            return {self.panel.note: message("error", outcome.message)}
        decided: PoseEdit = outcome.result
        states = {
            self.edit: decided,
            self.following: decided.person,
            self.pose: PoseTask(decided.pose, found.task.detector),
        }
        return states | {self.panel.note: ""}

    def draw(
        self,
        found: PoseFound | None,
        edit: PoseEdit | None,
        human: Path | None,
        strength: float,
        pictured: PoseShown | None,
    ) -> dict:
        """Pictures of what was decided, unless they are on the page."""
        model = self.services.shelf.view().model
        if found is None or edit is None or model is None:
            return gr.skip()
        fit = FitRequest(human, float(strength)) if human and strength else None
        if pictured is not None and (pictured.found, pictured.edit, pictured.request) == (found, edit, fit):
            return gr.skip()
        outcome = attempt(
            lambda: draw_pictures(found, edit, fit, model, self.services.new_temp_folder()), self._log_file
        )
        return {self.drawn: PoseAnswer(found.task, outcome.result, outcome.message)}

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def wire_editor(editor: PoseEditor, show_answer: Callable, takes: list, changes: list) -> None:
    """Decide, then draw, then show what was drawn with `show_answer`, if it is still what is wanted."""
    panel, known = editor.panel, [editor.found, editor.edit]
    for event, handler, more in (
        (chosen(editor.person), editor.follow, [editor.person]),
        (panel.people.click, editor.repair, []),
        (panel.findings.click, editor.repair, []),
        (panel.tools.click, editor.repair, []),
        (panel.start_button.click, editor.start_here, [panel.frame]),
        (panel.end_button.click, editor.end_here, [panel.frame]),
        (panel.undo_button.click, editor.undo, []),
        (panel.original_button.click, editor.restore, []),
    ):
        event(handler, [*known, *more], editor.decided, **CHOICE)
    reasons = [editor.edit.change, panel.strength.change, editor.human.change]
    drawing = gr.on(reasons, editor.draw, editor.to_draw, editor.drawn, **DRAW_EVENT)
    drawing.then(show_answer, takes, changes, **CHOICE)
