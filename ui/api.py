"""The same work for programs, usable with gradio_client: an endpoint for each method of `_Endpoints`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from animateanywhere import examples
from animateanywhere.config import EpipolarConfig, GenerateConfig, PreviewConfig
from ui.clip_work import Clip, ClipTask, make_clip
from ui.forms import config_from_values
from ui.jobs import Work
from ui.outcomes import attempt
from ui.pose_pictures import PoseShown, find_and_draw
from ui.pose_work import PoseTask
from ui.preview_work import DraftShown, DraftTask, ImpliedShown, VariantShown, imply_camera, make_draft
from ui.services import Services, new_visitor
from ui.uploads import uploaded_path

if TYPE_CHECKING:
    from animateanywhere.epipolar_view import GeometryView


def add_api(services: Services) -> None:
    """Add the endpoints to the Blocks that are being built."""
    endpoints = _Endpoints(services)
    functions = (endpoints.generate, endpoints.extract_pose, endpoints.epipolar_overlay)
    for function in (*functions, endpoints.preview, endpoints.implied_camera):
        gr.api(function, api_name=function.__name__, concurrency_limit=None)


@dataclass(frozen=True, eq=False)
class _Endpoints:
    services: Services

    def generate(
        self,
        human: gr.FileData | None = None,
        background: gr.FileData | None = None,
        pose: gr.FileData | None = None,
        prompt: str = GenerateConfig.prompt,
        num_frames: int | None = GenerateConfig.num_frames,
        seed: int = GenerateConfig.seed,
        num_inference_steps: int | None = GenerateConfig.num_inference_steps,
        guidance_scale: float | None = GenerateConfig.guidance_scale,
        background_blend: float | None = GenerateConfig.background_blend,
        refine: bool = GenerateConfig.refine,
        scheduler: str = GenerateConfig.scheduler,
        person: int = GenerateConfig.person,
        detector: str = GenerateConfig.detector,
        metadata: bool = GenerateConfig.metadata,
        retarget: float = GenerateConfig.retarget,
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Make a video of a person, a background and a pose. Files left out are those of the bundled example.

        Returns the mp4, and its seed, seconds, model, frames, fps, notes and file on the server.
        """
        values = {name: value for name, value in locals().items() if name in GenerateConfig.__dataclass_fields__}
        made = self._attempt(lambda: _clip_task((human, background, pose), values))
        clip: Clip = self._run("clip", lambda report, cancel: make_clip(made, self.services, report, cancel))
        about = {
            "seed": clip.seed,
            "seconds": clip.seconds,
            "model": clip.model_name,
            "num_frames": clip.num_frames,
            "fps": clip.fps,
            "notes": list(clip.notes),
            "file": str(clip.path),
        }
        return gr.FileData(path=str(clip.path)), about

    def extract_pose(
        self, video: gr.FileData, detector: str = PoseTask.detector, mirror: bool = False, every_frame: bool = True
    ) -> tuple[gr.FileData, gr.FileData, dict[str, Any]]:
        """Find people in a video. Returns pose.json (a drawn skeleton comes back as it is), an mp4 of it, and facts.

        `every_frame` False looks only at as many frames as the model can use.
        """
        config = self._attempt(lambda: config_from_values({"detector": detector}))
        task = PoseTask(uploaded_path(video), config.detector, mirror, every_frame)
        services = self.services

        def work(report, cancel) -> PoseShown:
            model = services.shelf.pipeline().model
            return find_and_draw(task, model, services.new_temp_folder(), report, cancel)

        shown: PoseShown = self._run("pose", work)
        found = shown.found
        about = {
            "num_people": len(found.coverage),
            "coverage": list(found.coverage),
            "num_frames": found.num_frames,
            "fps": found.fps,
            "is_drawn_skeleton": found.is_drawn,
        }
        picture = shown.overlay or shown.drawing
        return gr.FileData(path=str(found.pose)), gr.FileData(path=str(picture)), about

    def epipolar_overlay(
        self,
        camera: gr.FileData,
        frame_i: int,
        frame_j: int,
        x: float,
        y: float,
        video: gr.FileData | None = None,
        format: str = "auto",
        thickness: float = EpipolarConfig.half_thickness,
        width: int | None = None,
        height: int | None = None,
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Draw where the point (x, y), in pixels, of frame i may be in frame j, with cameras from one file.

        Width and height: of the pictures, for formats that do not say them and come without a video. Returns a png, the
        line (a, b, c) in frame j's pixels (zeros: anywhere), the share of frame j's tokens in the mask, and a note.
        """
        size = None if width is None or height is None else (width, height)

        def work() -> tuple[Path, "GeometryView"]:
            from animateanywhere.epipolar_scene import OverlayRequest, overlay_of_files

            request = OverlayRequest(
                uploaded_path(camera), frame_i, frame_j, (x, y), uploaded_path(video), format, thickness, size
            )
            output = self.services.new_temp_folder() / "overlay.png"
            return output, overlay_of_files(request, output)

        output, view = self._attempt(work)
        about = {
            "line_px": view.line_px.tolist(),
            "allowed_share": float(view.allowed_in_j.mean()),
            "token_frames": list(view.token_frames),
            "note": view.note,
        }
        return gr.FileData(path=str(output)), about

    def preview(
        self,
        human: gr.FileData | None = None,
        background: gr.FileData | None = None,
        pose: gr.FileData | None = None,
        prompt: str = GenerateConfig.prompt,
        num_frames: int | None = GenerateConfig.num_frames,
        person: int = GenerateConfig.person,
        detector: str = GenerateConfig.detector,
        retarget: float = GenerateConfig.retarget,
        variant: str = PreviewConfig.variant,
        camera: str = PreviewConfig.camera,
        longest_side: int = PreviewConfig.longest_side,
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Draw a draft of the clip that `generate` would make, without the model. Files left out are the example's.

        Returns the mp4, and the chosen variant of the camera, all variants with probabilities, notes and seconds.
        """
        values = {name: value for name, value in locals().items() if name in GenerateConfig.__dataclass_fields__}
        chosen = {"variant": variant, "camera": camera, "longest_side": longest_side}
        task: DraftTask = self._attempt(
            lambda: DraftTask(_clip_task((human, background, pose), values), config_from_values(chosen, PreviewConfig))
        )
        draft: DraftShown = self._run("draft", lambda report, cancel: make_draft(task, self.services, report, cancel))
        about = {"seconds": draft.seconds} | _cameras(draft.chosen, draft.variants, draft.notes)
        return gr.FileData(path=str(draft.path)), about

    def implied_camera(
        self,
        pose: gr.FileData | None = None,
        person: int = GenerateConfig.person,
        detector: str = GenerateConfig.detector,
        variant: str = PreviewConfig.variant,
        camera: str = PreviewConfig.camera,
    ) -> tuple[gr.FileData, gr.FileData, dict[str, Any]]:
        """How the camera may have moved that saw this movement: a pose json or a video; the example's if left out.

        Returns the chosen variant's camera json, a picture of its path, and all variants with probabilities and notes.
        """
        chosen = {"variant": variant, "camera": camera}
        settings = self._attempt(lambda: config_from_values(chosen, PreviewConfig))
        config = self._attempt(lambda: config_from_values({"detector": detector, "person": person}))
        task = PoseTask(uploaded_path(pose) or examples.POSE, config.detector)
        work = lambda report, cancel: imply_camera(  # noqa: E731
            task, config.person, settings, self.services, report, cancel
        )
        told: ImpliedShown = self._run("draft", work)
        picture = next(one.picture for one in told.variants if one.name == told.chosen)
        about = _cameras(told.chosen, told.variants, told.notes)
        return gr.FileData(path=str(told.cameras)), gr.FileData(path=str(picture)), about

    def _run(self, kind: str, work: Work) -> object:
        runner = self.services.runner
        *_, last = runner.watch(runner.submit(work, new_visitor(), kind))
        if last.state != "done":
            raise gr.Error(last.message, print_exception=False)
        return last.result

    def _attempt(self, work: Callable[[], object]) -> Any:
        outcome = attempt(work, self._log_file)
        if outcome.state != "done":
            raise gr.Error(outcome.message, print_exception=False)
        return outcome.result

    @property
    def _log_file(self) -> Path:
        return self.services.settings.log_file


def _clip_task(sources: tuple[gr.FileData | None, ...], values: dict[str, object]) -> ClipTask:
    """Files human, background, pose, the example's where left out, and settings. Raises InputError for bad settings."""
    defaults = (examples.HUMAN, examples.BACKGROUND, examples.POSE)
    human, background, pose = (uploaded_path(given) or path for given, path in zip(sources, defaults, strict=True))
    config = config_from_values(values)
    return ClipTask(human, background, PoseTask(pose, config.detector), config)


def _cameras(chosen: str, variants: tuple[VariantShown, ...], notes: tuple[str, ...]) -> dict[str, Any]:
    rows = [{"name": v.name, "sentence": v.sentence, "probability": v.probability, "words": v.words} for v in variants]
    return {"variant": chosen, "variants": rows, "notes": list(notes)}
