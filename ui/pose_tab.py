"""Second page: a movement, from a file or the webcam, and the pose that was found in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere import examples
from animateanywhere.cancel import CancelToken
from ui.forms import widget_specs
from ui.fragments import facts, message, progress_bar, seconds
from ui.jobs import JobView, Step
from ui.outcomes import attempt
from ui.pose_work import (
    PoseFound,
    PoseShown,
    PoseTask,
    describe_source,
    draw_previews,
    find_and_draw,
    make_playable,
)
from ui.services import Services, new_visitor
from ui.updates import button
from ui.uploads import uploaded_path

KIND = "pose"
_CAMERA = {"video": {"width": {"ideal": 960}, "height": {"ideal": 720}, "frameRate": {"ideal": 30, "max": 30}}}
"""Detectors see no more than this; larger recordings lose frames on slow machines."""
_EVENT = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
_PREVIEW_EVENT = {**_EVENT, "concurrency_id": "previews", "concurrency_limit": 1}


@dataclass(frozen=True, eq=False)
class PoseTab:
    """The second page's widgets that others read or press, and its handlers."""

    services: Services
    visitor: gr.BrowserState
    pose: gr.State  # PoseTask | None: what Generate uses
    source: gr.State  # Path | None: what came in, to extract from (again)
    found: gr.State  # PoseFound | None
    upload: gr.File
    recording: gr.Video
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
    next_button: gr.Button

    @property
    def options(self) -> list:
        return [self.mirror, self.every_frame, self.detector]

    @property
    def shown(self) -> list:
        """Everything a new source or a found pose changes."""
        widgets = [self.pose, self.source, self.found, self.mirror, self.extract_button, self.stop_button, self.facts]
        return [*widgets, self.progress, self.note, self.view, self.drawing, self.person, self.download, self.visitor]

    def on_upload(self, payload: dict | None, every_frame: bool, detector: str) -> dict:
        """A file came, or was taken away: then the example's pose is back."""
        path = uploaded_path(payload) or (examples.POSE if examples.POSE.is_file() else None)
        return self._take(path, False, every_frame, detector)

    def on_recording(self, payload: dict | None, every_frame: bool, detector: str) -> dict:
        """A recording ended, or was thrown away. It is mirrored at first: the camera's picture was a mirror, too."""
        path = uploaded_path(payload)
        return (
            self.on_upload(None, every_frame, detector)
            if path is None
            else self._take(path, True, every_frame, detector)
        )

    def on_option(self, source: Path | None, mirror: bool, every_frame: bool, detector: str) -> dict:
        """Another way to read the same source: what was found in the old way is no longer right."""
        return self._take(source, mirror, every_frame, detector)

    def _take(self, path: Path | None, mirror: bool, every_frame: bool, detector: str) -> dict:
        task = None if path is None else PoseTask(path, detector, mirror, every_frame)
        cleared = {self.view: None, self.drawing: None, self.found: None, self.progress: "", self.note: ""}
        hidden = {self.person: gr.update(visible=False, value=None), self.download: gr.update(visible=False)}
        states = {self.pose: task, self.source: path, self.mirror: mirror}
        return cleared | hidden | states | self.tell_source(task)

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
        can_extract = task.source.suffix.lower() != ".json"
        return {self.facts: facts(outcome.result), self.extract_button: button(self.extract_button, can_extract)}

    def show_source(self, task: PoseTask | None) -> dict:
        """A picture of the source that any browser plays; a json is drawn at once."""
        if task is None:
            return {self.view: None}
        model = self.services.shelf.view().model
        if task.source.suffix.lower() == ".json":
            return self._find_now(task) if model else {}
        outcome = attempt(
            lambda: make_playable(task.source, self.services.new_temp_folder(), task.mirror), self._log_file
        )
        if outcome.state != "done":
            return {self.note: message("error", outcome.message)}
        visible = outcome.result is not None
        return {self.view: gr.update(value=outcome.result, visible=visible, label="Your video, its first seconds")}

    def _find_now(self, task: PoseTask) -> dict:
        """A pose json needs no search: read and draw it without a job."""
        services = self.services

        def work() -> PoseShown:
            model = services.shelf.pipeline().model
            return find_and_draw(task, model, services.new_temp_folder(), lambda step: None, CancelToken())

        outcome = attempt(work, self._log_file)
        if outcome.state != "done":
            return {self.note: message("error", outcome.message)}
        return self._show(outcome.result)

    def extract(
        self, visitor: str | None, source: Path | None, mirror: bool, every_frame: bool, detector: str
    ) -> Iterator[dict]:
        """Find the pose in a job and follow it."""
        owner = visitor or new_visitor()
        if source is None:
            yield {self.note: message("error", "Upload or record a movement first.")}
            return
        running = self.services.runner.unfinished(owner, KIND)
        job_id = running or self.submit(PoseTask(Path(source), detector, mirror, every_frame), owner)
        for update in self.follow(job_id):
            yield update | {self.visitor: owner}

    def submit(self, task: PoseTask, owner: str) -> str:
        """Queue the search; returns the job's id."""
        services = self.services

        def work(report, cancel) -> PoseShown:
            report(Step("model", 0, 1))
            model = services.shelf.pipeline().model
            return find_and_draw(task, model, services.new_temp_folder(), report, cancel)

        return services.runner.submit(work, owner, KIND)

    def follow(self, job_id: str) -> Iterator[dict]:
        """Show a job's progress until it ends, then what it found."""
        for view in self.services.runner.watch(job_id):
            busy = {
                self.extract_button: button(self.extract_button, False),
                self.stop_button: button(self.stop_button, True),
            }
            yield {self.progress: progress_bar(view, whole_run=False), self.note: ""} | busy
            if view.finished:
                yield self._end(view)

    def _end(self, view: JobView) -> dict:
        idle = {
            self.extract_button: button(self.extract_button, True),
            self.stop_button: button(self.stop_button, False, visible=False),
            self.progress: "",
        }
        if view.state == "done":
            return idle | self._show(view.result)
        return idle | {self.note: message("info" if view.state == "stopped" else "error", view.message)}

    def _show(self, shown: PoseShown) -> dict:
        found = shown.found
        states = {self.found: found, self.pose: PoseTask(found.pose), self.source: found.task.source}
        names = [(_person_name(index, share), index) for index, share in enumerate(found.coverage)]
        choice = gr.update(choices=names, value=shown.person if names else None, visible=len(names) > 1)
        download = gr.update(value=None if found.is_drawn else found.pose, visible=not found.is_drawn)
        return states | {self.person: choice, self.download: download} | self._show_pictures(shown)

    def _show_pictures(self, shown: PoseShown) -> dict:
        over = gr.update(value=shown.overlay, visible=shown.overlay is not None, label="Pose over the video")
        return {self.view: over, self.drawing: shown.drawing, self.note: _found_note(shown)}

    def choose_person(self, found: PoseFound | None, person: int | None) -> dict:
        """Draw another person of the same pose."""
        if found is None or person is None:
            return {}
        model = self.services.shelf.view().model
        outcome = attempt(lambda: draw_previews(found, person, model, self.services.new_temp_folder()), self._log_file)
        if outcome.state != "done":
            return {self.note: message("error", outcome.message)}
        return self._show_pictures(outcome.result)

    def stop(self, visitor: str | None) -> None:
        """Ask this visitor's search to end."""
        job_id = self.services.runner.unfinished(visitor or "", KIND)
        if job_id is not None:
            self.services.runner.stop(job_id)

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def create_pose_tab(services: Services, visitor: gr.BrowserState, pose: gr.State) -> PoseTab:
    """Lay out and wire the second page. `pose` holds the PoseTask that Generate uses."""
    source, found = gr.State(pose.value.source if pose.value else None), gr.State(None)
    with gr.Row():
        with gr.Column(min_width=300):
            inputs = _lay_out_inputs()
        with gr.Column(min_width=300):
            outputs = _lay_out_pose()
    tab = PoseTab(services, visitor, pose, source, found, **inputs, **outputs)
    _wire(tab)
    return tab


