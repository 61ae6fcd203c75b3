"""Second page: a movement, from a file or the webcam, and the pose that was found in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere import examples
from animateanywhere.cancel import CancelToken
from ui.check_panel import CheckPanel, create_check_panel
from ui.events import CHOICE, LATEST, QUIET, RAW, chosen, never_empty
from ui.fragments import facts, message, progress_bar, seconds
from ui.jobs import JobView, Step
from ui.outcomes import Outcome, attempt
from ui.pose_editor import DRAW_EVENT, PoseEditor, wire_editor
from ui.pose_edits import PoseEdit
from ui.pose_pictures import PoseShown, find_and_draw
from ui.pose_sources import lay_out_sources
from ui.pose_work import PoseAnswer, PoseFound, PoseTask, describe_source, make_playable
from ui.services import Services
from ui.updates import button
from ui.uploads import uploaded_path

KIND = "pose"
FACTS_EVENT = {**QUIET, **LATEST, "concurrency_id": "pose-facts", "concurrency_limit": 1}


@dataclass(frozen=True, eq=False)
class PoseTab:
    """The second page's widgets that others read or press, and its handlers."""

    services: Services
    visitor: gr.Textbox
    pose: gr.State  # PoseTask | None: what Generate uses, what is asked for or the pose that was found in it
    asked: gr.State  # PoseTask | None: what came in and how to read it
    drawn: gr.State  # PoseAnswer | None: the last picture of a source or of a pose
    searched: gr.State  # PoseAnswer | None: what the last search found
    found: gr.State  # PoseFound | None: in what is asked for
    edit: gr.State  # PoseEdit | None: what was made of it
    following: gr.State  # int: the person in it
    running: gr.State  # str | None: id of the search that was last asked for
    upload: gr.File
    recording: gr.Video
    library: gr.Radio
    mirror: gr.Checkbox
    every_frame: gr.Checkbox
    detector: gr.Dropdown
    extract_button: gr.Button
    stop_button: gr.Button
    facts: gr.HTML
    progress: gr.HTML
    note: gr.HTML
    view: gr.Video
    drawing: gr.Video
    plan: gr.HTML
    person: gr.Dropdown
    download: gr.DownloadButton
    download_drawing: gr.DownloadButton
    next_button: gr.Button
    panel: CheckPanel

    @property
    def options(self) -> list:
        return [self.mirror, self.every_frame, self.detector]

    @property
    def chosen(self) -> list:
        """What another choice changes."""
        sources = [self.upload, self.recording, self.library]
        return [self.asked, *sources, *self.options, self.progress, *self.shown]

    @property
    def shown(self) -> list:
        """What an answer changes."""
        widgets = [self.note, self.view, self.drawing, self.person, self.download, self.download_drawing]
        return [self.pose, self.found, self.edit, self.following, *widgets, *self.panel.shown]

    def answering(self, answer: gr.State) -> tuple[list, list]:
        """What `show_answer` takes and what it changes."""
        return [self.asked, self.found, self.edit, self.panel.pictured, answer], self.shown

    @property
    def followed(self) -> list:
        """What a search changes while it runs, and where its answer goes."""
        return [self.extract_button, self.stop_button, self.progress, self.searched]

    def on_upload(
        self, visitor: str, asked: PoseTask | None, payload: dict | None, every_frame: bool, detector: str
    ) -> dict:
        """A file came, or was taken away: then the example's pose is back."""
        path = uploaded_path(payload) or _example()
        others = {self.library: None} | ({self.recording: None} if payload else {})
        return self._ask(visitor, asked, path and PoseTask(path, detector, False, every_frame), others)

    def on_recording(
        self, visitor: str, asked: PoseTask | None, payload: dict | None, every_frame: bool, detector: str
    ) -> dict:
        """A recording ended, or was thrown away. It is mirrored at first: the camera's picture was a mirror, too."""
        path = uploaded_path(payload)
        if path is None:
            return self.on_upload(visitor, asked, None, every_frame, detector)
        others = {self.upload: None, self.library: None}
        return self._ask(visitor, asked, PoseTask(path, detector, True, every_frame), others)

    def on_library(
        self, visitor: str, asked: PoseTask | None, motion: str | None, every_frame: bool, detector: str
    ) -> dict:
        """A bundled movement was chosen."""
        chosen = next((path for path in examples.motions() if str(path) == motion), None)
        others = {self.upload: None, self.recording: None}
        return self._ask(visitor, asked, chosen and PoseTask(chosen, detector, False, every_frame), others)

    def on_option(self, visitor: str, asked: PoseTask | None, mirror: bool, every_frame: bool, detector: str) -> dict:
        """Another way to read the same source: what was found in the old way is no longer right."""
        return self._ask(visitor, asked, asked and PoseTask(asked.source, detector, mirror, every_frame))

    def on_open(self, visitor: str, asked: PoseTask | None) -> dict:
        """The page was opened: what a search of before looks for is asked for again, unless something else is by now."""
        job_id = self.services.runner.unfinished(visitor, KIND)
        if job_id is None or asked != first_task():  # the example's pose: nothing was chosen yet
            return gr.skip()
        task = self.services.runner.view(job_id).about
        return {self.pose: task, self.asked: task} | self._show_options(task)

    def _ask(self, visitor: str, asked: PoseTask | None, task: PoseTask | None, others: dict | None = None) -> dict:
        """What was found in something else goes, and a search of it ends. `others`: what empties other sources."""
        if task == asked:
            return others or gr.skip()
        self.stop(visitor)
        cleared = {self.view: None, self.drawing: None, self.progress: "", self.note: ""} | self.panel.hide()
        cleared |= {self.found: None, self.edit: None, self.following: 0}
        hidden = {widget: gr.update(visible=False) for widget in (self.download, self.download_drawing)}
        hidden[self.person] = gr.update(visible=False, value=None)
        options = {} if task is None else self._show_options(task)
        return cleared | hidden | {self.pose: task, self.asked: task} | options | (others or {})

    def _show_options(self, task: PoseTask) -> dict:
        return dict(zip(self.options, (task.mirror, task.every_frame, task.detector), strict=True))

    def tell_source(self, task: PoseTask | None) -> dict:
        """What is in the file and what a run uses of it, from its header alone."""
        if task is None:
            return {
                self.facts: message("info", "Upload or record a movement."),
                self.extract_button: button(self.extract_button, False),
            }
        outcome = attempt(lambda: describe_source(task, self.services.shelf.view().model), self._log_file)
        if outcome.state != "done":
            return {
                self.facts: message("error", outcome.message),
                self.extract_button: button(self.extract_button, False),
            }
        return {self.facts: facts(outcome.result), self.extract_button: button(self.extract_button, not _is_json(task))}

    def look_into(self, task: PoseTask | None, drawn: PoseAnswer | None) -> dict:
        """A picture of the source that any browser plays; a json, which needs no search, is read and drawn."""
        model, services = self.services.shelf.view().model, self.services
        if task is None or (model is None and _is_json(task)):
            return gr.skip()
        if drawn is not None and drawn.task == task and not drawn.refusal:
            return gr.skip()

        def work() -> PoseShown | Path | None:
            folder = services.new_temp_folder()
            if _is_json(task):
                return find_and_draw(task, model, folder, lambda step: None, CancelToken())
            return make_playable(task.source, folder, task.mirror)

        return {self.drawn: _answer(task, attempt(work, self._log_file))}

    def show_answer(
        self,
        asked: PoseTask | None,
        found: PoseFound | None,
        edit: PoseEdit | None,
        pictured: PoseShown | None,
        answer: PoseAnswer | None,
    ) -> dict:
        """Slow work ended: show what it found, if that is what is asked for by now and not on the page yet."""
        if answer is None or answer.task != asked:
            return gr.skip()
        if answer.refusal:
            return {self.note: message("info" if answer.stopped else "error", answer.refusal)}
        if isinstance(answer.result, PoseShown):
            return self._show(answer.result, found, edit, pictured)
        if found is not None:  # its pose lies over the video already
            return gr.skip()
        video = gr.update(value=answer.result, visible=answer.result is not None, label="Your video, its first seconds")
        return {self.view: video}

    def show_edit(self, *states) -> dict:
        """An edit was drawn: `show_answer`, as long as it is still what was made of what was found."""
        _, found, edit, _, answer = states
        shown = answer.result if answer is not None else None
        if isinstance(shown, PoseShown) and (shown.found, shown.edit) != (found, edit):
            return gr.skip()
        return self.show_answer(*states)

    def submit(self, visitor: str, asked: PoseTask | None) -> dict:
        """Ask for a search; one for something else ends."""
        if asked is None:
            return {self.note: message("error", "Upload or record a movement first.")}
        services = self.services
        job_id = services.runner.unfinished(visitor, KIND)
        if job_id is not None and services.runner.view(job_id).about == asked:
            return {self.running: job_id}
        self.stop(visitor)

        def work(report, cancel) -> PoseShown:
            report(Step("model", 0, 1))
            model = services.shelf.pipeline().model
            return find_and_draw(asked, model, services.new_temp_folder(), report, cancel)

        return {self.running: services.runner.submit(work, visitor, KIND, about=asked), self.note: ""}

    @never_empty
    def follow(self, visitor: str, running: str | None) -> Iterator[dict]:
        """A search was asked for, or the page was opened and one of before still runs: show its progress."""
        job_id = running or self.services.runner.unfinished(visitor, KIND)
        if job_id is None:
            return
        for view in self.services.runner.watch(job_id):
            bar = {self.progress: progress_bar(view, whole_run=False)}
            if view.finished:
                idle = {self.stop_button: button(self.stop_button, False, visible=False)}
                yield bar | idle | {self.searched: _answer_of_job(view)}
            else:
                busy = {self.extract_button: button(self.extract_button, False)}
                yield bar | busy | {self.stop_button: button(self.stop_button, True)}

    def _show(
        self, shown: PoseShown, known: PoseFound | None, edit: PoseEdit | None, pictured: PoseShown | None
    ) -> dict:
        is_new = shown.found != known
        if not is_new and shown.edit != edit:  # something else was decided meanwhile
            return gr.skip()
        if shown is pictured:  # showing it once more would undo what was clicked since
            return gr.skip()
        over = gr.update(value=shown.overlay, visible=shown.overlay is not None, label="Pose over the video")
        people = () if shown.checkup is None else shown.checkup.people
        names = [(f"Person {card.person}: {card.describe()}", card.person) for card in people]
        person = gr.update(choices=names, value=shown.edit.person if names else None, visible=len(names) > 1)
        file = shown.found.joints if shown.edit.pose.suffix.lower() != ".json" else shown.edit.pose
        files = {
            self.download: gr.update(value=file, visible=file is not None),
            self.download_drawing: gr.update(value=shown.drawing, visible=True),
        }
        pictures = {self.view: over, self.drawing: shown.drawing, self.note: _found_note(shown)}
        states = {}
        if is_new:
            states = {self.found: shown.found, self.edit: shown.edit, self.following: shown.edit.person}
            states[self.pose] = PoseTask(shown.edit.pose, shown.found.task.detector)
        return states | pictures | {self.person: person} | files | self.panel.show(shown, pictured, is_new)

    def stop(self, visitor: str) -> None:
        """Ask this visitor's search to end."""
        job_id = self.services.runner.unfinished(visitor, KIND)
        if job_id is not None:
            self.services.runner.stop(job_id)

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def first_task() -> PoseTask | None:
    """What is asked for as long as a person has chosen nothing: the example's pose."""
    return PoseTask(_example()) if _example() else None


