"""Files to a video file: what the command line and the page both call."""

import hashlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from animateanywhere import examples
from animateanywhere.background_blend import blend_notes
from animateanywhere.cancel import CancelToken
from animateanywhere.conditioning import ConditionInputs
from animateanywhere.config import GenerateConfig, ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.filmed_background import filmed_background
from animateanywhere.latent_grid import FRAME_MULTIPLE, snap_num_frames
from animateanywhere.media import VideoFrames, check_output_path, cover_crop, read_image, write_video
from animateanywhere.moved_person import moved_person
from animateanywhere.pipeline import AnimateAnywherePipeline, Progress
from animateanywhere.pose.checks import SLOW_FPS
from animateanywhere.pose.detector import PoseInput, load_pose_input, probe_pose
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.prepared_pose import notes_on, pose_for_person
from animateanywhere.segmentation import cut_out_with_joints, place_on_canvas


@dataclass(frozen=True)
class GenerateRequest:
    """One video to make."""

    human: Path = examples.HUMAN
    """Picture of the person; an alpha channel is taken as the cut-out."""
    background: Path = examples.BACKGROUND
    """Picture of the place, without people."""
    pose: Path = examples.POSE
    """Video of a moving person, video of a drawn skeleton, or pose json."""
    config: GenerateConfig = field(default_factory=GenerateConfig)
    output: Path = Path("out.mp4")
    """Where the mp4 goes."""


@dataclass(frozen=True)
class GeneratePlan:
    """What a run will give, known before it starts."""

    num_frames: int
    fps: float
    width: int
    height: int
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return self.num_frames / self.fps

    def describe(self) -> str:
        """One line for a person."""
        size = f"{self.width}x{self.height}"
        return f"{self.num_frames} frames at {self.fps:g} fps = {self.seconds:.1f} s, {size} pixels"


@dataclass(frozen=True)
class GenerateResult:
    """A finished video and what is needed to make it again."""

    video: VideoFrames
    path: Path
    seed: int
    seconds: float
    model_name: str
    notes: tuple[str, ...]