def _lay_out_inputs() -> dict[str, gr.Component]:
    detector = widget_specs()["detector"]
    gr.HTML(
        "<h2>Movement</h2><p class='aa-hint'>A video of a person, a drawn skeleton, or a pose.json.</p>",
        elem_classes="aa-column-title",
    )
    with gr.Tabs():
        with gr.Tab("Upload"):
            upload = gr.File(label="Video or pose.json", height=140, elem_id="pose-upload")
        with gr.Tab("Record"):
            recording = gr.Video(
                label="Webcam",
                sources=["webcam"],
                include_audio=False,
                height=300,
                buttons=[],
                webcam_options=gr.WebcamOptions(mirror=True, constraints=_CAMERA),
                elem_id="pose-recording",
            )
            gr.HTML("<p class='aa-hint'>Step back until your whole body is in view. No sound is recorded.</p>")
    mirror = gr.Checkbox(False, label="Mirror left and right", elem_id="pose-mirror")
    with gr.Accordion("More options", open=False):
        every_frame = gr.Checkbox(
            False,
            label="Every frame of the whole video",
            info="Slower. Off: only as much as the model can use.",
            elem_id="pose-every-frame",
        )
        detector = gr.Dropdown(
            list(detector.choices), value=detector.default, label=detector.label, info=detector.info, elem_id="detector"
        )
    told, plan = gr.HTML(elem_id="pose-facts"), gr.HTML(elem_id="pose-plan")
    with gr.Row():
        extract = gr.Button("Extract pose", variant="primary", elem_id="extract-pose")
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop-pose")
    progress, note = gr.HTML(elem_id="pose-progress"), gr.HTML(elem_id="pose-note")
    widgets = {"upload": upload, "recording": recording, "mirror": mirror, "every_frame": every_frame}
    buttons = {"detector": detector, "extract_button": extract, "stop_button": stop}
    return widgets | buttons | {"facts": told, "plan": plan, "progress": progress, "note": note}