def _example() -> Path | None:
    return examples.POSE if examples.POSE.is_file() else None


def create_pose_tab(
    services: Services, visitor: gr.Textbox, pose: gr.State, ready: gr.State, human: gr.State
) -> PoseTab:
    """Lay out and wire the second page.

    `pose` holds the PoseTask that Generate uses, `ready` whether loading the model has ended, `human` the person's picture.
    """
    states = {"asked": gr.State(first_task()), "following": gr.State(0)} | {
        name: gr.State(None) for name in ("drawn", "searched", "found", "edit", "running")
    }
    with gr.Row():
        with gr.Column(min_width=300):
            inputs = lay_out_sources()
        with gr.Column(min_width=300):
            outputs = _lay_out_pose()
    panel = create_check_panel()
    next_button = gr.Button("Next: generate", elem_id="to-generate")
    tab = PoseTab(services, visitor, pose, **states, **inputs, **outputs, next_button=next_button, panel=panel)
    _wire(tab, ready)
    editor = PoseEditor(services, panel, human, pose, tab.found, tab.edit, tab.following, tab.drawn, tab.person)
    wire_editor(editor, tab.show_edit, *tab.answering(tab.drawn))
    return tab


def _lay_out_pose() -> dict[str, gr.Component]:
    gr.HTML(
        "<h2>Pose</h2><p class='aa-hint'>What the model will follow, frame by frame.</p>",
        elem_classes="aa-column-title",
    )
    person = gr.Dropdown([], label="Which person", visible=False, elem_id="pose-person")
    options = {"interactive": False, "autoplay": True, "loop": True, "height": 260, "buttons": []}
    view = gr.Video(label="Your video", visible=False, elem_id="pose-view", **options)
    drawing = gr.Video(label="Pose as the model reads it", elem_id="pose-drawing", **options)
    with gr.Row():
        download = gr.DownloadButton("Download pose.json", visible=False, elem_id="pose-download", min_width=140)
        drawn = gr.DownloadButton("Download the drawing", visible=False, elem_id="pose-download-drawing", min_width=140)
    return {"person": person, "view": view, "drawing": drawing, "download": download, "download_drawing": drawn}


