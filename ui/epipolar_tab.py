"""Fourth page: click a point of one frame and see where geometry allows it in another, and where the model looks."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_files import FILE_FORMATS
from animateanywhere.geometry.camera_presets import PRESETS
from ui.attention_shelf import AttentionShelf, hold_attention, plan_hold
from ui.clip_work import Clip
from ui.epipolar_viewer import FIRST_POINT, MEAN_HEAD, RunPart, Viewer, create_run_part, create_viewer, read_look
from ui.epipolar_work import (
    CLIP_FRAMES,
    EstimatedCameras,
    RecentPictures,
    Scene,
    Seen,
    estimate_cameras,
    look_at,
    make_scene,
    scene_video,
    write_sheet,
)
from ui.events import CHOICE, LATEST, QUIET, RAW, chosen, never_empty
from ui.fragments import facts, message, progress_bar
from ui.generate_tab import KIND as CLIP
from ui.jobs import JobView, Work
from ui.outcomes import attempt
from ui.scene_panel import FIRST_SIZE, ScenePanel, create_scene_panel, read_request
from ui.services import Services
from ui.updates import button

ATTENTION, CAMERA = "attention", "camera"
_FRAME_BOX_PX, _PANEL_BOX_PX = 640, 340
_NO_DOWNLOAD = gr.update(value=None, visible=False)
_PRESS_DOWNLOAD = "() => setTimeout(() => document.querySelector('#epipolar-png')?.click(), 300)"
_EVENT = {**QUIET, **RAW}
SCENE_EVENT = {**_EVENT, "concurrency_id": "epipolar-scenes", "concurrency_limit": 1}
LOOK_EVENT = {**_EVENT, "concurrency_id": "epipolar-looks", "concurrency_limit": 1}


@dataclass(frozen=True, eq=False)
class EpipolarTab:
    """The fourth page's widgets, and its handlers."""

    services: Services
    visitor: gr.Textbox
    shelf: AttentionShelf
    pictures: RecentPictures
    scene: gr.State  # Scene | None
    estimated: gr.State  # EstimatedCameras | None
    offered: gr.State  # Path | None: the newest clip that this page has shown of itself
    to_draw: gr.State  # str: another one has the pictures drawn anew, from what is chosen by then
    panel: ScenePanel
    runner: RunPart
    viewer: Viewer

    @property
    def scene_inputs(self) -> list:
        return [self.visitor, self.estimated, *self.panel.values, *self.viewer.values]

    @property
    def page_inputs(self) -> list:
        """With what is shown."""
        return [self.visitor, self.scene, *self.scene_inputs[1:]]

    @property
    def scene_outputs(self) -> list:
        """Everything that another clip or other cameras change; the pictures follow `to_draw`."""
        runner, viewer = self.runner, self.viewer
        run = [runner.strip, runner.layers, runner.steps, runner.plan]
        look = [viewer.frame_i, viewer.frame_j, viewer.x, viewer.y, viewer.layer, viewer.head, viewer.step]
        panel = [*self.panel.shown, self.panel.source, self.panel.facts]
        return [self.scene, self.offered, self.to_draw, *panel, *run, *look, viewer.choice_row]

    @property
    def job_outputs(self) -> list:
        """What a running job changes."""
        buttons = [self.runner.run_button, self.runner.stop_button, self.panel.estimate_button]
        return [*buttons, self.runner.progress, self.runner.note, self.estimated]

    def open_page(
        self, offered: Path | None, visitor: str, scene: Scene | None, estimated, source: str, *values
    ) -> dict:
        """The page was opened: show a clip that was made meanwhile, unless a video was chosen."""
        newest = self._newest_clip(visitor)
        if newest is not None and newest.path != offered and source != "video":
            shown = self.show_scene(visitor, estimated, "clip", *values)
            return {self.offered: newest.path} | shown
        return gr.skip() if scene is not None else self.show_scene(visitor, estimated, source, *values)

    def choose_scene(self, *values) -> dict:
        """Another choice of clip or cameras: what the last job said is no longer of interest."""
        return self.show_scene(*values) | {self.runner.note: ""}

    def show_scene(self, visitor: str, estimated: EstimatedCameras | None, *values) -> dict:
        """Another clip, or other cameras: read them, and have them drawn.

        A person may look elsewhere meanwhile: of that, only what does not fit the new clip is changed.
        """
        count = len(self.panel.values)
        source, camera = values[0], values[4]
        # The choice itself, too: the page may show an older one's by now, if it was opened just before.
        shown = self.panel.visibility(source, camera) | {self.panel.source: source, self.to_draw: uuid.uuid4().hex}
        clip = self._newest_clip(visitor) if source == "clip" else None
        outcome = attempt(
            lambda: make_scene(read_request(*values[:count]), self.services, clip, estimated), self._log_file
        )
        if outcome.state != "done":
            told = {self.panel.facts: message("info", outcome.message), self.scene: None}
            return shown | told | self._offer_run(clip)
        scene: Scene = outcome.result
        told = {self.panel.facts: facts(scene.rows()), self.scene: scene}
        held, fitted = self._offer_held(scene, *values[-4:-1]), self._fit_look(scene, *values[count : count + 4])
        return shown | told | self._offer_run(scene.clip) | held | fitted

    def _fit_look(self, scene: Scene, i, j, x, y) -> dict:
        """Frames and a point that lie in this clip, where those that are chosen do not."""
        viewer, last = self.viewer, scene.grid.num_frames - 1
        frames, point = {}, {}
        if not all(isinstance(frame, int | float) and 0 <= frame <= last for frame in (i, j)) or i == j:
            frames = {viewer.frame_i: 0, viewer.frame_j: last}
        size = (scene.grid.width, scene.grid.height)
        if not all(isinstance(at, int | float) and 0 <= at < side for at, side in zip((x, y), size, strict=True)):
            first = (round(share * side, 1) for share, side in zip(FIRST_POINT, size, strict=True))
            point = dict(zip((viewer.x, viewer.y), first, strict=True))
        sliders = (viewer.frame_i, viewer.frame_j)
        ends = {w: gr.update(maximum=last, **({"value": frames[w]} if frames else {})) for w in sliders}
        return ends | point

    def _offer_held(self, scene: Scene, layer: int | None, head: int | None, step: int | None) -> dict:
        """The layers, heads and steps that are held of this clip."""
        viewer = self.viewer
        run = self.shelf.get(scene.clip.path) if scene.clip is not None else None
        widgets = (viewer.layer, viewer.head, viewer.step)
        if run is None:
            return {viewer.choice_row: gr.update(visible=False)} | {w: gr.update(value=None) for w in widgets}
        plan, values = run.plan, [{}] * len(widgets)
        if layer not in plan.layers or step not in plan.steps:
            first = (plan.layers[len(plan.layers) // 2], MEAN_HEAD, plan.steps[len(plan.steps) // 2])
            values = [{"value": value} for value in first]
        layers = [(f"{number} of 0 to {plan.num_layers - 1}", number) for number in plan.layers]
        heads = [("mean over heads", MEAN_HEAD), *((f"{number}", number) for number in range(run.num_heads))]
        steps = [(f"{number} of 0 (noise) to {plan.num_steps - 1}", number) for number in plan.steps]
        offers = zip(widgets, (layers, heads, steps), values, strict=True)
        shown = {widget: gr.update(choices=choices, **value) for widget, choices, value in offers}
        return {viewer.choice_row: gr.update(visible=True)} | shown

    def _offer_run(self, clip: Clip | None) -> dict:
        """The layers and steps of this clip's model, a choice that fits into memory."""
        runner = self.runner
        if clip is None:
            return {runner.strip: gr.update(visible=False)}
        outcome = attempt(lambda: plan_hold(clip, self.services), self._log_file)
        if outcome.state != "done":
            return {runner.strip: gr.update(visible=True), runner.plan: message("warning", outcome.message)}
        plan, run = outcome.result, self.shelf.get(clip.path)
        shown = plan if run is None else run.plan
        return {
            runner.strip: gr.update(visible=True),
            runner.layers: gr.update(choices=list(range(plan.num_layers)), value=list(shown.layers)),
            runner.steps: gr.update(choices=list(range(plan.num_steps)), value=list(shown.steps)),
            runner.plan: self._plan_text(shown.describe()),
        }

    def show_plan(self, scene: Scene | None, layers: list[int], steps: list[int]) -> dict:
        """What the run would hold, or why it cannot."""
        if scene is None or scene.clip is None:
            return {self.runner.plan: ""}
        outcome = attempt(lambda: plan_hold(scene.clip, self.services, layers, steps), self._log_file)
        if outcome.state != "done":
            return {self.runner.plan: message("warning", outcome.message)}
        return {self.runner.plan: self._plan_text(outcome.result.describe())}

    @staticmethod
    def _plan_text(words: str) -> str:
        return f"<p class='aa-hint'>Holds {words}.</p>"

    def point_at(self, event: gr.SelectData, scene: Scene | None) -> dict:
        """A click on frame i."""
        if scene is None:
            return gr.skip()
        from animateanywhere.overlay import clip_point

        place = clip_point(tuple(event.index), (scene.grid.width, scene.grid.height), _FRAME_BOX_PX)
        if place is None:
            return {self.viewer.note: message("info", "that is outside the picture: click inside it")}
        x, y = (round(value, 1) for value in place)
        return {self.viewer.x: x, self.viewer.y: y, self.to_draw: uuid.uuid4().hex}

    def look(self, scene: Scene | None, *values) -> dict:
        """All pictures and numbers anew."""
        if scene is None:
            return self._nothing()
        outcome = attempt(lambda: self._draw(self._seen(scene, values)), self._log_file)
        if outcome.state != "done":
            return {self.viewer.note: message("error", outcome.message)}
        return outcome.result

    def _seen(self, scene: Scene, values) -> Seen:
        return look_at(scene, read_look(*values), self.shelf)

    def _draw(self, seen: Seen) -> dict:
        viewer = self.viewer
        drawn = [self.pictures.write(panel) for panel in seen.frame_panels(_FRAME_BOX_PX)]
        panels = [self.pictures.write(panel) for panel in seen.attention_panels(_PANEL_BOX_PX)]
        shown = dict(zip((viewer.picture_i, viewer.picture_j), drawn, strict=True))
        return (
            shown
            | self._show_panels(panels)
            | {
                viewer.readouts: facts(seen.readouts.rows()),
                viewer.note: message("info", seen.geometry.note),
                viewer.download: _NO_DOWNLOAD,
            }
        )

    def _show_panels(self, panels: list[Path]) -> dict:
        """All five, or none."""
        viewer, visible = self.viewer, bool(panels)
        files = panels or [None] * len(viewer.panels)
        shown = {w: gr.update(value=file, visible=visible) for w, file in zip(viewer.panels, files, strict=True)}
        return shown | {viewer.panel_row: gr.update(visible=visible)}

    def _nothing(self) -> dict:
        viewer = self.viewer
        empty = {viewer.picture_i: None, viewer.picture_j: None, viewer.readouts: "", viewer.note: ""}
        return empty | {viewer.download: _NO_DOWNLOAD} | self._show_panels([])

    def save(self, scene: Scene | None, *values) -> dict:
        """Write all that is shown as one picture and offer it."""
        if scene is None:
            return {
                self.viewer.note: message("info", "there is nothing to save yet"),
                self.viewer.download: _NO_DOWNLOAD,
            }
        path = self.pictures.new_path(f"epipolar_frame{values[0]:g}_to_frame{values[1]:g}")

        def work() -> Path:
            write_sheet(self._seen(scene, values), path)
            return path

        outcome = attempt(work, self._log_file)
        if outcome.state != "done":
            return {self.viewer.note: message("error", outcome.message), self.viewer.download: _NO_DOWNLOAD}
        return {self.viewer.download: gr.update(value=path, visible=True)}

    @never_empty
    def run(self, visitor: str, scene: Scene | None, layers: list[int], steps: list[int]) -> Iterator[dict]:
        """Make the clip again in a job that holds its attention, and follow it."""

        def work() -> Work:
            if scene is None or scene.clip is None:
                raise InputError("no clip yet: make one on the Generate page")
            clip, plan = scene.clip, plan_hold(scene.clip, self.services, layers, steps)
            return lambda report, cancel: hold_attention(clip, plan, self.shelf, self.services, report, cancel)

        yield from self._submit(visitor, ATTENTION, work)

    @never_empty
    def estimate(self, visitor: str, *values) -> Iterator[dict]:
        """Find the cameras of the chosen clip in a job and follow it."""

        def work() -> Work:
            request = read_request(*values)
            clip = self._newest_clip(visitor) if request.source == "clip" else None
            video = scene_video(request, clip)
            return lambda report, cancel: estimate_cameras(video, clip, report, cancel)

        yield from self._submit(visitor, CAMERA, work)

    def _submit(self, visitor: str, kind: str, make_work: Callable[[], Work]) -> Iterator[dict]:
        runner = self.services.runner
        job_id = runner.unfinished(visitor, kind)
        if job_id is None:
            outcome = attempt(make_work, self._log_file)
            if outcome.state != "done":
                yield {self.runner.note: message("error", outcome.message)}
                return
            job_id = runner.submit(outcome.result, visitor, kind)
        yield {self.runner.note: ""}
        yield from self.follow(job_id)

    @never_empty
    def attach(self, visitor: str) -> Iterator[dict]:
        """The page was reloaded: follow this visitor's job, if there is one, and then have its clip shown anew."""
        for kind in (CAMERA, ATTENTION):
            job_id = self.services.runner.unfinished(visitor, kind)
            if job_id is not None:
                yield from self.follow(job_id)
                yield {self.offered: None}

    def follow(self, job_id: str) -> Iterator[dict]:
        """Show a job's progress until it ends, then how it ended."""
        for view in self.services.runner.watch(job_id):
            if view.finished:
                yield self._end(view)
            else:
                bar = progress_bar(view, whole_run=view.kind == ATTENTION)
                yield {self.runner.progress: bar} | self._buttons(busy=True)

    def _end(self, view: JobView) -> dict:
        idle = {self.runner.progress: ""} | self._buttons(busy=False)
        if view.state != "done":
            return idle | {self.runner.note: message("info" if view.state == "stopped" else "error", view.message)}
        if view.kind == ATTENTION:
            return idle | {self.runner.note: message("good", "its attention is held: click a point of frame i")}
        found: EstimatedCameras = view.result
        told = message("good" if found.confidence >= 0.5 else "warning", found.words)
        return idle | {self.estimated: found, self.runner.note: told}

    def _buttons(self, busy: bool) -> dict:
        # Texts are repeated, as in `button`; whether Estimate is visible is not said here, the choice of cameras decides.
        starters = (self.runner.run_button, self.panel.estimate_button)
        shown = {widget: gr.update(value=widget.value, interactive=not busy) for widget in starters}
        return shown | {self.runner.stop_button: button(self.runner.stop_button, busy, visible=busy)}

    def stop(self, visitor: str) -> None:
        """Ask this visitor's jobs of this page to end."""
        for kind in (CAMERA, ATTENTION):
            job_id = self.services.runner.unfinished(visitor, kind)
            if job_id is not None:
                self.services.runner.stop(job_id)

    def _newest_clip(self, visitor: str) -> Clip | None:
        clips = self.services.runner.results(visitor, CLIP)
        return next((clip for clip in clips if clip.path.is_file()), None)

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def create_epipolar_tab(services: Services, visitor: gr.Textbox) -> EpipolarTab:
    """Lay out and wire the fourth page."""
    states = [gr.State(None) for _ in range(4)]
    panel = create_scene_panel({name: preset.help for name, preset in PRESETS.items()}, FILE_FORMATS)
    runner, viewer = create_run_part(), create_viewer(FIRST_SIZE, CLIP_FRAMES)
    held = AttentionShelf(), RecentPictures(services)
    tab = EpipolarTab(services, visitor, *held, *states, panel, runner, viewer)
    _wire(tab)
    return tab


def _wire(tab: EpipolarTab) -> None:
    panel, runner, viewer = tab.panel, tab.runner, tab.viewer
    look = [tab.scene, *viewer.values]
    shown = [*tab.scene_outputs, runner.note]
    gr.on(_choices_of(panel), tab.choose_scene, tab.scene_inputs, shown, **SCENE_EVENT, **LATEST)
    viewer.picture_i.select(tab.point_at, tab.scene, [viewer.x, viewer.y, viewer.note, tab.to_draw], **CHOICE)
    reasons = [tab.to_draw.change, *(chosen(widget) for widget in viewer.values)]
    gr.on(reasons, tab.look, look, viewer.shown, **LOOK_EVENT, **LATEST)
    jobs = [
        runner.run_button.click(
            tab.run, [tab.visitor, tab.scene, runner.layers, runner.steps], tab.job_outputs, **_EVENT
        ),
        panel.estimate_button.click(tab.estimate, [tab.visitor, *panel.values], tab.job_outputs, **_EVENT),
    ]
    for job in jobs:
        job.then(tab.show_scene, tab.scene_inputs, tab.scene_outputs, **SCENE_EVENT)
    saved = viewer.save_button.click(tab.save, look, [viewer.note, viewer.download], **_EVENT)
    saved.then(None, js=_PRESS_DOWNLOAD, **_EVENT)
    plan = [tab.scene, runner.layers, runner.steps]
    gr.on([runner.layers.input, runner.steps.input], tab.show_plan, plan, runner.plan, **_EVENT, **LATEST)
    runner.stop_button.click(tab.stop, tab.visitor, **_EVENT)


def _choices_of(panel: ScenePanel) -> list:
    """Whatever asks for another scene. A number counts once it is typed in full."""
    uploads = [event for file in (panel.upload, panel.files) for event in (file.upload, file.clear, file.delete)]
    numbers = [event for number in (panel.width, panel.height) for event in (number.submit, number.blur)]
    choices = [chosen(widget) for widget in (panel.source, panel.camera, panel.preset, panel.format)]
    return [*choices, panel.amount.release, *uploads, *numbers]