def _lay_out_pose() -> dict[str, gr.Component]:
    gr.HTML(
        "<h2>Pose</h2><p class='aa-hint'>What the model will follow, frame by frame.</p>",
        elem_classes="aa-column-title",
    )
    person = gr.Dropdown([], label="Which person", visible=False, elem_id="pose-person")
    options = {"interactive": False, "autoplay": True, "loop": True, "height": 260, "buttons": []}
    view = gr.Video(label="Your video", visible=False, elem_id="pose-view", **options)
    drawing = gr.Video(label="Pose as the model reads it", elem_id="pose-drawing", **options)
    download = gr.DownloadButton("Download pose.json", visible=False, elem_id="pose-download")
    next_button = gr.Button("Next: generate", elem_id="to-generate")
    return {"person": person, "view": view, "drawing": drawing, "download": download, "next_button": next_button}


def _wire(tab: PoseTab) -> None:
    choices, raw = [tab.every_frame, tab.detector], {**_EVENT, "preprocess": False}
    taken = [
        gr.on([tab.upload.upload, tab.upload.clear], tab.on_upload, [tab.upload, *choices], tab.shown, **raw),
        gr.on(
            [tab.recording.stop_recording, tab.recording.clear],
            tab.on_recording,
            [tab.recording, *choices],
            tab.shown,
            **raw,
        ),
        gr.on([widget.input for widget in tab.options], tab.on_option, [tab.source, *tab.options], tab.shown, **_EVENT),
    ]
    for event in taken:
        event.then(tab.show_source, tab.pose, tab.shown, **_PREVIEW_EVENT)
    tab.extract_button.click(tab.extract, [tab.visitor, tab.source, *tab.options], tab.shown, **_EVENT)
    tab.stop_button.click(tab.stop, tab.visitor, **_EVENT)
    tab.person.input(tab.choose_person, [tab.found, tab.person], [tab.note, tab.view, tab.drawing], **_PREVIEW_EVENT)


def _person_name(index: int, share: float) -> str:
    return f"Person {index}{' (largest)' if index == 0 else ''}, seen in {share:.0%} of the frames"


def _found_note(shown: PoseShown) -> str:
    found = shown.found
    length = f"{found.num_frames} frames at {found.fps:.4g} fps"
    is_video = not found.is_drawn and found.task.source.suffix.lower() != ".json"
    mirrored = " It is not mirrored: only videos of people can be." if found.task.mirror and not is_video else ""
    if found.is_drawn:
        return message("good", f"A drawn skeleton, {length}. Beside it: as the model reads it.{mirrored}")
    people = len(found.coverage)
    who = "1 person" if people == 1 else f"{people} people"
    took = f" (found in {seconds(found.seconds_taken)})" if is_video else ""
    text = f"{who} in {length}{took}. Person {shown.person} is seen in {found.coverage[shown.person]:.0%} of them."
    text += mirrored
    if people > 1:
        return message("warning", f"{text} Choose whom the clip follows.")
    return message("good" if found.coverage[shown.person] > 0.8 else "warning", text)