def _wire(tab: PoseTab, ready: gr.State) -> None:
    asked, raw, who = tab.asked, {**CHOICE, **RAW}, [tab.visitor, tab.asked]
    choices = [tab.every_frame, tab.detector]
    gr.on([tab.upload.upload, tab.upload.clear], tab.on_upload, [*who, tab.upload, *choices], tab.chosen, **raw)
    ends = [tab.recording.stop_recording, tab.recording.clear]
    gr.on(ends, tab.on_recording, [*who, tab.recording, *choices], tab.chosen, **raw)
    tab.library.input(tab.on_library, [*who, tab.library, *choices], tab.chosen, **CHOICE)
    gr.on([chosen(widget) for widget in tab.options], tab.on_option, [*who, *tab.options], tab.chosen, **CHOICE)
    reasons = [asked.change, ready.change]
    gr.on(reasons, tab.tell_source, asked, [tab.facts, tab.extract_button], **FACTS_EVENT)
    looked = gr.on(reasons, tab.look_into, [asked, tab.drawn], tab.drawn, **DRAW_EVENT)
    looked.then(tab.show_answer, *tab.answering(tab.drawn), **CHOICE)
    tab.extract_button.click(tab.submit, who, [tab.running, tab.note], **CHOICE)
    tab.stop_button.click(tab.stop, tab.visitor, **QUIET)


