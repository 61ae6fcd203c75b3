"""From a page's inputs to a draft, and to the cameras that its pose implies. No Gradio.

Heavy imports are inside the functions: the page must answer before torch and mediapipe are loaded.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from animateanywhere.cancel import CancelToken
from animateanywhere.config import ModelConfig, PreviewConfig
from ui.clip_work import AskedMotion, ClipTask
from ui.jobs import Step
from ui.pose_work import PoseTask, find_pose
from ui.services import Services

if TYPE_CHECKING:
    from animateanywhere.geometry.camera_variants import CameraVariant, ImpliedCamera


@dataclass(frozen=True)
class DraftTask:
    """One draft that a person asked for: the clip that it is of, and which of its cameras."""

    clip: ClipTask
    preview: PreviewConfig = field(default_factory=PreviewConfig)


@dataclass(frozen=True)
class VariantShown:
    """One camera that a pose allows, as the page shows it."""

    name: str
    sentence: str
    """What to ask a model for."""
    probability: float
    words: str
    """How it moves, with numbers."""
    picture: Path
    """Its path, from above and from the side."""
    flow: tuple[tuple[float, float], ...]
    """What it does to the background, as a finished clip's movement is measured."""

    @property
    def motion(self) -> AskedMotion:
        return AskedMotion(self.sentence, self.flow)


@dataclass(frozen=True)
class DraftShown:
    """A finished draft."""

    task: DraftTask
    """What it was made from; its pose is the one that was found, so that another variant takes seconds."""
    path: Path
    chosen: str
    variants: tuple[VariantShown, ...]
    """All that the pose allows, the most probable first."""
    notes: tuple[str, ...]
    seconds: float

    def variant(self, name: str) -> VariantShown:
        return next(variant for variant in self.variants if variant.name == name)


@dataclass(frozen=True)
class ImpliedShown:
    """Cameras read off a pose, without a draft."""

    chosen: str
    cameras: Path
    """Camera json of the chosen variant."""
    variants: tuple[VariantShown, ...]
    notes: tuple[str, ...]


def make_draft(task: DraftTask, services: Services, report: Callable[[Step], None], cancel: CancelToken) -> DraftShown:
    """Find the pose, read the camera off it, draw. Raises InputError on bad input, Cancelled once `cancel` is set."""
    report(Step("model", 0, 1))
    model = services.shelf.pipeline().model
    cancel.raise_if_set()
    from animateanywhere.generate import GenerateRequest
    from animateanywhere.preview_files import PreviewRequest, preview

    folder, clip = services.new_temp_folder(), task.clip
    found = PoseTask(_found(clip.pose, model, folder, report, cancel), clip.pose.detector)
    task = dataclasses.replace(task, clip=dataclasses.replace(clip, pose=found))
    request = GenerateRequest(clip.human, clip.background, found.source, clip.config, folder / "draft.mp4")
    result = preview(
        PreviewRequest(request, task.preview),
        model,
        on_progress=lambda p: report(Step(p.phase, p.done, p.total, p.remaining_s)),
        cancel=cancel,
    )
    variants = _shown(result.camera, folder)
    return DraftShown(task, result.path, result.chosen.name, variants, result.notes, result.seconds)


def imply_camera(
    pose: PoseTask,
    person: int,
    preview: PreviewConfig,
    services: Services,
    report: Callable[[Step], None],
    cancel: CancelToken,
) -> ImpliedShown:
    """Cameras that one person's movement implies. Raises InputError on bad input, Cancelled once `cancel` is set."""
    report(Step("model", 0, 1))
    model, folder = services.shelf.pipeline().model, services.new_temp_folder()
    from animateanywhere.geometry.camera_files import save_camera_path
    from animateanywhere.implied_camera import read_camera
    from animateanywhere.preview_files import found_joints

    sequence = found_joints(_found(pose, model, folder, report, cancel)).sequence
    told = read_camera(sequence, person=person, reader=preview.camera)
    chosen = told.named(preview.variant) if preview.variant else told.variants[0]
    path = folder / "camera.json"
    save_camera_path(path, chosen.cameras)
    return ImpliedShown(chosen.name, path, _shown(told, folder), told.notes)


def sentence_in(prompt: str) -> str:
    """The camera that a prompt asks for, in its own words; empty if it asks for none."""
    from animateanywhere.geometry.camera_variants import SENTENCES, asked_for

    return SENTENCES.get(asked_for(prompt), "")


def asking_for(prompt: str, sentence: str) -> str:
    """The prompt with this camera in it, in place of the one that it asked for before."""
    words, before = prompt.strip(), sentence_in(prompt)
    if not before:
        return f"{words.rstrip('.,')}, {sentence}" if words else sentence
    start = words.lower().index(before)
    return words[:start] + sentence + words[start + len(before) :]


def _found(
    pose: PoseTask, model: ModelConfig, folder: Path, report: Callable[[Step], None], cancel: CancelToken
) -> Path:
    """pose.json of the people in a video; a json and a drawn skeleton are taken as they are."""
    if pose.source.suffix.lower() == ".json":
        return pose.source
    return find_pose(dataclasses.replace(pose, every_frame=False), model, folder, report, cancel).pose


def _shown(camera: "ImpliedCamera", folder: Path) -> tuple[VariantShown, ...]:
    return tuple(_variant_shown(variant, camera, folder) for variant in camera.variants)


def _variant_shown(variant: "CameraVariant", camera: "ImpliedCamera", folder: Path) -> VariantShown:
    import numpy as np

    from animateanywhere.geometry.background_flow import net_flow_px
    from animateanywhere.geometry.camera_path_picture import describe_path, path_picture
    from animateanywhere.geometry.camera_plot import write_plot
    from animateanywhere.geometry.camera_readout import numbers_line, read_out
    from animateanywhere.geometry.camera_variants import PERSON_M

    cameras = variant.cameras
    picture = folder / f"path_{variant.name.replace(' ', '_')}.png"
    write_plot(picture, path_picture(cameras, np.array([0.0, 0.0, camera.distance_m]), PERSON_M))
    words = f"It {describe_path(cameras)}. At the end: {numbers_line(read_out(cameras), unit='m')}."
    flow = net_flow_px(cameras, camera.far_m) / max(cameras.image_size)
    return VariantShown(
        variant.name, variant.sentence, variant.probability, words, picture, tuple(map(tuple, flow.tolist()))
    )