def plan(request: GenerateRequest, model: ModelConfig) -> GeneratePlan:
    """Length, rate and size of the clip, from the pose file's header alone. Raises InputError on unusable input."""
    source = probe_pose(request.pose)
    width, height = model.size_for(*source.size)
    notes = []
    available = max(1, round(source.duration_s * model.fps))
    wanted = request.config.num_frames or model.num_frames
    num_frames = snap_num_frames(wanted, model.max_num_frames)
    if num_frames != wanted:
        notes.append(
            f"{wanted} frames asked for, {num_frames} made: lengths are multiples of {FRAME_MULTIPLE} up to {model.max_num_frames}"
        )
    if available < num_frames:
        shorter = max(FRAME_MULTIPLE, available // FRAME_MULTIPLE * FRAME_MULTIPLE)
        if shorter < num_frames:
            notes.append(
                f"the pose lasts {source.duration_s:.1f} s, so the clip has {shorter} frames instead of {num_frames}"
            )
        num_frames = shorter
        if available < num_frames:
            frames = "1 frame" if available == 1 else f"{available} frames"
            notes.append(f"the pose has {frames} at {model.fps:g} fps; the last one is held until frame {num_frames}")
    elif source.duration_s > num_frames / model.fps + 1.0:
        notes.append(f"the pose lasts {source.duration_s:.1f} s; its first {num_frames / model.fps:.1f} s are used")
    if source.fps < SLOW_FPS and source.fps * source.duration_s > 1.5:  # a picture is a pose of one frame
        notes.append(
            f"the pose has {source.fps:g} frames per second: what happens in between becomes straight lines; "
            "record at 8 or more"
        )
    return GeneratePlan(num_frames, model.fps, width, height, tuple(notes))


def prepare(
    request: GenerateRequest,
    model: ModelConfig,
    planned: GeneratePlan,
    seed: int,
    on_progress: Callable[[Progress], None],
    cancel: CancelToken,
    *,
    refined: bool,
) -> tuple[ConditionInputs, tuple[str, ...]]:
    """Read and bring all three inputs to the model's size. Returns them and notes for the person.

    `seed`: the clip's; a background that is moved for the model may move in more ways than one. `refined`: the frames will be
    drawn once more, so the person's picture is moved too.
    """
    started = time.monotonic()

    def report(phase: str, done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        on_progress(Progress(phase, done, total, elapsed, elapsed / done * (total - done) if done else None))

    size, config = (planned.width, planned.height), request.config
    report("person", 0, 1)
    rgba, joints = cut_out_with_joints(read_image(request.human))
    human = place_on_canvas(rgba, size, model.reference_canvas)
    background = cover_crop(read_image(request.background)[..., :3], size)
    cancel.raise_if_set()
    pose = load_pose_input(
        request.pose,
        detector=config.detector,
        fps=model.fps,
        max_frames=planned.num_frames,
        on_progress=lambda done, total: report("pose", done, total),
        cancel=cancel,
    )
    notes = _pose_notes(pose, config.person, model, planned.num_frames)
    pose, aligned = pose_for_person(
        pose, request.human, config.person, config.retarget, model.pose_style, detector=config.detector, cancel=cancel
    )
    frames = pose.frames(size, planned.num_frames, model.fps, model.pose_style, config.person)
    moved, told = filmed_background(
        background, pose.sequence, model,
        num_frames=planned.num_frames, person=config.person, prompt=config.prompt, seed=seed,
    )  # fmt: skip
    notes = (*notes, *aligned, *told, *blend_notes(model, config.background_blend))
    person = None
    if refined and pose.sequence is not None:
        person, unmoved = _moved(rgba, joints, pose.sequence, planned, config.person)
        notes = (*notes, *unmoved)
    return ConditionInputs(human, background, frames, config.prompt, moved, person), notes


def _moved(
    rgba: np.ndarray, joints: np.ndarray | None, pose: PoseSequence, planned: GeneratePlan, person: int
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The person's picture moved by the pose; None where nobody's size can be told, and the note says it."""
    size = (planned.width, planned.height)
    try:
        return moved_person(rgba, joints, pose, size, planned.num_frames, planned.fps, person), ()
    except InputError as error:
        return None, (f"frames are refined without the person's picture: {error}",)


def _pose_notes(pose: PoseInput, person: int, model: ModelConfig, num_frames: int) -> tuple[str, ...]:
    """What is wrong with the part of a pose that is used. Raises InputError if it shows nobody."""
    if pose.is_used_as_drawn(model.pose_style):
        return ("the pose video is a drawn skeleton and is used as it is",)
    if pose.drawn is not None:
        return (
            f"the pose video is a drawn skeleton; its body is drawn anew as {model.name} reads it, without hands and face",
        )
    notes = notes_on(pose.sequence.resampled(model.fps, num_frames), person)
    if pose.sequence.num_people > 1:
        notes = (f"{pose.sequence.num_people} people found; person {person} is used (0 is the largest)", *notes)
    return notes


def generate(
    pipeline: AnimateAnywherePipeline,
    request: GenerateRequest,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: CancelToken | None = None,
) -> GenerateResult:
    """Make one video and write it. Unusable inputs and outputs are found before the networks run.

    Raises InputError on bad input, Cancelled when `cancel` was set (nothing is written then).
    """
    started = time.monotonic()
    on_progress, cancel = on_progress or (lambda progress: None), cancel or CancelToken()
    check_output_path(request.output)
    model, config = pipeline.model, request.config
    planned = plan(request, model)
    seed = random.SystemRandom().randrange(2**31) if config.seed < 0 else config.seed
    refined = pipeline.refines(config.refine)
    inputs, notes = prepare(request, model, planned, seed, on_progress, cancel, refined=refined)
    frames = pipeline(
        inputs,
        num_inference_steps=config.num_inference_steps,
        guidance_scale=config.guidance_scale,
        seed=seed,
        scheduler=config.scheduler,
        background_blend=config.background_blend,
        refine=config.refine,
        on_progress=on_progress,
        cancel=cancel,
    )
    if refined:
        laid = "" if inputs.person_frames is None else ", and the person's picture, moved by the pose, is laid into it"
        notes = (*notes, f"{model.name}'s frame refiner has drawn every frame once more{laid} (refine)")
    video = VideoFrames(frames, model.fps)
    write_video(video, request.output, comment=_comment(request, model, seed) if config.metadata else None)
    seconds = time.monotonic() - started
    return GenerateResult(video, request.output, seed, seconds, model.name, planned.notes + notes)


def _comment(request: GenerateRequest, model: ModelConfig, seed: int) -> str:
    """Everything needed to make the clip again, as json for the mp4's comment."""
    settings = {name: value for name, value in asdict(request.config).items() if value is not None}
    hashes = {name: _sha256(getattr(request, name)) for name in ("human", "background", "pose")}
    content = {"program": "AnimateAnywhere", "model": model.name, **settings, "seed": seed, "sha256": hashes}
    return json.dumps(content)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give a readable file") from error
