"""Files to a preview file: what the command line and the page both call."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from animateanywhere.cancel import CancelToken
from animateanywhere.config import ModelConfig, PreviewConfig
from animateanywhere.errors import InputError
from animateanywhere.generate import GenerateRequest, plan
from animateanywhere.geometry.camera_variants import CameraVariant, ImpliedCamera
from animateanywhere.media import (
    VideoFrames,
    check_output_path,
    cover_crop,
    limited_size,
    read_image,
    resized,
    write_video,
)
from animateanywhere.model_folder import read_info, resolve_model
from animateanywhere.pipeline import Progress
from animateanywhere.pose.detector import PoseInput, load_pose_input
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.prepared_pose import notes_on, pose_for_person
from animateanywhere.preview import PreviewInputs, plan_draft
from animateanywhere.segmentation import cut_out_with_joints

_PERSON_SIDE_PX = 1024
"""Longest side of the person's picture: no preview shows more of it."""


@dataclass(frozen=True)
class PreviewRequest:
    """One preview to make."""

    clip: GenerateRequest
    """Inputs, settings and length of the clip that the preview is of; `clip.output` is where the preview goes."""
    preview: PreviewConfig = field(default_factory=PreviewConfig)


@dataclass(frozen=True, eq=False)
class PreviewResult:
    """A finished preview and what it shows."""

    video: VideoFrames
    path: Path
    chosen: CameraVariant
    camera: ImpliedCamera
    """All variants that the pose allows, the most probable first."""
    seconds: float
    drawing_seconds: float
    """Of them: everything after pose and cut-out."""
    notes: tuple[str, ...]


def model_config(name: str) -> ModelConfig:
    """Size, length and rate of a model's clips, without loading its networks. Raises InputError."""
    return read_info(resolve_model(name)).model


def preview(
    request: PreviewRequest,
    model: ModelConfig,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: CancelToken | None = None,
) -> PreviewResult:
    """Draw a draft of the clip that `generate` would make of the same request with `model`, and write it.

    Raises InputError on bad input, Cancelled when `cancel` was set (nothing is written then).
    """
    started = time.monotonic()
    on_progress, cancel = on_progress or (lambda progress: None), cancel or CancelToken()
    clip, config = request.clip, request.clip.config
    check_output_path(clip.output)
    planned = plan(clip, model)

    def report(phase: str, done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        on_progress(Progress(phase, done, total, elapsed, elapsed / done * (total - done) if done else None))

    report("person", 0, 1)
    person, person_joints = cut_out_for_preview(clip.human)
    size = request.preview.size_for(planned.width, planned.height)
    place = cover_crop(read_image(clip.background)[..., :3], size)
    cancel.raise_if_set()
    pose, aligned = _pose_for(clip, model, planned.num_frames, report, cancel)
    drawing = time.monotonic()
    draft = plan_draft(
        PreviewInputs(person, person_joints, place, pose, planned.num_frames, model.fps),
        variant=request.preview.variant,
        prompt=config.prompt,
        person=config.person,
        reader=request.preview.camera,
    )
    frames = []
    for frame in draft.frames():
        cancel.raise_if_set()
        frames.append(frame)
        report("drawing", len(frames), planned.num_frames)
    video = VideoFrames(np.stack(frames), model.fps)
    write_video(video, clip.output, comment=_comment(request, draft.chosen) if config.metadata else None)
    ended = time.monotonic()
    notes = (*planned.notes, *aligned, *draft.notes)
    return PreviewResult(video, clip.output, draft.chosen, draft.camera, ended - started, ended - drawing, notes)


def found_joints(path: Path, **options) -> PoseInput:
    """A pose whose joints are known, of any file that `load_pose_input` takes; `options` are its.

    Raises InputError like that function, and for a drawn skeleton that cannot be read back.
    """
    found = load_pose_input(path, **options)
    if found.sequence is None:
        raise InputError(
            f"{Path(path).name} is a drawn skeleton whose joints cannot be told, expected one person in OpenPose's or "
            "DWPose's colours: generate takes it as it is, a preview needs joints"
        )
    return found


def cut_out_for_preview(human: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The person of a picture as `PreviewInputs` takes them: uint8 [H, W, 4], and float32 [133, 3] if joints were found.

    Raises InputError if the picture cannot be read or shows nobody.
    """
    image = read_image(human)
    size = limited_size(image.shape[1], image.shape[0], _PERSON_SIDE_PX)
    return cut_out_with_joints(np.ascontiguousarray(resized(image, size)))


def _pose_for(
    clip: GenerateRequest,
    model: ModelConfig,
    num_frames: int,
    report: Callable[[str, int, int], None],
    cancel: CancelToken,
) -> tuple[PoseSequence, tuple[str, ...]]:
    """The joints that the clip is made of, and notes on them."""
    config = clip.config
    found = found_joints(
        clip.pose,
        detector=config.detector,
        fps=model.fps,
        max_frames=num_frames,
        on_progress=lambda done, total: report("pose", done, total),
        cancel=cancel,
    )
    if found.drawn is not None and config.person != 0:
        raise InputError(f"person {config.person}: a drawn skeleton shows one person, choose person 0")
    notes = notes_on(found.sequence.resampled(model.fps, num_frames), config.person)
    if found.sequence.num_people > 1:
        notes = (f"{found.sequence.num_people} people found; person {config.person} is used (0 is the largest)", *notes)
    found, aligned = pose_for_person(
        replace(found, drawn=None), clip.human, config.person, config.retarget, model.pose_style,
        detector=config.detector, cancel=cancel,
    )  # fmt: skip
    return found.sequence, (*notes, *aligned)


def _comment(request: PreviewRequest, chosen: CameraVariant) -> str:
    """What the draft is of, as json for the mp4's comment."""
    camera = {"variant": chosen.name, "sentence": chosen.sentence, "probability": round(chosen.probability, 3)}
    return json.dumps({"program": "AnimateAnywhere", "draft": True, **camera, "camera": request.preview.camera})