def _is_json(task: PoseTask) -> bool:
    return task.source.suffix.lower() == ".json"


def _answer(task: PoseTask, outcome: Outcome) -> PoseAnswer:
    return PoseAnswer(task, outcome.result, outcome.message)


def _answer_of_job(view: JobView) -> PoseAnswer:
    return PoseAnswer(view.about, view.result, view.message, view.state == "stopped")


def _found_note(shown: PoseShown) -> str:
    found, person = shown.found, shown.edit.person
    length = f"{found.num_frames} frames at {found.fps:.4g} fps"
    is_video = not found.is_drawn and found.task.source.suffix.lower() != ".json"
    mirrored = " It is not mirrored: press Mirror under Check and repair." if found.task.mirror and not is_video else ""
    if found.is_drawn:
        return message("good", f"A drawn skeleton, {length}. Beside it: as the model reads it.{mirrored}")
    people = shown.checkup.people
    if not people:
        return message("error", shown.checkup.findings[0].sentence)
    seen = next((card.coverage for card in people if card.person == person), 0.0)
    who = "1 person" if len(people) == 1 else f"{len(people)} people"
    took = f" (found in {seconds(found.seconds_taken)})" if is_video else ""
    text = f"{who} in {length}{took}. Person {person} is seen in {seen:.0%} of them.{mirrored}"
    if len(people) > 1:
        return message("warning", f"{text} Choose whom the clip follows.")
    return message("good" if seen > 0.8 else "warning", text)
