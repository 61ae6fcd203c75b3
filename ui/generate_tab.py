"""Third page: settings, the run with its progress and Stop, and the clip."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere import examples
from animateanywhere.config import GenerateConfig
from animateanywhere.errors import InputError
from ui.clip_work import AskedMotion, Clip, ClipTask, make_clip, plan_clip
from ui.events import CHOICE, LATEST, QUIET, never_empty
from ui.forms import WidgetSpec, config_from_values, widget_specs
from ui.fragments import facts, message, notes_list, plan_line, progress_bar, seconds
from ui.jobs import JobView
from ui.outcomes import attempt
from ui.pose_work import PoseTask
from ui.preview_work import sentence_in
from ui.services import Services
from ui.updates import button

KIND = "clip"
_PLAN_EVENT = {**QUIET, **LATEST, "concurrency_id": "plans", "concurrency_limit": 1}
SHOW_CLIP = "() => setTimeout(() => document.querySelector('#clip')?.scrollIntoView({block: 'nearest'}), 400)"
"""On a narrow screen the clip lies below the settings."""
_ALWAYS_SHOWN = ("prompt", "num_frames", "seed")
_ELSEWHERE = ("detector", "retarget")
"""Asked for on the Pose page."""


@dataclass(frozen=True, eq=False)
class GenerateTab:
    """The third page's widgets, and its handlers."""

    services: Services
    visitor: gr.Textbox
    pose: gr.State
    running: gr.State  # str | None: id of the run that was last asked for
    motion: gr.State  # AskedMotion | None: what was chosen in a preview; it counts while the prompt says so
    settings: dict[str, gr.Component]
    plan: gr.HTML
    pose_plan: gr.HTML
    generate_button: gr.Button
    stop_button: gr.Button
    example_button: gr.Button
    progress: gr.HTML
    note: gr.HTML
    clip: gr.Video
    about: gr.HTML
    download: gr.DownloadButton
    gallery: gr.Gallery

    @property
    def shown(self) -> list:
        """Everything a run changes."""
        buttons = [self.generate_button, self.stop_button, self.example_button]
        return [*buttons, self.progress, self.note, self.clip, self.about, self.download, self.gallery]

    def show_plan(self, human: Path | None, background: Path | None, task: PoseTask | None, *values) -> dict:
        """Length, rate and size of the clip, or why there will be none, on this page and on the Pose page."""
        if self.services.shelf.view().model is None:
            return {self.plan: "", self.pose_plan: ""}

        def work() -> str:
            clip_task = self.task(human, background, task, *values)
            planned = plan_clip(clip_task, self.services)
            return plan_line(planned.describe(), planned.notes)

        outcome = attempt(work, self._log_file)
        text = outcome.result if outcome.state == "done" else message("warning", outcome.message)
        return {self.plan: text, self.pose_plan: text if outcome.state == "done" else ""}

    def submit(self, visitor: str, motion: AskedMotion | None, *inputs) -> dict:
        """Ask for a clip of the page's inputs."""

        def task() -> ClipTask:
            asked = self.task(*inputs)
            chosen = motion is not None and motion.sentence == sentence_in(asked.config.prompt)
            return dataclasses.replace(asked, motion=motion if chosen else None)

        return self._submit(visitor, task)

    def submit_example(self, visitor: str) -> dict:
        """Ask for a clip of the bundled example with the model's own settings, whatever the page holds."""
        task = ClipTask(examples.HUMAN, examples.BACKGROUND, PoseTask(examples.POSE), GenerateConfig())
        return self._submit(visitor, lambda: task)

    def _submit(self, visitor: str, make_task: Callable[[], ClipTask]) -> dict:
        """One run at a time: as long as one is unfinished, it is the one that is shown."""
        services = self.services
        job_id = services.runner.unfinished(visitor, KIND)
        if job_id is None:
            outcome = attempt(make_task, self._log_file)
            if outcome.state != "done":
                return {self.note: message("error", outcome.message)}
            job_id = services.runner.submit(
                lambda report, cancel: make_clip(outcome.result, services, report, cancel), visitor, KIND
            )
        return {self.running: job_id, self.note: ""}

    @never_empty
    def follow(self, visitor: str, running: str | None) -> Iterator[dict]:
        """A run was asked for: show its progress until it ends, then its clip.

        The page was opened, if none was: show this visitor's clips, and follow a run of before.
        """
        if running is None:
            running = self.services.runner.unfinished(visitor, KIND)
            if clips := self.show_clips(visitor):
                yield clips
        if running is None:
            return
        for view in self.services.runner.watch(running):
            if view.finished:
                yield self._end(view, visitor)
            else:
                yield {self.progress: progress_bar(view, whole_run=True)} | self._buttons(busy=True)

    def _end(self, view: JobView, owner: str) -> dict:
        idle = {self.progress: ""} | self._buttons(busy=False)
        if view.state != "done":
            return idle | {self.note: message("info" if view.state == "stopped" else "error", view.message)}
        return idle | self.show_clips(owner)

    def show_clips(self, owner: str) -> dict:
        """The newest clip of this visitor large, all of them in the gallery; nothing without a clip."""
        clips = [clip for clip in self.services.runner.results(owner, KIND) if clip.path.is_file()]
        if not clips:
            return {}
        newest = clips[0]
        items = [(str(clip.path), f"seed {clip.seed}") for clip in clips]
        return {
            self.clip: newest.path,
            self.about: facts(_facts(newest)) + notes_list(newest.notes),
            self.download: gr.update(value=newest.path, interactive=True),
            self.gallery: gr.update(value=items, visible=len(items) > 1),
        }

    def _buttons(self, busy: bool) -> dict:
        idle = not busy
        return {
            self.generate_button: button(self.generate_button, idle and self.services.shelf.view().model is not None),
            self.example_button: button(self.example_button, idle),
            self.stop_button: button(self.stop_button, busy),
        }

    def stop(self, visitor: str) -> dict:
        """Ask this visitor's run to end."""
        job_id = self.services.runner.unfinished(visitor, KIND)
        if job_id is not None:
            self.services.runner.stop(job_id)
        return {self.stop_button: button(self.stop_button, False)}

    def show_ready(self) -> dict:
        """Once the model is known, Generate can be pressed, and its own numbers are shown and can be changed."""
        model = self.services.shelf.view().model
        if model is None:
            return gr.skip()
        return {self.generate_button: button(self.generate_button, True)} | {
            self.settings[spec.name]: gr.update(value=getattr(model, spec.name), interactive=True)
            for spec in widget_specs().values()
            if spec.optional
        }

    def task(self, human: Path | None, background: Path | None, task: PoseTask | None, *values) -> ClipTask:
        """The page's inputs as one clip to make. Raises InputError for what is missing or not allowed."""
        for missing, what in ((human, "picture of a person"), (background, "background picture"), (task, "pose")):
            if missing is None:
                raise InputError(f"no {what} yet: choose one on the pages before this one")
        return ClipTask(human, background, task, self._config(values, detector=task.detector))

    def _config(self, values, **fixed) -> GenerateConfig:
        return config_from_values(dict(zip(self.settings, values, strict=True)) | fixed)

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def create_generate_tab(
    services: Services,
    visitor: gr.Textbox,
    pose: gr.State,
    ready: gr.State,
    pictures: list[gr.State],
    pose_plan: gr.HTML,
    example_button: gr.Button,
    retarget: gr.Slider,
) -> GenerateTab:
    """Lay out and wire the third page.

    `pose`: the PoseTask to use. `ready`: whether loading the model has ended. `pictures`: the files of person and
    background. `retarget`: the setting of that name, which lies on the Pose page.
    """
    with gr.Row():
        with gr.Column(min_width=300, scale=2):
            settings = _lay_out_settings() | {"retarget": retarget}
            plan = gr.HTML(elem_id="plan")
            with gr.Row():
                generate = gr.Button(
                    "Generate", variant="primary", interactive=False, elem_id="generate", min_width=120
                )
                stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="stop", min_width=120)
        with gr.Column(min_width=300, scale=3):
            result = _lay_out_result()
    buttons = {"generate_button": generate, "stop_button": stop, "example_button": example_button}
    tab = GenerateTab(
        services, visitor, pose, gr.State(None), gr.State(None), settings, plan, pose_plan, **buttons, **result
    )
    _wire(tab, pictures, ready)
    return tab


def _lay_out_settings() -> dict[str, gr.Component]:
    """One widget per field of GenerateConfig, in its order of appearance."""
    gr.HTML("<h2>Settings</h2>", elem_classes="aa-column-title")
    specs = widget_specs()
    widgets = {name: _widget(specs[name]) for name in _ALWAYS_SHOWN}
    with gr.Accordion("More settings", open=False):
        for name, spec in specs.items():
            if name not in _ALWAYS_SHOWN and name not in _ELSEWHERE:
                widgets[name] = _widget(spec)
    return widgets


def _widget(spec: WidgetSpec) -> gr.Component:
    options = {"label": spec.label, "info": spec.info, "elem_id": f"setting-{spec.name}"}
    if spec.kind == "text":
        return gr.Textbox(spec.default, placeholder="optional", **options)
    if spec.kind == "switch":
        return gr.Checkbox(spec.default, **options)
    if spec.kind == "choice":
        return gr.Dropdown(list(spec.choices), value=spec.default, **options)
    # Until the model says what empty means, nobody can type what its own number would then replace.
    return gr.Number(spec.default, interactive=not spec.optional, **options)


def _lay_out_result() -> dict[str, gr.Component]:
    gr.HTML("<h2>Clip</h2>", elem_classes="aa-column-title")
    progress, note = gr.HTML(elem_id="progress"), gr.HTML(elem_id="note")
    clip = gr.Video(
        label="Newest clip", interactive=False, autoplay=True, loop=True, height=340, buttons=[], elem_id="clip"
    )
    about = gr.HTML(elem_id="about")
    download = gr.DownloadButton("Download mp4", interactive=False, elem_id="download")
    gallery = gr.Gallery(
        label="Clips of this session",
        visible=False,
        interactive=False,
        columns=4,
        object_fit="contain",
        height=200,
        buttons=[],
        elem_id="gallery",
    )
    told = {"progress": progress, "note": note, "clip": clip, "about": about}
    return told | {"download": download, "gallery": gallery}


def _wire(tab: GenerateTab, pictures: list[gr.State], ready: gr.State) -> None:
    values = list(tab.settings.values())
    inputs = [*pictures, tab.pose, *values]
    changes = [tab.pose.change, *(widget.change for widget in values), *(picture.change for picture in pictures)]
    gr.on([*changes, ready.change], tab.show_plan, inputs, [tab.plan, tab.pose_plan], **_PLAN_EVENT)
    ready.change(tab.show_ready, None, [tab.generate_button, *values], **QUIET)
    tab.generate_button.click(tab.submit, [tab.visitor, tab.motion, *inputs], [tab.running, tab.note], **CHOICE)
    tab.generate_button.click(None, js=SHOW_CLIP, **QUIET)
    tab.stop_button.click(tab.stop, tab.visitor, tab.stop_button, **QUIET)


def _facts(clip: Clip) -> list[tuple[str, str]]:
    width, height = clip.size
    return [
        ("Seed", str(clip.seed)),
        ("Length", f"{clip.num_frames} frames at {clip.fps:g} fps, {clip.num_frames / clip.fps:.1f} s"),
        ("Size", f"{width}×{height}"),
        *([("Asked for", said)] if (said := sentence_in(clip.task.config.prompt)) else []),
        *([("Background", clip.motion_seen)] if clip.motion_seen else []),
        ("Made in", seconds(clip.seconds)),
        ("Model", clip.model_name),
        ("File", str(clip.path)),
    ]
